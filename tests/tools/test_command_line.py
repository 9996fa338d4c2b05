"""`keyp backup`, `restore` and `check` as typed: options, output, exit status; and that `keyp` alone still serves."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from keyp import main
from keyp.net.options import Options
from keyp.tools.command_line import SUMMARIES, run
from tests.tools.conftest import MakeStore, entries

pytestmark = pytest.mark.usefixtures("signals")


def test_a_backup_and_back(make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, saved, new = make_store(), str(tmp_path / "saved"), str(tmp_path / "new")
    assert run(["backup", saved, "--data-dir", str(data)]) == 0
    assert capsys.readouterr().out.startswith(f"{saved}/data.mdb: 305 keys, ")
    assert run(["backup", "-d", str(data), saved]) == 1
    assert capsys.readouterr().err == f"keyp backup: {saved} holds a store already; --force replaces it\n"
    assert run(["backup", "-d", str(data), saved, "--force"]) == 0
    assert run(["restore", saved, "-d", new]) == 0
    assert capsys.readouterr().out.splitlines()[1].startswith(f"{new}/data.mdb: 305 keys, ")
    assert entries(tmp_path / "new") == entries(data)
    assert run(["restore", saved, "-d", new]) == 1
    assert run(["restore", saved, "-d", new, "--force"]) == 0


def test_what_is_wrong_with_a_backup_is_listed(
    make_store: MakeStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_store()
    content = bytearray((data / "data.mdb").read_bytes())
    content[content.rindex(b"key:99") + 20] ^= 1
    (data / "data.mdb").write_bytes(content)
    assert run(["restore", str(data), "-d", str(tmp_path / "new")]) == 1
    first, last = capsys.readouterr().err.splitlines()
    assert first == "keys:1 'key:99': the record is not what was written"
    assert last == f"keyp restore: the backup in {data} is damaged; nothing was restored"


@pytest.mark.parametrize("name", SUMMARIES)
def test_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        run([name, "--help"])
    assert exit.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: keyp {name} ")


@pytest.mark.parametrize("words", [["backup"], ["check"], ["restore", "a", "b"], ["check", "a", "--force"]])
def test_words_that_make_no_sense(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        run(words)
    assert exit.value.code == 2
    assert f"keyp {words[0]}: error: " in capsys.readouterr().err


def keyp(monkeypatch: pytest.MonkeyPatch, *words: str) -> object:
    """What `keyp` with these words exits with."""
    monkeypatch.setattr(sys, "argv", ["/somewhere/keyp", *words])
    with pytest.raises(SystemExit) as exit:
        main.main()
    return exit.value.code


def test_keyp_hands_its_commands_on(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert keyp(monkeypatch, "check", str(tmp_path / "none")) == 2
    assert keyp(monkeypatch, "backup", str(tmp_path / "new"), "-d", str(tmp_path / "none")) == 1


def test_help_names_the_commands(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    keyp(monkeypatch, "--help")
    output = capsys.readouterr().out
    assert output.startswith("Usage: keyp [options]\n")
    for name, summary in SUMMARIES.items():
        assert f"    {name:<11}{summary}\n" in output


def test_a_command_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keyp(monkeypatch, "-d", "x", "backup", "y") == (
        "keyp: backup comes first, its options after it (keyp --help tells more)"
    )
    assert keyp(monkeypatch, "-d", "x", "backups") == (
        "keyp: 'backups' is not an option; a configuration file comes first (keyp --help tells more)"
    )
    assert "can't open config file" in str(keyp(monkeypatch, "backups"))


def test_twistd_knows_only_the_server() -> None:
    assert "backup" not in str(Options())
