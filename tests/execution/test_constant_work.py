"""Size is no object: what a command or the opening of a store makes LMDB do does not grow with what is stored.

Counted is the work, calls of LMDB and bytes written, never the time.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import lmdb
import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.pieces import PIECE_BYTES
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from tests.counting import CountingLmdb, bytes_written
from tests.fakes import START_US, Lab

LARGE = 100_000_000
PAGE = 4096
NOW_MS = START_US // 1000
LATER_MS = NOW_MS + 1_000_000

# Of one command: its transaction's own reads and writes included.
CALLS_MAX = 60
PAGES_MAX = 24
PIECE_PAGES = 2 * (PIECE_BYTES // PAGE + 1)  # a piece is written to the journal and to the data file


def fill(environment: Environment, keys: int, value: bytes = b"v", index: int = 0) -> None:
    transaction = WriteTransaction(environment, NOW_MS)
    transaction.version += 1
    keyspace = WritableKeyspace(transaction, index)
    for number in range(keys):
        strings.put(keyspace, b"key:%d" % number, value, LATER_MS + number if number % 2 else 0)
    transaction.commit()


def put(environment: Environment, key: bytes, size: int) -> None:
    transaction = WriteTransaction(environment, NOW_MS)
    transaction.version += 1
    strings.put(WritableKeyspace(transaction, 0), key, b"v" * size)
    transaction.commit()


def work(lab: Lab, *commands: str) -> tuple[bytes, Counter[str], int]:
    """Runs commands, without the sweeper: the replies, the calls of LMDB, the pages written."""
    client = lab.connect()
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    before = bytes_written()
    try:
        replies = client.call(*commands)
    finally:
        lab.environment.lmdb = real
    return replies, counting.counts, (bytes_written() - before) // PAGE


def judge(
    tmp_path: Path,
    command: str,
    prepare: Any,
    calls_max: int = CALLS_MAX,
    calls_apart: int = 6,
    pages_apart: int = 4,
    pages_max: int = PAGES_MAX,
) -> None:
    """`command` after `prepare(lab, large)` for a small and a large thing: as good as the same work."""
    results = []
    for large in (False, True):
        lab = Lab(tmp_path / str(large))
        try:
            prepare(lab, large)
            lab.connect().call("SET last 1")  # the end of the file is ahead again of what the large thing took
            results.append(work(lab, command))
        finally:
            lab.close()
    (small_reply, small_calls, small_pages), (large_reply, large_calls, large_pages) = results
    assert small_reply[:1] == large_reply[:1] != b"-"
    assert large_calls.total() <= min(small_calls.total() + calls_apart, calls_max), (small_calls, large_calls)
    assert large_pages <= min(small_pages + pages_apart, pages_max), small_pages


@pytest.mark.parametrize(
    "command",
    ["DEL k", "UNLINK k", "RENAME k other", "RENAME other k", "EXPIRE k 100", "PERSIST k", "SET k v", "GETEX k EX 9",
     "STRLEN k", "TYPE k", "GETRANGE k -10 -1", "GETBIT k 0", "BITFIELD_RO k GET u8 0"],
)  # fmt: skip
def test_one_byte_and_100_megabytes(tmp_path: Path, command: str) -> None:
    def prepare(lab: Lab, large: bool) -> None:
        put(lab.environment, b"other", 1)
        put(lab.environment, b"k", LARGE if large else 1)
        if command == "PERSIST k":
            lab.connect().call("EXPIRE k 100")

    # GETEX replies the value, so its looks at the pieces are its job; what it writes is still the same.
    pieces = LARGE // PIECE_BYTES + 1 if command.startswith("GETEX") else 0
    judge(tmp_path, command, prepare, CALLS_MAX + pieces, 6 + pieces)


@pytest.mark.parametrize("command", ["APPEND k x", "SETRANGE k 0 x", "SETBIT k 7 1", "BITFIELD k SET u8 0 1"])
def test_an_edit_writes_one_piece(tmp_path: Path, command: str) -> None:
    def prepare(lab: Lab, large: bool) -> None:
        put(lab.environment, b"k", LARGE if large else 1)

    judge(tmp_path, command, prepare, pages_apart=PIECE_PAGES + 4, pages_max=PIECE_PAGES + 8)


@pytest.mark.parametrize("command", ["FLUSHDB", "FLUSHDB SYNC", "FLUSHALL", "SWAPDB 0 5", "DBSIZE"])
def test_ten_keys_and_100_000(tmp_path: Path, command: str) -> None:
    """A large space is left to the sweeper, after a glance at what waits for it already; a small one is emptied."""
    environment_spaces = 80

    def prepare(lab: Lab, large: bool) -> None:
        assert lab.environment.max_spaces == environment_spaces
        fill(lab.environment, 100_000 if large else 10)
        fill(lab.environment, 3, index=5)

    judge(tmp_path, command, prepare, CALLS_MAX + environment_spaces, 6 + environment_spaces)


def test_opening(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same calls, and no more of the file is looked at, for ten keys and for 100,000."""
    for keys in (10, 100_000):
        environment = Environment(str(tmp_path / str(keys)), fsync=NO)
        fill(environment, keys, bytes(100))
        environment.close()
    opened: list[CountingLmdb] = []

    def open_counting(*args: Any, **options: Any) -> CountingLmdb:
        opened.append(CountingLmdb(lmdb_open(*args, **options)))
        return opened[-1]

    lmdb_open = lmdb.open
    monkeypatch.setattr(lmdb, "open", open_counting)
    looked_at: list[int] = []
    for keys in (10, 100_000):
        environment = Environment(str(tmp_path / str(keys)), fsync=NO)
        looked_at.append(mapped_bytes(environment))
        environment.close()
    assert opened[0].counts == opened[1].counts
    assert opened[0].counts.total() <= 33  # the list of its five sub-databases before a replay and after it
    assert looked_at[1] <= looked_at[0] + (1 << 19)  # the kernel maps sixteen pages around each


def mapped_bytes(environment: Environment) -> int:
    """How much of the data file has been looked at through the map."""
    lines = Path("/proc/self/smaps").read_text().splitlines()
    start = next(index for index, line in enumerate(lines) if line.endswith(f"{environment.path}/data.mdb"))
    return next(int(line.split()[1]) << 10 for line in lines[start:] if line.startswith("Rss:"))
