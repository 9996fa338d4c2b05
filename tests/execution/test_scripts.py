"""Scripts on their way: where they run, what becomes of what they write, and how others fare meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyp.scripting.cache import EVAL_SCRIPTS_MAX, ScriptCache
from keyp.scripting.script import digest, read_script
from keyp.tools.backup import backup
from keyp.tools.restore import restore
from tests import wire
from tests.execution.script_talk import GET, INCR, LIBRARY, ask, request, sha
from tests.fakes import Connection, Lab


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


def test_a_script_runs_on_the_writer_and_one_that_only_reads_on_a_thread_for_scripts(
    lab: Lab, client: Connection
) -> None:
    only_reads = f"#!lua flags=no-writes\n{GET}"
    writer, scripts, reader = lab.writer_thread, lab.script_threads, lab.reader_threads
    for words, expected in (
        (("EVAL", INCR, "1", "k"), writer),
        (("EVALSHA", sha(INCR), "1", "k"), writer),
        (("EVAL_RO", GET, "1", "k"), scripts),
        (("EVALSHA_RO", sha(GET), "1", "k"), scripts),
        (("EVAL", only_reads, "1", "k"), scripts),
        (("EVALSHA", sha(only_reads), "1", "k"), scripts),
        (("SCRIPT", "LOAD", "return 1"), reader),
        (("FUNCTION", "LOAD", LIBRARY), writer),
        (("FCALL", "add", "1", "k", "1"), writer),
        (("FCALL", "get", "1", "k"), scripts),
        (("FCALL_RO", "get", "1", "k"), scripts),
        (("FUNCTION", "LIST"), reader),
    ):
        before = [thread.done for thread in (writer, scripts, reader)]
        assert not ask(client, *words).startswith(b"-"), words
        done = [thread.done - count for thread, count in zip((writer, scripts, reader), before, strict=True)]
        assert done == [int(thread is expected) for thread in (writer, scripts, reader)], words


def test_a_script_that_writes_nothing_commits_nothing(lab: Lab, client: Connection) -> None:
    client.call("SET k v", "SET lock other")
    release = "if redis.call('get',KEYS[1]) == ARGV[1] then return redis.call('del',KEYS[1]) else return 0 end"
    ask(client, "EVAL", GET, "1", "k")
    before = lab.commits()
    assert ask(client, "EVAL", GET, "1", "k") == b"$1\r\nv\r\n"
    assert ask(client, "EVAL", release, "1", "lock", "mine") == b":0\r\n"
    assert ask(client, "EVAL", "redis.call('del', 'nosuch') error('x')", "0").startswith(b"-ERR user_script:1: x")
    assert lab.commits() == before


def test_what_was_written_before_an_error_stays(lab: Lab, client: Connection) -> None:
    ask(client, "EVAL", "redis.call('set', 'k', 'v') error('x')", "0")
    assert client.answer("GET k") == b"v"


def failing(lab: Lab, monkeypatch: pytest.MonkeyPatch, times: int) -> list[int]:
    """Has APPEND fail as a defect would, so many times, each of which undoes its group; how often is left."""
    spec, left = lab.server.state.registry.get(b"APPEND"), [times]
    assert spec is not None

    def append(context: object, args: object) -> int:
        if left[0]:
            left[0] -= 1
            raise ZeroDivisionError
        return 1

    monkeypatch.setattr(spec, "function", append)
    return left


def test_a_group_that_is_undone_runs_its_scripts_again(
    lab: Lab, client: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = failing(lab, monkeypatch, 1)
    replies = client.send(
        request("EVAL", INCR, "1", "n")
        + request("EVALSHA", sha(INCR), "1", "n")
        + request("SCRIPT", "FLUSH")
        + request("EVALSHA", sha(INCR), "1", "n")
        + request("APPEND", "a", "b")
    )
    assert replies == b":1\r\n:2\r\n+OK\r\n-NOSCRIPT No matching script. Please use EVAL.\r\n:1\r\n"
    assert left == [0]
    assert client.answer("GET n") == b"2"


def test_the_cache_is_as_it_was_where_a_batch_is_refused(
    lab: Lab, client: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(client, "SCRIPT", "LOAD", INCR)
    failing(lab, monkeypatch, 2)
    replies = client.send(request("SCRIPT", "FLUSH") + request("EVAL", GET, "1", "k") + request("APPEND", "a", "b"))
    assert replies.count(b"-ERR internal error") == 3
    assert client.answer(f"SCRIPT EXISTS {sha(INCR)} {sha(GET)}") == [1, 0]


def test_a_defect_in_a_call_undoes_the_script(lab: Lab, client: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = lab.server.state.registry.get(b"ECHO")
    assert spec is not None

    def fail(context: object, args: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(spec, "function", fail)
    text = "redis.call('set', 'k', 1) pcall(redis.call, 'echo', 'x') return 1"
    assert ask(client, "EVAL", text, "0").startswith(b"-ERR internal error")
    assert client.answer("EXISTS k") == 0


def test_calls_of_scripts_are_counted(lab: Lab, client: Connection) -> None:
    ask(
        client, "EVAL", "for i = 1, 1000 do redis.pcall('incr', KEYS[1]) end redis.pcall('lpush', KEYS[1], 1)", "1", "n"
    )
    stats = client.answer("INFO commandstats").decode()
    assert "cmdstat_incr:calls=1000," in stats
    assert "cmdstat_lpush:calls=1,usec=" in stats
    assert "cmdstat_eval:calls=1," in stats
    assert client.answer("SLOWLOG LEN") == 0


def test_info_tells_of_scripts(client: Connection) -> None:
    def fields() -> dict[str, str]:
        return dict(line.split(":") for line in client.answer("INFO memory").decode().splitlines()[1:])

    assert fields()["used_memory_lua"] == "0"
    ask(client, "EVAL", INCR, "1", "n")
    ask(client, "SCRIPT", "LOAD", GET)
    ask(client, "FUNCTION", "LOAD", LIBRARY)
    ask(client, "FCALL", "get", "1", "n")
    found = fields()
    assert int(found["used_memory_lua"]) > 10_000
    assert found["number_of_cached_scripts"] == "2"
    assert found["used_memory_scripts_eval"] == str(len(INCR + GET))
    assert (found["number_of_functions"], found["number_of_libraries"]) == ("2", "1")
    assert found["used_memory_functions"] == str(len(LIBRARY))


def test_info_counts_libraries_as_they_are(tmp_path: Path) -> None:
    def counts(client: Connection) -> tuple[str, ...]:
        lines = client.answer("INFO memory").decode().splitlines()[1:]
        fields = dict(line.split(":") for line in lines)
        return tuple(
            fields[f"{name}"] for name in ("number_of_libraries", "number_of_functions", "used_memory_functions")
        )

    lab = Lab(tmp_path, writes_back=True)
    client = lab.connect()
    none, one = ("0", "0", "0"), ("1", "2", str(len(LIBRARY)))
    assert counts(client) == none
    assert lab.reader_threads.done == 0
    for words, expected in (
        (("FUNCTION", "LOAD", LIBRARY), one),
        (("FUNCTION", "DELETE", "lib"), none),
        (("FUNCTION", "LOAD", LIBRARY), one),
        (("FUNCTION", "FLUSH"), none),
        (("FUNCTION", "LOAD", LIBRARY), one),
    ):
        ask(client, *words)
        assert counts(client) == expected
    assert client.send(
        request("MULTI") + request("FUNCTION", "FLUSH") + request("INFO", "memory") + request("EXEC")
    ).count(b"number_of_functions:0")
    ask(client, "FUNCTION", "LOAD", LIBRARY)
    lab.close()
    lab = Lab(tmp_path, writes_back=True)
    client = lab.connect()
    assert counts(client) == counts(client) == one
    assert lab.reader_threads.done == 1  # that has compiled them
    lab.close()


def test_copies_of_the_store_have_the_functions(tmp_path: Path) -> None:
    lab = Lab(tmp_path / "data")
    ask(lab.connect(), "FUNCTION", "LOAD", LIBRARY)
    ask(lab.connect(), "FCALL", "add", "1", "n", "5")
    assert ask(lab.connect(), "SAVE") == b"+OK\r\n"
    lab.close()
    backup(str(tmp_path / "data"), str(tmp_path / "backup"), force=False)
    for number, copy in enumerate(("backup", "data/backup")):
        restored = str(tmp_path / f"restored{number}")
        restore(str(tmp_path / copy), restored, force=False)
        lab = Lab(Path(restored))
        assert ask(lab.connect(), "FCALL", "add", "1", "n", "5") == b":10\r\n"
        lab.close()


def test_ten_thousand_scripts_take_little(lab: Lab, client: Connection) -> None:
    for start in range(0, 10_000, 1000):
        texts = [f"return {number} -- {'x' * 500}" for number in range(start, start + 1000)]
        replies = client.send(b"".join([request("SCRIPT", "LOAD", text) for text in texts]))
        assert replies.count(b"$40") == 1000
    scripts = lab.server.state.scripts
    assert len(scripts.cache) == 10_000
    assert scripts.cache.text_bytes < 6_000_000
    assert scripts.memory < 10_000_000
    assert ask(client, "EVALSHA", sha(texts[-1]), "0") == b":9999\r\n"


def test_a_library_is_not_loaded_for_ever(lab: Lab, client: Connection) -> None:
    lab.clock.step_ns = 100_000_000
    reply = ask(client, "FUNCTION", "LOAD", "#!lua name=l\nredis.log(3, 'a line') while true do end")
    assert reply == b"-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n"


def test_a_long_string_that_a_script_sets_is_staged(client: Connection) -> None:
    text = "redis.call('set', KEYS[1], string.rep('x', 40000000)) return redis.call('strlen', KEYS[1])"
    assert ask(client, "EVAL", text, "1", "k") == b":40000000\r\n"
    assert client.answer("INFO errorstats") == b"# Errorstats\r\n"


def test_functions_are_there_after_a_restart(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    client = lab.connect()
    ask(client, "FUNCTION", "LOAD", LIBRARY)
    payload = wire.parse(client.call("FUNCTION DUMP"))
    lab.close()
    lab = Lab(tmp_path)
    client = lab.connect()
    assert ask(client, "FCALL", "add", "1", "n", "5") == b":5\r\n"
    assert client.call("FUNCTION FLUSH", "FCALL add 1 n 5") == b"+OK\r\n-ERR Function not found\r\n"
    assert ask(client, "FUNCTION", "RESTORE", payload) == b"+OK\r\n"
    assert ask(client, "FCALL", "add", "1", "n", "5") == b":10\r\n"
    assert ask(client, "FUNCTION", "RESTORE", payload) == b"-ERR Library 'lib' already exists\r\n"
    assert ask(client, "FUNCTION", "RESTORE", payload, "REPLACE") == b"+OK\r\n"
    assert ask(client, "FUNCTION", "RESTORE", payload, "FLUSH") == b"+OK\r\n"
    assert ask(client, "FUNCTION", "RESTORE", payload[:-1] + b"x").startswith(b"-ERR DUMP payload version or checksum")
    lab.close()


def test_the_cache_is_bounded() -> None:
    cache = ScriptCache(text_max=100_000)
    loaded = [read_script(digest(b"return %d" % number), b"return %d" % number) for number in range(10)]
    for script in loaded:
        cache.add(script, is_loaded=True)
    for number in range(EVAL_SCRIPTS_MAX + 100):
        text = b"return 'eval %d'" % number
        cache.add(read_script(digest(text), text), is_loaded=False)
    assert len(cache) == EVAL_SCRIPTS_MAX + 10
    assert cache.evicted == 100
    assert all(cache.has(script.sha) for script in loaded)
    long = b"return '%b'" % bytes(90_000).replace(b"\0", b"x")
    cache.add(read_script(digest(long), long), is_loaded=True)
    assert cache.text_bytes <= 100_000
    assert cache.has(digest(long))
