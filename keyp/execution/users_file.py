"""The file that ACL LOAD and ACL SAVE name: read and written on a reader's thread."""

from __future__ import annotations

import os
import stat
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from keyp.command.server_state import ServerState
from keyp.errors import CommandError
from keyp.execution.loop import Loop
from keyp.execution.replace_file import replace_file
from keyp.server.acl.rules import FileErrors, parse_file
from keyp.server.acl.user import User
from keyp.server.acl.users import DEFAULT

log = Logger(__name__)

OTHERS: Final = stat.S_IRWXO | stat.S_IWGRP
CANNOT_SAVE: Final = "ERR There was an error trying to save the ACLs. Please check the server logs for more information"


class UsersFile:
    """The ACL file of a server. Its path is the setting `aclfile`, which is empty where there is none."""

    def __init__(self, server: ServerState, loop: Loop) -> None:
        self._server = server
        self._loop = loop
        self._one_writes: Any = DeferredLock()

    def start(self, declared: dict[bytes, User]) -> None:
        """The users are those of the file, or, without one, the default user with the password in the settings.

        Without a file there are those as well that the configuration file has declared. Raises as `read`.
        """
        server = self._server
        path, password = server.settings.get("aclfile"), server.settings.get("requirepass")
        if path:
            server.users.take_over(self._read_changes(path))
            return
        default = server.users.default
        server.users.take_over({DEFAULT: default.with_password(password) if password else default, **declared})

    def read(self, path: str) -> dict[bytes, User]:
        """The users in the file. Raises `CommandError` for one that cannot be read, or is wrong."""
        try:
            with open(path, "rb") as file:
                text = file.read()
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        except OSError as error:
            raise CommandError(f"ERR Error loading ACLs, opening file '{path}': {error.strerror}") from None
        if mode & OTHERS:
            log.warn("others can read or change the users in {path} (mode {mode:04o})", path=path, mode=mode)
        try:
            return parse_file(text, path, self._server.users.index, self._server.settings.acl_all_channels)
        except FileErrors as errors:
            raise CommandError(f"ERR {errors}") from None

    def load(self) -> Deferred[dict[bytes, User | None]]:
        """The users in the file, and None for those of now that it has not. Fails as `read`."""
        return self._loop.run_on_reader(self._read_changes, self._server.settings.get("aclfile"))

    def _read_changes(self, path: str) -> dict[bytes, User | None]:
        gone: dict[bytes, User | None] = dict.fromkeys(self._server.users.names())
        return {**gone, **self.read(path)}

    def save(self) -> Deferred[None]:
        """Writes the users. Fires when they are on the disk; fails with `CommandError`.

        One after the other: so each has the new file to itself, and the last one's users stay.
        """
        saved: Deferred[None] = self._one_writes.run(self._write_those_of_now)
        return saved

    def _write_those_of_now(self) -> Deferred[None]:
        text = b"".join([user.describe() + b"\n" for user in self._server.users.all()])
        return self._loop.run_on_reader(self._write, text)

    def _write(self, text: bytes) -> None:
        path = self._server.settings.get("aclfile")
        try:
            replace_file(path, text, keeps_mode=False)
        except OSError as error:
            log.error("the users could not be saved to {path}: {reason}", path=path, reason=str(error))
            raise CommandError(CANNOT_SAVE) from None
