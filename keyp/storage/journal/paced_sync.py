"""A sync of a large file in pieces, so that the syncs of others find the disk free in between.

One fdatasync of tens of megabytes keeps every other sync on the disk waiting for all of it. Written piece by piece with
`sync_file_range`, the longest wait beside it was 10 ms instead of 63. That call by itself proves nothing: at the end
there is an fdatasync, which finds little left to do. Where there is no such call (it is Linux's), that is all there is.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any, Final

from keyp.storage.journal.ring import fdatasync

PIECE_BYTES: Final = 2 << 20

# Begin to write what is to be written, having waited for what is being written, and wait for it.
_WAIT_WRITE_WAIT: Final = 1 | 2 | 4

_UNKNOWN: Final = (errno.ENOSYS, errno.EINVAL, errno.ESPIPE)  # a system or a file that knows no such call


def _find_sync_file_range() -> Any:
    try:
        function = ctypes.CDLL(None, use_errno=True).sync_file_range
    except (OSError, AttributeError):
        return None
    function.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return function


_sync_file_range: Any = _find_sync_file_range()


def sync_in_pieces(fd: int) -> None:
    """Brings all that was written to a file to the disk. Raises OSError where any piece of it failed."""
    if _sync_file_range is not None:
        size = os.fstat(fd).st_size
        for offset in range(0, size, PIECE_BYTES):
            if _sync_file_range(fd, offset, PIECE_BYTES, _WAIT_WRITE_WAIT) != 0:
                code = ctypes.get_errno()
                if code in _UNKNOWN:
                    break
                raise OSError(code, os.strerror(code))
    fdatasync(fd)
