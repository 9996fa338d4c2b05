"""What a script or a library of functions says of itself in its first line: `#!lua flags=no-writes,allow-oom`."""

from __future__ import annotations

import re
from hashlib import sha1
from typing import Final

from keyp.errors import CommandError, printable
from keyp.resp.inline import split_inline

NO_WRITES: Final = 1
ALLOW_OOM: Final = 2
ALLOW_STALE: Final = 4
NO_CLUSTER: Final = 8
ALLOW_CROSS_SLOT_KEYS: Final = 16
WITHOUT_SHEBANG: Final = 32  # an EVAL of old: its commands are looked at one by one

FLAG_NAMES: Final = {
    b"no-writes": NO_WRITES,
    b"allow-oom": ALLOW_OOM,
    b"allow-stale": ALLOW_STALE,
    b"no-cluster": NO_CLUSTER,
    b"allow-cross-slot-keys": ALLOW_CROSS_SLOT_KEYS,
}

NAME: Final = re.compile(rb"[A-Za-z0-9_]+")
BAD_NAME: Final = (
    "ERR Library names can only contain letters, numbers, or underscores(_) and must be at least one character long"
)


class Script:
    """A script as EVAL has it: its text, the digest it goes by, and the flags of its first line."""

    def __init__(self, sha: bytes, text: bytes, flags: int) -> None:
        self.sha = sha
        self.text = text
        self.flags = flags

    @property
    def is_read_only(self) -> bool:
        """Whether it says that it writes nothing."""
        return bool(self.flags & NO_WRITES)

    def code(self) -> bytes:
        """The text as Lua takes it: without the first line, whose line break stays, so that lines keep numbers."""
        return self.text if self.flags & WITHOUT_SHEBANG else self.text[self.text.index(b"\n") :]


def digest(text: bytes) -> bytes:
    """The SHA-1 by which a script goes, in forty hexadecimal digits."""
    return sha1(text).hexdigest().encode()


def read_script(sha: bytes, text: bytes) -> Script:
    """The script of a text. Raises `CommandError` where its first line begins as a shebang and is none."""
    if not text.startswith(b"#!"):
        return Script(sha, text, WITHOUT_SHEBANG)
    line, newline, _ = text.partition(b"\n")
    if not newline:
        raise CommandError("ERR Invalid script shebang")
    words = split_inline(line)
    if not words:
        raise CommandError("ERR Invalid engine in script shebang")
    if words[0] != b"#!lua":
        raise CommandError(f"ERR Unexpected engine in script shebang: {printable(words[0])}")
    flags = 0
    for word in words[1:]:
        if not word.startswith(b"flags="):
            raise CommandError(f"ERR Unknown lua shebang option: {printable(word)}")
        for name in word.removeprefix(b"flags=").split(b",") if word != b"flags=" else []:
            if name not in FLAG_NAMES:
                raise CommandError(f"ERR Unexpected flag in script shebang: {printable(name)}")
            flags |= FLAG_NAMES[name]
    return Script(sha, text, flags)


def read_library(text: bytes) -> tuple[bytes, bytes]:
    """The name of a library and its code as Lua takes it. Raises `CommandError`."""
    if not text.startswith(b"#!"):
        raise CommandError("ERR Missing library metadata")
    line, newline, _ = text.partition(b"\n")
    if not newline:
        raise CommandError("ERR Invalid library metadata")
    words = split_inline(line)
    if not words:
        raise CommandError("ERR Invalid library metadata")
    name: bytes | None = None
    for word in words[1:]:
        if not word.lower().startswith(b"name="):
            raise CommandError(f"ERR Invalid metadata value given: {printable(word)}")
        if name is not None:
            raise CommandError("ERR Invalid metadata value, name argument was given multiple times")
        name = word[5:]
    if name is None:
        raise CommandError("ERR Library name was not given")
    if not NAME.fullmatch(name):
        raise CommandError(BAD_NAME)
    engine = words[0][2:]
    if engine.lower() != b"lua":
        raise CommandError(f"ERR Engine '{printable(engine)}' not found")
    return name, text[len(line) :]
