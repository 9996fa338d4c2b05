"""What writes cost in the journal: records, their bytes, syncs, checkpoints. Counted, never timed.

And what they leave there: a copy of the files at any moment, opened, has what was answered.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyp.storage.keys.staging import STAGED_MIN
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.journal import SMALL_RING_BYTES
from tests.failing_disk import DATA_FILE, RING_FILE, failing_syncs
from tests.fakes import Lab
from tests.scratch import scratch_directory
from tests.storage.journal.kills import contents, contents_at, copy_of
from tests.wire import request


class Cost:
    """What has happened in the journal since; `syncs` are of each file."""

    def __init__(self, lab: Lab, syncs: dict[str, int]) -> None:
        journal = lab.environment.journal
        self._lab = lab
        self._before = journal.records, journal.bytes, journal.checkpoints
        self.syncs = syncs

    @property
    def counts(self) -> tuple[int, int]:
        """Records and checkpoints."""
        journal = self._lab.environment.journal
        return journal.records - self._before[0], journal.checkpoints - self._before[2]

    @property
    def bytes(self) -> int:
        return self._lab.environment.journal.bytes - self._before[1]


@contextmanager
def cost(lab: Lab) -> Iterator[Cost]:
    with failing_syncs(RING_FILE, 0) as syncs:
        yield Cost(lab, syncs.counts)


def sweep_until(lab: Lab, command: str, found: bytes) -> None:
    """Lets the sweeper take its steps, with its rests in between, until a reply has this in it."""
    client = lab.connect()
    lab.server.dispatcher.sweep_if_due()
    for _ in range(1000):
        lab.advance_ms(5)
        if found in client.call(command):
            return
    raise AssertionError("the sweeper has not come to an end")


def survives(lab: Lab, tmp_path: Path) -> None:
    """A kill at this moment loses nothing."""
    killed = copy_of(lab.environment.path, tmp_path / "killed")
    assert contents_at(killed) == contents(lab.environment)


# Syncs.


def test_a_group_is_one_record_and_one_sync(lab: Lab) -> None:
    clients = [lab.connect() for _ in range(50)]
    clients[0].call("CONFIG SET appendfsync always")
    with cost(lab) as made:
        for number, client in enumerate(clients):
            client.protocol.dataReceived(b"SET key:%d value\r\nLPUSH list %d\r\n" % (number, number))
        lab.settle()
        assert all(client.transport.sent.endswith(b"+OK\r\n:%d\r\n" % (n + 1)) for n, client in enumerate(clients))
        assert made.counts == (1, 0)
        assert made.syncs == {RING_FILE: 1}


@pytest.mark.parametrize(("mode", "at_once", "each_second"), [("always", 5, 0), ("everysec", 0, 1), ("no", 0, 0)])
def test_the_modes_of_syncing(lab: Lab, mode: str, at_once: int, each_second: int) -> None:
    """Only the journal is synced; the data file at checkpoints, which come after ten seconds, if there is anything."""
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}")
    with cost(lab) as made:
        for number in range(5):
            assert client.call(f"SET a {number}") == b"+OK\r\n"
        assert made.syncs.get(RING_FILE, 0) == at_once
        lab.server.each_second()
        lab.settle()
        assert made.syncs.get(RING_FILE, 0) == at_once + each_second
        assert made.counts == (5, 0)
        assert DATA_FILE not in made.syncs
        before = made.syncs.get(RING_FILE, 0)
        for _ in range(2):
            lab.advance_ms(11_000)
            lab.server.each_second()
            lab.settle()
            assert made.counts == (5, 1)
            assert made.syncs[DATA_FILE] == 1
        assert made.syncs[RING_FILE] == before + 1 + 2 * each_second


def test_what_changes_nothing_is_not_journaled(lab: Lab) -> None:
    client = lab.connect()
    client.call("CONFIG SET appendfsync always", "SET taken 1", "SADD s member")
    with cost(lab) as made:
        client.call("DEL nosuch", "SETNX taken 2", "SADD s member", "LPOP nosuch", "EXPIRE nosuch 100")
        assert made.counts == (0, 0)
        assert made.syncs == {}


# Bytes.


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB", "SWAPDB 0 5"])
@pytest.mark.parametrize("keys", [3, 20_000])
def test_whole_databases_are_small_records(lab: Lab, tmp_path: Path, command: str, keys: int) -> None:
    client = lab.connect()
    for first in range(0, keys, 2000):
        client.call("MSET " + " ".join(f"key:{n} {'v' * 20}" for n in range(first, min(keys, first + 2000))))
    with cost(lab) as made:
        assert client.call(command) == b"+OK\r\n"
        assert made.counts == (1, 0)
        assert made.bytes < 300
    survives(lab, tmp_path)


def test_what_the_sweeper_removes_is_journaled_as_ranges(lab: Lab, tmp_path: Path) -> None:
    """Twenty thousand elements, in steps: a few names for each."""
    client = lab.connect()
    for _ in range(4):
        client.call("RPUSH list " + " ".join(["element"] * 5000))
    client.call("DEL list")
    with cost(lab) as made:
        sweep_until(lab, "INFO memory", b"lazyfree_pending_objects:0")
        records = made.counts[0]
        assert records >= 10
        assert made.bytes < 200 * records
    survives(lab, tmp_path)


def test_keys_that_have_expired(lab: Lab, tmp_path: Path) -> None:
    """Each costs its name twice, in the record of the step that removes it."""
    client = lab.connect()
    for number in range(500):
        client.call(f"SET key:{number:04} value PX 10")
    lab.advance_ms(20)
    with cost(lab) as made:
        sweep_until(lab, "DBSIZE", b":0")
        assert made.bytes < 500 * 2 * (9 + 8 + 8) + 200 * made.counts[0]
    survives(lab, tmp_path)


# Values that have no room in the ring.


@pytest.mark.parametrize("mode", ["always", "everysec", "no"])
@pytest.mark.parametrize("length", [SMALL_RING_BYTES // 3, 2 * SMALL_RING_BYTES])
def test_a_value_without_room_in_the_ring_is_a_checkpoint(lab: Lab, tmp_path: Path, mode: str, length: int) -> None:
    """Before it is answered, in each mode; not a byte of it is in the ring."""
    client = lab.connect()
    client.call(f"CONFIG SET appendfsync {mode}", "SET small 1")
    with cost(lab) as made:
        assert client.send(request(b"SET", b"large", os.urandom(length))) == b"+OK\r\n"
        assert made.counts == (0, 1)
        assert made.syncs == {DATA_FILE: 1, RING_FILE: 1}
        assert client.call("SET small 2") == b"+OK\r\n"
        assert made.counts[0] == 1
        assert made.bytes < 300
    survives(lab, tmp_path)


def test_a_staged_string_is_not_journaled(lab: Lab, tmp_path: Path) -> None:
    """A checkpoint comes before the record that makes it a key's value, and before each piece that outruns the ring."""
    client = lab.connect()
    client.call("CONFIG SET appendfsync always")
    with cost(lab) as made:
        assert client.send(request(b"SET", b"huge", os.urandom(STAGED_MIN + 100_000))) == b"+OK\r\n"
        assert made.bytes < 1000
        assert made.counts == (1, 9)
        assert made.syncs == {DATA_FILE: 9, RING_FILE: 10}
    survives(lab, tmp_path)


