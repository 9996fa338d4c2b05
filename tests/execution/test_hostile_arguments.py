"""Hostile arguments: whatever stands in whatever place of a command, the reply is a result or an error of its own.

The calls are those of the differential rows, in which every command of Redis stands, behind the steps that set the
row's stage; those of Keyp's own commands are among the differences.
In each of them each argument is replaced in turn. Nothing but a `CommandError` may leave a command: anything else would
show as an internal error and in the log.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

import pytest
from twisted.logger import LogEvent, LogLevel, formatEvent

from keyp.command.registry import Registry
from keyp.command.spec import OWN
from keyp.commands.all import TABLES
from keyp.errors import INTERNAL, CommandError
from tests import wire
from tests.differential.differences import DIFFERENCES
from tests.differential.row_files import Row, Step, rows
from tests.fakes import Connection, Lab
from tests.log import observed

DIGITS = b"9" * 5000  # more than Python makes a number of
HOSTILE = (
    DIGITS,
    b"0." + DIGITS,
    b"nan",
    b"-9223372036854775808",
    b"\xff\xfe\x00\r\n",
    b"",
    b"-" + DIGITS,
    b"0" * 5000 + b"1",
    b"1e" + DIGITS,
    b"-1e-99999",
    b"0x1p" + DIGITS,
    b"(" + DIGITS,
    b"[" + DIGITS,
    b"#" + DIGITS,
    b"u" + DIGITS,
    b"-inf",
    b"9223372036854775807",
    b"18446744073709551615",
    b"1_0",
    "\u0661\u0662".encode(),
    b" 1",
)
OF_SETTINGS = (DIGITS + b"kb", b"normal " + DIGITS + b" 0 0", b"normal 0 0 " + DIGITS, b"K" * 5000)
LONG = b"x" * (1 << 20)
SPOILT = 2  # calls, for each place of each command: the first may ask for a key that is not there
WORST = 6  # of HOSTILE: what the second is spoilt with
PLACES = 5  # that are told apart; behind them arguments repeat themselves

REGISTRY = Registry(TABLES)
KEYWORD = re.compile(r"\b[A-Z]{2,}\b")
FAMILIES: dict[str, list[Row]] = {}
for _row in rows():
    FAMILIES.setdefault(_row.name.split(":")[0], []).append(_row)
for _difference in DIFFERENCES:
    _row = Row("our own", _difference.row.splitlines())
    if any((_spec := REGISTRY.find(call)) and _spec.flags & OWN for step in _row.steps for call in step.calls):
        FAMILIES.setdefault("our own", []).append(_row)

Place = tuple[str, str]  # of an argument: the command, and the keyword before the argument or else its number


@pytest.fixture
def failures() -> Iterator[list[str]]:
    """What is logged as an error."""
    found: list[str] = []

    def observe(event: LogEvent) -> None:
        if event["log_level"] >= LogLevel.error:
            found.append(f"{formatEvent(event)}\n{event.get('log_failure', '')}")

    with observed(observe):
        yield found


def places(call: list[bytes]) -> list[Place]:
    """The places of a call's arguments, none of a call that is refused before it runs."""
    try:
        spec = REGISTRY.resolve(call)
    except CommandError:
        return []
    keywords = set(KEYWORD.findall(spec.syntax))
    before = [word.decode("latin-1").upper() for word in call[:-1]]
    return [(spec.name, word if word in keywords else str(min(number, PLACES))) for number, word in enumerate(before)]


