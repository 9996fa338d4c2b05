"""Random patterns: KEYS finds the same names on a real server and on Keyp."""

from __future__ import annotations

from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st

from tests import wire
from tests.differential.servers import Keyp, Reference

PIECES = st.sampled_from(
    ["a", "b", "c", "-", "]", "^", "\\", "*", "*", "**", "?", "[", "[^", "[a-b]", "[^a]", "[b-a]", "[a-", "[]", "[^]",
     "\\*", "\\[", "[\\]]", "[a\\-c]", "[\x80-\xff]", "[a-\xff]", "\xff", "*a*", "?*"]
)  # fmt: skip
PATTERNS = st.lists(PIECES, max_size=8).map(lambda pieces: "".join(pieces).encode("latin-1"))
NAMES = st.text("abc-]^[\\*?\x80\xff", max_size=5).map(lambda name: name.encode("latin-1"))


@given(names=st.sets(NAMES, min_size=1, max_size=12), patterns=st.lists(PATTERNS, min_size=1, max_size=8))
def test_same_names(reference: Reference, keyp: Keyp, names: set[bytes], patterns: list[bytes]) -> None:
    calls = [wire.request(b"MSET", *[word for name in sorted(names) for word in (name, b"1")])]
    calls += [wire.request(b"KEYS", pattern) for pattern in patterns]
    found: list[list[list[bytes]]] = []
    for server in (reference, keyp):
        server.clear()
        with closing(server.connect()) as client:
            replies = client.send(b"".join(calls), len(calls))
        found.append([sorted(wire.parse(reply)) for reply in replies[1:]])
    assert dict(zip(patterns, found[0], strict=True)) == dict(zip(patterns, found[1], strict=True))
