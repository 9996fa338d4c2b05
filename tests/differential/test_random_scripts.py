"""Random scripts give the same replies and leave the same data on both servers, whichever way they are run.

As EVAL, by their digest, also after SCRIPT FLUSH, as functions; in transactions and outside; from clients of both
protocols.
"""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.differential.lua_programs import programs, runs
from tests.differential.servers import Keyp, Reference
from tests.differential.test_random_sequences import PROTOCOLS, Sides


@st.composite
def chunks(draw: st.DrawFn) -> list[tuple[int, list[Any]]]:
    """For each chunk its client, and its calls: some of them in a transaction."""
    texts = draw(st.lists(programs(), min_size=1, max_size=2))
    drawn = []
    for _ in range(draw(st.integers(1, 5))):
        calls = draw(st.lists(st.sampled_from(texts).flatmap(runs), min_size=1, max_size=4))
        if draw(st.integers(0, 2)) == 0:
            calls = [[b"MULTI"], *calls, [b"EXEC"]]
        drawn.append((draw(st.integers(0, len(PROTOCOLS) - 1)), calls))
    return drawn


@settings(max_examples=settings().max_examples)
@given(chunks=chunks())
def test_same_replies_and_data(reference: Reference, keyp: Keyp, chunks: list[tuple[int, list[Any]]]) -> None:
    with closing(Sides(reference, keyp)) as sides:
        for client, calls in chunks:
            sides.say(client, calls)
        sides.compare_everything()
