"""What a server did to its files and replied to its clients, in the order in which it happened, written down by strace.

strace sees each thread enter and leave each system call. If a reply waited for a sync, the sync's end stands before
the reply's beginning, whatever the threads: the line numbers of the trace serve as the clock of everything here.
"""

from __future__ import annotations

import bisect
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from tests import wire
from tests.integration.daemon import wait_until

NEVER: Final = 1 << 60  # the moment at which a call that was cut short returned

# The calls that are followed, and those that this file could not follow. `sync_file_range` is neither: it proves
# nothing.
FOLLOWED: Final = (
    "openat", "accept4", "close", "lseek", "write", "writev", "pwrite64", "fdatasync", "fsync", "ftruncate", "rename",
    "unlink", "sendto",
)  # fmt: skip
UNKNOWN: Final = (
    "pwritev", "pwritev2", "sendmsg", "sendmmsg", "sendfile", "splice", "msync", "sync", "syncfs", "copy_file_range",
    "open", "creat", "truncate", "renameat", "renameat2", "linkat", "unlinkat", "dup", "dup2",
    "dup3", "io_uring_enter", "io_submit",
)  # fmt: skip

_LINE: Final = re.compile(r"(\d+) +(\d+\.\d+) (.*)", re.DOTALL)
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_CALL: Final = re.compile(r"(\w+)\((.*)\)\s+= (-?\d+|0x[0-9a-f]+|\?)[^\"]*", re.DOTALL)


def launcher(trace: Path) -> list[str]:
    """The command that runs a program under strace. The program keeps the process id; strace ends with it."""
    path = shutil.which("strace")
    assert path, "strace is missing: install Debian's package strace (apt-get install strace)"
    options = ["-D", "-f", "--seccomp-bpf", "-q", "-ttt", "-xx", "-s", "200000000", "-e", "abbrev=none"]
    return [path, *options, "-e", "signal=none", "-e", f"trace={','.join(f'?{name}' for name in FOLLOWED + UNKNOWN)}",
            "-o", str(trace)]  # fmt: skip


class Call:
    """One system call: the lines at which it began and ended, and when it began in seconds since 1970."""

    def __init__(self, name: str, arguments: str, result: int, begin: int, end: int, at: float) -> None:
        self.name = name
        self.arguments = arguments
        self.result = result
        self.begin = begin
        self.end = end
        self.at = at

    def strings(self) -> list[bytes]:
        """The arguments that are strings, also inside of structures."""
        return [bytes.fromhex(text.replace("\\x", "")) for text in self.arguments.split('"')[1::2]]

    def number(self, place: int) -> int:
        """The argument at `place` of those that are numbers, negative from the end; descriptors are among them."""
        return int(re.split(r"[,\s]+", _no_strings(self.arguments))[place])


def _no_strings(arguments: str) -> str:
    return "".join(arguments.split('"')[::2])


def parse(lines: Iterable[str]) -> Iterator[Call]:
    """The calls of a trace in the order in which they ended; those that never did come last."""
    begun: dict[str, tuple[str, int, float]] = {}
    for position, line in enumerate(lines):
        match = _LINE.fullmatch(line.rstrip("\n"))
        assert match, f"not a line of a trace: {line[:200]!r}"
        thread, text = match[1], match[3]
        resumed = _RESUMED.fullmatch(text)
        if resumed:
            beginning, begin, at = begun.pop(thread)
            text = beginning + resumed[1]
        else:
            begin, at = position, float(match[2])
        if text.endswith("<unfinished ...>"):
            begun[thread] = (text.removesuffix("<unfinished ...>").rstrip(), begin, at)
        elif not text.startswith(("+++", "---")):
            yield _call(text, begin, position, at)
    for text, begin, at in begun.values():
        yield _call(f"{text}) = ?", begin, NEVER, at)


def _call(text: str, begin: int, end: int, at: float) -> Call:
    match = _CALL.fullmatch(text)
    assert match, f"not a call: {text[:200]!r} … {text[-200:]!r}"
    assert match[1] not in UNKNOWN, f"the server has called {match[1]}, of which this knows nothing"
    result = -1 if match[3] == "?" else int(match[3], 0)
    return Call(match[1], match[2], result, begin, end, at)


