"""Scripts that run for long: how others fare meanwhile, and how they are ended."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from keyp.execution.thread_reads import SCRIPT_THREADS
from keyp.scripting.engine import Run
from tests.execution.script_talk import BUSY, GET, ask, request, sha
from tests.fakes import Connection, Lab
from tests.integration.daemon import COMPILED


@pytest.fixture
def client(lab: Lab) -> Connection:
    return lab.connect()


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

    if not COMPILED:  # methods of compiled classes cannot be replaced
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
        assert group.groups == groups
        assert COMPILED or len(runs_begun) == runs
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


def test_the_end_of_the_server_undoes_a_script(lab: Lab, client: Connection) -> None:
    other = lab.connect()
    while_it_runs(lab, lambda: other.call("SHUTDOWN NOSAVE"))
    reply = ask(client, "EVAL", "redis.call('set', 'k', 'v') while true do end", "0")
    assert lab.stopped == 1
    assert reply == b"-ERR the server stops\r\n"
    assert client.answer("EXISTS k") == 0
