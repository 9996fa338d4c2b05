"""The server is killed at a random moment: what it had answered is there, what it had not is whole or absent.

A round: several clients write values of all kinds, the process gets SIGKILL, sometimes a second time while it starts
again; then all it holds is compared with the ledger, deadlines to the millisecond. What a kill has left must become a
sound store by a start alone. At the end it is stopped in order and checked once more (the fixture does that).
"""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from random import Random

import pytest

from tests.crash.clients import Groups, finish, read_everything, write_for
from tests.crash.ledger import Ledger
from tests.integration.conftest import StartServer
from tests.integration.daemon import COMPILED, DEADLINE_S, Daemon

# A mode, the size of the journal, and a change of the server (`changed_server.py`).
SERVERS = (("always", "256kb", ""), ("everysec", "1mb", ""), ("no", "64mb", ""), ("always", "256kb", "much staged"))
CLIENTS = 4
LONGEST_LIFE_S = 0.4
START_S = 1.0


class Killer(threading.Thread):
    """Kills a daemon after some time."""

    def __init__(self, daemon: Daemon, seconds: float) -> None:
        super().__init__(daemon=True)
        self._daemon_process = daemon
        self._wait = threading.Event()
        self._seconds = seconds
        self.start()

    def run(self) -> None:
        self._wait.wait(self._seconds)
        self._daemon_process.kill()


def crash(daemon: Daemon, groups: list[Groups], random: Random) -> int:
    """Kills the daemon while clients write; how many writes it had answered."""
    killer = Killer(daemon, random.uniform(0, LONGEST_LIFE_S))
    clients = write_for(daemon.port, groups, str(random.random()), DEADLINE_S)
    killer.join()
    finish(clients)
    return sum([client.answered for client in clients])


def crash_in_start(daemon: Daemon, random: Random) -> None:
    """Starts the daemon and kills it before or just after it has come up."""
    killer: list[Killer] = []
    with suppress(AssertionError):  # `start` says that it is dead
        killing = threading.Timer(random.uniform(0, START_S), lambda: killer.append(Killer(daemon, 0)))
        killing.start()
        daemon.start()
    killing.join()
    killer[0].join()
    daemon.kill()


@pytest.mark.parametrize(("mode", "journal", "change"), SERVERS)
def test_nothing_answered_is_lost_when_the_process_dies(
    server: StartServer, mode: str, journal: str, change: str, seed: str, rounds: int
) -> None:
    if change and COMPILED:
        pytest.skip("compiled modules cannot be changed")
    ledger = Ledger()
    groups = [Groups(ledger, number) for number in range(CLIENTS)]
    program = ["-m", "tests.crash.changed_server", change] if change else []
    daemon = server(f"--fsync={mode}", f"--journal-size={journal}", program=program)
    counts: Counter[str] = Counter()
    for number in range(-(-rounds // len(SERVERS))):
        random = Random(f"{seed}/{mode}/{change}/{number}")
        counts["answered writes"] += crash(daemon, groups, random)
        counts["sent writes"] += sum([1 for _ in ledger.writes()])
        counts["answered MULTIs"] += sum([write.commands > 1 for write in ledger.writes() if write.acknowledged])
        if random.random() < 0.5:
            daemon.check()
        if random.random() < 0.25:
            crash_in_start(daemon, random)
            counts["kills while starting"] += 1
        daemon.start()
        found = read_everything(daemon.port)
        assert ledger.problems(found) == []
        ledger.settle(found)
        counts["keys compared"] += len(found)
        counts["rounds"] += 1
    print(f"\nfsync {mode} {change}: {dict(counts)}, nothing lost")
    assert counts["answered writes"] > 0
