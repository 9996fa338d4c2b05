"""Scripts on their way: where they run, what becomes of what they write, and how others fare meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyp.execution.thread_reads import SCRIPT_THREADS
from keyp.scripting.cache import EVAL_SCRIPTS_MAX, ScriptCache
from keyp.scripting.engine import Run
from keyp.scripting.script import digest, read_script
from tests import wire
from tests.fakes import Connection, Lab

GET = "return redis.call('get', KEYS[1])"
INCR = "return redis.call('incr', KEYS[1])"
BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
LIBRARY = (
    "#!lua name=lib\n"
    "redis.register_function('add', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)\n"
    "redis.register_function{function_name='get', flags={'no-writes'}, callback=function(keys)"
    " return redis.call('get', keys[1]) end}"
)


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


def sha(text: str) -> str:
    return digest(text.encode()).decode()


def ask(client: Connection, *words: str | bytes) -> bytes:
    return client.send(request(*words))


def request(*words: str | bytes) -> bytes:
    return wire.request(*[word if isinstance(word, bytes) else word.encode() for word in words])


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


def while_it_runs(lab: Lab, act: Callable[[], object]) -> None:
    """From now on the first look of a script at the clock finds it overdue, and `act` is called then."""
    lab.clock.step_ns = 6_000_000_000

    def call(function: Callable[[], None]) -> None:
        lab.clock.step_ns = 1000
        function()
        act()

    lab.loop.call_from_thread = call  # type: ignore[method-assign]


def test_others_get_busy_while_a_script_is_overdue(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    seen: list[bytes] = []

    def act() -> None:
        seen.append(other.call("GET a", "SET a b"))
        seen.append(other.call("MULTI", "GET a", "EXEC"))
        seen.append(other.call("FUNCTION STATS"))
        seen.append(other.call("FUNCTION KILL"))
        seen.append(other.call("SCRIPT KILL"))

    while_it_runs(lab, act)
    killed = ask(client, "EVAL", "\nwhile true do end", "0")
    refused = b"-EXECABORT Transaction discarded because of: " + BUSY[1:]
    assert seen == [BUSY * 2, b"+OK\r\n" + BUSY + refused, BUSY, BUSY, b"+OK\r\n"]
    text = "\nwhile true do end"
    where = f"script: {sha(text)}, on @user_script:2."
    assert killed == f"-ERR Script killed by user with SCRIPT KILL... {where}\r\n".encode()
    assert other.call("GET a", "SCRIPT KILL") == b"$-1\r\n-NOTBUSY No scripts in execution right now.\r\n"


def test_others_get_busy_while_an_overdue_script_has_the_open_transaction(tmp_path: Path) -> None:
    """Those as well who wait to read what it alone shows."""
    lab = Lab(tmp_path, writes_back=True)
    client, other, reader = lab.connect(), lab.connect(), lab.connect()
    client.call("SET a 1")
    client.call("SET a 2")
    assert lab.environment.write_back.transaction is not None
    seen: list[bytes] = []

    def act() -> None:
        seen.append(other.call("GET a", "KEYS *", "SET a b"))
        seen.append(other.call("PING", "SCRIPT KILL"))

    lab.writer_thread.held = True
    client.send(request("EVAL", "while true do end", "0"))
    reader.send(request("GET", "a"))
    assert reader.transport.sent == b""
    while_it_runs(lab, act)
    lab.writer_thread.held = False
    lab.writer_thread.work()
    lab.settle()
    assert seen == [BUSY * 3, BUSY + b"+OK\r\n"]
    assert reader.transport.sent == BUSY
    assert other.call("GET a") == b"$1\r\n2\r\n"
    lab.close()


def test_who_waits_for_the_writer_gets_busy(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    lab.writer_thread.held = True
    client.send(request("EVAL", "while true do end", "0"))
    other.send(request("SET", "a", "b"))
    while_it_runs(lab, lambda: other.call("SCRIPT KILL"))
    lab.writer_thread.held = False
    lab.writer_thread.work()
    lab.settle()
    assert other.transport.sent.startswith(BUSY)


def test_who_waits_for_a_snapshot_gets_busy(tmp_path: Path) -> None:
    lab = Lab(tmp_path, writes_back=True)
    client, other = lab.connect(), lab.connect()
    client.call("SET a 1")
    client.call("SET a 2")
    lab.writer_thread.held = True
    client.send(request("EVAL", "while true do end", "0"))
    other.send(request("KEYS", "*"))
    assert lab.reader_threads.done == 0
    seen: list[bytes] = []

    def act() -> None:
        seen.append(other.transport.sent)
        other.call("SCRIPT KILL")

    while_it_runs(lab, act)
    lab.writer_thread.held = False
    lab.writer_thread.work()
    lab.settle()
    assert seen == [BUSY]
    lab.close()


SLOW = "redis.call('incr', 'runs') for i = 1, 1e6 do end return KEYS[1]"


class Group:
    """A slow script and two other batches, which come together."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.clients = [lab.connect() for _ in range(3)]
        self.groups = 0

    def send(self, *script: str) -> list[bytes]:
        """Their replies; `groups` is how many groups it took."""
        before, done = [len(client.transport.sent) for client in self.clients], self.lab.writer_thread.done
        for client, words in zip(self.clients, (("INCR", "a"), script, ("INCR", "b")), strict=True):
            client.protocol.dataReceived(request(*words))
        self.lab.settle()
        self.groups = self.lab.writer_thread.done - done
        return [client.transport.sent[start:] for client, start in zip(self.clients, before, strict=True)]


