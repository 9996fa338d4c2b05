"""Root's rights, which twistd gives up when the ports are open (`--uid`, `--gid`): what is done with them before."""

from __future__ import annotations

import os
import pwd
from typing import Any

from twisted.internet.address import UNIXAddress

from keyp.net.options import Options
from keyp.storage.lmdb import ownership


class Privileges:
    """What root does for the user that the server is going to be; nothing where it stays who it is."""

    def __init__(self, options: Options) -> None:
        around: Any = options.parent or {}  # twistd's own options
        self._uid: int | None = around.get("uid") if os.geteuid() == 0 else None
        self._gid: int | None = around.get("gid")
        if self._uid is not None and self._gid is None:
            self._gid = pwd.getpwuid(self._uid).pw_gid  # as twistd has it

    def make_directory(self, data_dir: str) -> None:
        """Makes the data directory, if it is missing. Raises OSError."""
        ownership.keep_own_rights()
        if self._uid is not None and self._gid is not None:
            ownership.make_for(os.path.abspath(data_dir), self._uid, self._gid)

    def give(self, port: Any) -> None:
        """The user gets the file of a Unix socket, and of its lock. Raises OSError."""
        if self._uid is None or self._gid is None or not isinstance(port.getHost(), UNIXAddress):
            return
        path = getattr(port, "_bindPath", b"\0")
        if path[:1] != b"\0":
            os.chown(path, self._uid, self._gid, follow_symlinks=False)
            if port.lockFile is not None:
                os.chown(port.lockFile.name, self._uid, self._gid, follow_symlinks=False)
