"""`keyp check`: what it finds in the file and its contents, what it prints, how it exits."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.errors import StoreError
from keyp.tools.check import examine, report
from keyp.tools.command_line import run
from tests.tools.conftest import DEADLINE_MS, MakeStore, write

pytestmark = pytest.mark.usefixtures("signals")


def flip(path: Path, at: int) -> None:
    """Changes one bit of the byte `at` in the data file."""
    content = bytearray((path / "data.mdb").read_bytes())
    content[at] ^= 1
    (path / "data.mdb").write_bytes(content)


def test_a_sound_store(make_store: MakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_store()
    before = {name: (data / name).stat().st_mtime_ns for name in os.listdir(data)}
    assert run(["check", str(data)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{data}: {(data / 'data.mdb').stat().st_size:,} bytes",
        "  database          keys  with deadline      elements             bytes",
        "         0           304              2             3           253,952",
        "         7             1              1             0             8,192",
        "No problems found.",
    ]
    after = {name: (data / name).stat().st_mtime_ns for name in os.listdir(data)}
    assert after.keys() == before.keys()
    assert after["data.mdb"] == before["data.mdb"]


def test_nothing_is_left_beside_a_backup(make_store: MakeStore, tmp_path: Path) -> None:
    (tmp_path / "alone").mkdir()
    (make_store() / "data.mdb").rename(tmp_path / "alone" / "data.mdb")
    assert run(["check", str(tmp_path / "alone")]) == 0
    assert os.listdir(tmp_path / "alone") == ["data.mdb"]


def test_an_index_entry_that_is_gone(make_store: MakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_store()
    entry = layout.expiry_entry(DEADLINE_MS, b"dying")

    def remove(keys: WritableKeyspace) -> None:
        assert keys.space is not None
        keys.txn.delete(entry, b"", keys.space.expiry)

    write(data, remove)
    assert run(["check", str(data)]) == 1
    output = capsys.readouterr()
    assert output.err == f"keys:1 'dying': its deadline {DEADLINE_MS} is not in the expiry index\n"
    assert output.out.endswith("Problems: 1\n")


def test_a_flipped_bit_in_a_record(make_store: MakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_store()
    flip(data, (data / "data.mdb").read_bytes().rindex(b"key:123") + 30)
    assert run(["check", str(data)]) == 1
    assert capsys.readouterr().err == "keys:1 'key:123': the record is not what was written\n"


def test_a_flipped_bit_in_a_page(make_store: MakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_store()
    found = examine(str(data))
    assert found.read
    page = (data / "data.mdb").read_bytes().rindex(b"key:123") // 4096
    flip(data, page * 4096)  # its number
    assert run(["check", str(data)]) == 1
    output = capsys.readouterr()
    assert f"page {page} stores mp_pgno {page ^ 1}" in output.err
    assert "its contents were not looked at" in output.out


def test_damage_to_the_stores_own_numbers(make_store: MakeStore, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_store()
    write(data, lambda keys: keys.txn.put(b"databases", b"?", db=keys.transaction.environment.meta))
    assert run(["check", str(data)]) == 1
    assert "'databases'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "output"),
    [(None, "there is no store in"), (b"", "it is empty"), (b"text" * 5000, "it is not a store of Keyp")],
    ids=["nothing", "empty", "text"],
)
def test_what_cannot_be_checked(
    tmp_path: Path, content: bytes | None, output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if content is not None:
        (tmp_path / "data.mdb").write_bytes(content)
    assert run(["check", str(tmp_path)]) == 2
    assert output in capsys.readouterr().err


def test_a_truncated_file_is_a_problem_and_no_crash(make_store: MakeStore) -> None:
    data = make_store()
    os.truncate(data / "data.mdb", 5 * 4096)
    assert run(["check", str(data)]) == 1


def test_a_store_in_use_is_told_apart(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_store()
    monkeypatch.setattr("keyp.storage.lmdb.locks.is_taken", lambda path: True)
    monkeypatch.setattr("keyp.storage.lmdb.verification.problems", lambda path: ["never to be asked"])
    found = examine(str(data))
    assert found.problems == []
    assert found.served
    assert "A server has the store open" in "\n".join(report(str(data), found))


def test_a_server_that_comes_while_the_file_is_read(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_store()
    answers = iter([False, True, True, True])
    monkeypatch.setattr("keyp.storage.lmdb.locks.is_taken", lambda path: next(answers))
    monkeypatch.setattr("keyp.storage.lmdb.verification.problems", lambda path: ["a page was written meanwhile"])
    found = examine(str(data))
    assert found.served
    assert found.problems == []


def test_many_databases(tmp_path: Path) -> None:
    environment = Environment(str(tmp_path / "data"), databases=500, fsync=NO)
    environment.close()
    assert examine(str(tmp_path / "data")).problems == []


def test_a_directory_that_may_not_be_read(make_store: MakeStore, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make_store()

    def refuse(path: str, is_journaled: bool) -> str:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("keyp.storage.lmdb.verification.reason_to_verify", refuse)
    with pytest.raises(StoreError, match="Permission denied"):
        examine(str(data))
