"""What the comparison lets pass, and that it lets nothing else pass."""

from __future__ import annotations

import pytest

from tests.differential.agreement import EXACT, NEARLY, agree

CONSUMERS = b"*8\r\n$4\r\nname\r\n$1\r\nc\r\n$4\r\nidle\r\n:1\r\n$8\r\ninactive\r\n:7\r\n$7\r\npending\r\n:3\r\n"


@pytest.mark.parametrize(
    ("was", "now", "agrees"),
    [
        (b"idle\r\n:1", b"idle\r\n:0", True),
        (b"idle\r\n:1", b"idle\r\n:3000", False),
        (b"inactive\r\n:7", b"inactive\r\n:9", True),
        (b"inactive\r\n:7", b"inactive\r\n:-1", False),
        (b"pending\r\n:3", b"pending\r\n:4", False),
        (b"c\r\n", b"d\r\n", False),
    ],
)
def test_consumers_are_nearly_as_idle(was: bytes, now: bytes, agrees: bool) -> None:
    other = CONSUMERS.replace(was, now)
    assert other != CONSUMERS
    assert agree(NEARLY, [b"XINFO", b"CONSUMERS"], CONSUMERS, other) is agrees
    assert not agree(EXACT, [b"XINFO", b"CONSUMERS"], CONSUMERS, other)


@pytest.mark.parametrize(("theirs", "ours", "agrees"), [(5, 4, True), (5, 1, False), (1, 0, False), (-1, -2, False)])
def test_deadlines_are_nearly_the_same(theirs: int, ours: int, agrees: bool) -> None:
    assert agree(NEARLY, [b"TTL"], b":%d\r\n" % theirs, b":%d\r\n" % ours) is agrees
