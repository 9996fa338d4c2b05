"""A store full of values that show whether they are right, and what becomes of it when bits of its file change.

Each value is made of its key's name, so that a wrong one shows by itself. What a damaged store does is found out in a
process of its own, for it may die: the store is opened, every key read, something written, and every key read again.
"""

from __future__ import annotations

import hashlib
import os
import resource
import shutil
import signal
import struct
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final

import lmdb
from twisted.logger import LogEvent, globalLogBeginner

from keyp.storage.check import check
from keyp.storage.lmdb import shutdown_marker
from keyp.storage.lmdb.checkpoint import mark_whole
from keyp.storage.lmdb.errors import StoreError
from keyp.storage.lmdb.journal import RING_FILE
from keyp.storage.lmdb.meta_pages import NO_ROOT, MetaPage
from keyp.storage.lmdb.store import DATA_FILE
from keyp.storage.lmdb.transaction import ReadTransaction
from keyp.tools.backup import backup
from tests.fakes import START_US, Connection, Lab
from tests.wire import request

PAGE: Final = 4096
KINDS: Final = {1: "branch", 2: "leaf", 4: "overflow", 8: "head"}

RIGHT, ERROR, MISSING, WRONG = "right", "error", "missing", "wrong"
REFUSED, DIED, FAILED = "refused at start", "died", "failed"

LAST: Final = b"last"  # written by the last commit: where that is lost, this is missing

# A process that goes round for ever dies of the first, one that waits for ever of the second; a machine that stands
# still for a while is neither.
CPU_S: Final = 60
STUCK_S: Final = 900

LATER_MS: Final = 4_000_000_000_000  # in the year 2096


