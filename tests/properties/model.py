"""What Keyp promises about strings, keys and deadlines, as plain dictionaries: the oracle of the properties.

`Model.run` takes a command's words and gives the reply that has to come. Of all that a server must do for it - bytes
on disk, an index of deadlines, pieces of long strings, snapshots, commit groups - nothing is here.

A key is gone when now is later than its deadline. Its entry may stay in the store for a while; no client sees it but
DBSIZE. Each write that touches a key gives its entry a new stamp: what WATCH compares.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from tests.wire import Error

NOT_AN_INTEGER = Error("ERR value is not an integer or out of range")
OVERFLOW = Error("ERR increment or decrement would overflow")
NO_SUCH_KEY = Error("ERR no such key")
SAME_OBJECT = Error("ERR source and destination objects are the same")

TIME_WORDS = {b"EX": (1000, False), b"PX": (1, False), b"EXAT": (1000, True), b"PXAT": (1, True)}
EXPIRE_FORMS = {b"EXPIRE": b"EX", b"PEXPIRE": b"PX", b"EXPIREAT": b"EXAT", b"PEXPIREAT": b"PXAT"}

Words = list[bytes]


class Entry:
    """A key's value, its deadline in milliseconds or None, and the stamp of the write that touched it last."""

    def __init__(self, value: bytes, deadline: int | None, stamp: int) -> None:
        self.value = value
        self.deadline = deadline
        self.stamp = stamp


