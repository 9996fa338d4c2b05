"""Lists in the store beside Python's own: the same changes, the same contents, and a sound store."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from keyp.errors import WRONG_TYPE, CommandError
from keyp.storage.keys.keyspace import Keyspace, WritableKeyspace
from keyp.storage.types import lists, strings
from keyp.storage.types.lists import AT_ONCE
from tests.storage.conftest import Store


def contents(keys: Keyspace) -> list[bytes]:
    found = lists.find(keys, b"l")
    return [] if found is None else found.range(0, found.count)


def change(store: Store, work: Any) -> Any:
    """Changes the list in a transaction of its own."""
    result: list[Any] = []

    def changed(keys: WritableKeyspace) -> None:
        found = lists.open_list(keys, b"l")
        result.append(work(found))
        found.save()

    store.write(changed)
    return result[0]


@pytest.mark.parametrize("seed", range(6))
def test_any_changes(store: Store, seed: int) -> None:
    random = Random(seed)
    model: list[bytes] = []
    for turn in range(300):
        element = b"%d" % random.randrange(10)
        work = random.choice(["push", "push", "push", "pop", "insert", "remove", "set", "keep"])
        at = random.randrange(len(model)) if model else 0
        if work == "push":
            more, left = [element] * random.randrange(1, 5) + [b"last"], random.random() < 0.5
            change(store, lambda found, more=more, left=left: found.push(more, left))
            model = more[::-1] + model if left else model + more
        elif not model:
            continue
        elif work == "pop":
            count, left = random.randrange(1, 4), random.random() < 0.5
            popped = change(store, lambda found, count=count, left=left: found.pop(count, left))
            assert popped == (model[:count] if left else model[::-1][:count])
            model = model[count:] if left else model[: max(0, len(model) - count)]
        elif work == "insert":
            change(store, lambda found, at=at, element=element: found.insert(at, element))
            model.insert(at, element)
        elif work == "remove":
            indexes = sorted(random.sample(range(len(model)), random.randrange(1, min(5, len(model)) + 1)))
            change(store, lambda found, indexes=indexes: found.remove(indexes))
            model = [one for index, one in enumerate(model) if index not in indexes]
        elif work == "set":
            change(store, lambda found, at=at, element=element: found.set(at, element))
            model[at] = element
        elif turn % 7 == 0:
            count = random.randrange(len(model) - at + 1)
            change(store, lambda found, at=at, count=count: found.keep(at, count))
            model = model[at : at + count]
        assert store.read(contents) == model
    assert store.problems() == []


@pytest.mark.parametrize("index", [1, AT_ONCE, 2 * AT_ONCE, 3 * AT_ONCE - 1])
def test_what_stands_behind_or_before_is_moved_in_parts(store: Store, index: int) -> None:
    model = [b"%d" % number for number in range(3 * AT_ONCE)]
    change(store, lambda found: found.push(model, False))
    change(store, lambda found: found.insert(index, b"new"))
    change(store, lambda found: found.remove([index - 1, index + 1]))
    model[index - 1 : index + 1] = [b"new"]
    assert store.read(contents) == model


def test_a_list_that_is_emptied_goes(store: Store) -> None:
    change(store, lambda found: found.push([b"a", b"b"], False))
    change(store, lambda found: found.pop(5, True))
    assert store.read(lambda keys: keys.find(b"l")) is None
    change(store, lambda found: found.push([b"a"] * 3000, False))
    change(store, lambda found: found.keep(0, 0))
    assert store.read(lambda keys: keys.find(b"l")) is None
    assert store.problems() == []


def test_another_type_is_refused(store: Store) -> None:
    store.write(lambda keys: strings.put(keys, b"l", b"text"))
    with pytest.raises(CommandError, match=WRONG_TYPE):
        store.read(contents)


def test_a_list_takes_the_place_of_any_value(store: Store) -> None:
    def put_long_string(keys: WritableKeyspace) -> None:
        strings.put(keys, b"l", bytes(200_000), keys.now_ms + 1000)

    def replace(keys: WritableKeyspace) -> None:
        lists.replace(keys, b"l", [b"a", b"b"])

    for prepare in (replace, put_long_string, replace):
        store.write(prepare)
        store.write(replace)
        assert store.read(contents) == [b"a", b"b"]
        assert store.read(Keyspace.size_with_deadline) == 0
        assert store.problems() == []
