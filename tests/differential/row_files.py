r"""The rows: conversations that both servers are to lead alike. Each family has a file of them in `rows/`.

    # a comment line names the row; without one its last command does
    SET k v
    SET k w GET             one command a line; every reply counts
    b> INCR k               from a second client
    ~ TTL k                 marks say how the replies agree (see `agreement.py`):
                            ~ nearly, * in any order, % as scans, ? in kind, = in their fields
    MULTI | INCR k | EXEC   one chunk of bytes
    ! *1\r\n$4\r\nPI        bytes as they are, escapes resolved; a lone ! waits for what comes
    + SUBSCRIBE a b         a command with any number of replies, messages among them; a lone + only listens

An empty line ends a row. Words are quoted as for redis-cli: "\x00\r\n" or 'plain'; `x{600}` is an x six hundred times.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests import wire
from tests.differential import agreement

DIRECTORY = Path(__file__).parent / "rows"
MARKS = {
    "~": agreement.NEARLY,
    "*": agreement.ANY_ORDER,
    "%": agreement.SCANNED,
    "?": agreement.KIND,
    "=": agreement.FIELDS,
}
WORD = re.compile(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'|\S+')
ESCAPE = re.compile(rb"\\(?:x([0-9a-fA-F]{2})|(.))", re.S)
ESCAPED = {b"n": b"\n", b"r": b"\r", b"t": b"\t", b"0": b"\0"}
REPEATED = re.compile(r"(.+)\{(\d+)\}")


class Step:
    """One chunk: who sends it, its bytes, its calls (none for raw bytes) and how the replies are compared.

    `replies` is None where all that comes is wanted, however much it is.
    """

    def __init__(self, line: str) -> None:
        self.line = line
        self.client = 0
        self.how = agreement.EXACT
        if line.startswith("b> "):
            self.client, line = 1, line[3:]
        if line[:2] in [f"{mark} " for mark in MARKS]:
            self.how, line = MARKS[line[0]], line[2:]
        self.calls: list[list[bytes]] = []
        self.replies: int | None
        is_open = line == "+" or line.startswith("+ ")
        if is_open:
            line = line[2:]
        if line.startswith("!"):
            self.data = unescape(line[1:].strip().encode("latin-1"))
            self.replies = 1
        else:
            self.calls = [words(part) for part in line.split(" | ") if part]
            self.data = b"".join([wire.request(*call) for call in self.calls])
            self.replies = None if is_open else len(self.calls)


class Row:
    """One conversation."""

    def __init__(self, family: str, lines: list[str]) -> None:
        names = [line[1:].strip() for line in lines if line.startswith("#")]
        self.steps = [Step(line) for line in lines if not line.startswith("#")]
        self.name = f"{family}: {(names or [self.steps[-1].line])[0]}"


def words(text: str) -> list[bytes]:
    """A command's words."""
    return [_word(word) for word in WORD.findall(text)]


def _word(word: str) -> bytes:
    if word.startswith('"'):
        return unescape(word[1:-1].encode("latin-1"))
    if word.startswith("'"):
        return word[1:-1].encode("latin-1")
    repeated = REPEATED.fullmatch(word)
    return repeated[1].encode("latin-1") * int(repeated[2]) if repeated else word.encode("latin-1")


def unescape(text: bytes) -> bytes:
    r"""`text` with \xHH, \r, \n, \t and \0 resolved; any other character behind a backslash stands for itself."""
    return ESCAPE.sub(
        lambda found: bytes.fromhex(found[1].decode()) if found[1] else ESCAPED.get(found[2], found[2]), text
    )


def rows(directory: Path = DIRECTORY) -> Iterator[Row]:
    """All rows of all families."""
    for path in sorted(directory.glob("*.txt")):
        for paragraph in re.split(r"\n\s*\n", path.read_text(encoding="latin-1").strip("\n")):
            lines = [line for line in paragraph.splitlines() if line.strip()]
            if any(not line.startswith("#") for line in lines):
                yield Row(path.stem, lines)