def value_of(key: bytes) -> bytes:
    """The one right value of a key: 20 to 150,000 bytes, most of them short."""
    seed = hashlib.sha256(key).digest()
    length = (20, 100, 300, 20, 1500, 80, 30, 5000, 60, 150_000 if seed[1] < 32 else 50)[seed[0] % 10]
    return (seed * (length // len(seed) + 1))[:length]


def names() -> list[tuple[int, bytes]]:
    """Database and name of every key of the store."""
    plain = [(0, b"key:%05d" % number) for number in range(700)] + [(3, b"other:%d" % number) for number in range(60)]
    return [*plain, (0, b""), *[(0, b"long%d" % number + b"n" * 700) for number in range(5)], (0, LAST)]


def make_store(path: Path) -> None:
    """Makes the store, with free pages, a forest of deadlines and garbage that waits for the sweeper."""
    lab = Lab(path)
    ask = asking(lab.connect())
    for database, name in names()[:-1]:
        ask(request(b"SELECT", b"%d" % database))
        deadline = (b"PXAT", b"%d" % LATER_MS) if name[-1:] in b"13579" else ()
        ask(request(b"SET", name, value_of(name), *deadline))
    lab.close()
    leave_no_free_page(path)
    lab = Lab(path)
    ask = asking(lab.connect())
    for database, name in names()[::50]:
        ask(request(b"SELECT", b"%d" % database))
        ask(request(b"PERSIST", name))
    ask(request(b"SET", b"gone", b"x" * 300_000))
    ask(request(b"DEL", b"gone"))
    ask(request(b"SELECT", b"0"))
    ask(request(b"SET", LAST, value_of(LAST)))
    lab.close()


def leave_no_free_page(path: Path) -> None:
    """Puts a backup of a store in its place, so that most changes hit something."""
    anew = path / "anew"
    backup(str(path), str(anew), force=False)
    (anew / DATA_FILE).rename(path / DATA_FILE)
    anew.rmdir()


def copy_store(source: Path, target: Path, closed: bool) -> Path:
    """A copy of a data directory, as if it had been closed there in order, or killed; the path of its data file."""
    shutil.copytree(source, target)
    data_file = target / DATA_FILE
    with (target / shutdown_marker.LOCK_FILE).open("r+b") as lock:
        if closed:
            shutdown_marker.mark_closed(lock.fileno(), str(data_file))
        else:
            shutdown_marker.mark_running(lock.fileno())
    return data_file


@contextmanager
def edited(path: Path) -> Iterator[tuple[lmdb.Environment, Any]]:
    """An environment and a write transaction of it, for an edit of a store that was closed.

    The data file is there alone afterwards and says that it is whole, so that a start takes it as it is.
    """
    with lmdb.open(str(path), max_dbs=100, lib_version=0, map_size=1 << 30) as env, env.begin(write=True) as txn:
        yield env, txn
    (path / RING_FILE).unlink(missing_ok=True)
    with (path / DATA_FILE).open("r+b") as file:
        mark_whole(file.fileno())


class Flip:
    """A change of one byte: `where` is the kind of page it hits."""

    def __init__(self, data: bytes, random: Random) -> None:
        kind = random.choice(("head", "branch", "leaf", "overflow", "free", "names", "any"))
        head = max((MetaPage(data[start:]) for start in (0, PAGE)), key=lambda head: head.transaction)
        pages = list(range(len(data) // PAGE))
        if kind in KINDS.values():
            pages = [page for page in pages if page_kind(data, page) == kind]
        if kind == "free" and head.free.root == NO_ROOT:
            kind = "any"
        page = {"free": head.free.root, "names": head.main.root}.get(kind, random.choice(pages))
        used = (16, 200, PAGE)[random.randrange(3)] if kind != "head" else 152
        self.offset = page * PAGE + random.randrange(used)
        self.where = kind
        self.bits = random.choice((1 << random.randrange(8), random.randrange(1, 256)))

    def apply(self, data_file: Path) -> None:
        """Changes the byte; the file's time stays, as it does where a disk forgets."""
        about = data_file.stat()
        with data_file.open("r+b") as file:
            file.seek(self.offset)
            (byte,) = file.read(1)
            file.seek(self.offset)
            file.write(bytes([byte ^ self.bits]))
        os.utime(data_file, ns=(about.st_atime_ns, about.st_mtime_ns))

    def __repr__(self) -> str:
        return f"byte {self.offset} ({self.where}) ^ {self.bits:#x}"


def page_kind(data: bytes, page: int) -> str:
    """What a page says it is; pages inside a long value say anything."""
    number, _, flags = struct.unpack_from("=QHH", data, page * PAGE)
    return KINDS.get(flags, "") if number == page else ""


def judge(reply: bytes, name: bytes) -> str:
    """What a reply to GET is worth."""
    value = value_of(name)
    if reply == b"$%d\r\n%s\r\n" % (len(value), value):
        return RIGHT
    if reply.startswith(b"-"):
        return ERROR
    return MISSING if reply == b"$-1\r\n" else WRONG


def read_all(ask: Callable[[bytes], bytes]) -> Counter[str]:
    """Reads every key through `ask`, which takes a request's bytes and gives the reply's; how many were what."""
    found: Counter[str] = Counter()
    database = -1
    for index, name in names():
        if index != database:
            ask(request(b"SELECT", b"%d" % index))
            database = index
        found[judge(ask(request(b"GET", name)), name)] += 1
    return found


def use(path: Path) -> dict[str, int | str]:
    """Opens a store here, reads, writes, reads again and checks it. Raises `StoreError` where it cannot be opened."""
    tracebacks: list[str] = []

    def observer(event: Any) -> None:
        _note_traceback(event, tracebacks)

    observers: list[Any] = [observer]
    globalLogBeginner.beginLoggingTo(observers, redirectStandardIO=False)
    tracebacks.clear()  # what other tests have had logged before
    lab = Lab(path, note_crashes=True)
    client = lab.connect()
    outcome: dict[str, int | str] = dict(read_all(asking(client)))
    outcome.update({f"{what} after writes": count for what, count in _write_and_read(client).items()})
    with ReadTransaction(lab.environment, START_US // 1000) as transaction:
        try:
            found = check(transaction)
        except Exception as error:
            found = [repr(error)]
    outcome["check"] = found[0] if found else ""
    outcome["traceback"] = tracebacks[0] if tracebacks else ""
    lab.environment.close()
    return outcome


def asking(client: Connection) -> Callable[[bytes], bytes]:
    """Sends a request to a server in this process and gives its reply."""

    def ask(data: bytes) -> bytes:
        client.transport.sent = b""
        client.send(data)
        return client.transport.sent

    return ask


def _note_traceback(event: LogEvent, tracebacks: list[str]) -> None:
    if "log_failure" in event:
        tracebacks.append(event["log_failure"].getTraceback())


def _write_and_read(client: Connection) -> Counter[str]:
    ask = asking(client)
    for number in range(60):
        ask(request(b"SET", b"new:%d" % number, b"v" * (number * 100)))
        ask(request(b"APPEND", b"new:%d" % (number % 7), b"w" * 3000))
        ask(request(b"DEL", b"new:%d" % (number * 3 % 11)))
    for index, name in names()[::9]:
        ask(request(b"SELECT", b"%d" % index))
        ask(request(b"SET", name, value_of(name)))
    client.lab.server.dispatcher.sweep_if_due()
    client.lab.settle()
    return read_all(ask)


def in_a_process(path: Path, use: Callable[[Path], dict[str, Any]] = use) -> dict[str, Any]:
    """As `use`, in a child process. The outcome is REFUSED with a text, DIED with a signal, or what `use` found."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(read_end)
            for number in (signal.SIGALRM, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
            signal.alarm(STUCK_S)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            try:
                found = use(path)
            except StoreError as error:
                found = {REFUSED: str(error)}
            except BaseException:
                found = {FAILED: traceback.format_exc()}
            os.write(write_end, repr(found).encode())
        finally:
            os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end, "rb") as pipe:
        text = pipe.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {DIED: os.WTERMSIG(status)}
    outcome: dict[str, Any] = eval(text)  # our own child wrote it
    assert FAILED not in outcome, outcome[FAILED]
    return outcome