class FileWrite:
    """Bytes that were written to a file. `synced`: they were on the disk when the call returned.

    One that `cuts` writes nothing: the file ends at `offset` from now on.
    """

    def __init__(self, begin: int, end: int, offset: int, data: bytes, synced: bool, cuts: bool = False) -> None:
        self.begin = begin
        self.end = end
        self.offset = offset
        self.data = data
        self.synced = synced
        self.cuts = cuts


def _written(call: Call, offset: int, data: bytes, synced: bool) -> FileWrite:
    return FileWrite(call.begin, call.end if call.result == len(data) else NEVER, offset, data, synced)


def _cut(call: Call, offset: int) -> FileWrite:
    return FileWrite(call.begin, call.end if call.result >= 0 else NEVER, offset, b"", synced=False, cuts=True)


class FileSync:
    """A sync of a file or of a directory; `end` is NEVER where it failed or did not return."""

    def __init__(self, call: Call) -> None:
        self.begin = call.begin
        self.end = call.end if call.result == 0 else NEVER
        self.at = call.at


class File:
    """A file of the data directory, whatever the name it was opened by. `data` are on the disk from the beginning."""

    def __init__(self, data: bytes = b"") -> None:
        self.writes: list[FileWrite] = [FileWrite(0, 0, 0, data, synced=True)] if data else []
        self.syncs: list[FileSync] = []


class Naming:
    """From `begin` to the next one: which file each name of the directory stands for."""

    def __init__(self, begin: int, end: int, names: dict[str, File]) -> None:
        self.begin = begin
        self.end = end
        self.names = names


class Replies:
    """What a connection was sent."""

    def __init__(self) -> None:
        self.data = b""
        self.ends: list[int] = []  # bytes sent so far, after each call
        self.calls: list[Call] = []

    def left(self, end: int) -> Call:
        """The call with which the byte before `end` left."""
        return self.calls[bisect.bisect_left(self.ends, end)]


class _Open:
    """An open file description."""

    def __init__(self, file: File, synced: bool) -> None:
        self.file = file
        self.synced = synced
        self.position = 0


