"""Replies out: the Python values of `values.py` as bytes of RESP2 or RESP3, by the table in that file.

`encode_into` appends chunks, so that the replies of a whole batch become one `b"".join` and a big bulk string is copied
by that join and never before. The types of replies are tried in the order of how often they are sent; common short
replies are built once, when this module is loaded.

The encoder trusts its caller: a `str` or an error text with a line break in it would break the stream.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from keyp.resp.values import (
    BigNumber,
    DoubleText,
    Encoded,
    NoReply,
    NullArray,
    PairedMap,
    Pairs,
    Push,
    Reply,
    ReplyError,
    Set,
    Several,
    Verbatim,
)

# Beyond this many bytes, three chunks cost less than copying the bulk string into one.
_SMALL_BULK_BYTES: Final = 1024
_PREPARED_INTEGERS: Final = 1024

# Items of a long reply that are encoded in one go: about a millisecond's work.
SLICE_ITEMS: Final = 4096

_INFINITY: Final = float("inf")
_WHOLE_LIMIT: Final = float(2**62)

_SIMPLE_STRINGS: Final[dict[str, bytes]] = {
    "OK": b"+OK\r\n",
    "QUEUED": b"+QUEUED\r\n",
    "PONG": b"+PONG\r\n",
    "RESET": b"+RESET\r\n",
    "none": b"+none\r\n",
    "string": b"+string\r\n",
    "hash": b"+hash\r\n",
    "list": b"+list\r\n",
    "set": b"+set\r\n",
    "zset": b"+zset\r\n",
    "stream": b"+stream\r\n",
}
_INTEGERS: Final[list[bytes]] = [b":%d\r\n" % number for number in range(_PREPARED_INTEGERS)]
_BULK_HEADS: Final[list[bytes]] = [b"$%d\r\n" % number for number in range(_SMALL_BULK_BYTES + 1)]
_ARRAY_HEADS: Final[list[bytes]] = [b"*%d\r\n" % number for number in range(_PREPARED_INTEGERS)]


def encode(reply: Reply, protocol: int) -> bytes:
    """`reply` as bytes of RESP2 (`protocol` 2) or RESP3 (3). Raises TypeError for a value that is no reply."""
    out: list[bytes] = []
    encode_into(out, reply, protocol)
    return out[0] if len(out) == 1 else b"".join(out)


def encode_into(out: list[bytes], reply: Reply, protocol: int) -> None:
    """Append the bytes of `reply` to `out`, in one chunk or more. Raises TypeError for a value that is no reply."""
    if isinstance(reply, bytes):
        _append_bulk(out, reply)
    elif isinstance(reply, str):
        prepared = _SIMPLE_STRINGS.get(reply)
        out.append(prepared if prepared is not None else b"+%b\r\n" % reply.encode("latin-1", "replace"))
    elif isinstance(reply, bool):
        if protocol >= 3:
            out.append(b"#t\r\n" if reply else b"#f\r\n")
        else:
            out.append(b":1\r\n" if reply else b":0\r\n")
    elif isinstance(reply, int):
        out.append(_INTEGERS[reply] if 0 <= reply < _PREPARED_INTEGERS else b":%d\r\n" % reply)
    elif reply is None:
        out.append(b"_\r\n" if protocol >= 3 else b"$-1\r\n")
    elif isinstance(reply, (list, tuple)):
        size = len(reply)
        out.append(_ARRAY_HEADS[size] if size < _PREPARED_INTEGERS else b"*%d\r\n" % size)
        for item in reply:
            if isinstance(item, bytes):
                _append_bulk(out, item)
            else:
                encode_into(out, item, protocol)
    else:
        _append_rare(out, reply, protocol)


def encode_in_slices(out: list[bytes], reply: Reply, protocol: int, breathe: Callable[[], None]) -> None:
    """As `encode_into`, for a reply that may be long: in chunks of many items, and a call of `breathe` behind each.

    A compiled loop lets no other thread run, and the sender would have to join a long list of chunks.
    """
    if isinstance(reply, Set):
        _encode_items(out, b"~" if protocol >= 3 else b"*", list(reply.members), protocol, breathe)
    elif isinstance(reply, (list, tuple)):
        _encode_items(out, b"*", list(reply), protocol, breathe)
    else:
        encode_into(out, reply, protocol)


def _encode_items(
    out: list[bytes], sign: bytes, items: list[Reply], protocol: int, breathe: Callable[[], None]
) -> None:
    out.append(b"%b%d\r\n" % (sign, len(items)))
    for start in range(0, len(items), SLICE_ITEMS):
        chunks: list[bytes] = []
        for item in items[start : start + SLICE_ITEMS]:
            encode_into(chunks, item, protocol)
        out.append(b"".join(chunks))
        breathe()


def _append_bulk(out: list[bytes], data: bytes) -> None:
    size = len(data)
    if size <= _SMALL_BULK_BYTES:
        out.append(_BULK_HEADS[size] + data + b"\r\n")
    else:
        out.append(b"$%d\r\n" % size)
        out.append(data)
        out.append(b"\r\n")


def _append_rare(out: list[bytes], reply: Reply, protocol: int) -> None:
    """The types of replies that few commands send."""
    resp3 = protocol >= 3
    if isinstance(reply, Encoded):
        out.append(reply.data)
    elif isinstance(reply, ReplyError):
        out.append(b"-%b\r\n" % reply.text.encode("latin-1", "replace"))
    elif isinstance(reply, float):
        _append_double(out, format_double(reply), resp3)
    elif isinstance(reply, Pairs):
        _append_pairs(out, reply.pairs, resp3)
    elif isinstance(reply, PairedMap):
        out.append((b"%%%d\r\n" if resp3 else b"*%d\r\n") % len(reply.pairs))
        for name, item in reply.pairs:
            if not resp3:
                out.append(b"*2\r\n")
            _append_bulk(out, name)
            encode_into(out, item, protocol)
    elif isinstance(reply, Mapping):
        out.append(b"%%%d\r\n" % len(reply) if resp3 else b"*%d\r\n" % (2 * len(reply)))
        for key, value in reply.items():
            encode_into(out, key, protocol)
            encode_into(out, value, protocol)
    elif isinstance(reply, Set):
        _append_items(out, b"~" if resp3 else b"*", reply.members, protocol)
    elif isinstance(reply, Push):
        _append_items(out, b">" if resp3 else b"*", reply.items, protocol)
    elif isinstance(reply, Verbatim):
        if resp3:
            out.append(b"=%d\r\n%b:" % (len(reply.text) + 4, reply.text_format[:3].ljust(3)))
            out.append(reply.text)
            out.append(b"\r\n")
        else:
            _append_bulk(out, reply.text)
    elif isinstance(reply, DoubleText):
        _append_double(out, reply.text, resp3)
    elif isinstance(reply, BigNumber):
        if resp3:
            out.append(b"(%b\r\n" % reply.digits)
        else:
            _append_bulk(out, reply.digits)
    elif isinstance(reply, NullArray):
        out.append(b"_\r\n" if resp3 else b"*-1\r\n")
    elif isinstance(reply, Several):
        for each in reply.replies:
            encode_into(out, each, protocol)
    elif isinstance(reply, Sequence):
        _append_items(out, b"*", reply, protocol)
    elif not isinstance(reply, NoReply):
        raise TypeError(f"no reply can be made of {type(reply).__name__}")


def _append_double(out: list[bytes], text: bytes, resp3: bool) -> None:
    out.append(b",%b\r\n" % text if resp3 else b"$%d\r\n%b\r\n" % (len(text), text))


def _append_pairs(out: list[bytes], pairs: Sequence[tuple[bytes, bytes | float]], resp3: bool) -> None:
    out.append(b"*%d\r\n" % (len(pairs) if resp3 else 2 * len(pairs)))
    for one, other in pairs:
        if resp3:
            out.append(b"*2\r\n")
        _append_bulk(out, one)
        if isinstance(other, bytes):
            _append_bulk(out, other)
        else:
            _append_double(out, format_double(other), resp3)


def _append_items(out: list[bytes], sign: bytes, items: Sequence[Reply], protocol: int) -> None:
    out.append(b"%b%d\r\n" % (sign, len(items)))
    for item in items:
        encode_into(out, item, protocol)


def format_double(value: float) -> bytes:
    """`value` as Redis prints scores: the fewest digits that read back as the same number.

    Whole numbers up to 2**62 come in full, infinities as `inf` and `-inf`, the rest by the rule of redis 7.2, plain or
    with an exponent (`1e+20`, `1.5e-7`). Redis 7.0 printed 17 digits, 0.10000000000000001; this is not done here. For
    one long number in some hundred Redis prints a digit more than is needed, or another last digit.

    INCRBYFLOAT and HINCRBYFLOAT never print an exponent and want a rule of their own.
    """
    if value != value:
        return b"nan"
    if value in (_INFINITY, -_INFINITY):
        return b"inf" if value > 0 else b"-inf"
    text = repr(value)
    if text.endswith(".0"):
        return text[:-2].encode()
    if -_WHOLE_LIMIT <= value <= _WHOLE_LIMIT and value.is_integer():
        return b"%d" % int(value)
    sign = "-" if text.startswith("-") else ""
    mantissa, _, exponent = text.removeprefix("-").partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    power = int(exponent or "0") - len(fraction)
    digits = (whole + fraction).lstrip("0")
    significant = digits.rstrip("0")
    power += len(digits) - len(significant)
    return (sign + _place_point(significant, power)).encode()


def _place_point(digits: str, power: int) -> str:
    """The number `digits` × 10**`power`, plain or with an exponent, whichever Redis would choose."""
    size = len(digits)
    exponent = size + power - 1
    if power >= 0 and exponent < size + 7:
        return digits + "0" * power
    if power < 0 and (power > -7 or -4 < exponent < 4):
        if exponent < 0:
            return "0." + "0" * (-exponent - 1) + digits
        return digits[: exponent + 1] + "." + digits[exponent + 1 :]
    fraction = "." + digits[1:] if size > 1 else ""
    return f"{digits[0]}{fraction}e{exponent:+d}"
