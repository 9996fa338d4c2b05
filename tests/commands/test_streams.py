"""Commands on streams: what no row can show. Times, trimming of very many, what the sweeper clears, damage."""

from __future__ import annotations

import itertools
from collections import Counter
from random import Random
from typing import Any

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.transaction import WriteTransaction
from tests.counting import CountingLmdb

MANY = 2000  # more than are removed at once

NOW_MS = 1_700_000_000_000


@pytest.fixture
def large(keyp: Any) -> Any:
    """A stream `s` of MANY entries from 1 on, with a group `g` to which all but the last are delivered."""
    for number in range(1, MANY + 1):
        keyp.run("XADD", "s", number, "f", "v")
    keyp.answer("XGROUP CREATE s g 0")
    keyp.answer(f"XREADGROUP GROUP g c COUNT {MANY - 1} STREAMS s >")
    return keyp


def ids(keyp: Any, key: str = "s") -> list[int]:
    return [int(entry_id.split(b"-")[0]) for entry_id, _ in keyp.answer(f"XRANGE {key} - +")]


def elements(keyp: Any) -> int:
    """How many entries there are in the database's elements, what waits for the sweeper among them."""
    transaction = WriteTransaction(keyp.environment, keyp.now_ms)
    space = transaction.space(0)
    assert space is not None
    count = int(transaction.txn.stat(space.elements)["entries"])
    transaction.abort()
    return count


def test_ids_are_made_of_the_time(keyp: Any) -> None:
    assert keyp.answer("XADD s * f v") == b"%d-0" % NOW_MS
    assert keyp.answer("XADD s * f v") == b"%d-1" % NOW_MS
    keyp.advance(5)
    assert keyp.answer("XADD s * f v") == b"%d-0" % (NOW_MS + 5)
    keyp.advance(-100)  # a clock that is set back gives no id twice
    assert keyp.answer("XADD s * f v") == b"%d-1" % (NOW_MS + 5)


def test_times_of_a_consumer(keyp: Any) -> None:
    keyp.script("XADD s 1 f v; XADD s 2 f v; XGROUP CREATE s g 0; XREADGROUP GROUP g c COUNT 1 STREAMS s >")
    keyp.advance(100)
    keyp.answer("XREADGROUP GROUP g c STREAMS s 5")
    keyp.advance(20)
    assert keyp.answer("XINFO CONSUMERS s g") == [{b"name": b"c", b"pending": 1, b"idle": 20, b"inactive": 120}]
    assert keyp.answer("XPENDING s g - + 9") == [[b"1-0", b"c", 120, 1]]
    assert keyp.answer("XPENDING s g IDLE 121 - + 9") == []
    assert keyp.answer("XPENDING s g IDLE 120 - + 9") == [[b"1-0", b"c", 120, 1]]
    assert keyp.answer("XCLAIM s g d 121 1") == []
    assert keyp.answer("XAUTOCLAIM s g d 120 0 JUSTID") == [b"0-0", [b"1-0"], []]
    keyp.advance(-1000)
    assert keyp.answer("XPENDING s g - + 9") == [[b"1-0", b"d", 0, 1]]
    assert {one[b"name"]: (one[b"idle"], one[b"inactive"]) for one in keyp.answer("XINFO CONSUMERS s g")} == {
        b"c": (0, 0),
        b"d": (0, 0),
    }


def test_delivery_times_that_are_given(keyp: Any) -> None:
    keyp.script("XADD s 1 f v; XGROUP CREATE s g 0; XREADGROUP GROUP g c STREAMS s >; XCLAIM s g c 0 1 IDLE 500")
    assert keyp.answer("XPENDING s g - + 9") == [[b"1-0", b"c", 500, 2]]
    keyp.answer(f"XCLAIM s g c 0 1 TIME {NOW_MS - 70} RETRYCOUNT 9")
    assert keyp.answer("XPENDING s g - + 9") == [[b"1-0", b"c", 70, 9]]
    keyp.answer(f"XCLAIM s g c 0 1 TIME {NOW_MS + 70} JUSTID")
    assert keyp.answer("XPENDING s g - + 9") == [[b"1-0", b"c", 0, 9]]