def test_nobody_waits_in_the_group_of_an_overdue_script(lab: Lab) -> None:
    group, seen = Group(lab), []

    def act() -> None:
        seen.append([client.transport.sent for client in group.clients])
        lab.connect().call("SCRIPT KILL")

    while_it_runs(lab, act)
    lab.clock.step_ns = 30_000_000
    replies = group.send("EVAL", "for i = 1, 1e9 do end", "0")
    assert seen == [[b":1\r\n", b"", b":1\r\n"]]
    assert replies[1].startswith(b"-ERR Script killed by user")


def test_a_slow_script_runs_apart_until_it_is_fast(lab: Lab) -> None:
    group, scripts = Group(lab), lab.server.state.scripts
    ask(group.clients[0], "SCRIPT", "LOAD", SLOW)
    evalsha = ("EVALSHA", sha(SLOW), "1", "k")
    expected = [b":%d\r\n", b"$1\r\nk\r\n", b":%d\r\n"]
    runs_begun: list[Run] = []
    begin = scripts.begin

    def count(run: Run) -> None:
        runs_begun.append(run)
        begin(run)

    scripts.begin = count  # type: ignore[method-assign]
    for number, (step_ns, runs, groups) in enumerate(
        (
            (1_000, 1, 1),
            (30_000_000, 2, 2),  # undone, and the others without it; alone
            (30_000_000, 1, 3),  # who came before, alone, who came behind
            (1_000, 1, 3),
            (1_000, 1, 1),
        ),
        start=1,
    ):
        runs_begun.clear()
        lab.clock.step_ns = step_ns
        replies = group.send(*evalsha)
        assert replies == [reply % number if b"%" in reply else reply for reply in expected]
        assert (len(runs_begun), group.groups) == (runs, groups)
    assert group.clients[0].answer("GET runs") == b"5"
    assert not scripts.slow


def test_a_slow_script_in_a_transaction_runs_apart_as_well(lab: Lab) -> None:
    group = Group(lab)
    client = group.clients[1]
    client.call("MULTI")
    ask(client, "EVAL", SLOW, "1", "k")
    lab.clock.step_ns = 30_000_000
    assert group.send("EXEC") == [b":1\r\n", b"*1\r\n$1\r\nk\r\n", b":1\r\n"]
    assert group.groups == 2
    client.call("MULTI")
    ask(client, "EVAL", SLOW, "1", "k")
    assert group.send("EXEC") == [b":2\r\n", b"*1\r\n$1\r\nk\r\n", b":2\r\n"]
    assert group.groups == 3


