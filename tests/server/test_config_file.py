"""Configuration files as text: what is read from lines, what is written to them, what CONFIG REWRITE makes of one."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from keyp.server.config import TABLE, Settings
from keyp.server.config.configuration import LEFT_ALONE, Configuration, fatal_text
from keyp.server.config.file import BadDirective, Directive, line, parse, quoted, word
from keyp.server.config.rewriting import Entry, rewritten
from keyp.server.config.table import CHANGES, CHECKED, FIXED, OBEYED, PINNED, REFUSED, STARTS


def read(text: bytes) -> list[tuple[str, list[bytes]]]:
    return [(directive.name, directive.words) for directive in parse(text)]


@pytest.mark.parametrize(
    ("text", "directives"),
    [
        (b"", []),
        (b"\n \t\r\n# port 1\n  # port 2\n", []),
        (b"port 7000", [("port", [b"7000"])]),
        (b"PORT 7000\r\nhz 5\r\n", [("port", [b"7000"]), ("hz", [b"5"])]),
        (b"  bind \t 127.0.0.1   -::1 ", [("bind", [b"127.0.0.1", b"-::1"])]),
        (b'requirepass "a b\\x41\\n\\"\\q"', [("requirepass", [b'a bA\n"q'])]),
        (b"requirepass 'a b\\'\\n'", [("requirepass", [b"a b'\\n"])]),
        (b'save ""', [("save", [b""])]),
        (b"port 1 # a comment", [("port", [b"1", b"#", b"a", b"comment"])]),
        (b'"PO"\nport\n', [("po", []), ("port", [])]),
        (b"\xc9 \xe9", [("\xc9", [b"\xe9"])]),
        (b"dir a\\b", [("dir", [b"a\\b"])]),
    ],
)
def test_what_is_read(text: bytes, directives: list[tuple[str, list[bytes]]]) -> None:
    assert read(text) == directives


@pytest.mark.parametrize("bad", [b'dir "a', b"dir 'a", b'dir "a"b', b'dir "a\\"'])
def test_a_line_with_wrong_quotes_is_named(bad: bytes) -> None:
    with pytest.raises(BadDirective) as caught:
        parse(b"hz 5\n\n  " + bad + b"  \nport 1", "here.conf")
    error = caught.value
    assert (error.reason, error.line, error.number, error.path) == (
        "Unbalanced quotes in configuration line", bad, 3, "here.conf",
    )  # fmt: skip


NAMES = st.text(st.characters(max_codepoint=255), max_size=8).map(lambda name: name.encode("latin-1").lower())


@given(st.lists(st.tuples(NAMES, st.lists(st.binary(max_size=8), max_size=4)), max_size=5))
def test_what_is_written_is_read_again(directives: list[tuple[bytes, list[bytes]]]) -> None:
    """Whatever names and words, also where lines follow each other."""
    written = [(name.decode("latin-1"), words) for name, words in directives]
    text = b"\n".join([line(name, words) for name, words in written])
    assert read(text) == written


@given(st.binary(max_size=40))
def test_a_word_and_a_quoted_word_are_read_again(text: bytes) -> None:
    assert read(b"x " + word(text) + b" " + quoted(text)) == [("x", [text, text])]
    assert quoted(text).isascii()


# Settings.


def started(text: bytes) -> Settings:
    settings = Settings()
    settings.start_with(Configuration("here.conf", parse(text, "here.conf")).settings)
    return settings


def refusal(text: bytes) -> str:
    with pytest.raises(BadDirective) as caught:
        started(text)
    return caught.value.reason


def test_values_of_a_file() -> None:
    settings = started(
        b"port 0\nbind 10.0.0.1 -::1\nmaxmemory 2gb\nAppendFsync everysec\nhz 1000\nslave-priority 7\n"
        b"save 60 1\nsave 30 2 10 3\n"
        b"client-output-buffer-limit normal 1kb 0 0\nclient-output-buffer-limit pubsub 1 2 3\n"
        b"enable-protected-configs local\nunixsocketperm 700\nshutdown-on-sigterm save now\nlist-max-ziplist-value 3\n"
    )
    shown = [settings.get(name) for name in ("port", "bind", "maxmemory", "appendfsync", "hz", "replica-priority")]
    assert shown == ["0", "10.0.0.1 -::1", str(2 << 30), "everysec", "500", "7"]
    assert settings.get("save") == "60 1 30 2 10 3"
    assert settings.get("client-output-buffer-limit") == "normal 1024 0 0 slave 268435456 67108864 60 pubsub 1 2 3"
    shown = [settings.get(name) for name in ("enable-protected-configs", "unixsocketperm", "shutdown-on-sigterm")]
    assert shown == ["local", "700", "save now"]
    assert (settings.host, settings.maxmemory, settings.hz) == ("10.0.0.1 -::1", 2 << 30, 500)


def test_names_of_the_options() -> None:
    settings = started(b"data-dir /d\nfsync no\nmax-size 1mb\nhost ::1\n")
    assert [settings.get(name) for name in ("dir", "appendfsync", "maxmemory", "bind")] == [
        "/d",
        "no",
        "1048576",
        "::1",
    ]


def test_save_lines() -> None:
    """The first takes the place of what holds, the others add to it, an empty one removes all."""
    assert started(b"save 1 2\nsave ''\n").get("save") == ""
    assert started(b"save 1 2\nsave ''\nsave 3 4").get("save") == "3 4"
    assert started(b"save '1 2'").get("save") == "1 2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"nosuch 1", "Bad directive or wrong number of arguments"),
        (b"include", "Bad directive or wrong number of arguments"),
        (b"rename-command x", "Bad directive or wrong number of arguments"),
        (b"user", "Bad directive or wrong number of arguments"),
        (b"sentinel monitor", "sentinel directive while not in sentinel mode"),
        (b"loadmodule x.so", "Keyp has no modules"),
        (b"port", "wrong number of arguments"),
        (b"port 1 2", "wrong number of arguments"),
        (b"port x", "argument couldn't be parsed into an integer"),
        (b"port 65536", "argument must be between 0 and 65535 inclusive"),
        (b"maxmemory 1tb", "argument must be a memory value"),
        (b"save 1", "Invalid save parameters"),
        (b"save 1 2\nsave 0 1", "Invalid save parameters"),
        (b"io-threads 0", "argument must be between 1 and 128 inclusive"),
        (b"cluster-enabled yes", "Keyp is a single server"),
        (b"replicaof host 1", "Keyp does not replicate"),
        (b"slaveof host", "wrong number of arguments"),
        (b"min-slaves-to-write 1", "Keyp does not replicate, so no write could be accepted"),
        (b"supervised systemd", "Keyp tells nobody that it has started"),
        (b"user ann on\nuser ann off", "Error in user declaration 'ann': Duplicate user found. "
         "A user can only be defined once in config files"),
    ],
)  # fmt: skip
def test_refusals(text: bytes, reason: str) -> None:
    assert refusal(text) == reason


def test_what_is_true_stays_and_is_told() -> None:
    settings = started(b"dbfilename dump.rdb\nio-threads 4\nrdbchecksum yes\nreplicaof no one\ncluster-enabled no")
    assert (settings.get("dbfilename"), settings.get("io-threads")) == ("backup/data.mdb", "1")
    assert settings.without_effect == ["dbfilename", "io-threads"]


def test_every_setting_says_what_a_file_does_with_it() -> None:
    """What CONFIG SET obeys the file sets; what it cannot set is chosen there, or stays as it is."""
    for setting in TABLE:
        if setting.state == OBEYED:
            assert setting.in_file == CHANGES
        if setting.state in (FIXED, PINNED):
            assert setting.in_file in (STARTS, CHECKED, REFUSED)


# What an administrator is told.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (b"hz 5\nprot 7000", "prot 7000"),
        (b"hz 5\n\trequirepass  'a b", "requirepass (not shown)"),
        (b'hz 5\nUser\tann >secret "', "User (not shown)"),
        (b'hz 5\n"\\x72equirepass" "a', '"\\x72equirepass" (not shown)'),
        (b'hz 5\n"requirepass a', '"requirepass (not shown)'),
        (b"hz 5\n'user' ann >secret \"", "'user' (not shown)"),
    ],
)
def test_the_text_names_the_line_and_no_secret(text: bytes, shown: str) -> None:
    with pytest.raises(BadDirective) as caught:
        Configuration("/a.conf", parse(text, "/a.conf"))
    told = fatal_text("1.0", caught.value).splitlines()
    assert told[:2] == ["", "*** FATAL CONFIG FILE ERROR (Keyp 1.0) ***"]
    assert told[2:] == ["Reading the configuration file /a.conf, at line 2", f">>> '{shown}'", caught.value.reason]


# CONFIG REWRITE.

ENTRIES = [
    Entry("hz", [], [(b"10", False)]),
    Entry("timeout", [], [(b"5", True)]),
    Entry("busy-reply-threshold", ["lua-time-limit"], [(b"7", True)]),
    Entry("requirepass", [], []),
    Entry("user", [], [(b"ann on", True), (b"bob off", True)]),
]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"", b"# Generated by CONFIG REWRITE\ntimeout 5\nbusy-reply-threshold 7\nuser ann on\nuser bob off\n"),
        (
            b"# head\n\n\n  hz   20 \n# c\ntimeout 5\nlua-time-limit 3\nuser x\nuser y\n",
            b"# head\n\nhz 10\n# c\ntimeout 5\nbusy-reply-threshold 7\nuser ann on\nuser bob off\n\n",
        ),
        (
            b"requirepass x\nuser x\nuser y\nuser z\ntimeout 1\ntimeout 2\nlua-time-limit 1\nhz 1",
            b"\nuser ann on\nuser bob off\n\ntimeout 5\n\nbusy-reply-threshold 7\nhz 10\n",
        ),
        (
            b"include  a*.conf\nrename-command   x ''\nendpoint tcp:1\nio-threads 4\nTIMEOUT 1\nwhat 1\n'x",
            b"include  a*.conf\nrename-command   x ''\nendpoint tcp:1\nio-threads 4\ntimeout 5\n"
            b"# ??? what 1\n# ??? 'x\n"
            b"# Generated by CONFIG REWRITE\nbusy-reply-threshold 7\nuser ann on\nuser bob off\n",
        ),
        (
            b"# Generated by CONFIG REWRITE\ntimeout 5\nhz 1\n",
            b"# Generated by CONFIG REWRITE\ntimeout 5\nhz 10\n\nbusy-reply-threshold 7\nuser ann on\nuser bob off\n",
        ),
    ],
)
def test_rewritten(old: bytes, new: bytes) -> None:
    assert rewritten(old, ENTRIES, LEFT_ALONE) == new


@given(st.binary(max_size=60))
def test_any_text_can_be_rewritten_and_is_read_then(old: bytes) -> None:
    new = rewritten(old, ENTRIES, LEFT_ALONE)
    values = [(name, words) for name, words in read(new) if name not in LEFT_ALONE]
    assert sorted(values) == sorted(
        [("timeout", [b"5"]), ("busy-reply-threshold", [b"7"]), ("user", [b"ann", b"on"]), ("user", [b"bob", b"off"])]
        + [value for value in values if value[0] == "hz"]
    )
    again = rewritten(new, ENTRIES, LEFT_ALONE)
    assert again == rewritten(again, ENTRIES, LEFT_ALONE)


WRITABLE = [setting for setting in TABLE if setting.in_file in (CHANGES, STARTS)]
TRIED = [
    b"", b"0", b"1", b"-1", b"7", b"100", b"1024", b"1kb", b"3mb", b"2gb", b"5%", b"yes", b"no", b"local", b"always",
    b"everysec", b"KEA", b"Kx", b"60 1 30 2", b"normal 1 2 3", b"pubsub 1kb 0 60", b"1 2 3", b"50 99.9", b"save now",
    b"/a b\\c", b'a"b\'c', b"\xc3\xa9\x01\n", b"127.0.0.1 ::1", b"{title}", b"777", b"warning", b"optional",
    b"allkeys-lru",
]  # fmt: skip


@example([(setting, b"\0") for setting in WRITABLE])
@given(st.lists(st.tuples(st.sampled_from(WRITABLE), st.sampled_from(TRIED) | st.binary(max_size=6)), max_size=12))
def test_settings_that_are_written_hold_after_a_restart(changes: list[tuple[object, bytes]]) -> None:
    """Whatever has been set: a server that starts with the file has the same values of all settings."""
    settings = Settings()
    for setting, text in changes:
        name = setting.name  # type: ignore[attr-defined]
        words = [text] if name in ("requirepass", "dir") else text.split(b" ")
        try:
            settings.start_with(Configuration("here.conf", [Directive(name, words, b"", 1)]).settings)
        except BadDirective:
            continue
    other = started(rewritten(b"", settings.entries(), LEFT_ALONE))
    assert other.matching([b"*"]) == settings.matching([b"*"])
