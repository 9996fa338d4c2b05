"""INFO: every field that a Redis shows, Keyp shows too, in the same section and in the same order.

The Redis is the `redis-server` on the path, of 7.0 or 7.2; the fields that 7.2 has beyond 7.0 stand here.
"""

from __future__ import annotations

import re

import pytest

from tests import wire
from tests.differential.servers import Keyp, Reference

NEWER = {
    "Server": {"listener0"},
    "Clients": {"total_blocking_keys", "total_blocking_keys_on_nokey"},
    "Stats": {
        "eventloop_cycles", "eventloop_duration_sum", "eventloop_duration_cmd_sum",
        "instantaneous_eventloop_cycles_per_sec", "instantaneous_eventloop_duration_usec",
        "acl_access_denied_auth", "acl_access_denied_cmd", "acl_access_denied_key", "acl_access_denied_channel",
    },
}  # fmt: skip
# Shown while Redis writes a log of changes, which Keyp's store stands for.
OF_THE_LOG = {
    "aof_current_size", "aof_base_size", "aof_pending_rewrite", "aof_buffer_length", "aof_pending_bio_fsync",
    "aof_delayed_fsync",
}  # fmt: skip
SECTIONS = ("server", "clients", "memory", "persistence", "stats", "replication", "cpu", "modules", "commandstats",
            "errorstats", "latencystats", "cluster", "keyspace")  # fmt: skip
ARGUMENTS = ("", "all", "everything", "default", "ALL", "server cpu", "cpu server", "keyspace nosuch", "default cpu",
             "commandstats default", "nosuch", *SECTIONS)  # fmt: skip


def info(server: Reference | Keyp, arguments: str) -> str:
    """INFO of a server that has had two commands and no error since its counters began, and holds one key."""
    server.clear()
    client = server.connect()
    client.send(wire.request(b"CONFIG", b"RESETSTAT"), 1)
    client.send(wire.request(b"SET", b"k", b"v"), 1)
    text: bytes = wire.parse(client.send(wire.request(b"INFO", *arguments.encode().split()), 1)[0])
    client.close()
    return text.decode()


def sections(text: str) -> dict[str, list[str]]:
    """The names of fields, by the titles of sections. Where a field is about a command, an error or a database, its
    kind stands for it."""
    found: dict[str, list[str]] = {}
    names: list[str] = []
    for line in text.split("\r\n"):
        if line.startswith("# "):
            names = found[line[2:]] = []
        elif line:
            name = line.partition(":")[0]
            kind = re.match(r"cmdstat_|errorstat_|latency_percentiles_usec_|db\d", name)
            names.append(kind[0] if kind else name)
    return found


@pytest.mark.parametrize("arguments", ARGUMENTS)
def test_the_same_sections(redis_server: Reference, keyp: Keyp, arguments: str) -> None:
    ours = [title for title in sections(info(keyp, arguments)) if title != "Keyp"]
    assert ours == list(sections(info(redis_server, arguments)))


def test_every_field(redis_server: Reference, keyp: Keyp) -> None:
    theirs, ours = sections(info(redis_server, "everything")), sections(info(keyp, "everything"))
    for title, names in theirs.items():
        common = [name for name in ours[title] if name in names]
        assert list(dict.fromkeys(common)) == list(dict.fromkeys(names)), title
        more = set(ours[title]) - set(names) - OF_THE_LOG
        assert more <= NEWER.get(title, set()), title


def test_every_field_of_7_2(keyp: Keyp) -> None:
    ours = sections(info(keyp, "everything"))
    for title, names in NEWER.items():
        assert names <= set(ours[title]), title


def test_values_are_of_the_same_form(redis_server: Reference, keyp: Keyp) -> None:
    """A number where Redis has one, with a fraction, a unit or a percent sign where it has one."""
    theirs, ours = fields(info(redis_server, "everything")), fields(info(keyp, "everything"))
    assert {name: (form(value), ours[name]) for name, value in theirs.items() if form(value) != form(ours[name])} == {}


def fields(text: str) -> dict[str, str]:
    lines = [line for line in text.split("\r\n") if ":" in line]
    pairs = [line.split(":", 1) for line in lines]
    varying = "cmdstat_|errorstat_|latency_|db|redis_build_id"
    return {name: value for name, value in pairs if not re.match(varying, name)}


def form(value: str) -> str:
    if re.fullmatch(r"-?\d+", value):
        return "whole"
    found = re.fullmatch(r"-?\d+(\.\d+)?([A-Z%]?)", value)
    if found:
        unit = "size" if found[2] not in ("", "%") else found[2]
        return unit if unit == "size" else f"fraction of {len(found[1] or '') - 1} {unit}"
    return "text"
