"""Bytes in, requests out: the server's side of RESP, without a socket.

A request is an array of bulk strings (`*2\\r\\n$4\\r\\nECHO\\r\\n$2\\r\\nhi\\r\\n`) or a line (`ECHO hi\\r\\n`);
one stream may mix both. Rules, limits and error texts are those of redis 7 (networking.c), measured on servers:

- A length ends at `\\r`, and the byte behind it is skipped unseen; so are the two bytes behind a bulk string.
- A length is a 64-bit number written the one shortest way: no `+`, no leading zero, no space.
- A request of no arguments (`*0`, `*-1`, a blank line) is ignored.
- An inline line with a NUL byte never ends: it fails when it has grown too big. A length with one fails at once.

One departure makes every rule independent of where the network cuts the stream: a line is too big when its end is not
among its first 65,537 bytes, even where the end arrives together with the rest.

Time is linear in the bytes received. What is parsed of an unfinished request is kept; what cannot be parsed yet waits
as a list of the chunks it came in, and is joined once, when `_needed` bytes have come or the byte `_sought` has. Memory
grows with bytes received, never with a length that was only announced.

This file is compiled: the usual request is read by index alone, the rare one by the methods below `feed`.
"""

from typing import Final

from keyp.resp.inline import split_inline

_LF: Final = 0x0A
_CR: Final = 0x0D
_DOLLAR: Final = 0x24
_STAR: Final = 0x2A
_ZERO: Final = 0x30
_NINE: Final = 0x39

_MAX_LINE_BYTES: Final = 64 * 1024
_MAX_ARGUMENTS: Final = 2**31 - 1

# How a handshake of TLS begins.
_TLS_HANDSHAKE: Final = 0x16
_TLS_MAJOR: Final = 0x03

# Requests that are read in one call. A chunk of bytes may hold tens of thousands of the smallest.
AT_ONCE: Final = 2048

_LIMITED_ARGUMENTS: Final = 10
_LIMITED_BULK_BYTES: Final = 16384

_INT64_MIN: Final = -(2**63)
_INT64_MAX: Final = 2**63 - 1
_INT64_MAX_DIGITS: Final = 19


class ProtocolError(Exception):
    """The stream cannot be read any further; the client gets `text` and is cut off.

    `text` is the whole error line without its leading `-` and its line end; each character stands for one byte
    (latin-1). Where `silent` is true, the connection is closed without an error reply, and `text`, where there is any,
    is for the log.
    """

    def __init__(self, text: str, silent: bool = False) -> None:
        super().__init__(text)
        self.text = text
        self.silent = silent


