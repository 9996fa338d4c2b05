"""When a group leaves: moment by moment, on a counter that the test moves."""

from __future__ import annotations

from typing import Any

from keyp.execution.commit_delay import GROUP_MAX, PATIENCE, PATIENCE_NS, RETURN_NS, TOOK_MAX_NS, CommitDelay

SYNC_NS = 700_000  # what a group takes on a disk that syncs


class Groups:
    """A gathering, its moment, and how many of the clients are at rest."""

    def __init__(self) -> None:
        self.ns = 10**9
        self.at_rest = 100
        self.steps_aside = 0
        loop: Any = self  # as much of a loop as is asked
        self.delay = CommitDelay(loop)

    def nanoseconds(self) -> int:
        return self.ns

    def step_aside(self) -> None:
        self.steps_aside += 1

    def looks(self, waiting: int, step_ns: int = 1000) -> int:
        """How many more iterations a group of so many waits for; each takes `step_ns`."""
        looks = 0
        while self.at_rest > 0 and self.delay.should_wait(waiting):
            looks += 1
            self.ns += step_ns
        return looks

    def commit(self, *clients: int, took_ns: int = SYNC_NS) -> None:
        self.delay.group_started(set(clients))
        self.ns += took_ns
        self.delay.group_done(took_ns)


def test_the_first_group_waits_for_one_iteration() -> None:
    assert Groups().looks(1) == 1


def test_it_waits_as_long_as_each_iteration_brings_somebody() -> None:
    groups = Groups()
    assert all(groups.delay.should_wait(waiting) for waiting in range(1, 50))
    assert not groups.delay.should_wait(49)


def test_nobody_is_waited_for_who_cannot_come() -> None:
    groups = Groups()
    groups.commit(1, 2, 3)
    groups.at_rest = 0
    assert groups.looks(1) == 0


def test_a_large_group_leaves_at_once_and_many_clients_are_not_waited_for() -> None:
    groups = Groups()
    groups.commit(*range(GROUP_MAX + 1))
    assert groups.looks(GROUP_MAX) == 0
    assert groups.looks(GROUP_MAX - 1) == 1


def test_others_may_have_the_processor_while_it_waits_in_vain() -> None:
    groups = Groups()
    groups.commit(1, 2, 3)
    looks = groups.looks(1)
    assert groups.steps_aside == looks


def test_those_of_the_last_two_groups_are_waited_for() -> None:
    """Two groups that take turns become one: the one that waits is joined by the one that was just answered."""
    groups = Groups()
    groups.commit(*range(10))
    groups.commit(*range(10, 50))
    waited_ns = groups.looks(10) * 1000
    assert SYNC_NS // PATIENCE <= waited_ns <= SYNC_NS // PATIENCE + 2000
    assert groups.looks(49) > 100
    assert groups.looks(50) == 1
    groups.commit(*range(50))
    groups.commit(*range(50))
    assert groups.looks(49) > 100
    assert groups.looks(50) == 1


def test_after_short_groups_the_wait_is_short_and_long_enough_for_a_processor_to_wake() -> None:
    groups = Groups()
    groups.commit(*range(10), took_ns=20_000)
    assert groups.looks(9) * 1000 == PATIENCE_NS


def test_one_client_that_writes_among_many_that_do_not_waits_for_nobody() -> None:
    groups = Groups()
    for _ in range(3):
        groups.commit(7)
        assert groups.looks(1) == 1


def test_clients_that_write_now_and_then_do_not_wait_for_each_other() -> None:
    groups = Groups()
    groups.commit(1)
    groups.commit(2)
    groups.ns += SYNC_NS + RETURN_NS
    assert groups.looks(1) == 1


def test_after_a_group_that_wrote_half_a_gigabyte_nobody_is_waited_for_longer() -> None:
    groups = Groups()
    groups.commit(1, 2, 3, took_ns=4_000_000_000)
    assert groups.looks(1, step_ns=100_000) <= TOOK_MAX_NS // PATIENCE // 100_000 + 1
