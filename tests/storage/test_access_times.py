"""When keys were last accessed: never later than the reply says, in a table that does not grow."""

from __future__ import annotations

from typing import Any

import pytest

from keyp.storage.access_times import LAST_SLOT, SLOTS, AccessTimes
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb.layout import name_crc
from keyp.storage.types import strings

KEY = name_crc(b"k")


def test_a_key_is_idle_since_its_last_use_or_since_the_start() -> None:
    access_times = AccessTimes(1000)
    assert access_times.idle_s(KEY, 1005) == 5
    access_times.touch(KEY, 1007)
    assert [access_times.idle_s(KEY, now_s) for now_s in (1007, 1010)] == [0, 3]


def test_a_clock_that_was_set_back_makes_nothing_idle() -> None:
    assert AccessTimes(1000).idle_s(KEY, 10) == 0


def test_keys_that_share_a_place_are_idle_since_the_use_of_any() -> None:
    access_times = AccessTimes(1000)
    access_times.touch(KEY ^ SLOTS, 1007)
    assert access_times.idle_s(KEY, 1010) == 3


def test_names_that_follow_each_other_spread_over_the_table() -> None:
    crcs = [name_crc(b"key:%012d" % number) for number in range(1000)]
    assert len({crc & LAST_SLOT for crc in crcs}) > 980
    AccessTimes(1000).touch(max(crcs), 1000)


@pytest.mark.parametrize("name", [b"", b"k", b"n" * 600])
def test_a_key_has_one_place_however_long_its_name_is(store: Any, name: bytes) -> None:
    access_times = AccessTimes(1000)

    def make(keys: WritableKeyspace) -> None:
        keys.lookups.access_times = access_times
        strings.put(keys, name, b"v")

    def use(keys: Any) -> None:
        keys.lookups.access_times = access_times
        assert strings.get(keys, name) == b"v"

    store.write(make)
    assert access_times.idle_s(name_crc(name), store.now_ms // 1000) == 0
    store.now_ms += 5000
    assert access_times.idle_s(name_crc(name), store.now_ms // 1000) == 5
    store.read(use)
    assert access_times.idle_s(name_crc(name), store.now_ms // 1000) == 0
