"""Settings: Redis's names, types and error texts; all of a CONFIG SET or nothing."""

from __future__ import annotations

import resource

import pytest

from keyp import events
from keyp.errors import CommandError
from keyp.server.config import TABLE, Settings
from keyp.server.config.table import FIXED, INERT, OBEYED, PINNED


def refusal(settings: Settings, *words: str) -> str:
    """The error of a CONFIG SET with these names and values; nothing may have changed by it."""
    before = settings.matching([b"*"])
    given = [word.encode() for word in words]
    with pytest.raises(CommandError) as caught:
        settings.set_many(list(zip(given[::2], given[1::2], strict=True)))
    assert settings.matching([b"*"]) == before
    return caught.value.text


def failed(name: str, reason: str) -> str:
    return f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}"


def test_names_are_given_once_and_in_lower_case() -> None:
    names = [name for setting in TABLE for name in setting.names]
    assert len(set(names)) == len(names)
    assert names == [name.lower() for name in names]


def test_every_setting_says_what_becomes_of_it() -> None:
    assert all(setting.note and setting.state in (OBEYED, INERT, PINNED, FIXED) for setting in TABLE)


def test_every_default_is_a_value_of_its_type() -> None:
    for setting in TABLE:
        shown = setting.setting_type.show(setting.default).encode()
        assert setting.setting_type.change(setting.default, shown) == setting.default


def test_the_command_line_decides_what_only_it_can() -> None:
    assert Settings({"enable-debug-command": "local"}).get("enable-debug-command") == "local"
    settings = Settings(
        {"port": 7000, "bind": "::1", "dir": "/d", "databases": 3, "appendfsync": "everysec", "unixsocket": "/s"}
    )
    assert (settings.port, settings.host, settings.data_dir) == (7000, "::1", "/d")
    assert (settings.databases, settings.appendfsync, settings.unix_socket) == (3, "everysec", "/s")
    shown = [settings.get(name) for name in ("port", "bind", "dir", "databases", "appendfsync", "unixsocket")]
    assert shown == ["7000", "::1", "/d", "3", "everysec", "/s"]


def test_a_change_shows_in_the_attribute_and_in_the_text() -> None:
    settings = Settings()
    settings.set_many([(b"Proto-Max-Bulk-Len", b"2mb"), (b"timeout", b"7")])
    assert settings.proto_max_bulk_len == 2 * 1024 * 1024
    assert settings.get("proto-max-bulk-len") == "2097152"
    assert settings.timeout == 7


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1048576", 1 << 20),
        ("1048576b", 1 << 20),
        ("2000k", 2_000_000),
        ("2000KB", 2_048_000),
        ("2m", 2_000_000),
        ("2Mb", 2 << 20),
        ("1g", 10**9),
        ("1gB", 1 << 30),
        ("9223372036854775807", (1 << 63) - 1),
    ],
)
def test_sizes(text: str, size: int) -> None:
    settings = Settings()
    settings.set_many([(b"client-query-buffer-limit", text.encode())])
    assert settings.client_query_buffer_limit == size


