"""Weights and patterns of SORT, and sorts of many."""

from __future__ import annotations

from random import Random

import pytest

from keyp.command.context import ReadContext, TooLong
from keyp.commands import sort
from keyp.commands.sort import NOT_A_WEIGHT, Order, Pattern, weight
from keyp.errors import CommandError
from keyp.storage.lmdb.transaction import ReadTransaction
from tests.commands.conftest import Keyp

WEIGHTS = [
    (b"", 0), (b"1", 1), (b" \t1", 1), (b"+.5", 0.5), (b"0x10", 16), (b"-inf", -float("inf")), (b"5\0x", 5), (b"\0", 0),
    (b"0e-999", 0), (b"-0.0", 0), (b"0x0p-5", 0),
]  # fmt: skip


@pytest.mark.parametrize(("text", "number"), WEIGHTS)
def test_weights(text: bytes, number: float) -> None:
    assert weight(text) == number


@pytest.mark.parametrize(
    "text", [b" ", b"1 ", b"x", b"nan", b"1e400", b"1e-400", b"-1e-310", b"1_0", b"0x", b"0x1p-1080", b"- 1"]
)
def test_no_weights(text: bytes) -> None:
    with pytest.raises(CommandError, match=NOT_A_WEIGHT[4:]):
        weight(text)


PATTERNS = [
    (b"w*", (b"w", b"", b"")),
    (b"*", (b"", b"", b"")),
    (b"a*b*c", (b"a", b"b*c", b"")),
    (b"a*b->f", (b"a", b"b", b"f")),
    (b"a*->", (b"a", b"->", b"")),
    (b"a->b*c", (b"a->b", b"c", b"")),
    (b"a*->b->c", (b"a", b"", b"b->c")),
    (b"a*\0->b", (b"a", b"\0->b", b"")),
    (b"a*->\0b", (b"a", b"->\0b", b"")),
    (b"a*->b\0c", (b"a", b"", b"b\0c")),
]


@pytest.mark.parametrize(("text", "parts"), PATTERNS)
def test_patterns(text: bytes, parts: tuple[bytes, bytes, bytes]) -> None:
    pattern = Pattern(text)
    assert pattern.has_star
    assert (pattern.before, pattern.after, pattern.field) == parts


@pytest.mark.parametrize("text", [b"", b"a", b"#", b"#\0*", b"\0*", b"->f"])
def test_patterns_without_a_star(text: bytes) -> None:
    assert not Pattern(text).has_star
    assert Pattern(text).is_element == text.startswith(b"#")


@pytest.mark.parametrize("options", ["", "DESC", "ALPHA", "ALPHA DESC"])
def test_slices_are_merged_to_what_one_would_be(options: str) -> None:
    random = Random(7)
    order = Order([b"SORT", b"k", *options.encode().split()], may_store=True)
    count = 3 * sort.SLICE + 17
    weighted = [(random.randrange(1000), b"%d" % random.randrange(100_000)) for _ in range(count)]
    expected = sorted(weighted, key=(lambda pair: pair[0]) if order.alpha else None, reverse=order.descends)
    elements = [element for _, element in expected]
    assert order.sorted(weighted, 0, count) == elements
    assert order.sorted(weighted, 8000, 8500) == elements[8000:8500]
    assert order.sorted(weighted, count, count) == []
    assert order.sorted([], 0, 0) == []


def test_a_long_sort_leaves_the_reactors_thread(keyp: Keyp) -> None:
    keyp.run("RPUSH", "l", *range(3000))
    with ReadTransaction(keyp.environment, keyp.now_ms) as snapshot:
        context = ReadContext(snapshot, keyp.shared, keyp.now_us, hurried=True)
        with pytest.raises(TooLong):
            sort.sort_ro(context, [b"SORT_RO", b"l"])
        few = [b"SORT_RO", b"l", b"BY", b"nosort", b"LIMIT", b"2000", b"2"]
        assert sort.sort_ro(context, few) == [b"2000", b"2001"]
    assert len(keyp.answer("SORT_RO l LIMIT 100 2000")) == 2000
