"""Drawing a key: each can come up, from trees of any shape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from random import Random

import lmdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyp.storage.keys.random_key import random_stored_name
from tests.scratch import scratch_directory


@pytest.fixture(scope="module")
def store() -> Iterator[lmdb.Environment]:
    with scratch_directory() as directory:
        environment = lmdb.open(directory, sync=False)
        yield environment
        environment.close()


def draws(store: lmdb.Environment, names: Collection[bytes], times: int, seed: int = 1) -> Counter[bytes]:
    """How often each name came up."""
    with store.begin(write=True) as txn:
        for name in names:
            txn.put(name, b"")
        random = Random(seed)
        with txn.cursor() as cursor:
            count = Counter(random_stored_name(cursor, random) for _ in range(times))
        txn.abort()
    return count


SHAPES = [
    [b"a"],
    [b"a", b"aa", b"aaa", b"aaaa"],
    [b"\x00", b"\xff"],
    [b"\xff" * size for size in range(1, 6)],
    [b"common:%d" % index for index in range(20)],
    [b"x" * 400 + b"1", b"x" * 400 + b"2", b"y"],
    [bytes([one, other]) for one in (0, 127, 255) for other in (0, 128, 255)],
]


@pytest.mark.parametrize("names", SHAPES, ids=range(len(SHAPES)))
def test_every_name_comes_up(store: lmdb.Environment, names: list[bytes]) -> None:
    assert set(draws(store, names, 400)) == set(names)


def test_in_a_full_tree_all_names_are_equally_likely(store: lmdb.Environment) -> None:
    names = [b"key:%03d" % index for index in range(1000)]
    count = draws(store, names, 20_000)
    assert len(count) == 1000
    assert max(count.values()) < 60


@settings(max_examples=60, deadline=None)
@given(names=st.sets(st.binary(min_size=1, max_size=4), min_size=1, max_size=40), seed=st.integers(0, 999))
def test_a_random_name_is_there(store: lmdb.Environment, names: set[bytes], seed: int) -> None:
    assert set(draws(store, names, 50, seed)) <= names
