"""`python -m headswap`: the command, where it is not on the path."""

import sys

from headswap import main

if __name__ == "__main__":
    sys.exit(main())
