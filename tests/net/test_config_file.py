"""A configuration file on the disk and the command line beside it: what is included, what counts, what is refused."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from twisted.python import usage

from keyp.net import config_file
from keyp.net.options import Options
from keyp.server.config.file import BadDirective

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def read(folder: Path) -> list[tuple[str, int, str]]:
    return [(each.name, each.number, each.path) for each in config_file.read(str(folder / "a.conf"))]


def options(*words: str) -> Options:
    given = Options()
    given.parseOptions(list(words))
    return given


def refused(text: str, *words: str) -> list[str]:
    """What an administrator is told of a file that cannot be obeyed."""
    Path("a.conf").write_text(text)
    with pytest.raises(SystemExit) as caught:
        options("a.conf", *words)
    assert isinstance(caught.value.code, str), "it is written to standard error, and the status is 1"
    return caught.value.code.splitlines()


# Files that are included.


def test_an_included_file_takes_the_place_of_its_line(folder: Path) -> None:
    (folder / "a.conf").write_text("hz 1\ninclude b.conf\nINCLUDE 'c d.conf'\nport 1\n")
    (folder / "b.conf").write_text("\ntimeout 1")
    (folder / "c d.conf").write_text("databases 1")
    here = str(folder / "a.conf")
    expected = [("hz", 1, here), ("timeout", 2, "b.conf"), ("databases", 1, "c d.conf"), ("port", 4, here)]
    assert read(folder) == expected


def test_patterns(folder: Path) -> None:
    """Files in the order of their names; where none matches there is nothing to include."""
    (folder / "a.conf").write_text("include nosuch/*.conf\ninclude parts/*.con[f]\n")
    (folder / "parts").mkdir()
    for name in ("2.conf", "1.conf", "x.txt", ".hidden.conf"):
        (folder / "parts" / name).write_text(f"hz {name[0]}")
    assert [path for _, _, path in read(folder)] == ["parts/1.conf", "parts/2.conf"]


@pytest.mark.parametrize(("name", "reason"), [("nosuch.conf", "No such file or directory"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_fatal(folder: Path, name: str, reason: str) -> None:
    assert refused(f"include {name}") == [f"keyp: Fatal error, can't open config file '{name}': {reason}"]
    with pytest.raises(SystemExit, match=f"can't open config file '{folder}/x': No such"):
        options("--config=x")


def test_files_that_include_each_other(folder: Path) -> None:
    (folder / "a.conf").write_text("include b.conf\ninclude b.conf")
    (folder / "b.conf").write_text("include *.conf\n" * 3)
    with pytest.raises(BadDirective, match="Files include each other too deep"):
        read(folder)


def test_the_error_names_the_file_that_has_it(folder: Path) -> None:
    (folder / "b.conf").write_text("\n\nhz x")
    told = refused("include b.conf")
    assert told[2:] == ["Reading the configuration file b.conf, at line 3", ">>> 'hz x'",
                        "argument couldn't be parsed into an integer"]  # fmt: skip


# The command line beside it.


def test_options_count_more_than_the_file(folder: Path) -> None:
    Path("a.conf").write_text(
        "port 7000\nbind 10.0.0.1\ndatabases 3\nappendfsync no\nmaxmemory 1mb\nrequirepass x\nhz 3\njournal-size 1mb\n"
        "tls-auth-clients-user CN\nendpoint unix:a\nendpoint unix:b\nrename-command get x\nprotected-mode no\n"
    )
    plain = options("a.conf")
    shown: list[Any] = [plain[name] for name in ("port", "host", "databases", "fsync", "max-size", "requirepass")]
    assert shown == [7000, "10.0.0.1", 3, "no", 1 << 20, "x"]
    assert (plain["journal-size"], plain["tls-auth-clients-user"]) == (1 << 20, "cn")
    assert (plain["endpoint"], plain["rename-command"]) == (["unix:a", "unix:b"], [(b"get", b"x")])
    more = options(
        "--port=6377", "--host=localhost", "--databases=16", "--fsync=always", "--max-size=0", "--requirepass=",
        "--journal-size=8mb", "--tls-auth-clients-user=off", "--endpoint=unix:c", "--rename-command=set=",
        "--config=a.conf",
    )  # fmt: skip
    shown = [more[name] for name in ("port", "host", "databases", "fsync", "max-size", "requirepass")]
    assert shown == [6377, "localhost", 16, "always", 0, ""]
    assert (more["journal-size"], more["tls-auth-clients-user"]) == (8 << 20, "off")
    assert (more["endpoint"], more["rename-command"]) == (["unix:c"], [(b"get", b"x"), (b"set", b"")])
    for given in (plain, more):
        assert given.settings.hz == 3
        names = ("port", "bind", "databases", "appendfsync", "maxmemory", "requirepass", "protected-mode")
        kept = ("port", "host", "databases", "fsync", "max-size", "requirepass", "protected-mode")
        assert [given.settings.value(name) for name in names] == [given[name] for name in kept]
        assert given.settings.config_file == str(folder / "a.conf")


def test_the_file_comes_first_or_by_its_option(folder: Path) -> None:
    Path("a.conf").write_text("hz 3")
    for words in (["a.conf", "--port=1"], ["--port=1", "--config", "a.conf"], ["--port=1", "-c", "a.conf"]):
        given = options(*words)
        assert (given.settings.hz, given["port"]) == (3, 1)
    with pytest.raises(usage.UsageError, match="a configuration file comes first"):
        options("--port=1", "a.conf")


@pytest.mark.parametrize(
    ("text", "words", "wants_tcp"),
    [
        ("", [], True),
        ("unixsocket s", [], True),
        ("port 0", [], False),
        ("port 0\nunixsocket s", [], False),
        ("port 0", ["--port=0"], True),
        ("endpoint unix:s", [], False),
        ("endpoint unix:s\nport 1", [], True),
        ("endpoint unix:s\nbind ::1", [], True),
        ("tls-port 1", [], False),
        ("tls-port 1\nbind ::1", [], False),
        ("tls-port 1\nport 2", [], True),
        ("tls-port 1\nport 2", ["--tls-port=0"], True),
        ("endpoint unix:s", ["--port=1"], True),
    ],
)
def test_when_there_is_a_port_without_tls(folder: Path, text: str, words: list[str], wants_tcp: bool) -> None:
    """`port 0` in a file is none, as in Redis; on the command line it is any."""
    Path("a.conf").write_text(text)
    assert options("a.conf", *words)["wants-tcp"] is wants_tcp


def test_where_the_data_are(folder: Path) -> None:
    Path("a.conf").write_text("")
    assert (options()["data-dir"], options("a.conf")["data-dir"]) == ("./data", "./data")
    Path("a.conf").write_text("dir /d")
    assert (options("a.conf")["data-dir"], options("a.conf", "-d", "/e")["data-dir"]) == ("/d", "/e")


# What is refused before anything has begun.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("rename-command nosuch x", "No such command in rename-command"),
        ("rename-command get ''\nrename-command get x", "No such command in rename-command"),
        ("rename-command get SET", "Target command name already exists"),
        ("user ann +nosuch", "Error in user declaration '+nosuch': Unknown command or category name in ACL"),
        ("user ann <secret", "Error in user declaration '<': The password you are trying to remove from the user does"
         " not exist"),
        ("user ann (+get ~a", "Error in user declaration '(+get': Unmatched parenthesis in selector definition."),
        ("user 'a b' on", "Error in user declaration 'a b': Spaces not allowed in ACL usernames"),
        ("user ann on\nuser bob\nuser ann", "Error in user declaration 'ann': Duplicate user found. A user can only be"
         " defined once in config files"),
        ("journal-size 1tb", "argument must be a memory value"),
        ("tls-auth-clients-user yes", "argument must be 'off' or 'cn'"),
        ('include "a\\x00b"', "argument has a zero byte"),
        ('dir "a\\x00b"', "argument has a zero byte"),
        ('endpoint "a\\x00b"', "argument has a zero byte"),
        ("databases 1025", "argument must be between 1 and 1024 inclusive"),
    ],
)  # fmt: skip
def test_refusals(folder: Path, text: str, reason: str) -> None:
    told = refused(text)
    assert told[1].startswith("*** FATAL CONFIG FILE ERROR (Keyp ")
    assert told[-1] == reason
    assert "secret" not in "".join(told)


def test_users_in_two_places(folder: Path) -> None:
    told = ["Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid. "]
    assert refused("user ann on\naclfile x")[0].startswith(told[0])
    assert refused("user ann on", "--aclfile=x")[0].startswith(told[0])
    Path("a.conf").write_text("user ann on\naclfile x\n")
    assert options("a.conf", "--aclfile=").configuration is not None
    Path("a.conf").write_text("requirepass x\naclfile y\n")
    assert options("a.conf")["aclfile"] == "y", "Redis takes both, and CONFIG REWRITE may have written one"


# The example.


def test_the_example(folder: Path) -> None:
    """It says what is so without it, and each line that is commented out is one that could be there."""
    example = ROOT / "keyp.conf"
    given = options(str(example))
    assert given.settings.matching([b"*"]) == options().settings.matching([b"*"])
    forms = [line[1:] for line in example.read_text().splitlines() if re.match("#[a-z]", line)]
    assert len(forms) >= 30
    for form in forms:
        Path("a.conf").write_text(form)
        assert options("a.conf").configuration is not None


# Secrets.


@pytest.mark.parametrize(
    ("text", "mode", "warned"),
    [
        ("requirepass x", 0o644, True),
        ("user ann on >x", 0o604, True),
        ("tls-key-file-pass x", 0o644, True),
        ("requirepass x", 0o640, False),
        ("requirepass ''", 0o644, False),
        ("hz 5", 0o644, False),
    ],
)
def test_secrets_that_everybody_can_read(folder: Path, text: str, mode: int, warned: bool) -> None:
    for name, content in (("a.conf", "include b.conf"), ("b.conf", text)):
        Path(name).write_text(content)
        os.chmod(name, mode)
    configuration = options("a.conf").configuration
    assert configuration is not None
    assert config_file.readable_to_all(configuration) == (["b.conf"] if warned else [])
