"""`python -m headswap`: the command, where it is not on the path."""

import sys

from headswap import main

sys.exit(main())
