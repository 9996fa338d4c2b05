"""When keys were last accessed: never later than the reply says, in a table that does not grow."""

from __future__ import annotations

import itertools

from keyp.storage.access_times import SLOTS, AccessTimes, slot_of


def test_a_key_is_idle_since_its_last_use_or_since_the_start() -> None:
    access_times = AccessTimes(1000)
    assert access_times.idle_s(b"k", 1005) == 5
    access_times.touch(b"k", 1007)
    assert [access_times.idle_s(b"k", now_s) for now_s in (1007, 1010)] == [0, 3]


def test_a_clock_that_was_set_back_makes_nothing_idle() -> None:
    assert AccessTimes(1000).idle_s(b"k", 10) == 0


def test_keys_that_share_a_place_are_idle_since_the_use_of_any() -> None:
    other = next(b"%d" % number for number in itertools.count() if slot_of(b"%d" % number) == slot_of(b"k"))
    access_times = AccessTimes(1000)
    access_times.touch(other, 1007)
    assert access_times.idle_s(b"k", 1010) == 3


def test_every_name_has_a_place() -> None:
    assert all(0 <= slot_of(b"%d" % number) < SLOTS for number in range(1000))