BAD_EVENT = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
BAD_LIMIT_COUNT = "Wrong number of arguments in buffer limit configuration."
BAD_LIMIT_CLASS = "Invalid client class specified in buffer limit configuration."
BAD_LIMIT = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
BAD_SCORES = "Invalid oom-score-adj-values, elements must be between -2000 and 2000."
BAD_OPTION = "argument(s) must be one of the following: default, save, nosave, now, force"
BAD_PERCENTILE = "Invalid latency-tracking-info-percentiles parameters"
BAD_TEMPLATE = "template format is invalid or contains unknown variables"
YES_OR_NO = "argument must be 'yes' or 'no'"
BULK_RANGE = "argument must be between 1048576 and 9223372036854775807 inclusive"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("timeout", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("timeout", "abc", "argument couldn't be parsed into an integer"),
        ("timeout", "", "argument couldn't be parsed into an integer"),
        ("timeout", "0x10", "argument couldn't be parsed into an integer"),
        ("timeout", " 7", "argument couldn't be parsed into an integer"),
        ("timeout", "07", "argument couldn't be parsed into an integer"),
        ("slowlog-max-len", "99999999999999999999", "argument couldn't be parsed into an integer"),
        ("slowlog-max-len", "9223372036854775808", "argument couldn't be parsed into an integer"),
        ("slowlog-log-slower-than", "-2", "argument must be between -1 and 9223372036854775807 inclusive"),
        ("maxclients", "0", "argument must be between 1 and 4294967295 inclusive"),
        ("proto-max-bulk-len", "foo", "argument must be a memory value"),
        ("proto-max-bulk-len", "-5", "argument must be a memory value"),
        ("proto-max-bulk-len", "1.5mb", "argument must be a memory value"),
        ("proto-max-bulk-len", "1tb", "argument must be a memory value"),
        ("proto-max-bulk-len", "512k", BULK_RANGE),
        ("proto-max-bulk-len", "m", BULK_RANGE),
        ("proto-max-bulk-len", "", BULK_RANGE),
        ("proto-max-bulk-len", "99999999999999999999", BULK_RANGE),
        ("proto-max-bulk-len", "9" * 5000, "argument must be a memory value"),
        ("proto-max-bulk-len", "9" * 127, BULK_RANGE),
        ("slowlog-max-len", "9" * 5000, "argument couldn't be parsed into an integer"),
        ("set-max-listpack-value", "1kb", "argument couldn't be parsed into an integer"),
        ("port", "1", "it is chosen when Keyp starts and does not change while it runs"),
        ("port", "x", "argument couldn't be parsed into an integer"),
        ("port", "65536", "argument must be between 0 and 65535 inclusive"),
        ("bind", "* -::*", "it is chosen when Keyp starts and does not change while it runs"),
        ("protected-mode", "on", YES_OR_NO),
        ("tls-port", "6379", "it is chosen when Keyp starts and does not change while it runs"),
        ("tls-cluster", "yes", "Keyp is a single server"),
        ("tls-replication", "YES", "Keyp does not replicate"),
        ("min-replicas-to-write", "1", "Keyp does not replicate, so no write could be accepted"),
        ("min-slaves-to-write", "1", "Keyp does not replicate, so no write could be accepted"),
        ("dir", ".", "can't set protected config"),
        ("dbfilename", "dump.rdb", "can't set protected config"),
        ("enable-debug-command", "yes", "can't set immutable config"),
        ("enable-protected-configs", "yes", "can't set immutable config"),
        ("replicaof", "no one", "can't set immutable config"),
        ("slaveof", "no one", "can't set immutable config"),
        ("hz", "-1", "argument must be between 0 and 2147483647 inclusive"),
        ("appendonly", "maybe", YES_OR_NO),
        ("maxmemory-policy", "lru", "argument(s) must be one of the following: volatile-lru, volatile-lfu, "
         "volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction"),
        ("maxmemory-clients", "x", "argument must be a memory or percent value"),
        ("maxmemory-clients", "-1%", "argument must be a memory or percent value"),
        ("maxmemory-clients", "01%", "argument must be a memory or percent value"),
        ("maxmemory-clients", "101%", "percentage argument must be less or equal to 100"),
        ("maxmemory-clients", "9223372036854775808", "percentage argument must be less or equal to 100"),
        ("oom-score-adj-values", "1 2", "wrong number of arguments"),
        ("oom-score-adj-values", "1  2 3", "wrong number of arguments"),
        ("oom-score-adj-values", "1 2 2001", BAD_SCORES),
        ("oom-score-adj-values", "1 2 x", BAD_SCORES),
        ("shutdown-on-sigterm", "save nosave", "shutdown options SAVE and NOSAVE can't be used simultaneously"),
        ("shutdown-on-sigterm", "save  now", BAD_OPTION),
        ("shutdown-on-sigint", "", BAD_OPTION),
        ("latency-tracking-info-percentiles", "50 x", BAD_PERCENTILE),
        ("latency-tracking-info-percentiles", "50  99", BAD_PERCENTILE),
        ("latency-tracking-info-percentiles", "nan", BAD_PERCENTILE),
        ("latency-tracking-info-percentiles", "1_0", BAD_PERCENTILE),
        ("latency-tracking-info-percentiles", "101",
         "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"),
        ("cluster-announce-hostname", "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
        ("cluster-announce-hostname", "a" * 256, "Hostnames must be less than 256 characters"),
        ("cluster-announce-human-nodename", "a b", "Announced human node name contained invalid character"),
        ("proc-title-template", "", BAD_TEMPLATE),
        ("proc-title-template", "{title} {", BAD_TEMPLATE),
        ("proc-title-template", "{TITLE}", BAD_TEMPLATE),
        ("locale-collate", "xx", "Invalid locale name"),
        ("locale-collate", "C", "texts are compared byte by byte"),
        ("databases", "16", "can't set immutable config"),
        ("databases", "3", "can't set immutable config"),
        ("maxmemory", "lots", "argument must be a memory value"),
        ("save", "900", "Invalid save parameters"),
        ("save", "0 1", "Invalid save parameters"),
        ("save", "1 -1", "Invalid save parameters"),
        ("save", " 900 1", "Invalid save parameters"),
        ("save", "9" * 5000 + " 1", "Invalid save parameters"),
        ("notify-keyspace-events", "KEa", BAD_EVENT),
        ("notify-keyspace-events", "K E", BAD_EVENT),
        ("notify-keyspace-events", "\xe9", BAD_EVENT),
        ("client-output-buffer-limit", "normal 0 0", BAD_LIMIT_COUNT),
        ("client-output-buffer-limit", "normal 0 0 0 pubsub", BAD_LIMIT_COUNT),
        ("client-output-buffer-limit", " normal 0 0 0", BAD_LIMIT_COUNT),
        ("client-output-buffer-limit", "master 0 0 0", BAD_LIMIT_CLASS),
        ("client-output-buffer-limit", "normal 0 0 0 foo 0 0 0", BAD_LIMIT_CLASS),
        ("client-output-buffer-limit", "normal x 0 0", BAD_LIMIT),
        ("client-output-buffer-limit", "normal 0 -1 0", BAD_LIMIT),
        ("client-output-buffer-limit", "pubsub 0 0 -1", BAD_LIMIT),
        ("client-output-buffer-limit", "pubsub 0 0 2147483648", BAD_LIMIT),
        ("client-output-buffer-limit", f"pubsub {'9' * 5000} 0 0", BAD_LIMIT),
        ("client-output-buffer-limit", f"pubsub 0 0 {'9' * 5000}", BAD_LIMIT),
    ],
)  # fmt: skip
def test_refusals(name: str, text: str, reason: str) -> None:
    assert refusal(Settings(), name, text) == failed(name, reason)


