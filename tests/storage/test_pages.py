"""The pages that a start meets first: what LMDB would end the process for is found, and what is sound is let be."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import lmdb
import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import pages, verification
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.meta_pages import BRANCH_PAGE, LEAF_PAGE, DataFile
from keyp.storage.lmdb.pages import OVERFLOW_PAGE, Pages
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import hashes, strings
from tests.scratch import scratch_directory

PAGE = 4096
NUMBER, FLAGS, LOWER, UPPER, FIRST_PLACE = 0, 10, 12, 14, 16


@pytest.fixture(scope="module")
def sound() -> Iterator[Path]:
    """A store with branch pages, long values and a long list of free pages."""
    with scratch_directory() as directory:
        fill(Path(directory))
        yield Path(directory)


def fill(path: Path) -> None:
    environment = Environment(str(path), fsync=NO)
    for turn in range(3):
        transaction = WriteTransaction(environment, 0)
        transaction.version += 1
        keys = WritableKeyspace(transaction, 0)
        for number in range(600):
            strings.put(keys, b"key:%d" % number, bytes(2500 if number % 9 == 0 else 60 + turn))
        strings.put(keys, b"long", bytes(3_000_000 if turn < 2 else 10))
        found = hashes.find_or_make(keys, b"hash")
        found.set(b"field %d" % turn, b"value")
        found.save()
        transaction.commit()
    environment.close()


def problem(path: Path) -> str:
    with DataFile(str(path / DATA_FILE)) as file:
        return Pages(file).problem()


def pages_of(path: Path, flags: int) -> list[int]:
    """The numbers of the pages in use that say they are such."""
    data = (path / DATA_FILE).read_bytes()
    with DataFile(str(path / DATA_FILE)) as file:
        judged = Pages(file)
        judged.problem()
        seen = judged._seen
    numbers = [
        page for page in range(2, len(data) // PAGE) if struct.unpack_from("=H", data, page * PAGE + FLAGS)[0] == flags
    ]
    return [page for page in numbers if page in seen]


Change = Callable[[int, int, bytes], None]  # of a page, at an offset, these bytes


@pytest.fixture
def change(sound: Path) -> Iterator[Change]:
    """Writes bytes into the store; it is sound again after the test."""
    data_file = sound / DATA_FILE
    data = data_file.read_bytes()

    def write(page: int, offset: int, new: bytes) -> None:
        with data_file.open("r+b") as file:
            file.seek(page * PAGE + offset)
            file.write(new)

    yield write
    data_file.write_bytes(data)


def test_a_sound_store_has_no_problem(sound: Path) -> None:
    assert problem(sound) == ""
    assert pages_of(sound, BRANCH_PAGE)
    assert len(pages_of(sound, LEAF_PAGE)) > 10


@pytest.mark.parametrize("flags", [BRANCH_PAGE, LEAF_PAGE], ids=["branch", "leaf"])
@pytest.mark.parametrize(
    ("offset", "new", "text"),
    [
        (0, bytes(PAGE), "is not what it should be"),
        (NUMBER, b"\xff", "is not what it should be"),
        (FLAGS, b"\x04", "is not what it should be"),
        (FLAGS, b"\x03", "is not what it should be"),
        (LOWER, b"\x10\x00", "has impossible bounds"),
        (LOWER, b"\x0e\x00", "has impossible bounds"),
        (LOWER, b"\xff\xff", "has impossible bounds"),
        (UPPER, b"\xff\x1f", "has impossible bounds"),
        (FIRST_PLACE, b"\xfe\x0f", "has a node that is not in it"),
        (FIRST_PLACE, b"\x10\x00", "has a node that is not in it"),
    ],
)  # fmt: skip
def test_what_a_page_cannot_be(sound: Path, change: Change, flags: int, offset: int, new: bytes, text: str) -> None:
    number = pages_of(sound, flags)[-1]
    change(number, offset, new)
    assert problem(sound) == f"page {number} {text}"
    with pytest.raises(StoreError, match="damaged"):
        Environment(str(sound))


@pytest.mark.parametrize("place", range(4))
def test_nodes_that_cannot_be(sound: Path, change: Change, place: int) -> None:
    """Their four numbers: a child's page or the length of the data, the flags, the key's length."""
    for flags in (BRANCH_PAGE, LEAF_PAGE):
        number = pages_of(sound, flags)[-1]
        data = (sound / DATA_FILE).read_bytes()[number * PAGE :][:PAGE]
        (node,) = struct.unpack_from("=H", data, FIRST_PLACE + 2)
        change(number, node + 2 * place, b"\xff\xff")
        assert problem(sound).startswith(f"page {number} ")
        change(number, 0, data)
    assert problem(sound) == ""


@pytest.mark.parametrize("flags", [BRANCH_PAGE, LEAF_PAGE], ids=["branch", "leaf"])
def test_a_list_of_nodes_that_was_cut_off(sound: Path, change: Change, flags: int) -> None:
    """Its last nodes are still in the page, and nothing leads to them: keys would be missing, without an error."""
    number = pages_of(sound, flags)[-1]
    (lower,) = struct.unpack_from("=H", (sound / DATA_FILE).read_bytes(), number * PAGE + LOWER)
    change(number, LOWER, struct.pack("=H", lower - 2))
    assert problem(sound) == f"page {number} has nodes that are not in its list, or twice"
    with pytest.raises(StoreError, match="damaged"):
        Environment(str(sound))


def test_a_page_that_two_lead_to(sound: Path, change: Change) -> None:
    number = pages_of(sound, BRANCH_PAGE)[-1]
    data = (sound / DATA_FILE).read_bytes()[number * PAGE :][:PAGE]
    one, other = struct.unpack_from("=HH", data, FIRST_PLACE)
    change(number, one, data[other : other + 6])
    assert problem(sound) == f"page {number} leads to a page that is met twice"


def test_lists_of_free_pages_that_cannot_be(sound: Path, change: Change) -> None:
    """LMDB would write over pages that are in use."""
    data = (sound / DATA_FILE).read_bytes()
    with DataFile(str(sound / DATA_FILE)) as file:
        root = file.newest.free.root
        last = file.newest.last_page
    longest = 0
    for page in range(2, len(data) // PAGE):
        number, flags = struct.unpack_from("=Q", data, page * PAGE)[0], data[page * PAGE + FLAGS]
        if number == page and flags == OVERFLOW_PAGE:
            count = struct.unpack_from("=Q", data, page * PAGE + 16)[0]
            if 500 < count < last:
                longest = page
    for page, offset in ((longest, 24), (longest, 16), (longest, FLAGS), (root, LOWER)):
        if page:
            change(page, offset, b"\xff\xff")
            assert problem(sound), (page, offset)
            change(page, 0, data[page * PAGE : page * PAGE + PAGE])
    assert problem(sound) == ""


def test_a_start_looks_at_no_more_pages_in_a_larger_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    pread = os.pread

    def noted(fd: int, size: int, at: int) -> bytes:
        looks.append(size)
        return pread(fd, size, at)

    monkeypatch.setattr(os, "pread", noted)
    monkeypatch.setattr(pages, "JUDGED_MAX", 40)
    random = Random(1)
    counts = []
    with lmdb.open(str(tmp_path), map_size=1 << 28, max_dbs=9, sync=False, lib_version=0) as env:
        database = env.open_db(b"keys:1")
        for _ in range(3):
            with env.begin(write=True) as txn:
                for _ in range(20_000):
                    txn.put(random.randbytes(20), b"value", db=database)
            looks.clear()
            assert problem(tmp_path) == ""
            counts.append(sum(looks))
    assert max(counts) <= 40 * PAGE + 100, counts
    assert min(counts) > 20 * PAGE, counts


def test_the_content_of_another_page(sound: Path, change: Change) -> None:
    """Whole in itself, with its own number at its head: but its keys are not those that lead to it."""
    data = (sound / DATA_FILE).read_bytes()
    leaves = [page for page in pages_of(sound, LEAF_PAGE) if data.count(b"key:", page * PAGE, (page + 1) * PAGE) > 1]
    one, other = leaves[1], leaves[2]
    change(one, FLAGS, data[other * PAGE + FLAGS : (other + 1) * PAGE])
    assert problem(sound) == f"page {one} has keys that belong elsewhere"
    with pytest.raises(StoreError, match="damaged"):
        Environment(str(sound))


def test_fewer_data_than_their_pages_would_hold(tmp_path: Path) -> None:
    """LMDB keeps all pages of data over which it writes shorter ones in the same transaction."""
    environment = Environment(str(tmp_path), fsync=NO)
    transaction = WriteTransaction(environment, 0)
    transaction.version += 1
    keys = WritableKeyspace(transaction, 0)
    found = hashes.find_or_make(keys, b"hash")
    for size in (50_000, 30_000, 9_000):
        found.set(b"field", bytes(size))
    found.save()
    transaction.commit()
    environment.close()
    assert problem(tmp_path) == ""
    assert verification.problems(str(tmp_path / DATA_FILE)) == []
