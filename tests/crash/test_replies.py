"""Every reply from a damaged store is the sound store's reply or an error, whatever is asked.

A name is changed under an open store, where everything but the checksums still fits; bytes and pages are changed in
copies, each of which is opened and used in a process of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyp.storage.check import check
from keyp.storage.lmdb.pages import Pages
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import ReadTransaction
from tests.crash import replies
from tests.crash.damage import DIED, PAGE, REFUSED, Flip, asking, copy_store, in_a_process, page_kind
from tests.crash.page_damage import PageDamage
from tests.fakes import START_US, Connection, Lab
from tests.integration.daemon import LONG
from tests.wire import request

STORES = 300 if LONG else 6


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("replies") / "store"
    replies.make_store(path)
    return path


@pytest.fixture(scope="module")
def right(sound: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[replies.Call, bytes]:
    """What the sound store replies."""
    path = tmp_path_factory.mktemp("right") / "store"
    copy_store(sound, path, closed=True)
    lab = Lab(path)
    found = replies.ask_all(lab.connect())
    lab.environment.close()
    assert [call for call, reply in found.items() if reply.startswith(b"-")] == []
    assert replies.wrong(found, found) == []
    return found


# Names.


def entries(lab: Lab, database: str, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The entries of a sub-database of the first space whose names begin with `prefix`."""
    handle = getattr(lab.environment.spaces[1], database)
    with lab.environment.lmdb.begin() as txn, txn.cursor(handle) as cursor:
        found = cursor.set_range(prefix) if prefix else cursor.first()
        while found and cursor.key().startswith(prefix):
            yield cursor.item()
            found = cursor.next()


def collection_of(lab: Lab, key: bytes) -> bytes:
    """The id of a key's elements."""
    ((_, record),) = [entry for entry in entries(lab, "keys", key) if entry[0] == key]
    return record[9:17]


NAMES = [
    ("keys", b""),
    *[("elements", key) for key in (b"hash:small", b"hash:large", b"hash:long", b"set:small", b"set:large")],
    *[
        ("elements", key)
        for key in (b"zset:small", b"zset:large", b"lex:large", b"list:large", b"geo", b"set:long", b"stream:large")
    ],
]


