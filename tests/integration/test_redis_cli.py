"""redis-cli, the tool in everybody's fingers: its output, its modes, its hints."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import select
import subprocess
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from tests.integration.daemon import DEADLINE_S, Daemon, program

Cli = Callable[..., str]


def run(daemon: Daemon, *arguments: str, stdin: bytes = b"", status: int = 0, tcp: bool = True) -> str:
    """What redis-cli prints, standard error included; it must end with `status`."""
    address = ["-h", "127.0.0.1", "-p", str(daemon.port)] if tcp else []
    done = subprocess.run(
        [program("redis-cli"), *address, *arguments],
        input=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE_S,
        check=False,
    )
    output = done.stdout.decode()
    assert done.returncode == status, output
    return output


@pytest.fixture
def cli(daemon: Daemon) -> Cli:
    """redis-cli on the module's server, which is empty."""
    assert run(daemon, "FLUSHALL") == "OK\n"
    return lambda *arguments, **more: run(daemon, *arguments, **more)


def request(*words: str | bytes) -> bytes:
    """A request as RESP, as `--pipe` wants it."""
    encoded = [word.encode() if isinstance(word, str) else word for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in encoded)


# Single commands and their forms.


def test_plain_commands(cli: Cli) -> None:
    assert cli("SET", "a", "some words") == "OK\n"
    assert cli("GET", "a") == "some words\n"
    assert cli("GET", "nothing") == "\n"
    assert cli("INCR", "n") == "1\n"
    assert cli("MGET", "a", "nothing", "n") == "some words\n\n1\n"
    assert cli("PING") == "PONG\n"
    assert cli("ECHO", "ü\n") == "ü\n\n"
    assert cli("-e", "GET", status=1) == "ERR wrong number of arguments for 'get' command\n"
    assert cli("-r", "3", "-i", "0.001", "INCR", "n") == "2\n3\n4\n"
    assert cli("-x", "SET", "b", stdin=b"from standard input") == "OK\n"
    assert cli("-D", "", "--raw", "GET", "b") == "from standard input"
    assert cli(stdin=b"SET c 1\nINCR c\nGET c\n") == "OK\n2\n2\n"


@pytest.mark.parametrize("protocol", ["-2", "-3"])
def test_formatted_output(cli: Cli, protocol: str) -> None:
    def formatted(*words: str) -> str:
        return cli(protocol, "--no-raw", *words)

    assert formatted("SET", "a", 'with "quotes" and \\') == "OK\n"
    assert formatted("GET", "a") == '"with \\"quotes\\" and \\\\"\n'
    assert formatted("GET", "x") == "(nil)\n"
    assert formatted("APPEND", "n", "12") == "(integer) 2\n"
    assert formatted("MGET", "n", "x") == '1) "12"\n2) (nil)\n'
    assert formatted("KEYS", "none*") == "(empty array)\n"
    assert formatted("WHATEVER", "a") == "(error) ERR unknown command 'WHATEVER', with args beginning with: 'a' \n"
    assert formatted("CONFIG", "GET", "hz") == {"-2": '1) "hz"\n2) "10"\n', "-3": '1# "hz" => "10"\n'}[protocol]
    assert formatted("INCRBYFLOAT", "n", "0.5") == '"12.5"\n'
    assert formatted("--quoted-input", "SET", '"\\x00\\xff"', "zero") == "OK\n"
    assert formatted("KEYS", "?[^a]") == '1) "\\x00\\xff"\n'


def test_csv_and_json(cli: Cli) -> None:
    cli("MSET", "a", 'one,"1"', "b", "2")
    assert next(csv.reader(io.StringIO(cli("--csv", "MGET", "a", "b")), doublequote=False, escapechar="\\")) == [
        'one,"1"',
        "2",
    ]
    assert json.loads(cli("--json", "MGET", "a", "b", "c")) == ['one,"1"', "2", None]
    assert json.loads(cli("--json", "CONFIG", "GET", "appendonly")) == {"appendonly": "yes"}
    assert json.loads(cli("--json", "-2", "CONFIG", "GET", "appendonly")) == ["appendonly", "yes"]
    assert json.loads(cli("--quoted-json", "GET", "b")) == "2"


def test_where_to_connect(daemon: Daemon, cli: Cli) -> None:
    assert cli("-n", "3", "SET", "a", "in three") == "OK\n"
    assert cli("GET", "a") == "\n"
    uri = f"redis://127.0.0.1:{daemon.port}/3"
    assert run(daemon, "-u", uri, "GET", "a", tcp=False) == "in three\n"
    assert run(daemon, "-s", f"{daemon.directory}/socket", "-n", "3", "GET", "a", tcp=False) == "in three\n"
    assert "db=3 " in cli("-n", "3", "CLIENT", "LIST")
    assert "DB index is out of range" in cli("-n", "77", "PING")


