"""Keyp keeps your keys: a Redis-compatible key-value server on Twisted and LMDB."""

from typing import Final

__version__: Final = "0.1.0"

# The command set and the replies follow this version of Redis; INFO and HELLO name it to clients,
# many of which choose their features by it.
REDIS_VERSION: Final = "7.2.5"
