"""Settings: the reference's names, kinds and error texts; all of a CONFIG SET or nothing."""

from __future__ import annotations

import pytest

from keyp import events
from keyp.config import TABLE, Settings
from keyp.errors import CommandError


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


def test_names_are_given_once_and_in_lower_case():
    names = [setting.name for setting in TABLE]
    assert len(set(names)) == len(names)
    assert all(name == name.lower() and setting.meaning for name, setting in zip(names, TABLE, strict=True))


def test_every_default_is_a_value_of_its_kind():
    for setting in TABLE:
        shown = setting.kind.show(setting.default).encode()
        assert setting.kind.change(setting.default, shown) == setting.default


def test_the_command_line_decides_what_only_it_can():
    settings = Settings(port=7000, host="::1", data_dir="/d", databases=3, fsync="everysec", unix_socket="/s")
    assert (settings.port, settings.host, settings.data_dir) == (7000, "::1", "/d")
    assert (settings.databases, settings.appendfsync, settings.unix_socket) == (3, "everysec", "/s")
    shown = [settings.get(name) for name in ("port", "bind", "dir", "databases", "appendfsync", "unixsocket")]
    assert shown == ["7000", "::1", "/d", "3", "everysec", "/s"]


def test_a_change_shows_in_the_attribute_and_in_the_text():
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
def test_sizes(text: str, size: int):
    settings = Settings()
    settings.set_many([(b"client-query-buffer-limit", text.encode())])
    assert settings.client_query_buffer_limit == size


BAD_EVENT = "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."
BAD_LIMIT_COUNT = "Wrong number of arguments in buffer limit configuration."
BAD_LIMIT_CLASS = "Invalid client class specified in buffer limit configuration."
BAD_LIMIT = "Error in hard, soft or soft_seconds setting in buffer limit configuration."
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
        ("PORT", "1", "can't set immutable config"),
        ("databases", "16", "can't set immutable config"),
        ("databases", "3", "can't set immutable config"),
        ("appendonly", "no", "argument must be 'yes'"),
        ("maxmemory-policy", "allkeys-lru", "argument must be 'noeviction'"),
        ("maxmemory", "lots", "argument must be a memory value"),
        ("save", "900 1", "argument must be ''"),
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
        ("client-output-buffer-limit", "pubsub 9223372036854775808 0 0", BAD_LIMIT),
    ],
)
def test_refusals(name: str, text: str, reason: str):
    assert refusal(Settings(), name, text) == failed(name, reason)


def test_an_unknown_name_is_refused_before_any_value_is_read():
    expected = "ERR Unknown option or number of arguments for CONFIG SET - 'Foo'"
    assert refusal(Settings(), "timeout", "abc", "Foo", "1") == expected


def test_a_name_given_twice_is_refused():
    assert refusal(Settings(), "timeout", "1", "TIMEOUT", "2") == failed("TIMEOUT", "duplicate parameter")


def test_all_or_nothing():
    assert refusal(Settings(), "timeout", "5", "maxclients", "x") == failed(
        "maxclients", "argument couldn't be parsed into an integer"
    )


def test_a_fact_may_be_told_what_it_is():
    Settings().set_many([(b"save", b""), (b"appendonly", b"YES"), (b"maxmemory", b"0"), (b"requirepass", b"")])


def test_names_and_patterns_in_any_case():
    settings = Settings()
    assert settings.matching([b"timeout", b"databases"]) == {b"timeout": b"0", b"databases": b"16"}
    assert settings.matching([b"MAXCLIENTS", b"*axclient*"]) == {b"MAXCLIENTS": b"10000"}
    assert settings.matching([b"*AXCLIENT*", b"maxclients"]) == {b"maxclients": b"10000"}
    assert set(settings.matching([b"slowlog-[lm]*"])) == {b"slowlog-log-slower-than", b"slowlog-max-len"}
    assert settings.matching([b"nosuch", b"nosuch*"]) == {}
    assert len(settings.matching([b"*"])) == len(TABLE)


def test_listeners_see_the_change_and_hear_of_no_refusal():
    settings = Settings()
    seen: list[int] = []
    settings.on_change(lambda: seen.append(settings.timeout))
    settings.set_many([(b"timeout", b"9")])
    refusal(settings, "timeout", "x")
    assert seen == [9]


def test_limits_of_output_are_changed_class_by_class():
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


def test_classes_of_events_are_shown_in_the_order_of_the_reference():
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
