"""Commands drawn at random: sensible ones most of the time, nonsense often enough.

A template says which arguments a command takes; each family has a file of them. Some calls are then spoilt: an
argument dropped, added, doubled or replaced, words in any case. What `differences.py` lists is left out.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.differential import (
    calls_bits,
    calls_hashes,
    calls_lists,
    calls_pubsub,
    calls_scripts,
    calls_sets,
    calls_sort,
    calls_sortedsets,
    calls_streams,
    calls_strings,
)
from tests.differential.calls_sortedsets import is_read_otherwise
from tests.differential.words import NONSENSE, Strategy

FAMILIES = (
    calls_strings,
    calls_bits,
    calls_lists,
    calls_hashes,
    calls_sets,
    calls_sortedsets,
    calls_streams,
    calls_sort,
    calls_pubsub,
    calls_scripts,
)
TEMPLATES: dict[str, Strategy] = {name: template for family in FAMILIES for name, template in family.TEMPLATES.items()}

# Those with keys that are not drawn here but by tests of their own. What blocks is drawn by test_random_waiting.py.
ELSEWHERE = {
    "WATCH": "test_random_sequences.py, with transactions",
    "GEORADIUSBYMEMBER": "rows only: Valkey has another text for a member that is not there",
    "GEORADIUSBYMEMBER_RO": "rows only: Valkey has another text for a member that is not there",
    "SSUBSCRIBE": "test_random_pubsub.py",
    "SUNSUBSCRIBE": "test_random_pubsub.py",
}


def named(name: str) -> Strategy:
    """Calls of one command."""
    return TEMPLATES[name].map(lambda arguments: [name.encode(), *arguments])


@st.composite
def spoilt(draw: st.DrawFn, calls: Strategy) -> list[Any]:
    """A call with something wrong, or only unusual, about it."""
    call = list(draw(calls))
    how = draw(st.sampled_from(["drop", "add", "double", "replace", "case"]))
    at = draw(st.integers(1, max(1, len(call) - 1)))
    if how == "add" or at >= len(call):
        call.append(draw(NONSENSE))
    elif how == "drop":
        del call[at]
    elif how == "double":
        call.insert(at, call[at])
    elif how == "replace":
        call[at] = draw(NONSENSE)
    else:
        call = [call[0].lower(), *[word.lower() if isinstance(word, bytes) else word for word in call[1:]]]
    return call


PLAIN = st.sampled_from(sorted(TEMPLATES)).flatmap(named)
# Valkey differs from Redis 7.2 in where GETEX looks at its arguments first, in cursors, in nested transactions, and in
# the numbers that it sorts. An SPOP with another count would take random members. BITCOUNT too looks at its arguments
# in another order, and a PFCOUNT of one key stores what it finds, in the reference.
NEVER_SPOILT = {
    "GETEX", "SCAN", "HSCAN", "SSCAN", "ZSCAN", "SPOP", "SORT", "SORT_RO", "BITCOUNT", "PFCOUNT",
}  # fmt: skip
SPOILABLE = st.sampled_from(sorted(TEMPLATES.keys() - NEVER_SPOILT)).flatmap(named)
CALLS = st.one_of(PLAIN, PLAIN, PLAIN, spoilt(SPOILABLE).filter(lambda call: not is_read_otherwise(call)))