@pytest.mark.parametrize(
    ("name", "text", "shown"),
    [
        ("appendonly", "NO", "no"),
        ("save", "900 1 +60 1000", "900 1 60 1000"),
        ("save", "1 ", "1 0"),
        ("save", "", ""),
        ("maxmemory-policy", "ALLKEYS-LRU", "allkeys-lru"),
        ("maxmemory", "18446744073709551615", "18446744073709551615"),
        ("maxmemory", "99999999999999999999gb", "18446744072635809792"),
        ("maxmemory-clients", "50%", "50%"),
        ("maxmemory-clients", "0%", "0"),
        ("maxmemory-clients", "1gb", "1073741824"),
        ("list-max-ziplist-size", "-2147483648", "-2147483648"),
        ("list-max-listpack-size", "128", "128"),
        ("hash-max-ziplist-value", "1kb", "1024"),
        ("hz", "0", "1"),
        ("hz", "100000", "500"),
        ("oom-score-adj", "Relative", "yes"),
        ("oom-score-adj-values", "-1 +2 3", "-1 2 3"),
        ("shutdown-on-sigterm", "now SAVE", "save now"),
        ("shutdown-on-sigterm", "default force", "force"),
        ("latency-tracking-info-percentiles", "50.0 99.990 1e1", "50 99.99 10"),
        ("latency-tracking-info-percentiles", "", ""),
        ("proc-title-template", "{title} }{port}", "{title} }{port}"),
        ("client-output-buffer-limit", "pubsub 18446744073709551615 0 0",
         "normal 0 0 0 slave 268435456 67108864 60 pubsub 18446744073709551615 0 0"),
        ("port", "6377", "6377"),
        ("requirepass", "", ""),
        ("protected-mode", "yes", "yes"),
        ("min-slaves-to-write", "0", "0"),
        ("lua-time-limit", "7", "7"),
        ("tls-auth-clients", "optional", "optional"),
        ("masterauth", "x y", "x y"),
        ("key-load-delay", "-5", "-5"),
    ],
)  # fmt: skip
def test_values(name: str, text: str, shown: str) -> None:
    settings = Settings()
    settings.set_many([(name.upper().encode(), text.encode())])
    assert settings.get(name) == shown


def test_an_alias_is_another_name_of_the_same_setting() -> None:
    settings = Settings()
    settings.set_many([(b"slave-priority", b"3"), (b"replica-priority", b"4")])
    assert settings.matching([b"*-priority"]) == {b"replica-priority": b"4", b"slave-priority": b"4"}
    settings.set_many([(b"hash-max-ziplist-entries", b"9")])
    assert settings.hash_max_listpack_entries == 9
    assert refusal(settings, "SLAVE-priority", "x") == failed(
        "slave-priority", "argument couldn't be parsed into an integer"
    )


