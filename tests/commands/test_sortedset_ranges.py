"""Ranges of sorted sets that are large, deep or by member; replies and errors are in the rows of `sortedsets.txt`."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keyp.command.context import AT_ONCE_MAX
from keyp.storage.types import counted
from tests import wire
from tests.commands.conftest import Keyp
from tests.fakes import Lab

SIZE = 3000


def member(number: int) -> bytes:
    return b"%06d" % number


def fill(keyp: Keyp, size: int = SIZE, score: Any = lambda number: number // 3) -> None:
    for start in range(0, size, 1000):
        words: list[Any] = []
        for number in range(start, min(size, start + 1000)):
            words += [score(number), member(number)]
        keyp.run("ZADD", "k", *words)


@pytest.mark.parametrize("offset", [0, 1, 63, 64, 65, 700, 1500, SIZE - 1, SIZE, 10 * SIZE])
@pytest.mark.parametrize("count", [-1, 1, 10, 2000])
def test_offsets(keyp: Keyp, offset: int, count: int) -> None:
    fill(keyp)
    everyone = [member(number) for number in range(SIZE)]
    stop = None if count < 0 else offset + count
    assert keyp.answer(f"ZRANGEBYSCORE k -inf inf LIMIT {offset} {count}") == everyone[offset:stop]
    assert keyp.answer(f"ZREVRANGEBYSCORE k inf -inf LIMIT {offset} {count}") == everyone[::-1][offset:stop]
    inside = everyone[300:2700]
    assert keyp.answer(f"ZRANGEBYSCORE k 100 (900 LIMIT {offset} {count}") == inside[offset:stop]
    assert keyp.answer(f"ZREVRANGEBYSCORE k (900 100 LIMIT {offset} {count}") == inside[::-1][offset:stop]


def test_ranks(keyp: Keyp) -> None:
    fill(keyp)
    everyone = [member(number) for number in range(SIZE)]
    for rank in (0, 1, 63, 64, 65, 500, SIZE - 66, SIZE - 65, SIZE - 64, SIZE - 1):
        for count in (1, 5, 200, SIZE):
            last = min(rank + count, SIZE) - 1
            assert keyp.answer(f"ZRANGE k {rank} {last}") == everyone[rank : last + 1]
            assert keyp.answer(f"ZREVRANGE k {rank} {last}") == everyone[::-1][rank : last + 1]
        assert keyp.answer("ZRANK k", member(rank)) == rank
        assert keyp.answer("ZREVRANK k", member(rank)) == SIZE - 1 - rank


def test_counts(keyp: Keyp) -> None:
    fill(keyp)
    assert keyp.answer("ZCOUNT k 100 (900") == 2400
    assert keyp.answer("ZCOUNT k -inf inf") == SIZE
    assert keyp.answer("ZCOUNT k 5000 6000") == 0


TEXTS = st.text(alphabet="ab\xff", max_size=4).map(lambda text: text.encode("latin-1"))
LOW = st.one_of(st.just(b"-"), TEXTS.map(lambda text: b"[" + text), TEXTS.map(lambda text: b"(" + text), st.just(b"+"))


@pytest.mark.parametrize("run_max", [4, counted.RUN_MAX])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(members=st.sets(TEXTS, min_size=1), bounds=st.tuples(LOW, LOW), same=st.booleans())
def test_by_member(
    keyp: Keyp, monkeypatch: pytest.MonkeyPatch, run_max: int, members: set[bytes], bounds: tuple[bytes, bytes],
    same: bool,
) -> None:  # fmt: skip
    """Where all scores are the same, and where members grow with the scores."""
    monkeypatch.setattr(counted, "RUN_MAX", run_max)
    keyp.run("DEL", "k")
    for score, text in enumerate(sorted(members)):
        keyp.run("ZADD", "k", 0 if same else score, text)
    low, high = bounds

    def is_within(text: bytes) -> bool:
        above = low == b"-" or (low != b"+" and (text > low[1:] if low[:1] == b"(" else text >= low[1:]))
        below = high == b"+" or (high != b"-" and (text < high[1:] if high[:1] == b"(" else text <= high[1:]))
        return above and below

    expected = [text for text in sorted(members) if is_within(text)]
    assert keyp.run("ZRANGEBYLEX", "k", low, high) == expected
    assert keyp.run("ZREVRANGEBYLEX", "k", high, low) == expected[::-1]
    assert keyp.run("ZLEXCOUNT", "k", low, high) == len(expected)
    assert keyp.run("ZRANGE", "k", low, high, "BYLEX", "LIMIT", 1, 2) == expected[1:3]
    assert keyp.run("ZREMRANGEBYLEX", "k", low, high) == len(expected)
    left = [text for text in sorted(members) if text not in expected]
    assert keyp.run("ZRANGE", "k", 0, -1) == left


def test_by_member_with_long_members(keyp: Keyp) -> None:
    """Bounds and members that do not fit into their places."""
    names = [b"a", b"a" * 479, b"a" * 480, b"a" * 447 + b"b" * 100, b"b"]
    for name in names:
        keyp.run("ZADD", "k", 0, name)
    assert keyp.run("ZRANGEBYLEX", "k", b"[" + names[2], "+") == names[2:]
    assert keyp.run("ZRANGEBYLEX", "k", b"(" + names[2], "+") == names[3:]
    assert keyp.run("ZRANGEBYLEX", "k", "-", b"(" + names[3]) == names[:3]
    assert keyp.run("ZLEXCOUNT", "k", b"[" + names[3], b"[" + names[3]) == 1


@pytest.mark.parametrize("seed", range(4))
def test_removed_ranges(keyp: Keyp, seed: int) -> None:
    """Little and much goes, from a set of several runs, until nothing is left."""
    random = Random(seed)
    fill(keyp, 2000)
    left = [member(number) for number in range(2000)]
    while left:
        first = random.randrange(len(left))
        last = min(len(left) - 1, first + random.choice([0, 1, 50, 64, 65, 300, len(left)]))
        assert keyp.answer(f"ZREMRANGEBYRANK k {first} {last}") == last - first + 1
        del left[first : last + 1]
        assert keyp.answer("ZRANGE k 0 -1") == left
        if left:
            assert keyp.answer("ZRANK k", left[-1]) == len(left) - 1
        assert keyp.problems() == []
    assert keyp.answer("EXISTS k") == 0


def test_stored_ranges(keyp: Keyp) -> None:
    fill(keyp)
    assert keyp.answer("ZRANGESTORE d k 100 (900 BYSCORE LIMIT 100 1000") == 1000
    assert keyp.answer("ZRANGE d 0 0 WITHSCORES") == [[member(400), 133.0]]
    assert keyp.answer("ZRANK d", member(1399)) == 999
    assert keyp.answer("ZRANGESTORE k k 5 4") == 0
    assert keyp.answer("EXISTS k") == 0


@pytest.mark.parametrize(
    "command",
    ["ZRANGE k 0 -1", "ZRANGEBYSCORE k -inf inf", "ZREVRANGEBYSCORE k inf -inf", "ZRANGE k - + BYLEX",
     "ZRANDMEMBER k 5000"],
)  # fmt: skip
def test_long_reads_leave_the_reactors_thread(tmp_path: Path, command: str) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    size = 2 * AT_ONCE_MAX
    for start in range(0, size, 1000):
        client.call("ZADD k " + " ".join(f"0 {number:06d}" for number in range(start, min(size, start + 1000))))
    before = lab.reader_threads.done
    assert len(wire.parse(client.call(command))) == size
    assert lab.reader_threads.done == before + 1
    client.call(f"ZRANGE k {size // 2} {size // 2 + 10}", f"ZRANGEBYSCORE k 0 0 LIMIT {size // 2} 10", "ZCOUNT k 0 1")
    assert lab.reader_threads.done == before + 1
    lab.close()
