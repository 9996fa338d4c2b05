"""COMMAND GETKEYS and GETKEYSANDFLAGS of random calls, whole and cut short: as a real server replies."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.command.registry import Registry
from keyp.command.spec import BLOCKING, OWN
from keyp.commands.all import TABLES
from tests import wire
from tests.differential.calls import ELSEWHERE, TEMPLATES, named
from tests.differential.servers import Keyp, Reference
from tests.differential.words import Span

OPTIONS = st.lists(
    st.sampled_from(
        [b"GET", b"get", b"SET", b"INCRBY", b"OVERFLOW", b"u8", b"0", b"1", b"2", b"BY", b"LIMIT", b"STORE", b"k", b""]
    ),
    max_size=5,
)
CALLS = st.sampled_from(sorted(TEMPLATES)).flatmap(named)
CUT = st.tuples(CALLS, st.integers(1, 4), OPTIONS).map(lambda parts: [*parts[0][: parts[1] + 1], *parts[2]])


def asked_well(call: list[Any]) -> bool:
    """Not by a name alone, about which one may ask since 7.2. Valkey finds GEORADIUS' second key in its own way."""
    return len(call) > 1 and not call[0].startswith(b"GEORADIUS")


@settings(max_examples=3 * settings().max_examples)
@given(call=st.one_of(CALLS, CUT).filter(asked_well))
def test_same_keys_and_flags(reference: Reference, keyp: Keyp, call: list[Any]) -> None:
    words = [word.word(0) if isinstance(word, Span) else word for word in call]
    answers: list[list[Any]] = []
    for server in (reference, keyp):
        with closing(server.connect()) as client:
            replies = [
                client.send(wire.request(b"COMMAND", how, *words), 1)[0] for how in (b"GETKEYS", b"GETKEYSANDFLAGS")
            ]
        answers.append([unordered(wire.parse(reply)) for reply in replies])
    assert answers[0] == answers[1]


def unordered(value: Any) -> Any:
    """The flags of a key in any order."""
    if not isinstance(value, list):
        return value
    return [(one[0], sorted(one[1])) if isinstance(one, list) else one for one in value]


def test_every_command_with_keys_is_drawn() -> None:
    names = {spec.name for spec in Registry(TABLES).specs if spec.keys and not spec.flags & (BLOCKING | OWN)}
    missing = names - TEMPLATES.keys() - ELSEWHERE.keys()
    assert not missing, f"{missing} have no template in tests/differential/calls_….py, so no random sequence calls them"