class Attacker:
    """A client that calls, and comes back as another one where it waits, listens or was sent away."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.client: Connection | None = None

    def call(self, *words: bytes) -> None:
        client = self.client or self.lab.connect()
        client.protocol.dataReceived(wire.request(*words))
        for _ in range(10):
            if client.transport.sent:
                break
            self.lab.reactor.advance(0)
        answer, client.transport.sent = client.transport.sent, b""
        assert INTERNAL.encode() not in answer, [word[:100] for word in words]
        if answer and client.protocol.connection.client.state.queue is None and not client.transport.disconnecting:
            self.client = client
        else:
            client.lose()
            self.lab.settle()
            self.client = None


def test_every_command_with_arguments_is_called() -> None:
    specs = [one for spec in REGISTRY.specs for one in (spec, *spec.subcommands.values()) if one.function is not None]
    steps = [step for row in rows() for step in row.steps]
    steps += [Step(line) for difference in DIFFERENCES for line in difference.row.splitlines()]
    called = {name for step in steps for call in step.calls for name, _ in places(call)}
    missing = {spec.name for spec in specs if spec.syntax and abs(spec.arity) > 1} - called
    assert not missing, f"{missing}: no row, or difference, calls them with as many arguments as they take"


def test_no_setting_is_a_defect(lab: Lab, failures: list[str]) -> None:
    client = lab.connect()
    names = wire.parse(client.call("CONFIG GET *"))[::2]
    assert b"maxmemory" in names
    attacker = Attacker(lab)
    for name in names:
        for value in (*HOSTILE, *OF_SETTINGS):
            attacker.call(b"CONFIG", b"SET", name, value)
            attacker.call(b"CONFIG", b"SET", name, value, name, value)
    assert failures == []


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: value[:12])
def test_no_value_is_a_defect(lab: Lab, failures: list[str], value: bytes) -> None:
    """What a key holds is looked at as a number, a HyperLogLog or a pattern by many commands."""
    attacker = Attacker(lab)
    for call in (
        (b"SET", b"s", value), (b"RPUSH", b"l", value, b"1"), (b"SADD", b"t", value, b"1"), (b"SET", b"w1", value),
        (b"ZADD", b"z", b"1", value), (b"HSET", b"h", value, value, b"f", value), (b"SET", value, value),
    ):  # fmt: skip
        attacker.call(*call)
    for line in (
        "INCR s", "DECRBY s 1", "INCRBYFLOAT s 1", "HINCRBY h f 1", "HINCRBYFLOAT h f 1", "OBJECT ENCODING s",
        "OBJECT REFCOUNT s", "OBJECT ENCODING t", "SORT l", "SORT l ALPHA", "SORT l BY w*", "SORT t BY w* GET h->f",
        "SORT t BY nosuch GET h->* GET #", "PFADD s a", "PFCOUNT s", "PFMERGE s l", "GETBIT s 100", "BITCOUNT s",
        "BITFIELD s INCRBY i64 0 1", "LCS s w1 IDX", "SINTERCARD 2 t t", "ZRANGEBYLEX z - +", "GEOHASH z 1", "SCAN 0",
        "HSCAN h 0", "HRANDFIELD h 2 WITHVALUES", "SPOP t", "LPOS l 1", "COPY s s2", "DUMP s", "TYPE s",
    ):  # fmt: skip
        attacker.call(*line.encode().split())
    assert failures == []


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES.keys())
def test_no_argument_is_a_defect(lab: Lab, failures: list[str], family: list[Row]) -> None:
    seen: Counter[Place] = Counter()
    lab.connect().call("CONFIG SET proto-max-bulk-len 2mb")
    for row in family:
        new = {place for step in row.steps for call in step.calls for place in places(call) if seen[place] < SPOILT}
        if new:
            play(lab, row, seen)
            assert failures == []


def play(lab: Lab, row: Row, seen: Counter[Place]) -> None:
    """Plays a row; before a call with an argument in a new place, calls like it come that are spoilt there."""
    client, attacker = lab.connect(), Attacker(lab)
    client.call("FLUSHALL")
    for step in row.steps:
        for call in step.calls:
            for at, place in enumerate(places(call), 1):
                if seen[place] >= SPOILT:
                    continue
                for value in HOSTILE[:WORST] if seen[place] else (*HOSTILE, LONG):
                    attacker.call(*call[:at], value, *call[at + 1 :])
                    lab.server.dispatcher.resume()
                seen[place] += 1
        client.send(step.data)
        client.transport.sent = b""
        lab.advance_ms(1)
    client.lose()