@pytest.mark.parametrize(("database", "key"), NAMES, ids=[f"{one}:{other.decode()}" for one, other in NAMES])
def test_a_changed_name(
    sound: Path, tmp_path: Path, right: dict[replies.Call, bytes], database: str, key: bytes
) -> None:
    """The first byte, the one behind the collection's number, and the last one, of entries all over the value."""
    data_file = copy_store(sound, tmp_path / "data", closed=True)
    lab = Lab(tmp_path / "data")
    found = list(entries(lab, database, collection_of(lab, key) if key else b""))
    calls = [call for call in right if not key or key in call]
    client = lab.connect()
    errors = 0
    for name, raw in found[:: len(found) // (20 if LONG else 2)] + found[-1:]:
        for place in (0, 8 % len(name), len(name) - 1):
            for bits in (0x80, 0x01) if LONG else (0x80 if place == 0 else 0x01,):
                errors += _errors_with(data_file, client, right, calls, (name, raw), place, bits)
    assert errors
    lab.close()


def _errors_with(
    data_file: Path,
    client: Connection,
    right: dict[replies.Call, bytes],
    calls: list[replies.Call],
    entry: tuple[bytes, bytes],
    place: int,
    bits: int,
) -> int:
    """How many calls end in an error where a byte of an entry's name is another one; the others are answered right."""
    data = data_file.read_bytes()
    offset = data.find(entry[0] + entry[1]) + place
    if offset < place:  # its data are on pages of their own
        return 0
    write(data_file, offset, bytes([data[offset] ^ bits]))
    ask = asking(client)
    given = {call: ask(request(*call)) for call in calls}
    write(data_file, offset, data[offset : offset + 1])
    assert replies.wrong(right, given) == [], (entry[0], place, bits)
    return sum([reply.startswith(b"-") for reply in given.values()])


@pytest.mark.parametrize("key", [b"hash:large", b"set:large", b"zset:large", b"stream:large"])
def test_a_changed_name_that_leads_astray(
    sound: Path, tmp_path: Path, right: dict[replies.Call, bytes], key: bytes
) -> None:
    """Of the entries that LMDB compares with while it looks for where a section of the value begins, and where it ends.

    It finds another entry then than the one looked for, perhaps before that, perhaps behind it, of whatever section.
    """
    data_file = copy_store(sound, tmp_path / "data", closed=True)
    lab = Lab(tmp_path / "data")
    data = data_file.read_bytes()
    collection = collection_of(lab, key)
    found = list(entries(lab, "elements", b""))
    own = [at for at, (name, _) in enumerate(found) if name.startswith(collection)]
    borders = [own[-1] + 1, *[at for at in own if found[at][0][:9] != found[at - 1][0][:9]]]
    page_of = [data.find(name + raw) // PAGE for name, raw in found]
    compared = {other for at in borders for other in _compared(page_of, min(at, len(found) - 1))}
    calls = [call for call in right if key in call and (LONG or len(right[call]) < 3000)]
    client = lab.connect()
    for at in sorted(compared):
        for place, bits in ((0, 0x80), (7, 0x01), (8, 0x02), *(((8, 0x80), (9, 0x01)) if LONG else ())):
            _errors_with(data_file, client, right, calls, found[at], place, bits)
    lab.close()


def _compared(page_of: list[int], at: int) -> Iterator[int]:
    """The entries that a search for one of them visits in its leaf page, by their pages: each halves what is left."""
    low = page_of.index(page_of[at])
    high = low + page_of.count(page_of[at]) - 1
    while low <= high:
        middle = (low + high) // 2
        yield middle
        if middle < at:
            low = middle + 1
        elif middle > at:
            high = middle - 1
        else:
            return


def write(data_file: Path, offset: int, new: bytes) -> None:
    with data_file.open("r+b") as file:
        file.seek(offset)
        file.write(new)


def leaves(lab: Lab, data: bytes, database: str) -> list[int]:
    """The leaf pages of a sub-database of the first space, in order."""
    found = []
    for name, raw in entries(lab, database, b""):
        page = data.find(name + raw) // PAGE
        if len(raw) < 2000 and page not in found and page_kind(data, page) == "leaf":
            found.append(page)
    return found


@pytest.mark.parametrize("place", ["first", "last"])
def test_a_page_over_another(sound: Path, tmp_path: Path, right: dict[replies.Call, bytes], place: str) -> None:
    """Under an open store, by pages of the same tree and of another: whole entries, in the wrong place.

    What the page held is not found any more, but a command that reads all of it notices, and nothing wrong is returned.
    """
    data_file = copy_store(sound, tmp_path / "data", closed=True)
    lab = Lab(tmp_path / "data")
    data = data_file.read_bytes()
    keys, elements = leaves(lab, data, "keys"), leaves(lab, data, "elements")
    client = lab.connect()
    for pages in (keys, elements):
        hit = pages[{"first": 0, "last": -1}[place]]
        for other in (keys[-2], elements[3]):
            write(data_file, hit * PAGE + 8, data[other * PAGE + 8 : other * PAGE + PAGE])
            given = replies.ask_all(client)
            assert given[b"KEYS", b"*"].startswith(b"-") == (pages is keys)
            assert [found for found in replies.wrong(right, given) if not replies.may_lack(*found)] == [], (hit, other)
            write(data_file, hit * PAGE + 8, data[hit * PAGE + 8 : hit * PAGE + PAGE])
    lab.close()


# Bytes and pages.


def use(path: Path, right: dict[replies.Call, bytes]) -> dict[str, Any]:
    """Opens a store, asks all there is to ask, writes and sweeps; what was replied that may not be."""
    lab = Lab(path, note_crashes=True)
    client = lab.connect()
    found = replies.ask_all(client)
    with ReadTransaction(lab.environment, START_US // 1000) as transaction:
        try:
            problems = check(transaction)
        except Exception as error:
            problems = [repr(error)]
    outcome = {
        "wrong": replies.wrong(right, found),
        "errors": sum([reply.startswith(b"-") for reply in found.values()]),
        "check": problems[:1],
    }
    ask = asking(client)
    for call in replies.writes():
        ask(request(*call))
    lab.server.dispatcher.sweep_if_due()
    lab.settle()
    lab.environment.close()
    return outcome


@pytest.mark.parametrize("deep", [False, True], ids=["judged at the start", "too deep to be judged"])
def test_damaged_stores(
    sound: Path, tmp_path: Path, right: dict[replies.Call, bytes], monkeypatch: pytest.MonkeyPatch, deep: bool
) -> None:
    """One half has a byte changed, the other a page. In a large store a start does not come to see most pages."""
    if deep:
        monkeypatch.setattr(Pages, "problem", lambda pages: "")
    data = (sound / DATA_FILE).read_bytes()
    random = Random(f"{os.environ.get('KEYP_SEED', '12')}/{deep}")
    counts: Counter[str] = Counter()
    for number in range(STORES):
        damage = (Flip if number % 2 else PageDamage)(data, random)
        shutil.rmtree(tmp_path / "data", ignore_errors=True)
        damage.apply(copy_store(sound, tmp_path / "data", closed=number % 4 < 2))
        outcome = in_a_process(tmp_path / "data", lambda path: use(path, right))
        counts[summary(outcome)] += 1
        if DIED in outcome:
            assert deep, damage
            assert REFUSED in in_a_process(tmp_path / "data", lambda path: use(path, right)), damage
        wrong = outcome.get("wrong", [])
        assert [found for found in wrong if not deep or not replies.may_lack(*found)] == [], (damage, outcome)
        assert not wrong or outcome["check"], damage
        counts["replies that lacked something"] += len(wrong)
    print(f"\n{STORES} damaged stores: {dict(counts)}")


def summary(outcome: dict[str, Any]) -> str:
    if REFUSED in outcome:
        return REFUSED
    if DIED in outcome:
        return f"died of {signal.Signals(outcome[DIED]).name}, refused at the next start"
    return "errors" if outcome["errors"] else "all right"
