"""Reads stores that may be damaged, each in a process of its own, because a bad one can end the process.

As a program it reads how each store is to be opened and the path of its directory, a line each, and answers each with a
line: the fate of the store in hexadecimal digits of a pickle. It forks for each of them. Its argument is a change of
Keyp (`changed_server.py`).
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

from keyp.storage.check import check
from keyp.storage.keys.keyspace import Keyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.tools.backup import backup
from tests.crash import values
from tests.crash.ledger import NOISE, Key, State
from tests.integration.daemon import ROOT

PATIENCE_S: Final = 20

# How a store is opened: as a server opens it, or a backup of it, which `keyp backup` makes.
STARTED, BACKED_UP = "started", "backed up"


class Fate:
    """What became of a store: `refused` says why it cannot be opened or read, `problems` what its check finds."""

    def __init__(self, refused: str, problems: list[str], found: dict[Key, State], died: bool = False) -> None:
        self.refused = refused
        self.died = died  # the process that read it
        self.problems = problems
        self.found = found


def read_store(way: str, directory: str) -> Fate:
    """Opens a store and reads all of it; may not return if it is damaged."""
    try:
        if way == BACKED_UP and os.path.exists(os.path.join(directory, DATA_FILE)):
            backup(directory, os.path.join(directory, "backup"), force=False)
            directory = os.path.join(directory, "backup")
        environment = Environment(directory, fsync="no")
        with ReadTransaction(environment, 0) as transaction:
            problems = check(transaction)
            found = {} if problems else _everything(transaction)
    except StoreError as error:
        return Fate(str(error), [], {})
    except Exception as error:
        return Fate(f"{type(error).__name__}: {error}", [], {})
    return Fate("", problems, found)


def _everything(transaction: ReadTransaction) -> dict[Key, State]:
    found: dict[Key, State] = {}
    for index in range(transaction.environment.databases):
        keys = Keyspace(transaction, index)
        for name in keys.names():
            record = keys.find(name)
            if record is not None and not name.startswith(NOISE):
                deadline_ms = layout.record_deadline_ms(record)
                found[index, name] = (
                    values.of_key(keys, name, record),
                    0 if deadline_ms == layout.NO_DEADLINE else deadline_ms,
                )
    return found


class ImageReader:
    """The program below, running; a context."""

    def __init__(self, change: str = "") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.image_reader", change],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def begin(self, directory: Path, way: str = STARTED) -> None:
        """Has it read the store in `directory`, while something else is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"%s:%s\n" % (way.encode(), os.fsencode(directory)))
        self._process.stdin.flush()

    def fate(self) -> Fate:
        """The fate of the store that is being read."""
        assert self._process.stdout is not None
        fate = pickle.loads(bytes.fromhex(self._process.stdout.readline().decode()))
        assert isinstance(fate, Fate)
        return fate

    def __enter__(self) -> ImageReader:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(PATIENCE_S)


def _serve() -> None:
    for line in sys.stdin:
        receiving, sending = os.pipe()
        child = os.fork()
        if child == 0:
            signal.alarm(PATIENCE_S)
            with open(sending, "wb") as result:
                way, _, directory = line.rstrip("\n").partition(":")
                result.write(pickle.dumps(read_store(way, directory)))
            os._exit(0)
        os.close(sending)
        with open(receiving, "rb") as result:
            answer = result.read()
        _, status = os.waitpid(child, 0)
        if status != 0:
            answer = pickle.dumps(
                Fate(f"the reader died: {signal.Signals(os.WTERMSIG(status)).name}", [], {}, died=True)
            )
        print(answer.hex(), flush=True)


if __name__ == "__main__":
    # Under its own name, which is the one that pickle looks up at the other end.
    from tests.crash import changed_server, image_reader

    changed_server.apply(sys.argv[1])
    image_reader._serve()
