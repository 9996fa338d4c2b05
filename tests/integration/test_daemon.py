"""The process from the outside: how it starts, refuses to start, becomes a daemon and stops with nothing lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import COMPILED, DEADLINE_S, ROOT, Daemon, free_port, wait_until

KEYP = ("-m", "keyp")
TWISTD = ("-c", "from twisted.scripts.twistd import run; run()")
IN_A_HURRY = ("-c", "from keyp import main; from keyp.net import service; service.FAREWELL_S = 0.3; main.main()")


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}


def run(directory: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with `arguments`, a program that ends by itself, to its end."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=directory,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )


def assert_refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """The server did not start, and says why in one line with `words`."""
    output = result.stdout + result.stderr
    assert result.returncode == 1, output
    lines = [line for line in output.splitlines() if "keyp: " in line]
    assert len(lines) == 1, output
    for word in words:
        assert word in lines[0]
    assert "Traceback" not in output


class Connection:
    """A socket that speaks inline commands, each of which has a reply of one line."""

    def __init__(self, address: str | int) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self._socket = socket.socket(family)
        self._socket.settimeout(DEADLINE_S)
        self._socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        self._lines = self._socket.makefile("rb")

    def call(self, *commands: str) -> list[str]:
        """The replies; fewer than the commands where the server has closed the connection."""
        try:
            self._socket.sendall("".join(f"{command}\r\n" for command in commands).encode())
        except OSError:
            return []
        replies = []
        for _ in commands:
            try:
                line = self._lines.readline()
            except OSError:
                break
            if not line.endswith(b"\r\n"):
                break
            replies.append(line.decode().rstrip())
        return replies

    def close(self) -> None:
        self._lines.close()
        self._socket.close()


def ask(address: str | int, *commands: str) -> list[str]:
    connection = Connection(address)
    try:
        return connection.call(*commands)
    finally:
        connection.close()


def is_served(path: Path) -> bool:
    try:
        return ask(str(path), "PING") == ["+PONG"]
    except OSError:
        return False


def batched(names: list[str], count: int) -> Iterator[list[str]]:
    return (names[start : start + count] for start in range(0, len(names), count))


def exists(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about does not."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2]
    except FileNotFoundError:
        return False


# Stop.

# A shell lets what it runs in the background ignore Ctrl-C, and the tests may run there.
HEARS_CTRL_C = ("env", "--default-signal=INT")


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(server: StartServer, ending: signal.Signals) -> None:
    daemon = server(launcher=HEARS_CTRL_C)
    idle = Connection(daemon.port)
    assert ask(daemon.port, "SET a 1", "SET b 2 EX 1000", "SELECT 3", "SET c 3") == ["+OK"] * 4
    os.kill(daemon.pid, ending)
    daemon.wait_for_exit()
    assert idle.call("PING") == []
    assert "everything is on the disk" in daemon.log()
    daemon.start()
    assert ask(daemon.port, "STRLEN a", "DBSIZE", "SELECT 3", "STRLEN c") == [":1", ":2", "+OK", ":1"]
    (left,) = ask(daemon.port, "TTL b")
    assert 900 < int(left[1:]) <= 1000
    idle.close()


class Writer(threading.Thread):
    """Writes keys of its own, a pipeline at a time, until the server hangs up; `acknowledged` of them were answered."""

    PIPELINE = 40

    def __init__(self, daemon: Daemon, number: int) -> None:
        super().__init__(daemon=True)
        self.connection = Connection(daemon.port)
        self.number = number
        self.acknowledged = 0
        self.wrong: list[str] = []

    def key(self, index: int) -> str:
        return f"writer:{self.number}:{index}"

    def run(self) -> None:
        complete = True
        while complete:
            start = self.acknowledged
            indexes = range(start, start + self.PIPELINE)
            replies = self.connection.call(*(f"SET {self.key(index)} {index}" for index in indexes))
            self.wrong += [reply for reply in replies if reply != "+OK"]
            self.acknowledged += len(replies)
            complete = len(replies) == self.PIPELINE
        self.connection.close()


@pytest.mark.parametrize("fsync", ["always", "everysec", "no"])
def test_a_stop_under_load_loses_nothing_acknowledged(server: StartServer, fsync: str) -> None:
    daemon = server(f"--fsync={fsync}")
    writers = [Writer(daemon, number) for number in range(6)]
    for writer in writers:
        writer.start()
    wait_until(lambda: all(writer.acknowledged > 400 for writer in writers), "writes under way")
    daemon.stop()
    for writer in writers:
        writer.join(DEADLINE_S)
        assert not writer.is_alive()
        assert writer.wrong == []
    daemon.start()
    for writer in writers:
        names = [writer.key(index) for index in range(writer.acknowledged)]
        # A line may be 64 KiB long.
        commands = [" ".join(("EXISTS", *some)) for some in batched(names, 500)]
        assert sum(int(reply[1:]) for reply in ask(daemon.port, *commands)) == len(names)


def test_a_client_that_does_not_read_cannot_hold_up_the_stop_for_long(server: StartServer) -> None:
    """The farewell, with less patience than a server usually has."""
    daemon = server(program=IN_A_HURRY)
    deaf = socket.create_connection(("127.0.0.1", daemon.port))
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    value = b"x" * 1_000_000
    deaf.sendall(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\n" % (len(value), value))
    deaf.sendall(b"GET k\r\n" * 50)
    wait_until(lambda: ask(daemon.port, "EXISTS k") == [":1"], "the large value")
    daemon.stop()
    deaf.close()


HOUR_LONG = ("DEBUG SLEEP 3600", "BLPOP nosuch 3600", "MULTI\r\nDEBUG SLEEP 3600\r\nEXEC")


@pytest.mark.parametrize("asked", ["SIGTERM", "SHUTDOWN"])
def test_it_stops_at_once_whatever_waits(server: StartServer, asked: str) -> None:
    daemon = server()
    r = redis.Redis(port=daemon.port, socket_timeout=DEADLINE_S)
    waiting = [socket.create_connection(("127.0.0.1", daemon.port), timeout=DEADLINE_S) for _ in HOUR_LONG]
    for connection, line in zip(waiting, HOUR_LONG, strict=True):
        connection.sendall(f"{line}\r\n".encode())
    under_way = {"debug", "blpop", "exec"}
    wait_until(lambda: under_way <= {client["cmd"] for client in r.client_list()}, "all of them to wait")
    if asked == "SHUTDOWN":
        assert ask(daemon.port, "SHUTDOWN") == []
    else:
        r.client_pause(3_600_000)
        waiting[1].sendall(b"PING\r\n")
        os.kill(daemon.pid, signal.SIGTERM)
    daemon.wait_for_exit()
    assert waiting[0].recv(100) == b"+OK\r\n"
    for connection in waiting:
        connection.close()
    r.close()


def test_its_modules_are_compiled_where_the_run_says_so(server: StartServer) -> None:
    with redis.Redis(port=server().port) as client:
        assert client.info("keyp")["compiled"] == ("yes" if COMPILED else "no")


def test_debug_is_for_those_whom_the_command_line_allows(server: StartServer) -> None:
    refusing = server("--enable-debug-command=no")
    assert ask(refusing.port, "DEBUG SLEEP 0")[0].startswith("-ERR DEBUG command not allowed. If the enable-debug")
    for option in ("local", "yes"):
        allowing = server(f"--enable-debug-command={option}")
        assert ask(allowing.port, "DEBUG SLEEP 0") == ["+OK"]
        with redis.Redis(port=allowing.port) as client:
            assert client.config_get("enable-*-command") == {
                "enable-debug-command": option,
                "enable-module-command": "no",
            }


# Refusals.


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--fsync=sometimes", ("--fsync", "always, everysec or no", "'sometimes'")),
        ("--port=99999", ("--port", "between 0 and 65535", "'99999'")),
        ("--port=-1", ("--port", "between 0 and 65535", "'-1'")),
        ("--port=redis", ("--port", "'redis'")),
        ("--databases=0", ("--databases", "between 1 and", "'0'")),
        ("--databases=many", ("--databases", "'many'")),
        (f"--databases={'1' * 5000}", ("--databases", "between 1 and")),
        ("--enable-debug-command=maybe", ("--enable-debug-command", "yes, local or no", "'maybe'")),
        ("--data-dir=", ("--data-dir", "empty")),
        ("--endpoint=nonsense", ("endpoint", "'nonsense'")),
        ("--endpoint=tcp:port=x", ("endpoint", "'tcp:port=x'")),
        ("--endpoint=unix:/proc/keyp/socket", ("unix:/proc/keyp/socket", "No such file")),
        ("--host=no.such.host.invalid", ("no.such.host.invalid",)),
        ("--colour=blue", ("--colour",)),
        ("please", ("can't open config file", "please'")),
    ],
)
def test_an_option_without_sense_is_refused(tmp_path: Path, option: str, words: tuple[str, ...]) -> None:
    assert_refused(run(tmp_path, *KEYP, option), *words)
    assert list(tmp_path.iterdir()) == []


def test_two_servers_never_share_a_directory(server: StartServer) -> None:
    daemon = server()
    second = run(daemon.directory, *KEYP, "--port=0", f"--data-dir={daemon.data_dir}")
    assert_refused(second, str(daemon.data_dir), "in use by another Keyp")
    assert ask(daemon.port, "SET a 1") == ["+OK"]


def test_a_port_in_use_is_refused(server: StartServer, tmp_path: Path) -> None:
    daemon = server()
    second = run(tmp_path, *KEYP, "--host=127.0.0.1", f"--port={daemon.port}", "--data-dir=other")
    assert_refused(second, f"127.0.0.1 port {daemon.port}", "in use")
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/keyp"])
def test_a_directory_that_cannot_be_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    assert_refused(run(tmp_path, *KEYP, "--port=0", f"--data-dir={place}"), "data directory", str(tmp_path / place))
    assert (tmp_path / "file").read_text() == "mine"


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    content = b"this is no store\n" * 1000
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "data.mdb").write_bytes(content)
    assert_refused(run(tmp_path, *KEYP, "--port=0"), str(tmp_path / "data"))
    assert (tmp_path / "data" / "data.mdb").read_bytes() == content


def test_it_tells_its_version_and_its_options(tmp_path: Path) -> None:
    version = run(tmp_path, *KEYP, "--version")
    assert (version.returncode, version.stdout.split()[0]) == (0, "Keyp")
    usage = run(tmp_path, *KEYP, "--help")
    assert usage.returncode == 0
    assert usage.stdout.startswith("Usage: keyp [options]\n")
    for option in ("--host", "--port", "--data-dir", "--databases", "--fsync", "--enable-debug-command", "--endpoint"):
        assert option in usage.stdout
    assert "keyp" in run(tmp_path, *TWISTD, "--help").stdout


# Endpoints.


@pytest.fixture
def sockets_only(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A server on two Unix sockets, `one` and `two`, and nothing else."""
    options = ["--endpoint=unix:one", "--endpoint=unix:two:mode=600"]
    with (tmp_path / "log").open("wb") as log:
        command = [sys.executable, *KEYP, *options]
        process = subprocess.Popen(command, cwd=tmp_path, env=environment(), stdout=log, stderr=log)
    yield process
    process.kill()
    process.wait(DEADLINE_S)


