"""The packages that run models: an extra, which who only queries datasets need not install."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from ingest.kernel.errors import InputError

PACKAGES = (
    "torch",
    "transformers",
    "transformer_lens",
    "tokenizers",
    "safetensors",
)


@contextmanager
def needing_packages() -> Iterator[None]:
    """Turns the import, within, of a package that is not installed into a message.

    Raises: InputError where one of PACKAGES is imported and not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in PACKAGES:
            raise
        missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
        raise InputError(
            f"running models needs packages that are not installed: {', '.join(missing)}",
            hint="pip install 'headswap[models]'",
        ) from error
