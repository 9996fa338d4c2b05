"""The fuzzer in its everyday form: each target for a few seconds, and what the targets look with.

`make fuzz` is the long form. What it found stands as a test of its own where its kind of test stands, in words and not
as bytes: what the bytes of an input mean changes with the tables that targets draw from.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import Lab
from tests.fuzz.client import Client
from tests.fuzz.engines import Recorder, replayed
from tests.fuzz.replies import Unfinished, Unframed, read
from tests.fuzz.source import Source
from tests.fuzz.targets import TARGETS
from tests.integration.daemon import COMPILED

ROOT = Path(__file__).parent.parent.parent
SLOW = {"commands": 500, "sessions": 700, "log-ins": 700}  # inputs of those that have a whole server
RUNS = 3000


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_is_found(name: str, tmp_path: Path) -> None:
    """Guided by coverage where atheris is installed and there is something to instrument, at random elsewhere."""
    options = ["--runs", str(SLOW.get(name, RUNS)), "--seed", "1", "--found", str(tmp_path)]
    if COMPILED:
        options += ["--engine", "hypothesis"]
    command = [sys.executable, "-m", "tests.fuzz", name, *options]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True)
    texts = [path.read_text() for path in tmp_path.rglob("*.txt")]
    assert (ended.returncode, texts) == (0, []), ended.stderr[-4000:].decode("utf-8", "replace")


def test_a_failure_is_kept_once_for_each_place(tmp_path: Path) -> None:
    def run(data: bytes) -> None:
        if data.startswith(b"a"):
            raise ValueError("it begins with a")
        assert not data.startswith(b"b")

    recorder = Recorder(run, tmp_path)
    for data in (b"x", b"a1", b"a2", b"b1", b"b2"):
        recorder(data)
    assert recorder.end() == 1
    kept = [path for path in tmp_path.iterdir() if not path.suffix]
    assert sorted(path.read_bytes() for path in kept) == [b"a1", b"b1"]
    with pytest.raises((ValueError, AssertionError)):
        replayed(run, kept)


def test_a_source_says_no_at_its_end() -> None:
    source = Source(b"\xff\x02ab\x01")
    assert source.chance(1)
    assert source.text() == b"ab"
    assert source.choice("xyz") == "y"
    assert not source.has_more()
    assert (source.byte(), source.below(1000), source.choice("xyz"), source.text(), source.rest()) == (
        0,
        0,
        "x",
        b"",
        b"",
    )
    assert not source.chance(99)


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b":01\r\n", 2),
        (b":9223372036854775808\r\n", 2),
        (b":\r\n", 2),
        (b"$-1\r\n", 3),
        (b"*-1\r\n", 3),
        (b"$-2\r\n", 2),
        (b"_\r\n", 2),
        (b"#t\r\n", 2),
        (b"#y\r\n", 3),
        (b",1.\r\n", 3),
        (b"%1\r\n+a\r\n:x\r\n", 3),
        (b"$1\r\nabc\r\n", 2),
        (b"=1\r\na\r\n", 3),
        (b"+a\nb\r\n", 2),
        (b"\r\n", 2),
        (b"*1\r\n_\r\n", 2),
    ],
)
def test_what_is_no_reply_is_seen(data: bytes, protocol: int) -> None:
    with pytest.raises(Unframed):
        read(data, 0, protocol)


def test_a_reply_has_an_end() -> None:
    data = b"%1\r\n$1\r\na\r\n*3\r\n_\r\n,1.5e+20\r\n~0\r\n+x\r\n"
    reply, end = read(data, 0, 3)
    assert reply == (b"%", [(b"$", b"a"), (b"*", [(b"_", None), (b",", b"1.5e+20"), (b"~", [])])])
    assert data[end:] == b"+x\r\n"
    for length in range(end):
        with pytest.raises(Unfinished):
            read(data[:length], 0, 3)


@pytest.mark.parametrize(
    "change", [lambda sent: sent + b"+OK\r\n", lambda sent: sent[:-1], lambda sent: sent[:-4], lambda sent: b""]
)
def test_a_client_notices_what_it_is_not_owed(lab: Lab, change: Any) -> None:
    client = Client(lab)
    client.send([[b"PING"], [b"SUBSCRIBE", b"a", b"b"], [b"UNSUBSCRIBE"], [b"HELLO", b"3"], [b"MULTI"], [b"GET", b"k"]])
    client.send([[b"EXEC"], [b"CLIENT", b"REPLY", b"SKIP"], [b"PING"], [b"CLIENT", b"REPLY", b"ON"]])
    lab.settle()
    sent = client.transport.sent
    client.take()
    assert not client.owed
    client.owed, client.at, client.protocol = [[b"PING"]], 0, 3
    client.transport.sent = change(b"+PONG\r\n")
    with pytest.raises(Unframed):
        client.take()
    assert sent