class RequestParser:
    """Turns the bytes of one connection into requests; lives as long as the connection.

    `max_bulk_bytes` (proto-max-bulk-len) and `max_buffer_bytes` (client-query-buffer-limit) may change at any time and
    hold from the next `feed`. `buffered_bytes` is how many received bytes belong to a request that is not complete yet,
    framing included. `error` is None until the stream breaks, and stays set from then on.

    Each call reads AT_ONCE requests at most, those of no arguments included. What stands behind them waits, which
    `has_rest` says, and is parsed in the next call: it is for the caller to call again, with nothing, and to give
    others their turn before. Where the parser `is_limited`, because its client has to log in, arguments are few and
    short, and each call gives one request at most, since that may log him in.
    """

    def __init__(self, max_bulk_bytes: int = 512 * 1024 * 1024, max_buffer_bytes: int = 1024 * 1024 * 1024) -> None:
        self.max_bulk_bytes = max_bulk_bytes
        self.max_buffer_bytes = max_buffer_bytes
        self.buffered_bytes = 0
        self.error: ProtocolError | None = None
        self.is_limited = False
        self.has_rest = False
        # The bytes that stand behind a request in the last call, whole, and where they begin: to cut them off for each
        # request would copy all that follows each time.
        self._rest = b""
        self._rest_at = 0
        # The unfinished request: arguments read, arguments still to read, the length line read last.
        self._args: list[bytes] = []
        self._missing = 0
        self._length = 0
        # What waits to be parsed. `_bulk_bytes` is -1 where it is a line and not the payload of a bulk string.
        self._pieces: list[bytes] = []
        self._held_bytes = 0
        self._needed = 0
        self._sought = b""
        self._bulk_bytes = -1

    @property
    def argument_count(self) -> int:
        """How many arguments of the request that is not complete are."""
        return len(self._args)

    def feed(self, data: bytes) -> list[list[bytes]]:
        """The requests that `data` completes, in order, each a list of one or more arguments.

        Where the stream breaks, the requests before the break are returned and `error` is set; it raises nothing. From
        then on every call returns an empty list.
        """
        requests: list[list[bytes]] = []
        broken = self.error  # in a variable, so that what is concluded from it holds of it alone
        if broken is not None:
            return requests
        self.buffered_bytes += len(data)
        i = 0
        if self.has_rest:
            if data:
                data = self._rest[self._rest_at :] + data
            else:
                data, i = self._rest, self._rest_at
            self._rest = b""
            self.has_rest = False
        if self._needed:
            resumed = self._resume(data)
            if resumed is None:
                self._settle()
                return requests
            data = resumed
        args = self._args
        missing = self._missing
        max_bulk_bytes = self.max_bulk_bytes
        size = len(data)
        done = -1
        count = 0
        while True:
            while missing:
                # "$7\r\n" and "$16\r\n" are nearly all there is; the rest, and what is cut short, takes the long way.
                start = i + 4
                length = -1
                if start < size and data[i] == _DOLLAR:
                    length = data[i + 1] - _ZERO
                    if length > 9:
                        length = -1
                    elif data[i + 2] != _CR:
                        if length >= 1 and data[i + 3] == _CR and _ZERO <= data[i + 2] <= _NINE:
                            length = length * 10 + data[i + 2] - _ZERO
                            start = i + 5
                        else:
                            length = -1
                if length < 0 or length > max_bulk_bytes:
                    start = self._read_bulk_length(data, i)
                    if start < 0:
                        break
                    length = self._length
                i = start + length
                if i + 2 > size:
                    self._hold(data, start, length + 2, b"", length)
                    break
                args.append(data[start:i])
                i += 2
                missing -= 1
            if missing:
                break
            if args:
                requests.append(args)
                args = []
                done = i
            if i >= size:
                break
            count += 1
            if count > AT_ONCE or (self.is_limited and requests):
                self._rest, self._rest_at, self.has_rest = data, i, True
                break
            if data[i] != _STAR:
                i = self._read_inline(data, i, args)
            elif i + 4 <= size and data[i + 2] == _CR and _ZERO < data[i + 1] <= _NINE:
                missing = data[i + 1] - _ZERO
                i += 4
                continue
            else:
                i = self._read_argument_count(data, i)
                missing = self._length
            if i < 0:
                missing = 0
                break
            if not missing:
                done = i
        self._args = args
        self._missing = missing
        if done >= 0:
            self.buffered_bytes = size - done
        if self.error is not None or self.buffered_bytes > self.max_buffer_bytes:
            self._settle()
        return requests

    def _read_argument_count(self, data: bytes, i: int) -> int:
        """Read the line `*N` at `i` into `_length`, 0 for any N below 1; returns the index behind it, -1 to stop."""
        end = self._find_length_end(data, i, "too big mbulk count string")
        if end < 0:
            return -1
        count = _strict_int(data[i + 1 : end])
        if count is None or count > _MAX_ARGUMENTS:
            return self._fail("invalid multibulk length")
        if self.is_limited and count > _LIMITED_ARGUMENTS:
            return self._fail("unauthenticated multibulk length")
        self._length = max(count, 0)
        return end + 2

    def _read_bulk_length(self, data: bytes, i: int) -> int:
        """Read the line `$N` at `i` into `_length`; returns the index behind it, -1 to stop."""
        end = self._find_length_end(data, i, "too big bulk count string")
        if end < 0:
            return -1
        if data[i] != _DOLLAR:
            got = " " if data[i] == _CR or data[i] == _LF else chr(data[i])
            return self._fail(f"expected '$', got '{got}'")
        length = _strict_int(data[i + 1 : end])
        if length is None or length < 0 or length > self.max_bulk_bytes:
            return self._fail("invalid bulk length")
        if self.is_limited and length > _LIMITED_BULK_BYTES:
            return self._fail("unauthenticated bulk length")
        self._length = length
        return end + 2

    def _find_length_end(self, data: bytes, i: int, too_big: str) -> int:
        """The index of the `\\r` that ends the line at `i`; -1 where it is cut short, or an error because too big."""
        size = len(data)
        end = data.find(b"\r", i, i + _MAX_LINE_BYTES + 1)
        if end < 0 and size - i > _MAX_LINE_BYTES:
            return self._fail(too_big)
        if end < 0:
            self._hold(data, i, _MAX_LINE_BYTES + 1, b"\r", -1)
        elif end + 1 == size:
            self._hold(data, i, size - i + 1, b"", -1)
            end = -1
        return end

    def _read_inline(self, data: bytes, i: int, args: list[bytes]) -> int:
        """Put the arguments of the line at `i` into `args`; returns the index behind its end, -1 to stop."""
        if data[i] == _TLS_HANDSHAKE:
            if i + 1 == len(data):
                self._hold(data, i, 2, b"", -1)
                return -1
            if data[i + 1] == _TLS_MAJOR:
                self.error = ProtocolError("it speaks TLS to a port without it", silent=True)
                return -1
        end = data.find(b"\n", i, i + _MAX_LINE_BYTES + 1)
        sought = b"\n"
        if data.find(b"\0", i, end if end >= 0 else i + _MAX_LINE_BYTES + 1) >= 0:
            end = -1
            sought = b""
        if end < 0:
            if len(data) - i > _MAX_LINE_BYTES:
                return self._fail("too big inline request")
            self._hold(data, i, _MAX_LINE_BYTES + 1, sought, -1)
            return -1
        line = data[i : end - 1] if end > i and data[end - 1] == _CR else data[i:end]
        words = split_inline(line)
        if words is None:
            return self._fail("unbalanced quotes in request")
        args.extend(words)
        return end + 1

    def _hold(self, data: bytes, i: int, needed: int, sought: bytes, bulk_bytes: int) -> None:
        """Keep `data` from `i` on until `needed` bytes of it have come or, unless empty, the byte `sought` has."""
        rest = data[i:]
        self._pieces = [rest]
        self._held_bytes = len(rest)
        self._needed = needed
        self._sought = sought
        self._bulk_bytes = bulk_bytes

    def _resume(self, data: bytes) -> bytes | None:
        """What to parse now that `data` has come: None while too little has, else a text starting at an item's start.

        A bulk string that is complete goes to the arguments straight from its pieces, so it is copied only once.
        """
        if not data:
            return None
        pieces = self._pieces
        pieces.append(data)
        self._held_bytes += len(data)
        surplus = self._held_bytes - self._needed
        if surplus < 0 and (not self._sought or data.find(self._sought) < 0):
            return None
        self._pieces = []
        self._needed = 0
        if self._bulk_bytes < 0:
            return b"".join(pieces)
        self._bulk_bytes = -1
        kept = len(data) - surplus - 2
        if kept >= 0:
            pieces[-1] = data[:kept]
        else:
            # Only the last byte of all came now; the byte before it, no part of the payload either, came earlier.
            pieces.pop()
            pieces[-1] = pieces[-1][:-1]
        self._args.append(b"".join(pieces))
        self._missing -= 1
        return data[len(data) - surplus :]

    def _fail(self, what: str) -> int:
        """Break the stream with Redis's words; returns -1, the index that stops the parser."""
        self.error = ProtocolError(f"ERR Protocol error: {what}")
        return -1

    def _settle(self) -> None:
        """End a call: too much held breaks the stream, and a broken stream lets go of what is held."""
        if self.error is None and self.buffered_bytes > self.max_buffer_bytes:
            self.error = ProtocolError("", silent=True)
        if self.error is not None:
            self._release()

    def _release(self) -> None:
        """Let go of every byte held: a broken stream is not read again, yet its parser may live on for a while."""
        self.buffered_bytes = 0
        self.has_rest = False
        self._rest = b""
        self._args = []
        self._missing = 0
        self._pieces = []
        self._held_bytes = 0
        self._needed = 0
        self._bulk_bytes = -1


def _strict_int(digits: bytes) -> int | None:
    """The number `digits` writes in its one shortest form, from -2**63 to 2**63-1; None for anything else."""
    magnitude = digits[1:] if digits.startswith(b"-") else digits
    if not magnitude.isdigit() or len(magnitude) > _INT64_MAX_DIGITS:
        return None
    if magnitude.startswith(b"0") and digits != b"0":
        return None
    value = int(digits)
    return value if _INT64_MIN <= value <= _INT64_MAX else None
