"""The settings: one table of names, kinds, defaults, and whether a running server may change them.

Only what is true stands here: a setting has an effect in Keyp, or it states a fact that tools ask a server for
(redis-benchmark wants to know `save` and `appendonly`, job queues want `maxmemory-policy`). A fact has one value;
where the reference would let it be changed, setting it to that value is accepted and to any other refused.

Code that asks often reads the typed attributes (`settings.proto_max_bulk_len`); they follow every change.
Names, bounds and error texts are the reference's: https://redis.io/docs/latest/commands/config-set/
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeAlias

from keyp.errors import CommandError, printable
from keyp.events import parse_classes, show_classes
from keyp.glob import Glob

Limits: TypeAlias = tuple[int, int, int]  # of the bytes that may wait for a client: hard, soft, seconds above soft
Value: TypeAlias = int | str | tuple[Limits, ...]

INT32_MAX: Final = (1 << 31) - 1
UINT32_MAX: Final = (1 << 32) - 1
INT64_MAX: Final = (1 << 63) - 1
MEGABYTE: Final = 1 << 20

SAVED_FILE: Final = "backup/data.mdb"  # what SAVE writes, below the data directory

_INTEGER: Final = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_MEMORY: Final = re.compile(rb"([0-9]{0,127})([a-z]*)")
_UNITS: Final = {
    b"": 1, b"b": 1, b"k": 1000, b"kb": 1 << 10, b"m": 1000**2, b"mb": 1 << 20, b"g": 1000**3, b"gb": 1 << 30,
}  # fmt: skip


class Invalid(Exception):
    """A text that is not a value of the setting's kind; says what one must be."""


class Kind:
    """What values a setting may take, and how they are read."""

    def parse(self, text: bytes) -> Value:
        """The value that `text` stands for. Raises `Invalid`."""
        return text.decode("utf-8", "surrogateescape")

    def change(self, value: Value, text: bytes) -> Value:
        """What becomes of a value when CONFIG SET is given `text`. Raises `Invalid`."""
        return self.parse(text)

    def show(self, value: Value) -> str:
        """A value as CONFIG GET shows it."""
        return str(value)


class Number(Kind):
    """An integer from `low` to `high`."""

    def __init__(self, low: int, high: int) -> None:
        self.low = low
        self.high = high

    def parse(self, text: bytes) -> int:
        """See `Kind`."""
        if not _INTEGER.fullmatch(text) or not -INT64_MAX <= int(text) <= INT64_MAX:
            raise Invalid("argument couldn't be parsed into an integer")
        return self.check(int(text))

    def check(self, value: int) -> int:
        """`value`, if it is within bounds. Raises `Invalid`."""
        if not self.low <= value <= self.high:
            raise Invalid(f"argument must be between {self.low} and {self.high} inclusive")
        return value


class Memory(Number):
    """A size in bytes, which may be given with a unit: `k` is a thousand, `kb` is 1024."""

    def parse(self, text: bytes) -> int:
        """See `Kind`."""
        found = _MEMORY.fullmatch(text.lower())
        if found is None or found[2] not in _UNITS:
            raise Invalid("argument must be a memory value")
        return self.check(int(found[1] or b"0") * _UNITS[found[2]])