# Room.


def test_the_data_file_does_not_grow_with_what_is_written(lab: Lab) -> None:
    """Checkpoints come by volume, and pages are used again after the next: three times that is the most."""
    client, random = lab.connect(), Random(5)
    for first in range(0, 4000, 500):
        client.call("MSET " + " ".join(f"key:{n} {'v' * 100}" for n in range(first, first + 500)))
    lab.environment.journal.checkpoint()
    before = lab.environment._file_bytes()
    with cost(lab) as made:
        for _ in range(2000):
            client.call(*[f"SET key:{random.randrange(4000)} {random.randrange(10**9)}" for _ in range(5)])
        assert made.counts[0] == 2000
        assert 4 <= made.counts[1] <= 200
    assert lab.environment._file_bytes() - before <= 3 * SMALL_RING_BYTES


# Any commands.

NAMES = st.sampled_from([b"a", b"b", b"c", b"n" * 500])
CALLS = st.one_of(
    st.tuples(
        st.sampled_from([b"SET", b"APPEND", b"SADD", b"LPUSH", b"RPUSH", b"PFADD"]), NAMES, st.binary(max_size=9)
    ),
    st.tuples(st.sampled_from([b"DEL", b"INCR", b"LPOP", b"SPOP", b"PERSIST", b"HGETALL", b"GETDEL"]), NAMES),
    st.tuples(st.just(b"HSET"), NAMES, st.binary(max_size=3), st.binary(max_size=9)),
    st.tuples(st.just(b"ZADD"), NAMES, st.just(b"1.5"), st.binary(max_size=3)),
    st.tuples(st.just(b"PEXPIRE"), NAMES, st.sampled_from([b"-1", b"5", b"100000"])),
    st.tuples(st.sampled_from([b"RENAME", b"COPY", b"SUNIONSTORE", b"LMOVE"]), NAMES, NAMES),
    st.tuples(st.just(b"SETRANGE"), NAMES, st.sampled_from([b"0", b"70000", b"400000"]), st.just(b"x" * 9)),
    st.tuples(st.just(b"SELECT"), st.sampled_from([b"0", b"1"])),
    st.sampled_from([(b"FLUSHDB",), (b"FLUSHALL",), (b"SWAPDB", b"0", b"1"), (b"MULTI",), (b"EXEC",)]),
)
STEPS = st.lists(st.one_of(CALLS, st.sampled_from(["checkpoint", "sweep", "second", "kill"])), max_size=40)


@given(steps=STEPS, writes_back=st.booleans())
def test_a_kill_after_any_commands(steps: list[str | tuple[bytes, ...]], writes_back: bool) -> None:
    """Some of whose records are those of an earlier run: each start is killed as well, before anything is written."""
    with scratch_directory() as directory:
        walk(Path(directory), steps, writes_back)


def flush(lab: Lab) -> None:
    """LMDB shows all that has been written."""
    lab.server.dispatcher.group_commit.when_flushed(lambda is_shown: None)
    lab.settle()


def walk(path: Path, steps: list[str | tuple[bytes, ...]], writes_back: bool) -> None:
    lab = Lab(path / "store", writes_back=writes_back)
    client = lab.connect()
    kills = 0
    for step in [*steps, "kill"]:
        if isinstance(step, tuple):
            client.send(request(*step))
        elif step == "checkpoint":
            lab.server.take_checkpoint()
            lab.settle()
        elif step == "second":
            lab.advance_ms(1000)
            lab.server.each_second()
            lab.settle()
        elif step == "sweep":
            lab.server.dispatcher.sweep_if_due()
            lab.advance_ms(10)
        else:
            kills += 1
            environment = Environment(str(copy_of(lab.environment.path, path / f"killed{kills}")))
            flush(lab)
            assert contents(environment) == contents(lab.environment)
            again = copy_of(environment.path, path / f"again{kills}")
            environment.close()
            assert contents_at(again) == contents(lab.environment)
    lab.close()