def test_endpoints_take_the_place_of_the_port(tmp_path: Path, sockets_only: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: is_served(tmp_path / "one") and is_served(tmp_path / "two"), "an answer on both sockets")
    assert (tmp_path / "two").stat().st_mode & 0o777 == 0o600
    assert ask(str(tmp_path / "one"), "SET a 1") == ["+OK"]
    assert ask(str(tmp_path / "two"), "EXISTS a") == [":1"]
    (line,) = [line for line in (tmp_path / "log").read_text().splitlines() if "serves" in line]
    assert ":6377" not in line
    sockets_only.terminate()
    assert sockets_only.wait(DEADLINE_S) == 0
    assert not (tmp_path / "one").exists()


def test_an_endpoint_joins_a_port_that_was_asked_for(server: StartServer, tmp_path: Path) -> None:
    daemon = server(f"--endpoint=unix:{tmp_path / 'socket'}", f"--endpoint=tcp:{free_port()}:interface=127.0.0.1")
    assert ask(str(tmp_path / "socket"), "SET a 1") == ["+OK"]
    assert ask(int(daemon.options[1].split(":")[1]), "EXISTS a") == [":1"]
    assert ask(daemon.port, "EXISTS a") == [":1"]


def test_the_socket_of_a_server_that_was_killed_is_no_obstacle(server: StartServer, tmp_path: Path) -> None:
    daemon = server(f"--endpoint=unix:{tmp_path / 'socket'}")
    daemon.kill()
    assert (tmp_path / "socket").exists()
    daemon.start()
    assert is_served(tmp_path / "socket")


