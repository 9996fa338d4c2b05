"""Settings, saving, stopping, debugging, waiting, the slow log and latencies: replies and the effects asked for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyp.command.context import CommandEnvironment, SessionContext, WriteContext
from keyp.command.effects import Delay, Effect, SaveStore, StopServer, SyncStore
from keyp.command.registry import Registry
from keyp.command.server_state import ServerState
from keyp.command.spec import SESSION
from keyp.commands.latency import LATENCY
from keyp.commands.server import SERVER
from keyp.commands.slowlog import SLOWLOG
from keyp.commands.wait import WAIT
from keyp.errors import CommandError
from keyp.resp.values import NO_REPLY, Verbatim
from keyp.server.clients import Client, ClientTable
from keyp.server.config import Settings
from keyp.server.metrics import Metrics
from keyp.storage.lmdb import layout
from keyp.storage.lmdb.environment import Environment
from keyp.storage.lmdb.transaction import WriteTransaction
from keyp.storage.types import strings
from tests.commands.conftest import Keyp

NOW_US = 1_700_000_000_123_456


class Desk:
    """One client at a server, inside one transaction that is thrown away in the end."""

    def __init__(self, environment: Environment, fsync: str) -> None:
        settings, metrics = Settings({"appendfsync": fsync}), Metrics()
        metrics.follow(settings)
        registry = Registry([SERVER, SLOWLOG, LATENCY, WAIT])
        self.server = ServerState(settings, metrics, ClientTable(), registry, environment, "a" * 40, 1e9)
        self.transaction = WriteTransaction(environment, NOW_US // 1000)
        self.data = WriteContext(self.transaction, CommandEnvironment(Random(1), 16, 1 << 29), NOW_US)
        client = Client(1, "127.0.0.1:5", "127.0.0.1:6379", 7, 0)
        self.context = SessionContext(client, client.state, self.server, self.data)

    def run(self, line: str, *more: bytes) -> Any:
        """The reply to a command; the text of its error."""
        args = [word.encode() for word in line.split()] + list(more)
        try:
            spec = self.server.registry.resolve(args)
            assert spec.function is not None
            return spec.function(self.context if spec.access == SESSION else self.data, args)
        except CommandError as error:
            return error.text

    def effects(self) -> list[Effect]:
        """The effects asked for since the last look."""
        effects, self.context.effects = self.context.effects, []
        return effects


@pytest.fixture
def fsync() -> str:
    return "always"


@pytest.fixture
def desk(tmp_path: Path, fsync: str) -> Iterator[Desk]:
    environment = Environment(str(tmp_path), fsync=fsync)
    desk = Desk(environment, fsync)
    yield desk
    desk.transaction.abort()
    environment.close()


def test_config_get_takes_names_and_patterns(desk: Desk) -> None:
    assert desk.run("CONFIG GET timeout DATA*") == {b"timeout": b"0", b"databases": b"16"}
    assert desk.run("CONFIG GET save") == {b"save": b""}


def test_config_set(desk: Desk) -> None:
    assert desk.run("CONFIG SET maxclients 5 timeout 3") == "OK"
    assert (desk.server.settings.maxclients, desk.server.settings.timeout) == (5, 3)


def test_config_resetstat(desk: Desk) -> None:
    desk.server.metrics.record("get", 1, False)
    assert desk.run("CONFIG RESETSTAT") == "OK"
    assert desk.server.metrics.commands == {}


def test_time_is_the_contexts(desk: Desk) -> None:
    assert desk.run("TIME") == [b"1700000000", b"123456"]


def test_save(desk: Desk) -> None:
    assert desk.run("SAVE") == "OK"
    (effect,) = desk.effects()
    assert isinstance(effect, SaveStore)
    assert not effect.background


def test_lastsave_is_the_start_until_there_is_a_copy(desk: Desk) -> None:
    assert desk.run("LASTSAVE") == 10**9
    desk.server.last_save_at = 1.5e9
    assert desk.run("LASTSAVE") == 1_500_000_000


def test_the_copy_has_a_place(desk: Desk) -> None:
    assert desk.run("CONFIG GET dbfilename") == {b"dbfilename": b"backup/data.mdb"}
    assert desk.run("CONFIG SET dbfilename dump.rdb").startswith("ERR CONFIG SET failed")


@pytest.mark.parametrize("line", ["BGSAVE", "BGSAVE SCHEDULE", "bgsave schedule"])
def test_background_save(desk: Desk, line: str) -> None:
    assert desk.run(line) == "Background saving started"
    (effect,) = desk.effects()
    assert isinstance(effect, SaveStore)
    assert effect.background


@pytest.mark.parametrize("line", ["SAVE", "BGSAVE", "BGSAVE SCHEDULE"])
def test_one_save_at_a_time(desk: Desk, line: str) -> None:
    desk.server.save_running = True
    assert desk.run(line) == "ERR Background save already in progress"
    assert desk.effects() == []


@pytest.mark.parametrize("options", ["", " NOSAVE", " save now", " NOW FORCE", " NOW NOW"])
def test_shutdown(desk: Desk, options: str) -> None:
    assert desk.run("SHUTDOWN" + options) is NO_REPLY
    assert [type(effect) for effect in desk.effects()] == [StopServer]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ("ABORT", "ERR No shutdown in progress."),
        ("foo", "ERR syntax error"),
        ("NOSAVE SAVE", "ERR syntax error"),
        ("ABORT NOW", "ERR syntax error"),
        ("NOW ABORT", "ERR syntax error"),
    ],
)
def test_shutdown_refused(desk: Desk, options: str, error: str) -> None:
    assert desk.run("SHUTDOWN " + options) == error
    assert desk.effects() == []


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.25", 0.25), ("0", 0), ("-1", 0), ("x", 0), ("nan", 0), ("inf", 0), ("1e9", 86_400)]
)
def test_debug_sleep(desk: Desk, text: str, seconds: float) -> None:
    assert desk.run(f"DEBUG SLEEP {text}") == "OK"
    (effect,) = desk.effects()
    assert isinstance(effect, Delay)
    assert effect.seconds == seconds


def test_debug_set_active_expire(desk: Desk) -> None:
    assert desk.run("DEBUG SET-ACTIVE-EXPIRE 0") == "OK"
    assert not desk.server.sweeping
    assert desk.run("debug set-active-expire 1") == "OK"
    assert desk.server.sweeping


def test_debug_helps(desk: Desk) -> None:
    assert desk.run("DEBUG HELP")[0].startswith("DEBUG <subcommand>")
    assert all(isinstance(line, str) for line in desk.run("DEBUG HELP"))


def test_lolwut_draws_and_tells_the_version(desk: Desk) -> None:
    drawings = [desk.run(line) for line in ("LOLWUT", "LOLWUT VERSION 5 1 2", "LOLWUT VERSION", "LOLWUT x")]
    assert all(isinstance(drawing, Verbatim) for drawing in drawings)
    assert all(drawing.text.endswith(b"\nRedis ver. 7.2.5\n") for drawing in drawings)
    assert len({drawing.text for drawing in drawings}) > 1
    assert desk.run("LOLWUT VERSION x") == "ERR value is not an integer or out of range"


def test_keyp_does_not_replicate(desk: Desk) -> None:
    assert desk.run("REPLICAOF localhost 6379").startswith("ERR Keyp does not replicate")


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        ("WAIT 5 1000", 0),
        ("WAITAOF 1 0 0", [1, 0]),
        ("WAITAOF 0 3 100", [1, 0]),
    ],
)
def test_wait_when_every_commit_is_synced(desk: Desk, line: str, reply: Any) -> None:
    assert desk.run(line) == reply
    assert desk.effects() == []


@pytest.mark.parametrize("fsync", ["everysec", "no"])
def test_waitaof_syncs_where_commits_do_not(desk: Desk) -> None:
    assert desk.run("WAITAOF 0 0 0") == [0, 0]
    assert desk.effects() == []
    assert desk.run("WAITAOF 1 0 0") == [1, 0]
    (effect,) = desk.effects()
    assert isinstance(effect, SyncStore)


def test_memory_usage_of_a_string(desk: Desk) -> None:
    strings.put(desk.data.keys, b"short", b"x" * 100)
    strings.put(desk.data.keys, b"dying", b"x" * 100, NOW_US // 1000 + 1000)
    strings.put(desk.data.keys, b"long", b"x" * 1_000_000)
    assert desk.run("MEMORY USAGE short") == 5 + layout.HEADER + layout.CHECKSUM + 100
    assert desk.run("MEMORY USAGE dying") == 5 + layout.HEADER + layout.CHECKSUM + 8 + 100 + 8 + 5
    assert 1_000_000 < desk.run("MEMORY USAGE long SAMPLES 0") < 1_000_100
    assert desk.run("MEMORY USAGE nokey") is None


def test_memory_usage_of_a_collection_is_estimated_by_samples(keyp: Keyp) -> None:
    keyp.answer("RPUSH l" + " short" * 5 + f" {'v' * 100}" * 45)
    head = 1 + layout.HEADER + layout.CHECKSUM + 24
    entry = 8 + 1 + 8 + layout.CHECKSUM
    assert keyp.answer("MEMORY USAGE l") == head + 50 * (entry + 5)
    assert keyp.answer("MEMORY USAGE l SAMPLES 0") == head + 50 * entry + 5 * 5 + 45 * 100
    assert keyp.answer("MEMORY USAGE l SAMPLES 50") == keyp.answer("MEMORY USAGE l SAMPLES 9223372036854775807")


@pytest.mark.parametrize(
    ("fill", "entry", "own"),
    [
        ("SADD k {0:03}", 8 + 1 + 3, 2),
        ("HSET k {0:03} value", 8 + 1 + 3 + 5, 2),
        ("ZADD k {0} {0:03}", 8 + 1 + 3 + 8 + layout.CHECKSUM + 8 + 1 + 8 + 3, 2),
    ],
)
def test_memory_usage_looks_at_elements_and_not_at_counts_of_them(keyp: Keyp, fill: str, entry: int, own: int) -> None:
    for number in range(600):
        keyp.answer(fill.format(number))
    head = 1 + layout.HEADER + layout.CHECKSUM + 16 + own
    for samples in ("", "SAMPLES 1", "SAMPLES 0"):
        assert keyp.answer(f"MEMORY USAGE k {samples}") == head + 600 * (entry + layout.CHECKSUM)


def test_slow_log(desk: Desk) -> None:
    log = desk.server.metrics.slow_log
    for number in range(12):
        log.add([b"get", b"%d" % number], 20_000_000, 1_700_000_000, "127.0.0.1:5", b"me")
    assert desk.run("SLOWLOG LEN") == 12
    assert len(desk.run("SLOWLOG GET")) == 10
    assert len(desk.run("SLOWLOG GET -1")) == 12
    assert desk.run("SLOWLOG GET 0") == []
    assert desk.run("SLOWLOG GET 1") == [[11, 1_700_000_000, 20_000, [b"get", b"11"], b"127.0.0.1:5", b"me"]]
    assert desk.run("SLOWLOG RESET") == "OK"
    assert desk.run("SLOWLOG LEN") == 0


def test_latency_histogram(desk: Desk) -> None:
    metrics = desk.server.metrics
    for nanoseconds in (900, 1500, 30_000, 60_000, 1_000_000):
        metrics.record("config|get", nanoseconds, False)
    metrics.record("time", 10, False)
    metrics.reject("wait")
    config = {b"calls": 5, b"histogram_usec": {1: 1, 2: 2, 33: 3, 66: 4, 1056: 5}}
    time = {b"calls": 1, b"histogram_usec": {1: 1}}
    assert desk.run("LATENCY HISTOGRAM") == {b"config|get": config, b"time": time}
    assert desk.run("LATENCY HISTOGRAM TIME nosuch wait") == {b"time": time}
    assert desk.run("LATENCY HISTOGRAM config") == {b"config|get": config}
    assert desk.run("LATENCY HISTOGRAM CONFIG|get config|nosuch") == {b"config|get": config}


LATENCY_SAMPLES = ((5, 0), (50, 1), (20, 2), (100, 3))  # milliseconds, after how many seconds


def with_latencies(desk: Desk, event: str) -> None:
    """Adds samples; the first was four seconds ago."""
    for milliseconds, second in LATENCY_SAMPLES:
        desk.server.metrics.latency_monitor.add(event, milliseconds * 1_000_000, NOW_US // 1_000_000 - 4 + second)


def text_of(desk: Desk, line: str) -> str:
    reply = desk.run(line)
    assert isinstance(reply, Verbatim)
    return reply.text.decode()


def test_latency_graph(desk: Desk) -> None:
    assert desk.run("LATENCY GRAPH command") == "ERR No samples available for event 'command'"
    with_latencies(desk, "command")
    assert text_of(desk, "LATENCY GRAPH command") == (  # as redis-server 7.0.15 draws it
        "command - high 100 ms, low 5 ms (all time high 100 ms)\n"
        + "-" * 80
        + "\n   #\n   |\n # |\n_|o|\n    \n4321\nssss\n"
    )


def test_what_the_latency_doctor_says_where_there_is_nothing(desk: Desk) -> None:
    assert text_of(desk, "LATENCY DOCTOR").startswith("I'm sorry, Dave, I can't do that.")
    assert desk.run("CONFIG SET latency-monitor-threshold 7") == "OK"
    assert text_of(desk, "LATENCY DOCTOR").startswith("Dave, no latency spike was observed")


def test_what_the_latency_doctor_says_of_slow_commands(desk: Desk) -> None:
    desk.run("CONFIG SET latency-monitor-threshold 7")
    with_latencies(desk, "command")
    lines = text_of(desk, "LATENCY DOCTOR").split("\n")
    assert lines[2:6] == [
        "1. command: 4 latency spikes (average 43ms, mean deviation 31ms, period 1.00 sec)."
        " Worst all time event 100ms.",
        "",
        "I have a few advices for you:",
        "",
    ]
    assert lines[-1] == ""
    assert all(line.startswith("- ") for line in lines[6:-1])
    assert "less than 10000 microseconds: 'CONFIG SET slowlog-log-slower-than 7000'" in lines[6]
    desk.run("CONFIG SET slowlog-log-slower-than -1")
    assert "The slow log is off: 'CONFIG SET slowlog-log-slower-than 7000'" in text_of(desk, "LATENCY DOCTOR")
    desk.run("CONFIG SET slowlog-log-slower-than 7000")
    assert "CONFIG SET" not in text_of(desk, "LATENCY DOCTOR")


def test_what_the_latency_doctor_says_of_fast_commands(desk: Desk) -> None:
    with_latencies(desk, "command")
    with_latencies(desk, "fast-command")
    report = text_of(desk, "LATENCY DOCTOR")
    assert "\n2. fast-command: 4 latency spikes" in report
    assert "waited for something" in report