class Recording:
    """What happened to one data directory, from nothing or from `image`, which is on the disk: files by their names.

    Nothing of it may be missing. `connections` are the replies by the name that each client had echoed first. `first`
    and `last` are when the first and the last write, sync or naming began.
    """

    def __init__(self, calls: Iterable[Call], directory: Path, image: dict[str, bytes] | None = None) -> None:
        self.directory = str(directory)
        self.namings = [Naming(0, 0, {name: File(data) for name, data in (image or {}).items()})]
        self.is_durable = image is not None  # the directory itself
        self.directory_syncs: list[FileSync] = []
        self.parent_syncs: list[FileSync] = []
        self._files: dict[int, _Open] = {}
        self._directories: dict[int, list[FileSync]] = {}
        self._sockets: dict[int, Replies] = {}
        self._replies: list[Replies] = []
        for call in sorted(calls, key=_takes_effect):
            follow: Any = getattr(self, f"_{call.name}")
            follow(call)
        moments = [write.begin for file in self.files() for write in file.writes]
        moments += [sync.begin for file in self.files() for sync in file.syncs]
        moments += [naming.begin for naming in self.namings]
        moments += [sync.begin for sync in self.directory_syncs]
        self.last = max(moments)
        self.first = min(moment for moment in moments if moment > 0)
        self.connections = {_first_reply(replies.data): replies for replies in self._replies}

    def files(self) -> list[File]:
        """All files that ever had a name."""
        return list({id(file): file for naming in self.namings for file in naming.names.values()}.values())

    def file(self, name: str) -> File:
        """The file that has a name in the end."""
        return self.namings[-1].names[name]

    def _name(self, path: str) -> str:
        """The name inside the data directory; empty for what lies elsewhere."""
        return path.removeprefix(f"{self.directory}/") if path.startswith(f"{self.directory}/") else ""

    def _rename_to(self, call: Call, names: dict[str, File]) -> None:
        self.namings.append(Naming(call.begin, call.end, names))

    def _openat(self, call: Call) -> None:
        path, flags = call.strings()[0].decode(), _no_strings(call.arguments)
        if call.result < 0:
            return
        if path == self.directory:
            self._directories[call.result] = self.directory_syncs
        elif path == str(Path(self.directory).parent):
            self._directories[call.result] = self.parent_syncs
        elif name := self._name(path):
            names = self.namings[-1].names
            if name not in names:
                assert "O_CREAT" in flags, f"{path} was there before the recording began"
                names = {**names, name: File()}
                self._rename_to(call, names)
            assert "O_APPEND" not in flags
            if "O_TRUNC" in flags and names[name].writes:
                names[name].writes.append(_cut(call, 0))
            self._files[call.result] = _Open(names[name], "O_DSYNC" in flags or "O_SYNC" in flags)

    def _accept4(self, call: Call) -> None:
        if call.result >= 0:
            self._sockets[call.result] = Replies()
            self._replies.append(self._sockets[call.result])

    def _close(self, call: Call) -> None:
        number = call.number(0)
        for table in (self._files, self._directories, self._sockets):
            table.pop(number, None)

    def _lseek(self, call: Call) -> None:
        if call.number(0) in self._files and call.result >= 0:
            self._files[call.number(0)].position = call.result

    def _write(self, call: Call) -> None:
        opened = self._files.get(call.number(0))
        if opened is not None:
            data = b"".join(call.strings())
            opened.file.writes.append(_written(call, opened.position, data, opened.synced))
            opened.position += max(0, call.result)

    _writev = _write

    def _pwrite64(self, call: Call) -> None:
        opened = self._files.get(call.number(0))
        if opened is not None:
            opened.file.writes.append(_written(call, call.number(-1), call.strings()[0], opened.synced))

    def _fdatasync(self, call: Call) -> None:
        number = call.number(0)
        if number in self._files:
            self._files[number].file.syncs.append(FileSync(call))
        elif number in self._directories:
            self._directories[number].append(FileSync(call))

    _fsync = _fdatasync

    def _ftruncate(self, call: Call) -> None:
        opened = self._files.get(call.number(0))
        if opened is not None:
            opened.file.writes.append(_cut(call, call.number(1)))

    def _rename(self, call: Call) -> None:
        old, new = (self._name(path.decode()) for path in call.strings())
        assert bool(old) == bool(new), "a file enters or leaves the data directory"
        names = dict(self.namings[-1].names)
        if old and call.result == 0:
            names[new] = names.pop(old)
            self._rename_to(call, names)

    def _unlink(self, call: Call) -> None:
        name = self._name(call.strings()[0].decode())
        names = dict(self.namings[-1].names)
        if name and call.result == 0:
            del names[name]
            self._rename_to(call, names)

    def _sendto(self, call: Call) -> None:
        replies = self._sockets.get(call.number(0))
        if replies is not None and call.result > 0:
            replies.data += call.strings()[0][: call.result]
            replies.ends.append(len(replies.data))
            replies.calls.append(call)


def _takes_effect(call: Call) -> int:
    """Descriptors that a call brings are there when it ends; all else counts from its beginning."""
    return call.end if call.name in ("openat", "accept4") else call.begin


def _first_reply(data: bytes) -> bytes:
    end = wire.reply_end(data) if data else 0
    first = wire.parse(data[:end]) if end > 0 else b""
    return first if isinstance(first, bytes) else b""


def read(trace: Path, directory: Path, image: dict[str, bytes] | None = None) -> Recording:
    """The recording of a server that has ended, whose data directory was `directory` and began as `image`."""
    return Recording(read_calls(trace), directory, image)


def read_calls(trace: Path) -> list[Call]:
    """All calls of a program that ends, or has ended."""

    def ended() -> bool:
        with trace.open("rb") as file:
            process = file.readline().split()[0]
            file.seek(-min(200, trace.stat().st_size), os.SEEK_END)
            last = file.read().splitlines()[-1]
            return last.startswith(process + b" ") and b" +++ " in last

    wait_until(ended, "the end of the trace")
    with trace.open() as lines:
        return list(parse(lines))
