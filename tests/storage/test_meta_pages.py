"""The meta pages of a data file: what LMDB would trust is checked first, and no commit is lost by a changed byte.

A start that has the journal writes them anew and needs nothing of what they were; without one they are all there is.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import lmdb
import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout, verification
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.meta_pages import DataFile, MetaPage
from keyp.storage.lmdb.pages import Pages
from keyp.storage.lmdb.reader import StoreReader
from keyp.storage.lmdb.shutdown_marker import LOCK_FILE, mark_closed, mark_running
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from keyp.tools.check import examine

PAGE = 4096
FREE_FLAGS, MAIN_FLAGS, LAST_PAGE, TRANSACTION = 44, 92, 136, 144  # in a meta page


@pytest.fixture
def path(journaled: Path) -> Path:
    """A store of some commits, without its journal: as one that was copied by itself."""
    (journaled / RING_FILE).unlink()
    return journaled


@pytest.fixture
def journaled(tmp_path: Path) -> Path:
    """The same with its journal, as a kill has left it."""
    environment = Environment(str(tmp_path / "data"), fsync=NO)
    for number in range(7):
        transaction = WriteTransaction(environment, 0)
        strings.put(WritableKeyspace(transaction, 0), b"k%d" % number, bytes(900))
        transaction.commit()
    environment.close()
    return killed(tmp_path / "data")


def killed(path: Path) -> Path:
    with (path / LOCK_FILE).open("r+b") as lock:
        mark_running(lock.fileno())
    return path


def change(path: Path, offset: int, edit: Callable[[int], int], form: str = "=H") -> None:
    with (path / DATA_FILE).open("r+b") as file:
        file.seek(offset)
        (value,) = struct.unpack(form, file.read(struct.calcsize(form)))
        file.seek(offset)
        file.write(struct.pack(form, edit(value)))


def newest(path: Path) -> int:
    """Where the newest meta page is."""
    with DataFile(str(path / DATA_FILE)) as file:
        return PAGE * file.meta_pages.index(file.newest)


def refusal(path: Path) -> str:
    """What a server and the tools say of the store, one after the other, and the same each time."""
    texts = []
    for _ in range(2):
        with pytest.raises(StoreError) as refused:
            Environment(str(path))
        texts.append(str(refused.value))
    assert texts[0] == texts[1]
    with pytest.raises(StoreError):
        StoreReader(str(path))
    with suppress(StoreError):
        assert examine(str(path)).problems
    return texts[0]


def is_as_it_was(path: Path) -> None:
    """A server opens the store and has nothing to say of it; all that was committed is there. So the tools do."""
    with StoreReader(str(path)) as reader:
        assert reader.sizes()[0].keys == 7
    environment = Environment(str(path))
    assert environment.notices == []
    with environment.lmdb.begin() as txn:
        assert txn.stat(environment.spaces[1].keys)["entries"] == 7
    environment.close()
    assert examine(str(path)).problems == []


@pytest.mark.parametrize("flags", [0x2E, 0x0C, 0x18, 0, 0x8008])
@pytest.mark.parametrize("place", [FREE_FLAGS, MAIN_FLAGS])
@pytest.mark.parametrize("which", ["newer", "older"])
def test_wrong_flags_beside_a_journal_are_written_over(journaled: Path, flags: int, place: int, which: str) -> None:
    head = newest(journaled) if which == "newer" else PAGE - newest(journaled)
    change(journaled, head + place, lambda _: flags)
    is_as_it_was(journaled)


@pytest.mark.parametrize("other", [-2, 2, -4, 256, 1 << 40])
@pytest.mark.parametrize("which", ["newer", "older"])
def test_another_transaction_beside_a_journal_is_written_over(journaled: Path, which: str, other: int) -> None:
    head = newest(journaled) if which == "newer" else PAGE - newest(journaled)
    change(journaled, head + TRANSACTION, lambda number: number + other, "=q")
    is_as_it_was(journaled)


def test_heads_of_zeros_beside_a_journal_are_written_over(journaled: Path) -> None:
    """What counts is the checkpoint; but the magic number and the size of a page are those of an LMDB file."""
    for head in (0, PAGE):
        for place in range(FREE_FLAGS, MetaPage.SIZE, 2):
            change(journaled, head + place, lambda _: 0)
    is_as_it_was(journaled)


@pytest.mark.parametrize("flags", [0x2E, 0x0C, 0x18, 0, 0x8008])
def test_wrong_flags_of_the_tree_of_free_pages_are_refused(path: Path, flags: int) -> None:
    """LMDB holds some of them against it by an assertion, which would end each start anew."""
    change(path, newest(path) + FREE_FLAGS, lambda _: flags)
    assert "its head is damaged" in refusal(path)


@pytest.mark.parametrize("flags", [0x02, 0x04, 0x08, 0x1000])
def test_wrong_flags_of_the_tree_of_sub_databases_are_refused(path: Path, flags: int) -> None:
    change(path, newest(path) + MAIN_FLAGS, lambda _: flags)
    assert "its head is damaged" in refusal(path)


@pytest.mark.parametrize("name", [b"meta", b"garbage", b"keys:1", b"expiry:1"])
@pytest.mark.parametrize(("place", "value"), [(4, 0x04), (4, 0x08), (4, 0x8000), (6, 33), (6, 0), (40, 1), (40, 9999)])
def test_wrong_facts_of_a_sub_database_are_refused(path: Path, name: bytes, place: int, value: int) -> None:
    """Its flags, its depth, its root: found at each opening, and by the tools."""
    data = (path / DATA_FILE).read_bytes()
    with DataFile(str(path / DATA_FILE)) as file:
        page = file.newest.main.root
    where = data.index(name, page * PAGE, (page + 1) * PAGE) + len(name)
    if place == 6 and value == 0 and struct.unpack_from("=Q", data, where + 40)[0] == (1 << 64) - 1:
        value = 1  # an empty tree has no depth
    change(path, where + place, lambda _: value, "=Q" if place == 40 else "=H")
    refusal(path)


def test_a_wrong_older_head_is_written_anew(path: Path) -> None:
    """It is certain which one is older, so nothing is lost; the next start has no reason to verify any more."""
    older = PAGE - newest(path)
    change(path, older + FREE_FLAGS, lambda _: 0x2E)
    verified = "the store's structure was verified and is sound; the reason was that its head is damaged"
    for notices in ([verified], []):
        environment = Environment(str(path))
        assert environment.notices == notices
        environment.close()
    assert verification.reason_to_verify(str(path / DATA_FILE)) == ""


@pytest.mark.parametrize("other", [-2, 2, -4, 256, 1 << 40])
@pytest.mark.parametrize("which", ["newer", "older"])
def test_a_transaction_that_is_not_the_heads_own_is_refused(path: Path, which: str, other: int) -> None:
    """Else the older meta page would count, and the last commit be lost silently."""
    head = newest(path) if which == "newer" else PAGE - newest(path)
    change(path, head + TRANSACTION, lambda number: number + other, "=q")
    if (which, other) == ("newer", -2):
        # The same numbers as after a meta page whose writing failed; the end of the file must show it.
        change(path, head + LAST_PAGE, lambda number: number + 1, "=q")
    refusal(path)


def test_any_bit_of_the_heads(path: Path) -> None:
    """A changed bit is noticed at once, or does not matter: what counts is what was written last."""
    with (path / LOCK_FILE).open("r+b") as lock:
        mark_closed(lock.fileno(), str(path / DATA_FILE))
    data_file = path / DATA_FILE
    sound = data_file.read_bytes()
    about = data_file.stat()
    with DataFile(str(data_file)) as file:
        digest = file.newest.digest
    refused = 0
    for offset in [page * PAGE + place for page in (0, 1) for place in range(MetaPage.SIZE)]:
        for bit in range(8):
            with data_file.open("r+b", buffering=0) as raw:
                raw.seek(offset)
                raw.write(bytes([sound[offset] ^ 1 << bit]))
                os.utime(data_file, ns=(about.st_atime_ns, about.st_mtime_ns))
                if verification.reason_to_verify(str(data_file)) and verification.problems(str(data_file)):
                    refused += 1
                else:
                    with DataFile(str(data_file)) as file:
                        assert file.newest.digest == digest, (offset, bit)
                raw.seek(offset)
                raw.write(sound[offset : offset + 1])
    assert refused > 500


def test_each_commit_leaves_its_number_among_the_free_pages(tmp_path: Path) -> None:
    """What the judgement of the transactions' numbers rests on."""
    random = Random(7)
    with lmdb.open(str(tmp_path), map_size=1 << 28, max_dbs=9, sync=False, lib_version=0) as env:
        for number in range(200):
            with env.begin(write=True) as txn:
                txn.put(b"v", b"%d" % number, db=env.open_db(b"meta", txn=txn))
                for _ in range(random.choice((0, 1, 40))):
                    database = env.open_db(b"d%d" % random.randrange(4), txn=txn)
                    txn.put(b"%d" % random.randrange(500), bytes(random.choice((1, 90, 9000))), db=database)
                    txn.delete(b"%d" % random.randrange(500), db=database)
                if random.random() < 0.05:
                    txn.drop(env.open_db(b"d%d" % random.randrange(4), txn=txn), delete=random.random() < 0.5)
            with DataFile(str(tmp_path / DATA_FILE)) as file:
                assert file.transaction_problem(order_kept=True) == ""
                assert Pages(file).problem() == ""
                assert file.newest.transaction == number + 1


def test_heads_that_a_power_cut_has_parted(path: Path) -> None:
    """Without syncs one meta page may be long out of date. It is as good as it can be, and stays so after a kill."""
    with (path / LOCK_FILE).open("r+b") as lock:
        lock.truncate(0)
        lock.write(b"running no another-boot\n")
    change(path, PAGE - newest(path) + TRANSACTION, lambda number: number - 2, "=q")
    Environment(str(path))._leave([])  # no commit, and no end in order
    environment = Environment(str(path))
    assert environment.notices == []
    with environment.lmdb.begin() as txn:
        assert txn.stat(environment.spaces[1].keys)["entries"] == 7
        record = txn.get(b"k6", db=environment.spaces[1].keys)
        assert record is not None
        assert layout.is_intact(b"k6", record)
    environment.close()
