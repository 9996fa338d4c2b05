"""Servers that run under strace while clients write to them, and what is known of them afterwards."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Final

from tests.crash import trace
from tests.crash.clients import Groups, ask, write_for
from tests.crash.ledger import Ledger, Write
from tests.crash.trace import Call, Recording
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S

CLIENTS: Final = 3
BATCHES: Final = {"always": 30, "everysec": 80, "no": 30}  # of each client
PAUSE_S: Final = {"always": 0.0, "everysec": 0.04, "no": 0.04}  # after each


class Story:
    """A server's life under several clients, recorded twice: by the trace and by the ledger.

    `since` is the moment from which on answers are promises.
    """

    def __init__(self, recording: Recording, ledger: Ledger, since: int = 0) -> None:
        self.recording = recording
        self.ledger = ledger
        self.since = since
        self.left: dict[Write, Call] = {
            write: recording.connections[write.connection].left(write.reply_end)
            for write in ledger.writes()
            if write.acknowledged
        }


class Recorder:
    """Records servers that run one after the other. `seed` is where their clients' dice come from."""

    def __init__(self, server: StartServer, directory: Path, seed: str) -> None:
        self._server = server
        self._directory = directory
        self._seed = seed
        self._numbers = itertools.count()

    def record(self, mode: str, turn_to_always: bool = False) -> Story:
        """A server with `--fsync mode`; with `turn_to_always` it is set to sync always when half is written."""
        number = next(self._numbers)
        path = self._directory / f"trace{number}"
        daemon = self._server(f"--fsync={mode}", launcher=trace.launcher(path))
        ledger = Ledger()
        for half in (0, 1) if turn_to_always else (0,):
            if half:
                replies = ask(daemon.port, [(b"ECHO", b"turn"), (b"CONFIG", b"SET", b"appendfsync", b"always")])
                assert replies[1] == "OK"
            groups = [Groups(ledger, number) for number in range(half * CLIENTS, (half + 1) * CLIENTS)]
            write_for(daemon.port, groups, f"{self._seed}/{number}/{half}", DEADLINE_S, BATCHES[mode], PAUSE_S[mode])
        daemon.stop()
        recording = trace.read(path, daemon.data_dir)
        path.unlink()
        return Story(recording, ledger, recording.connections[b"turn"].calls[-1].begin if turn_to_always else 0)
