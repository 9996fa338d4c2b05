"""What a reply may be, as Python values. The encoder turns them into bytes of RESP2 or RESP3.

| Python value           | RESP2                        | RESP3            |
|------------------------|------------------------------|------------------|
| bytes                  | bulk string                  | bulk string      |
| str                    | simple string (`+OK`)        | simple string    |
| int                    | integer                      | integer          |
| bool                   | integer 0 or 1               | boolean          |
| float, DoubleText      | bulk string                  | double           |
| None                   | null bulk string             | null             |
| NULL_ARRAY             | null array                   | null             |
| list, tuple            | array                        | array            |
| dict                   | flat array of keys, values   | map              |
| Pairs                  | flat array                   | array of arrays  |
| PairedMap              | array of arrays              | map              |
| Set                    | array                        | set              |
| Verbatim               | bulk string                  | verbatim string  |
| BigNumber              | bulk string                  | big number       |
| Push                   | array                        | push             |
| ReplyError             | error                        | error            |
| Several                | its replies, one by one      | likewise         |
| Encoded                | its bytes                    | likewise         |

A `str` never holds a line break. Commands return these; none of them knows which protocol the client speaks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias


class ReplyError:
    """An error as a value: the reply to a failed command, alone or inside the array of an EXEC."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"ReplyError({self.text!r})"


class NullArray:
    """The null array (an EXEC that was called off, a blocking pop that timed out)."""


NULL_ARRAY: Final = NullArray()


class Set:
    """An unordered reply without duplicates; the order given is the order sent."""

    def __init__(self, members: Sequence[Reply]) -> None:
        self.members = members


class Pairs:
    """Members with their scores, fields with their values: an order that counts, and perhaps the same one twice."""

    def __init__(self, pairs: Sequence[tuple[bytes, bytes | float]]) -> None:
        self.pairs = pairs


class PairedMap:
    """Keys with their values, where a key may come twice."""

    def __init__(self, pairs: Sequence[tuple[bytes, Reply]]) -> None:
        self.pairs = pairs


class Encoded:
    """Arrays of bulk strings, or one of either, as bytes: the same in both protocols."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def decoded(self) -> Reply:
        """The reply as a value of lists and bytes."""
        return _decoded(self.data, 0)[0]


def _decoded(data: bytes, start: int) -> tuple[Reply, int]:
    """The value that begins at `start`, and where it ends."""
    stop = data.index(b"\r\n", start)
    size = int(data[start + 1 : stop])
    stop += 2
    if data[start : start + 1] == b"$":
        return data[stop : stop + size], stop + size + 2
    items: list[Reply] = []
    for _ in range(size):
        item, stop = _decoded(data, stop)
        items.append(item)
    return items, stop


class DoubleText:
    """A double that is printed otherwise than with the fewest digits."""

    def __init__(self, text: bytes) -> None:
        self.text = text


class Verbatim:
    """Text meant for people (INFO, CLIENT LIST). RESP3 says in three letters what it is written in."""

    def __init__(self, text: bytes, text_format: bytes = b"txt") -> None:
        self.text = text
        self.text_format = text_format


class BigNumber:
    """A whole number of any length, in decimal digits. Only scripts reply with one."""

    def __init__(self, digits: bytes) -> None:
        self.digits = digits


class Push:
    """Something out of band: a message, an invalidation."""

    def __init__(self, items: Sequence[Reply]) -> None:
        self.items = items


class Several:
    """Any number of replies to one command, one after the other (SUBSCRIBE to many channels).

    Clients read them like pushes, so they are sent even where CLIENT REPLY wants none. Inside an EXEC's array all of
    them stand where one is announced, as in Redis.
    """

    def __init__(self, replies: Sequence[Reply]) -> None:
        self.replies = replies


class NoReply:
    """Nothing at all is sent."""


NO_REPLY: Final = NoReply()


class Wait:
    """No reply yet: none of the `keys` of the selected database has an element.

    The command is to be run again when one of them holds a value of `value_type`. If that does not happen within
    `timeout_ms` milliseconds the reply is the null array; a timeout of 0 never ends. A transaction does not wait and
    gets `otherwise` at once.

    `again` is the call that is run then, None for the same. Those who wait with the same `rival` take from each other:
    where one of them finds nothing, the others need not look; None stands for who takes nothing from anybody. One who
    `needs_key` gets the command's error when the key is gone or of another type.
    """

    def __init__(
        self,
        value_type: int,
        keys: Sequence[bytes],
        timeout_ms: int,
        otherwise: Reply = NULL_ARRAY,
        again: list[bytes] | None = None,
        rival: bytes | None = b"",
        needs_key: bool = False,
    ) -> None:
        self.value_type = value_type
        self.keys = keys
        self.timeout_ms = timeout_ms
        self.otherwise = otherwise
        self.again = again
        self.rival = rival
        self.needs_key = needs_key


Reply: TypeAlias = (
    "bool | int | float | bytes | str | Sequence[Reply] | Mapping[Any, Reply] | Set | Pairs | PairedMap | Encoded"
    " | DoubleText | Verbatim | BigNumber | Push | Several | ReplyError | NullArray | NoReply | Wait | None"
)
