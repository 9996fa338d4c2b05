"""Servers that run under strace while clients write to them, and what is known of them afterwards."""

from __future__ import annotations

import itertools
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Final

from tests.crash import trace
from tests.crash.clients import Groups, ask, write_for
from tests.crash.daemons import daemon_on
from tests.crash.ledger import Ledger, Write
from tests.crash.power_cut import RING_FILE, Image, PowerCuts, write_image
from tests.crash.trace import Call, Recording
from tests.integration.daemon import DEADLINE_S

MODES: Final = ("always", "everysec", "no")
CLIENTS: Final = 3
BATCHES: Final = {"always": 40, "everysec": 80, "no": 40}  # of each client
PAUSE_S: Final = {"always": 0.0, "everysec": 0.04, "no": 0.04}  # after each

# Sizes of the journal, of which each server has one, and a store so now and then another than before: small ones go
# round several times, the large one has many records to replay.
RING_KILOBYTES: Final = (64, 256, 1024)


class Story:
    """A server's life under several clients, recorded twice: by the trace and by the ledger.

    `since` is the moment from which on answers are promises of the mode `mode`.
    """

    def __init__(self, recording: Recording, ledger: Ledger, mode: str, since: int = 0) -> None:
        self.recording = recording
        self.ledger = ledger
        self.mode = mode
        self.since = since
        self.left: dict[Write, Call] = {
            write: recording.connections[write.connection].left(write.reply_end)
            for write in ledger.writes()
            if write.acknowledged
        }

    @cached_property
    def cuts(self) -> PowerCuts:
        """The power cuts that this life may have had."""
        return PowerCuts(self.recording)

    def promised(self, cut: int) -> set[Write]:
        """The writes that a power cut at this moment must not lose.

        With `always` those that were answered; with the others, which were answered before the last sync of the journal
        began. (How often that is, is another question: `test_sync_order.py`.)
        """
        moment = cut if self.mode == "always" else self.last_sync(cut)
        return {write for write, call in self.left.items() if call.begin <= moment}

    def last_sync(self, cut: int) -> int:
        """When the last sync of the journal began that had ended at `cut`; 0 for none."""
        syncs = self.recording.file(RING_FILE).syncs
        return max([sync.begin for sync in syncs if sync.end <= cut], default=0)


class Recorder:
    """Records servers that run one after the other. `seed` is where their clients' dice come from."""

    def __init__(self, directory: Path, seed: str) -> None:
        self._directory = directory
        self._seed = seed
        self._numbers = itertools.count()

    def record(self, mode: str, turn_to_always: bool = False, change: str = "", kilobytes: int = 0) -> Story:
        """A new server with `--fsync mode`; with `turn_to_always` it is set to sync always when half is written.

        `change` is one of `changed_server.py`; `kilobytes` is the journal's size, 0 for any.
        """
        ledger = Ledger()
        groups = [Groups(ledger, number) for number in range(CLIENTS)]
        then = [Groups(ledger, number) for number in range(CLIENTS, 2 * CLIENTS)] if turn_to_always else []
        return self._record(mode, ledger, groups, then, None, change, kilobytes)

    def go_on(self, mode: str, ledger: Ledger, groups: list[Groups], image: Image | None = None) -> Story:
        """A server that starts on `image`, or on nothing; clients write to `groups`, of which the ledger knows."""
        return self._record(mode, ledger, groups, [], image, "", 0)

    def _record(
        self,
        mode: str,
        ledger: Ledger,
        groups: list[Groups],
        then: list[Groups],
        image: Image | None,
        change: str,
        kilobytes: int,
    ) -> Story:
        number = next(self._numbers)
        kilobytes = kilobytes or Random(f"{self._seed}/{number}").choice(RING_KILOBYTES)
        beside = self._directory / f"server{number}"
        beside.mkdir()
        path, data = beside / "trace", beside / "data"
        if image is not None:
            write_image(image, data)
        turned = 0
        with daemon_on(data, beside, f"--fsync={mode}", f"--journal-size={kilobytes}kb") as daemon:
            daemon.launcher = trace.launcher(path)
            if change:
                daemon.program = ["-m", "tests.crash.changed_server", change]
            daemon.start()
            self._write(daemon.port, mode, groups, f"{number}")
            if then:
                replies = ask(daemon.port, [(b"ECHO", b"turn"), (b"CONFIG", b"SET", b"appendfsync", b"always")])
                assert replies[1] == "OK"
                self._write(daemon.port, mode, then, f"{number}/then")
            daemon.stop()
            if not change:
                daemon.check()
        recording = trace.read(path, data, image)
        path.unlink()
        if then:
            turned = recording.connections[b"turn"].calls[-1].begin
        return Story(recording, ledger, "always" if then else mode, turned)

    def _write(self, port: int, mode: str, groups: list[Groups], seed: str) -> None:
        write_for(port, groups, f"{self._seed}/{seed}", DEADLINE_S, BATCHES[mode], PAUSE_S[mode])
