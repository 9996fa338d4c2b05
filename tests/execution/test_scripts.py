"""Scripts on their way: where they run, what becomes of what they write, and how others fare meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyp.scripting.cache import EVAL_SCRIPTS_MAX, ScriptCache
from keyp.scripting.script import digest, read_script
from tests.fakes import Connection, Lab
from tests import wire

GET = "return redis.call('get', KEYS[1])"
INCR = "return redis.call('incr', KEYS[1])"


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


def sha(text: str) -> str:
    return digest(text.encode()).decode()


def ask(client: Connection, *words: str | bytes) -> bytes:
    return client.send(wire.request(*[word if isinstance(word, bytes) else word.encode() for word in words]))


def test_a_script_runs_on_the_writer_and_one_that_only_reads_on_a_reader(lab: Lab, client: Connection) -> None:
    loop = lab.server.loop
    for words, on_writer, on_reader in (
        (("EVAL", INCR, "1", "k"), 1, 0),
        (("EVALSHA", sha(INCR), "1", "k"), 1, 0),
        (("EVAL_RO", GET, "1", "k"), 0, 1),
        (("EVALSHA_RO", sha(GET), "1", "k"), 0, 1),
        (("EVAL", f"#!lua flags=no-writes\n{GET}", "1", "k"), 0, 1),
        (("EVALSHA", sha(f"#!lua flags=no-writes\n{GET}"), "1", "k"), 0, 1),
        (("SCRIPT", "LOAD", "return 1"), 0, 1),
    ):
        writes, reads = loop.writer_thread.done, loop.reader_threads.done
        assert not ask(client, *words).startswith(b"-"), words
        assert (loop.writer_thread.done - writes, loop.reader_threads.done - reads) == (on_writer, on_reader), words
