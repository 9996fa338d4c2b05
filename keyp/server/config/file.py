"""A configuration file as text: directives from it, and directives to it. The syntax is redis.conf's.

A directive is a line: its name, in any case, and words with the quotes of `keyp.resp.inline`. A line that begins with
`#` is a comment, here as in Redis only there: behind a directive it is one more word. What is written with `line` is
read as the same words.

https://redis.io/docs/latest/operate/oss_and_stack/management/config/
"""

from __future__ import annotations

from typing import Final

from keyp.resp.inline import split_inline

# White space around a line counts for nothing.
BLANKS: Final = b" \t\r\n"
UNBALANCED: Final = "Unbalanced quotes in configuration line"

_ESCAPED: Final = {0x0A: b"\\n", 0x0D: b"\\r", 0x09: b"\\t", 0x07: b"\\a", 0x08: b"\\b", 0x22: b'\\"', 0x5C: b"\\\\"}
_SPECIAL: Final = b"\"'\x7f"


class Directive:
    """A line that says something: its `name` in lower case, the `words` behind it, and the `line` as it was written.

    `number` is the line's in its file, from 1 on; `path` names the file, and is empty where the text came from none.
    """

    def __init__(self, name: str, words: list[bytes], line: bytes, number: int, path: str = "") -> None:
        self.name = name
        self.words = words
        self.line = line
        self.number = number
        self.path = path


class BadDirective(Exception):
    """A line that is no directive, or one that cannot be obeyed; `reason` says why."""

    def __init__(self, reason: str, line: bytes, number: int, path: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.number = number
        self.path = path


def parse(text: bytes, path: str = "") -> list[Directive]:
    """The directives of a text, which is that of the file `path`, in their order. Raises `BadDirective`."""
    directives: list[Directive] = []
    for number, raw in enumerate(text.split(b"\n"), 1):
        line = raw.strip(BLANKS)
        if line.startswith(b"#"):
            continue
        words = split_inline(line)
        if words is None:
            raise BadDirective(UNBALANCED, line, number, path)
        if words:
            name = words[0].lower().decode("latin-1")
            directives.append(Directive(name, words[1:], line, number, path))
    return directives


def quoted(text: bytes) -> bytes:
    """`text` in double quotes: printable ASCII as it is, all else escaped. It never holds a line break."""
    out = bytearray(b'"')
    for byte in text:
        if byte in _ESCAPED:
            out += _ESCAPED[byte]
        elif 0x20 <= byte < 0x7F:
            out.append(byte)
        else:
            out += b"\\x%02x" % byte
    return bytes(out) + b'"'


def word(text: bytes) -> bytes:
    """`text` as one word of a line, in quotes only where it needs them."""
    if text and all(byte > 0x20 and byte not in _SPECIAL for byte in text):
        return text
    return quoted(text)


def line(name: str, words: list[bytes]) -> bytes:
    """The line that `parse` reads as the directive `name` with these words."""
    first = name.encode("latin-1")
    parts = [quoted(first) if first.startswith(b"#") else word(first), *map(word, words)]
    return b" ".join(parts)
