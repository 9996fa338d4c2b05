"""What scripts read with `cjson` and `cmsgpack`: any bytes, or a value that was written and changed a little.

Each is a value or an error that the script may catch; what was written of it can be read,
and is written the same again. Nothing leaves Lua but replies.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from keyp.resp.values import Reply
from keyp.scripting.runtime import Runtime
from keyp.scripting.script import digest, read_script
from tests.fuzz.source import Source
from tests.fuzz.target import Run

MEMORY: Final = 64 << 20
READ: Final = b"""
local write, read = %b
local found = {pcall(read, ARGV[1])}
if not found[1] then return {0, tostring(found[2])} end
local count = table.maxn(found)
local ok, written = pcall(write, unpack(found, 2, count))
if not ok then return {1, tostring(written)} end
for times = 1, 2 do
  found[times], written = written, write(unpack({read(written)}, 1, count - 1))
end
return {2, found[2], written}
"""
LIBRARIES: Final = (b"cjson.encode, cjson.decode", b"cmsgpack.pack, cmsgpack.unpack")
JSON: Final = (
    b"[", b"]", b"{", b"}", b",", b":", b'"a"', b'"b":', b"1", b"-0", b"1e5", b"1.5E-7", b"null", b"true", b"false",
    b'"', b"\\u00e9", b"\\ud83d\\ude00", b"\\ud83d", b"\\n", b" ", b"\n", b"NaN", b"0x10", b"1e999", b'"1":',
    b"Infinity", b"[[[", b"12345678901234567890", b"-", b".5", b"\xff", b"\0", b"nul", b'"\\x"', b"]]]",
)  # fmt: skip
PACKED: Final = (
    b"\xc0", b"\xc2", b"\xc3", b"\x01", b"\xff", b"\x81", b"\x82", b"\x91", b"\x93", b"\xa1a", b"\xa3abc",
    b"\xd9\x05hello", b"\xcc\xff", b"\xcd\x01\x02", b"\xce\xff\xff\xff\xff", b"\xcf" + b"\xff" * 8, b"\xd0\x80",
    b"\xd3\x80" + bytes(7), b"\xca\x7f\x80\0\0", b"\xcb\x7f\xf8" + bytes(6), b"\xdc\0\x02", b"\xdd\xff\xff\xff\xff",
    b"\xde\0\x01", b"\xdf\0\0\0\x01", b"\xc4\x01a", b"\xc7\x01\x01a", b"\xd4\x01a", b"\xda\xff\xff",
    b"\xdb\x7f\xff\xff\xff", b"\xc1",
)  # fmt: skip


class Host:
    """What the scripts ask for: nothing."""

    def call(self, words: list[bytes]) -> Reply:
        """No script calls anything."""
        raise AssertionError(words)

    def log(self, level: int, message: bytes) -> None:
        """No script logs anything."""

    def is_known(self, words: list[bytes]) -> bool:
        """Nothing is."""
        return False

    def is_due(self) -> bool:
        """Each may take as long as it takes."""
        return False

    def seed(self) -> int:
        """No script draws numbers."""
        return 1


def texts(_: Path) -> Run:
    """Both libraries, by turns."""
    runtime = Runtime("7.2.5", MEMORY)
    host = Host()

    def compiled(library: bytes) -> Any:
        text = READ % library
        return runtime.compile(read_script(digest(text), text))

    def run(data: bytes) -> None:
        source = Source(data)
        library = source.below(2)
        if source.chance(20):
            text = source.rest()
        else:
            pieces = []
            while source.has_more():
                words = PACKED if library else JSON
                pieces.append(source.text(8) if source.chance(5) else source.choice(words))
            text = b"".join(pieces)
        reply = runtime.run(compiled(LIBRARIES[library]), [], [text], host)
        assert isinstance(reply, list)
        if reply[0] == 2:
            written, again = reply[1:]
            assert isinstance(written, bytes)
            assert isinstance(again, bytes)
            assert len(again) == len(written)  # a map has no order; a nil that ends a list was lost before
        else:
            assert reply[1]
        assert runtime.memory < MEMORY // 2

    return run