def test_a_password_is_refused_and_the_command_goes_on(cli: Cli) -> None:
    output = cli("-a", "secret", "--no-auth-warning", "PING")
    assert output.startswith("AUTH failed: ERR AUTH <password> called without any password configured")
    assert output.endswith("PONG\n")


def test_info_and_client_list(cli: Cli) -> None:
    info = cli("INFO")
    assert re.search(r"^redis_version:7\.\d+\.\d+\r$", info, re.MULTILINE)
    for section in ("Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Keyspace"):
        assert f"# {section}\r\n" in info
    assert cli("-3", "INFO", "keyspace") == cli("-2", "INFO", "keyspace")
    assert re.search(r"^id=\d+ addr=127\.0\.0\.1:\d+ laddr=127\.0\.0\.1:\d+ fd=\d+ name= age=0 ", cli("CLIENT", "LIST"))


def test_help_of_containers(cli: Cli) -> None:
    for container in ("CLIENT", "COMMAND", "CONFIG", "OBJECT", "MEMORY", "SLOWLOG", "LATENCY"):
        assert cli(container, "HELP").startswith(f"{container} <subcommand>")


def test_a_transaction_from_standard_input(cli: Cli) -> None:
    output = cli("--no-raw", stdin=b"MULTI\nSET a 1\nINCR a\nEXEC\nMULTI\nDISCARD\nEXEC\n")
    assert output == "OK\nQUEUED\nQUEUED\n1) OK\n2) (integer) 2\nOK\nOK\n(error) ERR EXEC without MULTI\n"


# Modes.


def test_pipe(cli: Cli) -> None:
    """Tens of thousands of requests at once, as bulk loading does it; then all of it read back."""
    count = 30_000
    load = b"".join(request("SET", f"key:{number}", f"value {number}") for number in range(count))
    assert cli("--pipe", stdin=load).endswith(f"errors: 0, replies: {count}\n")
    assert cli("DBSIZE") == f"{count}\n"
    asked = "".join(f"GET key:{number}\n" for number in range(count)).encode()
    assert cli(stdin=asked).splitlines() == [f"value {number}" for number in range(count)]


def test_pipe_tells_of_errors(cli: Cli) -> None:
    load = request("SET", "a", "word") + request("INCR", "a") + request("SET", "b", "2") + request("GET")
    output = cli("--pipe", stdin=load, status=1)
    assert output.endswith("errors: 2, replies: 4\n")
    assert "ERR value is not an integer or out of range" in output
    assert cli("MGET", "a", "b") == "word\n2\n"


def test_pipe_takes_inline_commands(cli: Cli) -> None:
    load = "".join(f'SET "key {number}" {number}\r\n' for number in range(1000)).encode()
    assert cli("--pipe", stdin=load).endswith("errors: 0, replies: 1000\n")
    assert cli("GET", "key 999") == "999\n"


@pytest.fixture
def loaded(cli: Cli) -> Cli:
    """A thousand short strings and a long one."""
    load = b"".join(request("SET", f"key:{number}", "x" * (number % 10)) for number in range(1000))
    cli("--pipe", stdin=load + request("SET", "the big one", b"x" * 200_000))
    return cli


def test_scan(loaded: Cli) -> None:
    assert len(set(loaded("--scan").splitlines())) == 1001
    assert sorted(loaded("--scan", "--pattern", "key:99?").splitlines()) == [f"key:99{digit}" for digit in range(10)]
    assert loaded("--scan", "--pattern", "the *") == "the big one\n"
    assert loaded("--scan", "--pattern", "none*") == ""


def test_big_keys(loaded: Cli) -> None:
    output = loaded("--bigkeys")
    assert "Sampled 1001 keys in the keyspace!" in output
    assert re.search(r"Biggest string found [\"']+the big one[\"']+ has 200000 bytes", output), output
    assert "1001 strings with 204500 bytes (100.00% of keys" in output


def test_memory_keys(loaded: Cli) -> None:
    output = loaded("--memkeys")
    assert "Sampled 1001 keys in the keyspace!" in output
    found = re.search(r"Biggest string found [\"']+the big one[\"']+ has (\d+) bytes", output)
    assert found, output
    assert int(found[1]) >= 200_000


@pytest.fixture
def watch(daemon: Daemon) -> Iterator[Cli]:
    """Runs redis-cli in a mode that goes on for ever; gives the first few lines that it shows at a terminal."""
    terminals: list[Terminal] = []

    def watch(*arguments: str) -> str:
        terminals.append(Terminal(daemon, *arguments))
        return "".join(terminals[-1].expect("\n") + "\n" for _ in range(6))

    yield watch
    for terminal in terminals:
        terminal.close()


def test_stat(cli: Cli, watch: Cli) -> None:
    cli("SET", "a", "1")
    lines = watch("--stat", "-i", "0.01").splitlines()
    assert lines[1].split()[:3] == ["keys", "mem", "clients"]
    for line in lines[2:5]:
        keys, memory, clients, blocked = line.split()[:4]
        assert (keys, blocked) == ("1", "0")
        assert float(memory[:-1]) > 0
        assert int(clients) >= 1