@pytest.mark.parametrize("trim", ["MAXLEN 10", f"MINID {MANY - 9}", "MAXLEN ~ 10 LIMIT 0"])
def test_trimming_many(large: Any, trim: str) -> None:
    """What is trimmed is gone at once, and cleared by the sweeper in steps, whatever is done in between."""
    before = elements(large)
    removed = large.answer(f"XTRIM s {trim}")
    left = MANY - removed
    assert left == (10 if "~" not in trim else 100)
    assert elements(large) > before - 100
    assert large.answer("XLEN s") == left
    assert ids(large) == list(range(MANY - left + 1, MANY + 1))
    assert large.answer("XRANGE s 5 5") == [] == large.answer("XREVRANGE s 5 -")
    assert large.answer("XDEL s 5") == 0
    assert large.answer("XTRIM s MAXLEN 5") == left - 5
    assert large.answer("COPY s t") == 1
    assert large.problems() == []
    while large.sweep(500) >= 500:
        assert large.problems() == []
        assert len(ids(large)) == 5
    assert ids(large) == ids(large, "t") == list(range(MANY - 4, MANY + 1))
    assert elements(large) == elements_of(5, MANY - 1) * 2


@pytest.mark.parametrize("seed", range(8))
def test_trimming_by_chance(keyp: Any, seed: int) -> None:
    """Entries come, go one by one and by thresholds near either end: what is left is what a list has."""
    chance = Random(seed)
    model: list[int] = []
    last = 0
    for _ in range(12):
        for _ in range(chance.choice([1, 99, 700, 1500])):
            last += chance.choice([1, 1, 1, 50])
            keyp.run("XADD", "s", last, "f", "v")
            model.append(last)
        for entry_id in chance.sample(model, min(len(model), chance.choice([0, 3, 300]))):
            assert keyp.run("XDEL", "s", entry_id) == 1
            model.remove(entry_id)
        before = len(model)
        if chance.random() < 0.5:
            most = chance.choice([0, 1, 100, before // 3, before // 2, before - 1, before - 100, before])
            model = model[max(before - max(most, 0), 0) :]
            removed = keyp.run("XTRIM", "s", "MAXLEN", max(most, 0))
        else:
            least = chance.choice([*model[-3:], *model[:3], last // 2, last - 100, last, last + 1])
            model = [entry_id for entry_id in model if entry_id >= least]
            removed = keyp.run("XTRIM", "s", "MINID", max(least, 0))
        assert removed == before - len(model)
        assert ids(keyp) == model
        if chance.random() < 0.5:
            keyp.sweep(chance.choice([100, 10_000]))
        assert keyp.problems() == []


def elements_of(entries: int, pending: int) -> int:
    """How many elements a stream has: entries, a group with a consumer (its name and itself), pending ones twice."""
    return entries + 1 + 2 + 2 * pending


def test_trimming_all(large: Any) -> None:
    assert large.answer("XTRIM s MAXLEN 0") == MANY
    assert large.answer("XINFO STREAM s")[b"recorded-first-entry-id"] == b"0-0"
    large.answer(f"XADD s {MANY + 1} f v")
    assert ids(large) == [MANY + 1]
    assert large.problems() == []
    large.sweep()
    assert ids(large) == [MANY + 1]


def test_ids_that_were_trimmed_away_come_again(large: Any) -> None:
    """Also where the sweeper has not cleared them yet, which nobody waits for."""
    before = elements(large)
    for new in (6, 5, 4):
        large.answer("XTRIM s MAXLEN 0")
        counts = counted(large, f"XSETID s {new - 1}")
        assert counts["delete"] == 0
        assert counts["put"] <= 2
        for entry_id in (new, MANY):
            large.answer(f"XADD s {entry_id} f new")
        assert ids(large) == [new, MANY]
        assert large.problems() == []
        for number in range(MANY + 1, 2 * MANY):
            large.run("XADD", "s", number, "f", "v")
        assert large.answer("XTRIM s MAXLEN ~ 1500") > 0
    assert elements(large) > before + 2 * MANY
    assert large.answer("XTRIM s MAXLEN 3") > 0
    large.answer("COPY s t")
    left = ids(large)
    while large.sweep(500) >= 500:
        assert large.problems() == []
        assert ids(large) == ids(large, "t") == left == list(range(2 * MANY - 3, 2 * MANY))
    assert elements(large) == 2 * (elements_of(3, MANY - 1) + 1)  # and a full run
    large.answer("DEL s t")
    while large.sweep(500) >= 500:
        pass
    assert elements(large) == 0


def test_a_stream_of_the_first_series_has_the_header_that_it_always_had(large: Any) -> None:
    def header_bytes() -> int:
        transaction = WriteTransaction(large.environment, large.now_ms)
        record = WritableKeyspace(transaction, 0).find(b"s")
        transaction.abort()
        assert record is not None
        return len(layout.record_body(record))

    large.answer("XTRIM s MAXLEN 10")
    large.answer(f"XSETID s {MANY + 5}")
    assert header_bytes() == 148
    large.answer("XTRIM s MAXLEN 0")
    large.answer("XSETID s 1")
    assert header_bytes() == 148 + 8


def counted(keyp: Any, line: str) -> Counter[str]:
    """What LMDB is asked to do for a call."""
    real = keyp.environment.lmdb
    counting = CountingLmdb(real)
    keyp.environment.lmdb = counting
    try:
        keyp.answer(line)
    finally:
        keyp.environment.lmdb = real
    counts: Counter[str] = counting.counts
    return counts


def test_a_group_goes_with_all_that_is_pending(large: Any) -> None:
    large.answer("XGROUP DESTROY s g")
    large.answer("XGROUP CREATE s g 0")
    assert large.answer("XPENDING s g")[0] == 0
    large.answer("COPY s t")
    assert large.problems() == []
    large.sweep()
    assert large.answer("XPENDING s g")[0] == 0
    runs = MANY // 100 - 1
    assert elements(large) == 2 * (MANY + runs + 1)


def test_a_stream_that_goes_leaves_nothing(large: Any) -> None:
    large.answer("XTRIM s MAXLEN 10")
    large.answer("XGROUP DESTROY s g")
    large.answer("DEL s")
    while large.sweep(300) >= 300:
        assert large.problems() == []
    assert elements(large) == 0


def test_runs_are_as_long_as_the_setting_says(keyp: Any) -> None:
    keyp.shared.limits.stream_entries = 10
    for number in range(1, 36):
        keyp.run("XADD", "s", number, "f", "v")
    assert keyp.answer("XINFO STREAM s")[b"radix-tree-keys"] == 4
    assert keyp.answer("XTRIM s MAXLEN ~ 12") == 20
    assert keyp.answer("XADD s MAXLEN ~ 12 LIMIT 9 36 f v") == b"36-0"
    assert keyp.answer("XLEN s") == 16
    assert keyp.answer("XDEL s 21 23 25") == 3
    assert keyp.answer("XTRIM s MAXLEN ~ 6") == 7
    assert keyp.answer("XTRIM s MINID ~ 35") == 0
    assert ids(keyp) == list(range(31, 37))


def test_ids_are_removed_from_any_run(keyp: Any) -> None:
    keyp.shared.limits.stream_entries = 3
    for number in range(1, 13):
        keyp.run("XADD", "s", number, "f", "v")
    left = set(range(1, 13))
    for number in (5, 4, 6, 12, 1, 11, 9, 10, 2, 3, 7, 8):
        assert keyp.answer(f"XDEL s {number}") == 1
        left.remove(number)
        assert ids(keyp) == sorted(left)
        assert keyp.problems() == []
    assert keyp.answer("XADD s 13 f v") == b"13-0"


def test_memory_usage(keyp: Any) -> None:
    """It is what the elements take, groups and pending entries among them, whatever is trimmed and not cleared yet."""
    keyp.answer("XADD s 1 field value")
    before = keyp.answer("MEMORY USAGE s")
    for number in range(2, 1200):
        keyp.run("XADD", "s", number, "field", "value")
    for group in range(3):
        keyp.run("XGROUP", "CREATE", "s", f"group{group}", "0")
        for consumer in range(7):
            reads = f"XREADGROUP GROUP group{group} consumer{consumer} COUNT 100 STREAMS s >"
            keyp.answer(reads)
    assert before + element_bytes(keyp) * 0.98 < keyp.answer("MEMORY USAGE s SAMPLES 0") < before + element_bytes(keyp)
    assert keyp.answer("MEMORY USAGE s SAMPLES 1") == pytest.approx(element_bytes(keyp), rel=0.05)
    keyp.answer("XTRIM s MAXLEN 50")
    trimmed = keyp.answer("MEMORY USAGE s SAMPLES 0")
    keyp.sweep()
    assert keyp.answer("MEMORY USAGE s SAMPLES 0") == trimmed == pytest.approx(element_bytes(keyp) + 200, rel=0.02)


def test_memory_usage_looks_at_some(keyp: Any) -> None:
    """However many groups and consumers there are."""
    keyp.answer("XADD s 1 f v")
    looks = []
    for groups in (range(20), range(20, 100)):
        for group in groups:
            keyp.run("XGROUP", "CREATE", "s", f"g{group}", "0")
            for consumer in range(20):
                keyp.run("XGROUP", "CREATECONSUMER", "s", f"g{group}", f"c{consumer}")
        counts = counted(keyp, "MEMORY USAGE s SAMPLES 10")
        looks.append(counts["next"] + counts["item"])
    assert looks[0] == looks[1] < 250


def element_bytes(keyp: Any) -> int:
    """What all of the database's elements take, names and data."""
    transaction = WriteTransaction(keyp.environment, keyp.now_ms)
    space = transaction.space(0)
    assert space is not None
    with transaction.txn.cursor(space.elements) as cursor:
        size = sum(len(name) + len(data) for name, data in cursor.iternext(True, True))
    transaction.abort()
    return size


def test_long_names(keyp: Any) -> None:
    groups = [letter * length for letter in "ab" for length in (1, 479, 480, 600)]
    for group, consumer in itertools.product(groups, groups):
        keyp.run("XGROUP", "CREATE", "s", group, "0", "MKSTREAM")
        keyp.run("XGROUP", "CREATECONSUMER", "s", group, consumer)
    assert sorted(one[b"name"].decode() for one in keyp.answer("XINFO GROUPS s")) == sorted(groups)
    for group in groups:
        found = keyp.run("XINFO", "CONSUMERS", "s", group)
        assert sorted(one[b"name"].decode() for one in found) == sorted(groups)


def test_the_check_finds_what_is_missing(large: Any) -> None:
    """Each element of a stream is referred to by another one, or counted."""
    transaction = WriteTransaction(large.environment, large.now_ms)
    space = transaction.space(0)
    assert space is not None
    with transaction.txn.cursor(space.elements) as cursor:
        names = list(cursor.iternext(True, False))
    transaction.abort()
    sections: dict[tuple[bytes, bytes], bytes] = {}
    for name in names:
        sections.setdefault((name[8:9], name[17:18] if name[8:9] == b"d" else b""), name)
    assert len(sections) == 7
    for name in sections.values():
        transaction = WriteTransaction(large.environment, large.now_ms)
        data = transaction.txn.get(name, None, space.elements)
        assert data is not None
        transaction.delete(space.elements, name)
        transaction.commit()
        assert large.problems(), name
        transaction = WriteTransaction(large.environment, large.now_ms)
        transaction.put(space.elements, name, data)
        transaction.commit()
    assert large.problems() == []