def test_no_pattern_finds_what_is_hidden() -> None:
    settings = Settings()
    assert settings.matching([b"key-load-delay"]) == {b"key-load-delay": b"0"}
    assert settings.matching([b"key-load*"]) == {}


def test_there_must_be_descriptors_for_so_many_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    raised: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 20_000))
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: raised.append(limits))
    settings = Settings()
    assert refusal(settings, "maxclients", "19969") == failed(
        "maxclients",
        "The operating system is not able to handle the specified number of clients, try with 19968",
    )
    raised.clear()
    assert refusal(settings, "maxclients", "5000", "timeout", "x") == failed(
        "timeout", "argument couldn't be parsed into an integer"
    )
    settings.set_many([(b"maxclients", b"10000")])  # which it is
    settings.set_many([(b"maxclients", b"500")])
    assert raised == []
    settings.set_many([(b"maxclients", b"5000")])
    assert raised == [(5032, 20_000)]
    assert settings.maxclients == 5000


def test_an_unknown_name_is_refused_before_any_value_is_read() -> None:
    expected = "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"
    assert refusal(Settings(), "timeout", "abc", "Foo", "1") == expected


def test_a_name_given_twice_is_refused() -> None:
    assert refusal(Settings(), "timeout", "1", "TIMEOUT", "2") == failed("TIMEOUT", "duplicate parameter")


def test_all_or_nothing() -> None:
    assert refusal(Settings(), "timeout", "5", "maxclients", "x") == failed(
        "maxclients", "argument couldn't be parsed into an integer"
    )


def test_a_fact_may_be_told_what_it_is() -> None:
    Settings().set_many([(b"save", b""), (b"appendonly", b"YES"), (b"maxmemory", b"0"), (b"requirepass", b"")])


def test_names_and_patterns_in_any_case() -> None:
    settings = Settings()
    assert settings.matching([b"timeout", b"databases"]) == {b"timeout": b"0", b"databases": b"16"}
    assert settings.matching([b"MAXCLIENTS", b"*axclient*"]) == {b"MAXCLIENTS": b"10000"}
    assert settings.matching([b"*AXCLIENT*", b"maxclients"]) == {b"maxclients": b"10000"}
    assert set(settings.matching([b"slowlog-[lm]*"])) == {b"slowlog-log-slower-than", b"slowlog-max-len"}
    assert settings.matching([b"nosuch", b"nosuch*"]) == {}
    assert len(settings.matching([b"*", b"timeout"])) == sum(
        len(setting.names) for setting in TABLE if not setting.hidden
    )


def test_listeners_see_the_change_and_hear_of_no_refusal() -> None:
    settings = Settings()
    seen: list[int] = []
    settings.on_change(lambda: seen.append(settings.timeout))
    settings.set_many([(b"timeout", b"9")])
    refusal(settings, "timeout", "x")
    assert seen == [9]


def test_limits_of_output_are_changed_class_by_class() -> None:
    settings = Settings()
    assert settings.get("client-output-buffer-limit") == (
        "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"
    )
    settings.set_many([(b"client-output-buffer-limit", b"PubSub 1mb 2k 7 normal 5 4 3")])
    assert (settings.normal_output_limits, settings.pubsub_output_limits) == ((5, 4, 3), (1 << 20, 2000, 7))
    settings.set_many([(b"client-output-buffer-limit", b"replica 1 2 3")])
    assert settings.get("client-output-buffer-limit") == "normal 5 4 3 slave 1 2 3 pubsub 1048576 2000 7"
    settings.set_many([(b"client-output-buffer-limit", b"")])
    assert settings.get("client-output-buffer-limit") == "normal 5 4 3 slave 1 2 3 pubsub 1048576 2000 7"


def test_classes_of_events_are_shown_in_the_order_of_the_reference() -> None:
    settings = Settings()
    for text, shown in [
        ("KEA", "AKE"),
        ("tdg$elshzxK", "AK"),
        ("zhsl$gE", "g$lshzE"),
        ("AKEmn", "AKEm"),
        ("mnK", "nKm"),
        ("xx", "x"),
        ("", ""),
    ]:
        settings.set_many([(b"notify-keyspace-events", text.encode())])
        assert settings.get("notify-keyspace-events") == shown
    settings.set_many([(b"notify-keyspace-events", b"An")])
    assert settings.notify_keyspace_events & events.NEW