# The daemon.


def twistd(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run(directory, *TWISTD, "--pidfile=keyp.pid", "--logfile=keyp.log", "keyp", "--host=127.0.0.1", *options)


def stop_daemon(directory: Path) -> None:
    """Ends the daemon by its pid file and waits until it has gone; it takes the file with it."""
    pid = int((directory / "keyp.pid").read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not exists(pid), "the daemon's end")
    assert not (directory / "keyp.pid").exists()


def test_twistd_makes_it_a_daemon(tmp_path: Path) -> None:
    port = free_port()
    for written in (0, 1):
        started = twistd(tmp_path, f"--port={port}")
        assert started.returncode == 0, started.stdout + started.stderr
        try:
            wait_until(lambda: "serves" in (tmp_path / "keyp.log").read_text(), "the server's start")
            assert ask(port, "DBSIZE", f"SET key:{written} 1") == [f":{written}", "+OK"]
        finally:
            stop_daemon(tmp_path)
    log = (tmp_path / "keyp.log").read_text()
    assert log.count("everything is on the disk") == 2
    assert "Traceback" not in log


def test_a_daemon_that_cannot_start_says_so(server: StartServer, tmp_path: Path) -> None:
    daemon = server()
    refused = twistd(tmp_path, "--port=0", f"--data-dir={daemon.data_dir}")
    assert refused.returncode == 1
    # The parent gets the first hundred bytes and does not wait for the daemon to be gone.
    assert "StartupError: the data directory" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr
    wait_until(lambda: "in use by another Keyp" in (tmp_path / "keyp.log").read_text(), "the reason in the log")
    wait_until(lambda: not (tmp_path / "keyp.pid").exists(), "the pid file's end")
    assert "Traceback" not in (tmp_path / "keyp.log").read_text()