def test_latency(cli: Cli) -> None:
    least, most, average, samples = cli("--latency", "--raw", "-i", "0.1").split()
    assert float(least) <= float(average) <= float(most)
    assert int(samples) > 0


def test_latency_history(watch: Cli) -> None:
    lines = watch("--latency-history", "--raw", "-i", "0.05").splitlines()
    assert all(len(line.split()) >= 4 for line in lines), lines


def test_a_script_in_a_file(cli: Cli, tmp_path: os.PathLike[str]) -> None:
    script = f"{tmp_path}/script.lua"
    with open(script, "w") as file:
        file.write("return redis.call('SET', KEYS[1], ARGV[1]) and redis.call('GET', KEYS[1])")
    assert cli("--eval", script, "a", ",", "b") == "b\n"


# What Keyp does not have: a clear word, and no harm.


def test_no_replication_stream(cli: Cli, tmp_path: os.PathLike[str]) -> None:
    for option in ("--rdb", "--functions-rdb"):
        output = cli(option, f"{tmp_path}/dump", status=1)
        assert re.search("ERR unknown command '(SYNC|REPLCONF)'", output), output
    assert cli("PING") == "PONG\n"


# Interactive.


class Terminal:
    """redis-cli at a terminal of its own: `type` keys when it has prompted, `expect` text."""

    def __init__(self, daemon: Daemon, *arguments: str) -> None:
        self.daemon = daemon
        self.screen = ""
        self.address = f"127.0.0.1:{daemon.port}"
        command = [program("redis-cli"), "-h", "127.0.0.1", "-p", str(daemon.port), *arguments]
        self._fd, there = pty.openpty()
        termios.tcsetwinsize(there, (50, 200))
        self._process = subprocess.Popen(
            command,
            stdin=there,
            stdout=there,
            stderr=there,
            start_new_session=True,
            env={**os.environ, "TERM": "xterm", "HOME": str(daemon.directory)},
        )
        os.close(there)

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def expect(self, text: str) -> str:
        """Reads until `text` has been shown since the last call; what came before it."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.screen:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"waited in vain for {text!r} in {self.screen!r}"
            self.screen += os.read(self._fd, 65536).decode()
        before, self.screen = self.screen.split(text, 1)
        return before

    def enter(self, line: str, reply: str, prompt: str = "> ") -> None:
        """Types a line; `reply` must be shown for it, and then the prompt again, which ends in `prompt`."""
        self.type(line + "\r")
        self.expect("\r\n")
        self.expect(reply)
        self.expect(self.address + prompt)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._fd)


@pytest.fixture
def terminal(daemon: Daemon, cli: Cli) -> Iterator[Terminal]:
    terminal = Terminal(daemon)
    terminal.expect(terminal.address + "> ")
    yield terminal
    terminal.close()


def test_interactive_hints(terminal: Terminal) -> None:
    """The grey text behind the cursor comes from COMMAND DOCS."""
    terminal.type("set ")
    terminal.expect("key value [NX|XX] [GET] [EX seconds|PX milliseconds|")
    terminal.enter("a hello", "OK\r\n")
    terminal.type("GETRANGE a ")
    terminal.expect("start end")
    terminal.enter("0 1", '"he"\r\n')
    terminal.type("config get\t ")
    terminal.expect("parameter [parameter ...]")
    terminal.enter("hz", '2) "10"\r\n')
    terminal.type("waitaof ")  # which this redis-cli does not know
    terminal.expect("numlocal numreplicas timeout")


def test_interactive_help(terminal: Terminal) -> None:
    terminal.type("help append\r")
    for text in ("APPEND", "key value", "summary:", "since:", "2.0.0", "group:", "string", "> "):
        terminal.expect(text)
    terminal.type("help @string\r")
    for text in ("APPEND", "since:", "SETRANGE", "> "):
        terminal.expect(text)


def test_interactive_transaction(terminal: Terminal) -> None:
    terminal.enter("multi", "OK\r\n", "(TX)> ")
    terminal.enter("incr n", "QUEUED\r\n", "(TX)> ")
    terminal.enter("exec", "1) (integer) 1\r\n")
    terminal.enter("select 5", "OK\r\n", "[5]> ")
    terminal.enter("get n", "(nil)\r\n", "[5]> ")
    terminal.enter("hello 3", '1# "server" => "redis"', "[5]> ")
    terminal.enter("get n", "(nil)\r\n", "[5]> ")


def test_interactive_client_survives_a_killed_connection(cli: Cli, terminal: Terminal) -> None:
    assert cli("CLIENT", "KILL", "TYPE", "normal") == "1\n"
    terminal.type("set a 1\r")
    terminal.expect("Server closed the connection\r\nnot connected> ")
    terminal.enter("set a 1", "OK\r\n")
    assert cli("GET", "a") == "1\n"