class Choice(Kind):
    """One of a few words, in any case."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def parse(self, text: bytes) -> Value:
        """See `Kind`."""
        word = printable(text).lower()
        if word in self.words:
            return word
        if len(self.words) == 1:
            raise Invalid(f"argument must be '{self.words[0]}'")
        raise Invalid("argument(s) must be one of the following: " + ", ".join(self.words))


class EventClasses(Kind):
    """Classes of keyspace events, by their letters."""

    def parse(self, text: bytes) -> int:
        """See `Kind`."""
        classes = parse_classes(printable(text))
        if classes is None:
            raise Invalid("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        return classes

    def show(self, value: Value) -> str:
        """See `Kind`."""
        assert isinstance(value, int)
        return show_classes(value)


class OutputLimits(Kind):
    """How many bytes may wait for a client that does not read, for each class of clients (`OUTPUT_CLASSES`)."""

    def change(self, value: Value, text: bytes) -> Value:
        """See `Kind`. Classes that are not named keep their limits."""
        assert isinstance(value, tuple)
        limits = list(value)
        words = text.split(b" ") if text else []
        if len(words) % 4:
            raise Invalid("Wrong number of arguments in buffer limit configuration.")
        for place in range(0, len(words), 4):
            name = printable(words[place]).lower()
            if name not in _OUTPUT_CLASSES_BY_NAME:
                raise Invalid("Invalid client class specified in buffer limit configuration.")
            limits[_OUTPUT_CLASSES_BY_NAME[name]] = _limits(words[place + 1 : place + 4])
        return tuple(limits)

    def show(self, value: Value) -> str:
        """See `Kind`."""
        assert isinstance(value, tuple)
        return " ".join(
            [f"{name} {hard} {soft} {s}" for name, (hard, soft, s) in zip(OUTPUT_CLASSES, value, strict=True)]
        )


# The classes of clients, in the order in which their limits are kept and shown.
OUTPUT_CLASSES: Final = ("normal", "slave", "pubsub")
NORMAL: Final = 0
PUBSUB: Final = 2
_OUTPUT_CLASSES_BY_NAME: Final = {"normal": NORMAL, "slave": 1, "replica": 1, "pubsub": PUBSUB}
_SECONDS: Final = re.compile(rb"[+-]?[0-9]{1,18}|")


def _limits(words: list[bytes]) -> Limits:
    sizes = Memory(0, INT64_MAX)
    try:
        hard, soft = sizes.parse(words[0]), sizes.parse(words[1])
    except Invalid:
        hard = soft = -1
    seconds = int(words[2] or b"0") if _SECONDS.fullmatch(words[2]) else -1
    if hard < 0 or not 0 <= seconds <= INT32_MAX:
        raise Invalid("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
    return hard, soft, seconds


class Setting:
    """One row of the table. `live`: CONFIG SET may change it (a fact: may be told what it is anyway)."""

    def __init__(self, name: str, kind: Kind, default: Value, live: bool, meaning: str) -> None:
        self.name = name
        self.kind = kind
        self.default = default
        self.live = live
        self.meaning = meaning


_TEXT: Final = Kind()
_OUTPUT_LIMITS: Final = ((0, 0, 0), (256 * MEGABYTE, 64 * MEGABYTE, 60), (32 * MEGABYTE, 8 * MEGABYTE, 60))

TABLE: Final = (
    # Given on the command line.
    Setting("port", Number(0, 65535), 6377, False, "TCP port; 0 is none"),
    Setting("bind", _TEXT, "localhost", False, "address to listen on"),
    Setting("unixsocket", _TEXT, "", False, "path of the Unix socket to listen on, empty for none"),
    Setting("dir", _TEXT, ".", False, "the data directory"),
    Setting("databases", Number(1, INT32_MAX), 16, False, "how many databases SELECT knows"),
    # Given on the command line, and changed by CONFIG SET.
    Setting("appendfsync", Choice("everysec", "always", "no"), "always", True, "when commits are synced to the disk"),
    Setting("maxmemory", Memory(0, INT64_MAX), 0, True, "most bytes of the store's pages in use; 0 is no limit"),
    # Changed by CONFIG SET.
    Setting("maxclients", Number(1, UINT32_MAX), 10000, True, "how many clients may be connected at once"),
    Setting("timeout", Number(0, INT32_MAX), 0, True, "seconds after which an idle client is closed; 0 is never"),
    Setting("tcp-keepalive", Number(0, INT32_MAX), 300, True, "seconds between TCP keep-alive probes; 0 is none"),
    Setting("proto-max-bulk-len", Memory(MEGABYTE, INT64_MAX), 512 * MEGABYTE, True, "longest argument and string"),
    Setting("client-query-buffer-limit", Memory(MEGABYTE, INT64_MAX), 1024 * MEGABYTE, True, "longest request"),
    Setting("client-output-buffer-limit", OutputLimits(), _OUTPUT_LIMITS, True, "bytes that may wait for a client"),
    Setting("notify-keyspace-events", EventClasses(), 0, True, "which keyspace notifications are published"),
    Setting("hll-sparse-max-bytes", Memory(0, INT64_MAX), 3000, True, "longest HyperLogLog that is not made dense"),
    Setting("slowlog-log-slower-than", Number(-1, INT64_MAX), 10000, True, "a slow command's microseconds; -1: off"),
    Setting("slowlog-max-len", Number(0, INT64_MAX), 128, True, "how many slow commands are remembered"),
    # Facts.
    Setting("dbfilename", _TEXT, SAVED_FILE, False, "the copy that SAVE and BGSAVE write, below `dir`"),
    Setting("hz", Number(1, 500), 10, False, "sweeps for expired keys a second"),
    Setting("appendonly", Choice("yes"), "yes", True, "every write is kept; there is no other way"),
    Setting("save", Choice(""), "", True, "no snapshots by the clock: the store is always complete"),
    Setting("maxmemory-policy", Choice("noeviction"), "noeviction", True, "no key is removed to make room"),
    Setting("requirepass", Choice(""), "", True, "no password"),
    Setting("loglevel", Choice("notice"), "notice", True, "how much the log tells"),
    Setting("logfile", _TEXT, "", False, "the log goes where the process that runs the server sends it"),
    Setting("daemonize", Choice("no"), "no", False, "what starts the server decides"),
    Setting("cluster-enabled", Choice("no"), "no", False, "a single server"),
    Setting("io-threads", Number(1, 1), 1, False, "one thread speaks to all sockets"),
)  # fmt: skip


class Settings:
    """The settings of one server. The arguments are those given on the command line.

    Commands may change settings on any thread, one at a time; listeners are called there.
    """

    def __init__(
        self,
        port: int = 6377,
        host: str = "localhost",
        data_dir: str = ".",
        databases: int = 16,
        fsync: str = "always",
        unix_socket: str = "",
        max_size: int = 0,
    ) -> None:
        self._table: dict[str, Setting] = {setting.name: setting for setting in TABLE}
        self._values: dict[str, Value] = {setting.name: setting.default for setting in TABLE}
        self._listeners: list[Callable[[], None]] = []
        self._values.update(
            {
                "port": port,
                "bind": host,
                "dir": data_dir,
                "databases": databases,
                "appendfsync": fsync,
                "unixsocket": unix_socket,
                "maxmemory": max_size,
            }
        )
        self.port = port
        self.host = host
        self.data_dir = data_dir
        self.databases = databases
        self.unix_socket = unix_socket
        self.hz = self._number("hz")
        self._refresh()

    def _number(self, name: str) -> int:
        value = self._values[name]
        assert isinstance(value, int)
        return value

    def _refresh(self) -> None:
        self.appendfsync = str(self._values["appendfsync"])
        self.maxmemory = self._number("maxmemory")
        self.maxclients = self._number("maxclients")
        self.timeout = self._number("timeout")
        self.tcp_keepalive = self._number("tcp-keepalive")
        self.proto_max_bulk_len = self._number("proto-max-bulk-len")
        self.client_query_buffer_limit = self._number("client-query-buffer-limit")
        limits = self._values["client-output-buffer-limit"]
        assert isinstance(limits, tuple)
        self.normal_output_limits = limits[NORMAL]
        self.pubsub_output_limits = limits[PUBSUB]
        self.notify_keyspace_events = self._number("notify-keyspace-events")
        self.hll_sparse_max_bytes = self._number("hll-sparse-max-bytes")
        self.slowlog_log_slower_than = self._number("slowlog-log-slower-than")
        self.slowlog_max_len = self._number("slowlog-max-len")

    def get(self, name: str) -> str:
        """A setting's value as CONFIG GET shows it; memory in bytes. Raises `KeyError` for a name not in the table."""
        return self._table[name].kind.show(self._values[name])

    def matching(self, patterns: list[bytes]) -> dict[bytes, bytes]:
        """Names and values of the settings that match any of the patterns, in any case.

        A pattern that is a plain name gives the name back as it was spelled, as the reference does.
        """
        found: dict[str, bytes] = {}
        for pattern in patterns:
            lowered = pattern.lower()
            name = lowered.decode("latin-1")
            if name in self._table:
                found.setdefault(name, pattern)
            elif any(special in lowered for special in b"*?["):
                glob = Glob(pattern, ignore_case=True)
                for name in self._table:
                    if glob.matches(name.encode()):
                        found.setdefault(name, name.encode())
        return {shown: self.get(name).encode("utf-8", "surrogateescape") for name, shown in found.items()}

    def set_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Changes all of the settings named, or none. Raises `CommandError` with the reference's texts."""
        settings = self._find_all(pairs)
        values: dict[str, Value] = {}
        for setting, (name, text) in zip(settings, pairs, strict=True):
            try:
                values[setting.name] = setting.kind.change(self._values[setting.name], text)
            except Invalid as error:
                raise _failed(name, str(error)) from None
        self._values.update(values)
        self._refresh()
        for listener in self._listeners:
            listener()

    def _find_all(self, pairs: list[tuple[bytes, bytes]]) -> list[Setting]:
        settings: list[Setting] = []
        for name, _ in pairs:
            setting = self._table.get(name.lower().decode("latin-1"))
            if setting is None:
                text = f"ERR Unknown option or number of arguments for CONFIG SET - '{printable(name)}'"
                raise CommandError(text)
            if not setting.live:
                raise _failed(name, "can't set immutable config")
            if setting in settings:
                raise _failed(name, "duplicate parameter")
            settings.append(setting)
        return settings

    def on_change(self, callback: Callable[[], None]) -> None:
        """`callback` is called after every change, on the thread that made it."""
        self._listeners.append(callback)


def _failed(name: bytes, reason: str) -> CommandError:
    text = f"ERR CONFIG SET failed (possibly related to argument '{printable(name)}') - {reason}"
    return CommandError(text)
