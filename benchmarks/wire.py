"""One connection to a server, and the quick way to make many keys over it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from types import TracebackType

Reply = bytes | int | None | list["Reply"]

KEY = "key:"
CHUNK = 1000  # commands that are sent together
SMALLEST, LARGEST = 3, 100
LETTERS = bytes(97 + number % 26 for number in range(LARGEST))


class Refused(Exception):
    """An error reply."""


class Connection:
    """Sends a request and waits for its whole reply; `with` closes it."""

    def __init__(self, port: int, timeout_s: float = 300) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self.socket.close()

    def call(self, *words: bytes | str | int) -> Reply:
        """The reply. Raises `Refused` for an error reply, `OSError` where the connection fails."""
        self.socket.sendall(encode(*words))
        return self._reply()

    def timed(self, *words: bytes | str | int) -> float:
        """Milliseconds until the reply."""
        began = time.perf_counter()
        self.call(*words)
        return (time.perf_counter() - began) * 1e3

    def read(self, count: int) -> bytes:
        """So many bytes of replies. Raises `OSError` where the connection ends before."""
        found = self._file.read(count)
        if len(found) < count:
            raise ConnectionError("the server has closed the connection")
        return found

    def _reply(self) -> Reply:
        line = self._file.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest
        if kind == b"-":
            raise Refused(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.read(int(rest) + 2)[:-2]
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        raise ConnectionError("the server has closed the connection" if not line else f"not a reply: {line!r}")


def encode(*words: bytes | str | int) -> bytes:
    """A request as RESP."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"".join([b"*%d\r\n" % len(encoded), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded)])


def key(number: int, prefix: str = KEY) -> str:
    """The name that redis-benchmark gives to the number it draws for `__rand_int__`."""
    return f"{prefix}{number:012d}"


def small_value(number: int) -> bytes:
    """3 to 100 bytes, each length as often as the others, without any order."""
    return LETTERS[: SMALLEST + number * 61 % (LARGEST - SMALLEST + 1)]


def fill(
    connection: Connection,
    numbers: range,
    value_of: Callable[[int], bytes] = small_value,
    options: tuple[str | int, ...] = (),
    prefix: str = KEY,
    progress: Callable[[int], object] = lambda _: None,
) -> None:
    """Sets the keys of these numbers, with `options` of SET such as EX 100, many in flight. Calls `progress` with how
    many.

    Raises `Refused` where a reply is not OK.
    """
    awaited = 0
    for chunk in _chunks(numbers, value_of, options, prefix):
        connection.socket.sendall(chunk[0])
        if awaited:
            _expect(connection, awaited)
            progress(awaited)
        awaited = chunk[1]
    _expect(connection, awaited)
    progress(awaited)


def _chunks(
    numbers: range, value_of: Callable[[int], bytes], options: tuple[str | int, ...], prefix: str
) -> Iterator[tuple[bytes, int]]:
    more = b"".join(encode(word)[4:] for word in options)
    name = prefix.encode()
    head = b"*%d\r\n$3\r\nSET\r\n$%d\r\n%b" % (3 + len(options), len(name) + 12, name)
    for start in range(0, len(numbers), CHUNK):
        part = numbers[start : start + CHUNK]
        values = ((number, value_of(number)) for number in part)
        yield (
            b"".join(
                b"%b%012d\r\n$%d\r\n%b\r\n%b" % (head, number, len(value), value, more) for number, value in values
            ),
            len(part),
        )


def _expect(connection: Connection, count: int) -> None:
    replies = connection.read(5 * count)
    if replies != b"+OK\r\n" * count:
        raise Refused(f"keys could not be set: {replies[:200]!r}")