class Model:
    """All databases and the clock. `selected` is the database the next command is about."""

    def __init__(self, databases: int, now_ms: int) -> None:
        self.databases: list[dict[bytes, Entry]] = [{} for _ in range(databases)]
        self.now_ms = now_ms
        self.selected = 0
        self.stamp = 0

    def run(self, words: Words) -> Any:
        """Carries a command out; its reply."""
        self.stamp += 1
        if words[0] in EXPIRE_FORMS:
            return self._expire(words)
        name = words[0].decode().lower()
        command: Callable[..., Any] = getattr(self, "delete" if name == "del" else name)
        return command(*words[1:])

    # What there is.

    @property
    def keys_here(self) -> dict[bytes, Entry]:
        return self.databases[self.selected]

    def find(self, key: bytes, database: int | None = None) -> Entry | None:
        """The entry of a key that is there and within its deadline."""
        entry = self.databases[self.selected if database is None else database].get(key)
        return None if entry is None or self.is_past(entry) else entry

    def is_past(self, entry: Entry) -> bool:
        return entry.deadline is not None and self.now_ms > entry.deadline

    def live(self, database: int) -> set[bytes]:
        """The keys that a client may see."""
        return {key for key, entry in self.databases[database].items() if not self.is_past(entry)}

    def sweep(self) -> None:
        """Forgets every key past its deadline."""
        self.databases = [{key: keys[key] for key in self.live(index)} for index, keys in enumerate(self.databases)]

    def put(self, key: bytes, value: bytes, deadline: int | None) -> None:
        self.keys_here[key] = Entry(value, deadline, self.stamp)

    def change(self, key: bytes, value: bytes) -> None:
        """A new value for a key that keeps its deadline, if it has one."""
        entry = self.find(key)
        self.put(key, value, entry.deadline if entry else None)

    def remove(self, key: bytes) -> bool:
        """Whether the key was there."""
        was_there = self.find(key) is not None
        self.keys_here.pop(key, None)
        return was_there

    def moment(self, word: bytes, time: bytes) -> int:
        unit, absolute = TIME_WORDS[word]
        return int(time) * unit + (0 if absolute else self.now_ms)

    # Strings.

    def get(self, key: bytes) -> bytes | None:
        entry = self.find(key)
        return entry.value if entry else None

    def strlen(self, key: bytes) -> int:
        return len(self.get(key) or b"")

    def getrange(self, key: bytes, start: bytes, end: bytes) -> bytes:
        value = self.get(key) or b""
        first, last = int(start), int(end)
        if first < 0 and last < 0 and first > last:
            return b""
        first = max(first + len(value), 0) if first < 0 else first
        last = max(last + len(value), 0) if last < 0 else last
        return value[first : last + 1] if first <= last else b""

    def mget(self, *keys: bytes) -> list[bytes | None]:
        return [self.get(key) for key in keys]

    def set(self, key: bytes, value: bytes, *options: bytes) -> Any:
        old = self.find(key)
        deadline = old.deadline if old and b"KEEPTTL" in options else None
        for word, time in pairwise(options):
            if word in TIME_WORDS:
                deadline = self.moment(word, time)
        refused = (b"NX" in options and old is not None) or (b"XX" in options and old is None)
        if not refused:
            self.put(key, value, deadline)
        if b"GET" in options:
            return old.value if old else None
        return None if refused else "OK"

    def setnx(self, key: bytes, value: bytes) -> int:
        return int(self.set(key, value, b"NX") is not None)

    def setex(self, key: bytes, seconds: bytes, value: bytes) -> Any:
        return self.set(key, value, b"EX", seconds)

    def psetex(self, key: bytes, milliseconds: bytes, value: bytes) -> Any:
        return self.set(key, value, b"PX", milliseconds)

    def getset(self, key: bytes, value: bytes) -> Any:
        return self.set(key, value, b"GET")

    def getdel(self, key: bytes) -> bytes | None:
        value = self.get(key)
        self.remove(key)
        return value

    def getex(self, key: bytes, *options: bytes) -> bytes | None:
        entry = self.find(key)
        if entry is None:
            return None
        if options == (b"PERSIST",):
            if entry.deadline is not None:
                self.put(key, entry.value, None)
        elif options:
            self._set_deadline(key, entry, self.moment(*options))
        return entry.value

    def mset(self, *pairs: bytes) -> Any:
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            self.put(key, value, None)
        return "OK"

    def msetnx(self, *pairs: bytes) -> int:
        if any(self.find(key) for key in pairs[::2]):
            return 0
        self.mset(*pairs)
        return 1

    def append(self, key: bytes, tail: bytes) -> int:
        value = (self.get(key) or b"") + tail
        self.change(key, value)
        return len(value)

    def setrange(self, key: bytes, offset: bytes, patch: bytes) -> int:
        value, at = self.get(key) or b"", int(offset)
        if patch:
            value = value.ljust(at, b"\0")
            value = value[:at] + patch + value[at + len(patch) :]
            self.change(key, value)
        return len(value)

    def incrby(self, key: bytes, increment: bytes) -> Any:
        value = self.get(key)
        number = 0
        if value is not None:
            if len(value) > 20 or value != str(_number(value)).encode() or not -(2**63) <= _number(value) < 2**63:
                return NOT_AN_INTEGER
            number = _number(value)
        total = number + int(increment)
        if not -(2**63) <= total < 2**63:
            return OVERFLOW
        self.change(key, b"%d" % total)
        return total

    def incr(self, key: bytes) -> Any:
        return self.incrby(key, b"1")

    def decr(self, key: bytes) -> Any:
        return self.incrby(key, b"-1")

    def decrby(self, key: bytes, decrement: bytes) -> Any:
        return self.incrby(key, b"%d" % -int(decrement))

    # Keys.

    def delete(self, *keys: bytes) -> int:
        return sum([self.remove(key) for key in keys])

    unlink = delete

    def exists(self, *keys: bytes) -> int:
        return sum(self.find(key) is not None for key in keys)

    touch = exists

    def type(self, key: bytes) -> str:
        return "string" if self.find(key) else "none"

    def rename(self, key: bytes, new_key: bytes) -> Any:
        entry = self.find(key)
        if entry is None:
            return NO_SUCH_KEY
        if key != new_key:
            self.put(new_key, entry.value, entry.deadline)
            self.remove(key)
        return "OK"

    def renamenx(self, key: bytes, new_key: bytes) -> Any:
        if self.find(key) and self.find(new_key):
            return 0
        result = self.rename(key, new_key)
        return 1 if result == "OK" else result

    def copy(self, key: bytes, new_key: bytes, *options: bytes) -> Any:
        target = int(options[options.index(b"DB") + 1]) if b"DB" in options else self.selected
        if target == self.selected and key == new_key:
            return SAME_OBJECT
        entry = self.find(key)
        if entry is None or (self.find(new_key, target) and b"REPLACE" not in options):
            return 0
        self.databases[target][new_key] = Entry(entry.value, entry.deadline, self.stamp)
        return 1

    def move(self, key: bytes, database: bytes) -> Any:
        result = self.copy(key, key, b"DB", database)
        if result == 1:
            self.remove(key)
        return result

    # Deadlines.

    def _set_deadline(self, key: bytes, entry: Entry, deadline: int) -> None:
        if deadline <= self.now_ms:
            self.remove(key)
        else:
            self.put(key, entry.value, deadline)

    def _expire(self, words: Words) -> int:
        key, condition = words[1], words[3:]
        deadline = self.moment(EXPIRE_FORMS[words[0]], words[2])
        entry = self.find(key)
        if entry is None:
            return 0
        old = entry.deadline
        holds = {
            b"NX": old is None,
            b"XX": old is not None,
            b"GT": old is not None and deadline > old,
            b"LT": old is None or deadline < old,
        }
        if not all(holds[word] for word in condition):
            return 0
        self._set_deadline(key, entry, deadline)
        return 1

    def persist(self, key: bytes) -> int:
        entry = self.find(key)
        if entry is None or entry.deadline is None:
            return 0
        self.put(key, entry.value, None)
        return 1

    def pexpiretime(self, key: bytes) -> int:
        entry = self.find(key)
        if entry is None:
            return -2
        return -1 if entry.deadline is None else entry.deadline

    def pttl(self, key: bytes) -> int:
        deadline = self.pexpiretime(key)
        return deadline if deadline < 0 else deadline - self.now_ms

    def expiretime(self, key: bytes) -> int:
        return _seconds(self.pexpiretime(key))

    def ttl(self, key: bytes) -> int:
        return _seconds(self.pttl(key))

    # Databases.

    def flushdb(self) -> Any:
        self.databases[self.selected] = {}
        return "OK"

    def flushall(self) -> Any:
        self.databases = [{} for _ in self.databases]
        return "OK"

    def swapdb(self, one: bytes, other: bytes) -> Any:
        first, second = int(one), int(other)
        keys = self.databases
        keys[first], keys[second] = keys[second], keys[first]
        return "OK"


def _number(value: bytes) -> int:
    try:
        return int(value)
    except ValueError:
        return -(2**64)


def _seconds(milliseconds: int) -> int:
    return milliseconds if milliseconds < 0 else (milliseconds + 500) // 1000
