"""The ledger itself: it lets pass what may be found after a crash, and names everything else."""

from __future__ import annotations

import pytest

from tests.crash.ledger import DISORDERED, LOST, TORN, WRONG, Group, Key, Ledger, State, Write

A, B = (0, b"a"), (0, b"b")


def book(*states: tuple[State, ...], acknowledged: int) -> Ledger:
    """A ledger of one group to which `states` were written, the first of them answered."""
    ledger = Ledger()
    group: Group = ledger.add((A, B)[: len(states[0])])
    for number, state in enumerate(states):
        write = group.add(Write(state))
        write.sent = ledger.tick()
        write.answered = ledger.tick() if number < acknowledged else 0
    return ledger


ONE, TWO, THREE = (b"1", 0), (b"2", 5000), (b"3", 0)


@pytest.mark.parametrize("found", [{A: TWO}, {A: THREE}, {A: TWO, (0, b"noise:1"): ONE}])
def test_what_was_answered_or_what_came_later_may_be_found(found: dict[Key, State]) -> None:
    assert book((ONE,), (TWO,), (THREE,), acknowledged=2).problems(found) == []


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        ({}, LOST),
        ({A: ONE}, LOST),
        ({A: (b"2", 0)}, WRONG),
        ({A: (b"2", 5001)}, WRONG),
        ({A: (b"3", 5000)}, WRONG),
        ({A: (b"4", 0)}, WRONG),
        ({A: TWO, (1, b"a"): ONE}, WRONG),
        ({A: TWO, B: ONE}, WRONG),
    ],
)
def test_everything_else_is_a_problem(found: dict[Key, State], kind: str) -> None:
    problems = book((ONE,), (TWO,), (THREE,), acknowledged=2).problems(found)
    assert [problem.kind for problem in problems] == [kind]


def test_a_removal_that_was_answered_stays() -> None:
    assert book((ONE,), (None,), acknowledged=2).problems({}) == []
    (problem,) = book((ONE,), (None,), acknowledged=2).problems({A: ONE})
    assert problem.kind == LOST


def test_keys_written_together_are_found_together() -> None:
    ledger = book((ONE, ONE), (TWO, None), (THREE, THREE), acknowledged=1)
    for whole in ({A: ONE, B: ONE}, {A: TWO}, {A: THREE, B: THREE}):
        assert ledger.problems(whole) == []
    for half in ({A: TWO, B: ONE}, {A: THREE}, {B: THREE}, {A: ONE, B: THREE}):
        assert [problem.kind for problem in ledger.problems(half)] == [TORN]
    assert [problem.kind for problem in ledger.problems({})] == [LOST]


def test_what_is_found_is_of_one_moment() -> None:
    """Of two clients, each with a group; the second has sent its last write when the first had its answer."""
    ledger = Ledger()
    one, other = ledger.add([A]), ledger.add([B])
    writes = [(one, b"1"), (other, b"2"), (one, b"1"), (other, b"2")]
    for number, (group, connection) in enumerate(writes):
        write = group.add(Write(((b"%d" % number, 0),)))
        write.connection = connection
        write.sent, write.answered = ledger.tick(), ledger.tick()

    def problems(first: State, second: State) -> list[str]:
        found = {key: state for key, state in ((A, first), (B, second)) if state is not None}
        return [problem.kind for problem in ledger.problems(found, lambda write: False)]

    for number in range(4):
        whole = [(b"%d" % last, 0) if last <= number else None for last in (number - number % 2, number - 1 | 1)]
        assert problems(whole[0], whole[1] if number else None) == []
    assert problems((b"0", 0), (b"3", 0)) == [DISORDERED]
    assert problems(None, (b"1", 0)) == [DISORDERED]
    assert problems((b"2", 0), None) == [DISORDERED]


def test_what_one_client_has_sent_is_found_in_its_order() -> None:
    """It sends without waiting."""
    ledger = Ledger()
    one, other = ledger.add([A]), ledger.add([B])
    for group in (one, other):
        write = group.add(Write((ONE,)))
        write.connection, write.sent = b"1", ledger.tick()
    assert ledger.problems({}) == ledger.problems({A: ONE}) == ledger.problems({A: ONE, B: ONE}) == []
    assert [problem.kind for problem in ledger.problems({B: ONE})] == [DISORDERED]


def test_the_lost_writes_are_reported() -> None:
    ledger = book((ONE,), (TWO,), (THREE,), acknowledged=3)
    writes = ledger.groups[0].writes
    assert ledger.problems({A: ONE})[0].lost == writes[2:]
    assert ledger.problems({})[0].lost == writes[1:]


def test_what_was_found_good_must_stay() -> None:
    ledger = book((ONE,), (TWO,), (THREE,), acknowledged=1)
    ledger.settle({A: TWO})
    assert ledger.problems({A: TWO}) == []
    assert [problem.kind for problem in ledger.problems({A: ONE})] == [WRONG]
    assert list(ledger.writes()) == []


def test_who_was_answered_may_be_said_from_outside() -> None:
    ledger = book((ONE,), (TWO,), acknowledged=2)
    assert ledger.problems({A: ONE}, lambda write: write.states != (TWO,)) == []
