"""CONFIG REWRITE: what holds now is written to the configuration file, on a reader's thread."""

from __future__ import annotations

import os
from typing import Any, Final

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from keyp.command.server_state import ServerState
from keyp.errors import CommandError
from keyp.execution.loop import Loop
from keyp.execution.replace_file import replace_file
from keyp.server.config.configuration import LEFT_ALONE, USER
from keyp.server.config.rewriting import Entry, rewritten

log = Logger(__name__)

FAILED: Final = "ERR Rewriting config file: "


class ConfigRewrite:
    """Writes the configuration file of a server, which has one."""

    def __init__(self, server: ServerState, loop: Loop) -> None:
        self._server = server
        self._loop = loop
        self._one_writes: Any = DeferredLock()

    def write(self) -> Deferred[None]:
        """Writes settings and users as they are. Fires when they are on the disk; fails with `CommandError`.

        One after the other: so each has the new file to itself, and what the last one writes stays.
        """
        written: Deferred[None] = self._one_writes.run(self._write_what_holds)
        return written

    def _write_what_holds(self) -> Deferred[None]:
        settings, users = self._server.settings, self._server.users
        included = settings.users_file_included
        if included:
            raise CommandError(f"{FAILED}users stand in a file that it includes, {included}")
        lines = [] if settings.get("aclfile") else [(user.line()[len(USER) + 1 :], True) for user in users.all()]
        entries = [*settings.entries(), Entry(USER, [], lines)]
        return self._loop.run_on_reader(self._write, entries)

    def _write(self, entries: list[Entry]) -> None:
        path = self._server.settings.config_file
        try:
            old = b""
            if os.path.exists(path):
                with open(path, "rb") as file:
                    old = file.read()
            replace_file(path, rewritten(old, entries, LEFT_ALONE), keeps_mode=True)
        except OSError as error:
            log.error("the configuration could not be written to {path}: {reason}", path=path, reason=str(error))
            raise CommandError(f"{FAILED}{error.strerror}") from None
        log.info("CONFIG REWRITE has written {path}", path=path)
