"""Any bytes, whole or in pieces, get the same replies or the same protocol error from both servers.

Left out: quotes and the bytes that end an argument, which Valkey reads in its own way (`differences.py`), and zero
bytes where a length should be, for which the reference waits as it waits for the end of a line.
"""

from __future__ import annotations

from contextlib import closing

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.differential.servers import Keyp, Reference

EXAMPLES = 10 * settings().max_examples  # an example takes a millisecond
FRAGMENTS = st.sampled_from(
    [b"*", b"$", b"\r\n", b"\r", b"\n", b" ", b"\t", b"-1", b"0", b"1", b"2", b"3", b"4", b"10", b"+1", b"01", b"abc",
     b"1048576", b"1048577", b"99999999999999999999", b"*-1\r\n", b"*0\r\n", b"*1\r\n", b"*2\r\n", b"$-1\r\n",
     b"$0\r\n", b"$1\r\n", b"$4\r\n", b"$4\r\nPING\r\n", b"$4\r\nECHO\r\n", b"$0\r\n\r\n", b"$1\r\nk\r\n", b"PING",
     b"ECHO", b"GET", b"SET k v\r\n", b"PING\r\n", b"*1\r\n$4\r\nPING\r\n", b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n", b"\\x41",
     b"x" * 60, b"y" * 2000]
)  # fmt: skip


@settings(max_examples=EXAMPLES)
@given(fragments=st.lists(FRAGMENTS, min_size=1, max_size=14), in_pieces=st.booleans())
def test_same_replies_to_any_bytes(reference: Reference, keyp: Keyp, fragments: list[bytes], in_pieces: bool) -> None:
    reference.clear()
    keyp.clear()
    with closing(reference.connect()) as connection:
        theirs = connection.say_and_leave(b"".join(fragments))
    assume(b"invalid CRLF in request" not in theirs)
    ours: list[bytes] = []
    with closing(keyp.connect()) as client:
        for chunk in fragments if in_pieces else [b"".join(fragments)]:
            if not client.is_closed():
                ours += client.send(chunk, 1)
    assert b"".join(ours) == theirs
