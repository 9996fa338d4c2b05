"""Thousands of random elements in HyperLogLogs of both servers: the same strings, byte for byte, and estimates.

What a HyperLogLog's string looks like depends on the order of what was added, so every step is compared and not only
the end. PFCOUNT of one key comes last, because the reference stores its cache then.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, KeypConnection, Reference, ReferenceConnection

NAMES = (b"a", b"b", b"c")
EXAMPLES = max(2, settings().max_examples // 5)  # an example takes a tenth of a second
# How many elements each PFADD brings, and how many bytes each element has.
LOADS = st.lists(st.sampled_from([1, 2, 5, 30, 300, 2000]), min_size=1, max_size=30)
LENGTHS = st.sampled_from([(1, 3), (4, 12), (16, 40)])
LIMITS = st.sampled_from([3000, 3000, 3000, 0, 20, 500, 12000, 100_000])


class Both:
    """A client of each server; what one of them replies, the other does."""

    def __init__(self, theirs: ReferenceConnection, ours: KeypConnection) -> None:
        self.theirs = theirs
        self.ours = ours

    def say(self, *call: bytes) -> bytes:
        """The reply to one command."""
        data = wire.request(*call)
        theirs, ours = self.theirs.send(data, 1), self.ours.send(data, 1)
        assert theirs == ours, b" ".join(call)[:200]
        return ours[0]


@contextmanager
def both(reference: Reference, keyp: Keyp) -> Iterator[Both]:
    """Both servers, emptied."""
    reference.clear()
    keyp.clear()
    sides = Both(reference.connect(), keyp.connect())
    try:
        yield sides
    finally:
        sides.say(b"CONFIG", b"SET", b"hll-sparse-max-bytes", b"3000")
        sides.theirs.close()
        sides.ours.close()


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 1 << 32), loads=LOADS, lengths=LENGTHS, limit=LIMITS)
def test_the_same_strings_and_estimates(
    reference: Reference, keyp: Keyp, seed: int, loads: list[int], lengths: tuple[int, int], limit: int
) -> None:
    random = Random(seed)
    with both(reference, keyp) as sides:
        sides.say(b"CONFIG", b"SET", b"hll-sparse-max-bytes", b"%d" % limit)
        for load in loads:
            name = random.choice(NAMES)
            sides.say(b"PFADD", name, *[random.randbytes(random.randint(*lengths)) for _ in range(load)])
            sides.say(b"GET", name)
            sides.say(b"PFCOUNT", name, name)
        sides.say(b"PFCOUNT", *NAMES)
        for target, sources in ((b"d", NAMES), (b"a", (b"b",)), (b"b", (b"c", b"nosuch", b"d"))):
            sides.say(b"PFMERGE", target, *sources)
            sides.say(b"GET", target)
        for name in (b"a", b"b", b"c", b"d"):
            sides.say(b"PFCOUNT", name)


@settings(max_examples=max(2, EXAMPLES // 5))
@given(seed=st.integers(0, 1 << 32))
def test_runs_that_can_be_joined_are(reference: Reference, keyp: Keyp, seed: int) -> None:
    """Elements one by one, until runs of equal neighbours are usual and the string has outgrown the sparse form."""
    random = Random(seed)
    with both(reference, keyp) as sides:
        sides.say(b"CONFIG", b"SET", b"hll-sparse-max-bytes", b"100000")
        for _ in range(20):
            elements = [b"%d" % random.randrange(1 << 40) for _ in range(500)]
            sides.say(b"PFADD", b"k", *elements)
            for element in elements[:5]:
                sides.say(b"PFADD", b"k", element + b"x")
                sides.say(b"GET", b"k")
        sides.say(b"CONFIG", b"SET", b"hll-sparse-max-bytes", b"3000")
        for _ in range(20):
            sides.say(b"PFADD", b"k", random.randbytes(9))
            sides.say(b"GET", b"k")
        sides.say(b"PFDEBUG", b"GETREG", b"k")
        sides.say(b"PFCOUNT", b"k")


@settings(max_examples=EXAMPLES)
@given(seed=st.integers(0, 1 << 32))
def test_strings_are_exchanged(reference: Reference, keyp: Keyp, seed: int) -> None:
    """What one server made, cache and all, the other one reads and goes on with."""
    random = Random(seed)
    with both(reference, keyp) as sides:
        for load in (0, 10, 1000, 30_000):
            adds = wire.request(b"PFADD", b"k", *[random.randbytes(8) for _ in range(load)])
            sides.theirs.send(adds, 1)
            estimate = sides.theirs.send(wire.request(b"PFCOUNT", b"k"), 1)[0]
            theirs = wire.parse(sides.theirs.send(wire.request(b"GET", b"k"), 1)[0])
            sides.say(b"SET", b"copy", theirs)
            assert sides.say(b"PFCOUNT", b"copy") == sides.say(b"PFCOUNT", b"copy", b"copy") == estimate
            sides.say(b"PFADD", b"copy", *[random.randbytes(8) for _ in range(20)])
            copy = wire.parse(sides.say(b"GET", b"copy"))
            sides.say(b"SET", b"k", copy)
            sides.say(b"PFCOUNT", b"k")
            sides.say(b"SET", b"k", copy)
