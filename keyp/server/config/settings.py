"""The settings of one server: CONFIG GET and CONFIG SET, and typed attributes for code that asks often.

The attributes (`settings.proto_max_bulk_len`) follow every change. Names, bounds and error texts are Redis's:
https://redis.io/docs/latest/commands/config-set/
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from keyp.algorithms.glob import Glob
from keyp.errors import CommandError, printable
from keyp.server.config.file import BadDirective, Directive
from keyp.server.config.rewriting import Entry
from keyp.server.config.setting_types import ClientCount, Invalid, Pinned, Value
from keyp.server.config.special_types import NORMAL, PUBSUB
from keyp.server.config.table import CHANGES, FIXED, OWN_NAMES, REFUSED, STARTS, TABLE, Setting


class Settings:
    """The settings of one server. `values` are those that are not the default from the start, by their settings' names.

    Commands may change settings on any thread, one at a time; listeners are called there.
    """

    def __init__(self, values: dict[str, Value] | None = None) -> None:
        self._table: dict[str, Setting] = {name: setting for setting in TABLE for name in setting.names}
        self._values: dict[str, Value] = {setting.name: setting.default for setting in TABLE}
        self._values.update(values or {})
        self._listeners: list[Callable[[], None]] = []
        self.port = self._number("port")  # of TCP, of whatever form: what INFO shows
        self.config_file = ""  # the path of the configuration file, absolute; empty where there is none
        self.users_file_included = ""  # the path of a file with users that it includes
        self.without_effect: list[str] = []  # the settings in it that leave what is true as it is
        self._refresh()

    def start_with(self, directives: Iterable[Directive]) -> None:
        """Takes the values that a configuration file gives, before anything has begun. Raises `BadDirective`.

        All of the directives name settings. What they say may be more than CONFIG SET allows later: see `in_file` in
        the table.
        """
        saves = False
        for directive in directives:
            setting = self._table[OWN_NAMES.get(directive.name, directive.name)]
            text = b" ".join(directive.words)
            if setting.name == "save":  # the first line replaces what there is, the others add to it
                if saves and text:
                    text = (self.get("save").encode() + b" " + text).strip()
                saves = True
            try:
                if len(directive.words) != 1 and not setting.setting_type.several:
                    raise Invalid("wrong number of arguments")
                self._start_with(setting, text)
            except Invalid as error:
                raise BadDirective(str(error), directive.line, directive.number, directive.path) from None
        self._refresh()

    def _start_with(self, setting: Setting, text: bytes) -> None:
        setting_type, value = setting.setting_type, self._values[setting.name]
        if isinstance(setting_type, Pinned) and setting.in_file != REFUSED:
            setting_type = setting_type.of_file
        given = setting_type.change(value, text)
        if setting.in_file in (CHANGES, STARTS):
            self._values[setting.name] = given
        elif given != value:
            if setting.in_file == REFUSED:
                raise Invalid(setting.note)
            self.without_effect.append(setting.name)

    def choose(self, values: dict[str, Value]) -> None:
        """Takes values that hold from the start: of the command line, of the ports and the directory that there are."""
        self._values.update(values)
        self._refresh()

    def value(self, name: str) -> Value:
        """A setting's value as it is kept. Raises `KeyError` for a name not in the table."""
        return self._values[self._table[name].name]

    def differs(self, name: str) -> bool:
        """Whether a setting has another value than its default. Raises `KeyError` for a name not in the table."""
        return self._values[self._table[name].name] != self._table[name].default

    def entries(self) -> list[Entry]:
        """What CONFIG REWRITE is to write of the settings, in the order of the table."""
        own: defaultdict[str, list[str]] = defaultdict(list)
        for other, name in OWN_NAMES.items():
            own[name].append(other)
        found: list[Entry] = []
        for setting in TABLE:
            if setting.in_file in (CHANGES, STARTS):
                lines = setting.setting_type.written(self._values[setting.name], setting.default)
                found.append(Entry(setting.name, [*setting.names[1:], *own[setting.name]], lines))
        return found

    def fit_clients(self) -> int:
        """Raises the process's limit of descriptors for `maxclients`, or lowers `maxclients` to what it leaves.

        What `maxclients` is then; below 1 where there is no descriptor for a client, and nothing has changed.
        """
        setting_type = self._table["maxclients"].setting_type
        assert isinstance(setting_type, ClientCount)
        possible = setting_type.possible(self.maxclients)
        if 0 < possible < self.maxclients:
            self._values["maxclients"] = possible
            self._refresh()
        return possible

    def _number(self, name: str) -> int:
        value = self._values[name]
        assert isinstance(value, int)
        return value

    def _text(self, name: str) -> str:
        value = self._values[name]
        assert isinstance(value, str)
        return value

    def _refresh(self) -> None:
        self.host = self._text("bind")
        self.data_dir = self._text("dir")
        self.databases = self._number("databases")
        self.unix_socket = self._text("unixsocket")
        self.appendfsync = self._text("appendfsync")
        self.hz = self._number("hz")
        self.maxmemory = self._number("maxmemory")
        self.maxmemory_clients = self._number("maxmemory-clients")  # bytes, or below 0 a percentage of `maxmemory`
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
        self.busy_reply_threshold = self._number("busy-reply-threshold")
        self.loglevel = self._text("loglevel")
        self.slowlog_log_slower_than = self._number("slowlog-log-slower-than")
        self.slowlog_max_len = self._number("slowlog-max-len")
        self.latency_monitor_threshold = self._number("latency-monitor-threshold")
        self.latency_tracking = self._text("latency-tracking") == "yes"
        self.latency_percentiles = self._text("latency-tracking-info-percentiles").split()
        self.hash_max_listpack_entries = self._number("hash-max-listpack-entries")
        self.hash_max_listpack_value = self._number("hash-max-listpack-value")
        self.list_max_listpack_size = self._number("list-max-listpack-size")
        self.set_max_intset_entries = self._number("set-max-intset-entries")
        self.set_max_listpack_entries = self._number("set-max-listpack-entries")
        self.set_max_listpack_value = self._number("set-max-listpack-value")
        self.zset_max_listpack_entries = self._number("zset-max-listpack-entries")
        self.zset_max_listpack_value = self._number("zset-max-listpack-value")
        self.acl_all_channels = self._text("acl-pubsub-default") == "allchannels"
        self.acllog_max_len = self._number("acllog-max-len")
        self.protected_mode = self._text("protected-mode") == "yes"
        self.stream_node_max_entries = self._number("stream-node-max-entries")

    def get(self, name: str) -> str:
        """A setting's value as CONFIG GET shows it; memory in bytes. Raises `KeyError` for a name not in the table."""
        setting = self._table[name]
        return setting.setting_type.show(self._values[setting.name])

    def matching(self, patterns: list[bytes]) -> dict[bytes, bytes]:
        """Names and values of the settings that match any of the patterns, in any case. An alias is a name.

        A pattern that is a plain name gives the name back as it was spelled, as Redis does.
        """
        found: dict[str, bytes] = {}
        for pattern in patterns:
            name = pattern.lower().decode("latin-1")
            if any(special in pattern for special in b"*?["):
                glob = Glob(pattern, ignore_case=True)
                for name, setting in self._table.items():
                    if not setting.hidden and glob.matches(name.encode()):
                        found.setdefault(name, name.encode())
            elif name in self._table:
                found.setdefault(name, pattern)
        return {shown: self.get(name).encode("utf-8", "surrogateescape") for name, shown in found.items()}

    def set_many(self, pairs: list[tuple[bytes, bytes]], protected: bool = False) -> None:
        """Changes all of the settings named, or none. Raises `CommandError` with Redis's texts.

        `protected`: those may be changed that `enable-protected-configs` is about.
        """
        values = self._values.copy()
        found = self._find_all(pairs, protected)
        name = ""
        try:
            for name, text in found:
                setting = self._table[name]
                values[setting.name] = setting.setting_type.change(values[setting.name], text)
            for name, _ in found:
                setting = self._table[name]
                if values[setting.name] != self._values[setting.name]:
                    setting.setting_type.prepare(values[setting.name])
        except Invalid as error:
            raise refused_setting(name, str(error)) from None
        self._values = values
        self._refresh()
        for listener in self._listeners:
            listener()

    def _find_all(self, pairs: list[tuple[bytes, bytes]], protected: bool) -> list[tuple[str, bytes]]:
        """The pairs with the names as the table has them. A name and its alias are two; the later one counts."""
        found: dict[str, bytes] = {}
        for given, text in pairs:
            name = given.lower().decode("latin-1")
            setting = self._table.get(name)
            if setting is None:
                raise CommandError(f"ERR Unknown option or number of arguments for CONFIG SET - '{printable(given)}'")
            if setting.state == FIXED:
                raise refused_setting(printable(given), "can't set immutable config")
            if setting.protected and not protected:
                raise refused_setting(printable(given), "can't set protected config")
            if name in found:
                raise refused_setting(printable(given), "duplicate parameter")
            found[name] = text
        return list(found.items())

    def on_change(self, callback: Callable[[], None]) -> None:
        """`callback` is called after every change, on the thread that made it."""
        self._listeners.append(callback)


def refused_setting(name: str, reason: str) -> CommandError:
    """The error of a CONFIG SET that has failed because of the setting `name`."""
    return CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")
