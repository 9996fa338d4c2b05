"""A record that takes the place of a longer one leaves no pages behind, whatever else its transaction has done."""

from __future__ import annotations

import os

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import verification
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.types import strings
from tests.storage.conftest import Store

SIZES = (0, 10, 1900, 2100, 4040, 4060, 4200, 8100, 8200, 30_000, 65_000)


@pytest.mark.parametrize("size", SIZES)
def test_the_structure_is_sound_when_a_value_is_written_over_in_its_own_transaction(store: Store, size: int) -> None:
    def write_twice(keys: WritableKeyspace) -> None:
        for later in SIZES:
            strings.put(keys, b"k%d" % later, b"x" * size)
            strings.put(keys, b"k%d" % later, b"y" * later)

    def expire(keys: WritableKeyspace) -> None:
        for later in SIZES:
            strings.put(keys, b"k%d" % later, b"z" * size, 1 << 50)
            strings.put(keys, b"k%d" % later, b"z" * size)

    data_file = os.path.join(store.path, DATA_FILE)
    store.write(write_twice)
    assert verification.problems(data_file) == []
    assert store.read(lambda keys: [len(strings.get(keys, b"k%d" % later) or b"") for later in SIZES]) == list(SIZES)
    store.write(expire)
    assert verification.problems(data_file) == []
