"""What each command on a stream asks LMDB for: so many looks, walks and changes, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from tests.counting import CountingLmdb
from tests.fakes import Lab

# For each call: entries read by name, walks and how many entries they meet, entries written and removed. Where a record
# is written the store's version is too.
WORK = {
    "SET k v": (1, 0, 0, 2, 0),
    "XADD s * f v": (1, 0, 0, 3, 0),
    "XADD s MAXLEN ~ 1000 * f v": (1, 0, 0, 3, 0),
    "XADD s MAXLEN 150 * f v": (4, 2, 4, 4, 2),
    "XLEN s": (2, 0, 0, 0, 0),
    "XRANGE s - + COUNT 100": (2, 1, 100, 0, 0),
    "XREAD COUNT 10 STREAMS s 100": (2, 1, 11, 0, 0),
    "XREADGROUP GROUP g c COUNT 1 STREAMS s >": (4, 1, 2, 4, 0),
    "XREADGROUP GROUP g c COUNT 10 STREAMS s >": (4, 1, 11, 22, 0),
    "XACK s g 1": (4, 0, 0, 2, 2),
    "XACK s g 1 2 3": (6, 0, 0, 2, 6),
    "XCLAIM s g d 0 1": (7, 0, 0, 5, 1),
    "XTRIM s MAXLEN 150": (4, 2, 3, 3, 1),
    "XTRIM s MAXLEN ~ 1000": (1, 0, 0, 0, 0),
}
# On a stream of 20,000 entries: nearly all stay or nearly all go, and the runs of the fewer ones are counted.
LONG = 20_000
LONG_WORK = {
    f"XTRIM s MAXLEN {LONG - 100}": (5, 3, 107, 2, 101),
    "XTRIM s MAXLEN 100": (2, 2, 2, 4, 0),
    f"XTRIM s MINID {LONG - 99}": (4, 3, 103, 4, 0),
}


@pytest.fixture
def stream(lab: Lab) -> Any:
    """A client of a lab with a stream `s` of 151 entries and a group to which ten of them were delivered."""
    client = lab.connect()
    for number in range(1, 152):
        client.call(f"XADD s {number} f v")
    client.call("XGROUP CREATE s g 0", "XREADGROUP GROUP g c COUNT 10 STREAMS s >", "XGROUP CREATECONSUMER s g d")
    client.call("SET k v")
    return client


@pytest.mark.parametrize("line", WORK)
def test_work(lab: Lab, stream: Any, line: str) -> None:
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    reply = stream.call(line)
    lab.environment.lmdb = real
    assert not reply.startswith(b"-"), reply
    counts = counting.counts
    done = (counts["get"], counts["cursor"], counts["next"], counts["put"], counts["delete"])
    assert done == WORK[line], counts


@pytest.mark.parametrize("line", LONG_WORK)
def test_trimming_counts_from_the_nearer_end(lab: Lab, line: str) -> None:
    client = lab.connect()
    for first in range(1, LONG, 1000):
        client.call(*[f"XADD s {number} f v" for number in range(first, first + 1000)])
    real = lab.environment.lmdb
    counting: Any = CountingLmdb(real)
    lab.environment.lmdb = counting
    client.call(line)
    lab.environment.lmdb = real
    counts = counting.counts
    done = (counts["get"], counts["cursor"], counts["next"], counts["put"], counts["delete"])
    assert done == LONG_WORK[line], counts
    assert client.call("XLEN s") in (b":100\r\n", b":%d\r\n" % (LONG - 100))