def test_scripts_that_only_read_keep_others_waiting_for_nothing_but_a_thread_of_their_own(lab: Lab) -> None:
    clients = [lab.connect() for _ in range(SCRIPT_THREADS + 1)]
    other = lab.connect()
    ask(other, "SET", "k", "v")
    for_ever = request("EVAL_RO", "while true do end", "0")
    seen: list[bytes] = []

    def begin_next() -> None:
        if lab.script_threads.line:
            while_it_runs(lab, begin_next)
            lab.script_threads.work()
            return
        seen.append(clients[-1].transport.sent)
        seen.append(ask(other, "EVAL_RO", GET, "1", "k"))
        seen.append(other.call("GET k", "KEYS *", "SET k w", "SCRIPT KILL"))

    lab.script_threads.held = True
    for client in clients:
        client.send(for_ever)
    assert len(lab.script_threads.line) == SCRIPT_THREADS
    begin_next()
    lab.settle()
    assert seen == [BUSY, BUSY, b"$1\r\nv\r\n*1\r\n$1\r\nk\r\n+OK\r\n+OK\r\n"]
    assert [b"killed by user" in client.transport.sent for client in clients] == [True] * SCRIPT_THREADS + [False]
    lab.script_threads.held = False
    assert ask(other, "EVAL_RO", GET, "1", "k") == b"$1\r\nw\r\n"


@pytest.mark.parametrize("command", ["EVAL", "EVAL_RO"])
def test_what_wants_the_environment_to_itself_waits_for_an_overdue_script_and_others_do_not(
    lab: Lab, client: Connection, command: str
) -> None:
    other = lab.connect()
    done: list[str] = []
    seen: list[bytes] = []

    def act() -> None:
        assert not done
        seen.append(other.call("SCRIPT KILL"))

    thread = lab.writer_thread if command == "EVAL" else lab.script_threads
    thread.held = True
    client.send(request(command, "while true do end", "0"))
    lab.server.dispatcher.exclusively(lambda: done.append("alone"))
    held = lab.connect()
    held.send(request("GET", "k"))
    assert held.transport.sent == b""
    while_it_runs(lab, act)
    thread.held = False
    thread.work()
    lab.settle()
    assert seen == [b"+OK\r\n"]
    assert held.transport.sent == (BUSY if command == "EVAL" else b"$-1\r\n")
    assert done == ["alone"]


def test_a_script_that_has_written_is_not_killed(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    seen: list[bytes] = []
    while_it_runs(lab, lambda: seen.append(other.call("SCRIPT KILL")))
    text = "redis.call('set', 'k', 'v') for i = 1, 1e6 do end return 1"
    assert ask(client, "EVAL", text, "0") == b":1\r\n"
    assert seen[0].startswith(b"-UNKILLABLE Sorry the script already executed write commands")
    assert client.answer("GET k") == b"v"


def test_a_function_is_killed_by_its_own_word(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    ask(client, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function() while true do end end)")
    seen: list[bytes] = []

    def act() -> None:
        seen.append(other.call("SCRIPT KILL"))
        seen.append(other.call("FUNCTION STATS"))
        seen.append(other.call("FUNCTION KILL"))

    while_it_runs(lab, act)
    killed = ask(client, "FCALL", "f", "0")
    assert killed == b"-ERR Script killed by user with SCRIPT KILL... script: f, on @user_function:2.\r\n"
    assert seen[0].startswith(b"-BUSY Redis is busy running a script. You can only call FUNCTION KILL")
    assert b"FCALL" in seen[1]
    assert b"duration_ms" in seen[1]
    assert seen[2] == b"+OK\r\n"


def test_a_library_is_not_loaded_for_ever(lab: Lab, client: Connection) -> None:
    lab.clock.step_ns = 100_000_000
    reply = ask(client, "FUNCTION", "LOAD", "#!lua name=l\nredis.log(3, 'a line') while true do end")
    assert reply == b"-ERR Error registering functions: ERR FUNCTION LOAD timeout\r\n"


def test_a_long_string_that_a_script_sets_is_staged(client: Connection) -> None:
    text = "redis.call('set', KEYS[1], string.rep('x', 40000000)) return redis.call('strlen', KEYS[1])"
    assert ask(client, "EVAL", text, "1", "k") == b":40000000\r\n"
    assert client.answer("INFO errorstats") == b"# Errorstats\r\n"


def test_the_end_of_the_server_undoes_a_script(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    while_it_runs(lab, lambda: other.call("SHUTDOWN NOSAVE"))
    reply = ask(client, "EVAL", "redis.call('set', 'k', 'v') while true do end", "0")
    assert lab.stopped == 1
    assert reply == b"-ERR the server stops\r\n"
    assert client.answer("EXISTS k") == 0


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
