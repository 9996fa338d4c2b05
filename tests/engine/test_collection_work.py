"""One element costs the same in a collection of ten and of a hundred thousand: counted in calls of LMDB.

A few more calls are allowed in the large one, for the counts of runs. Walks are bounded by the length of a run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from keyp.commands.lists import FIRST_LOOK
from keyp.storage.ranked import RUN_MAX
from tests.engine.test_work_per_request import calls
from tests.fakes import Connection, Lab

SMALL, LARGE = 10, 40_000  # three levels of runs
AT_ONCE = 1000

PUSHES = ("RPUSH l", "{n:06d}")
FIELDS = ("HSET h", "{n:06d} {n}")
MEMBERS = ("SADD s", "{n:06d}")

# An element of a hash or a set that comes or goes is counted in a run of each level but the top. To find one by its
# rank takes a walk over a part of a run at each level.
COUNTED = 14
RANKED = 3 * RUN_MAX

# What makes the key, an element of it, the command, and how many calls more the large one may cost.
COSTS = [
    (PUSHES, "LPUSH l x", 0),
    (PUSHES, "RPUSH l x", 0),
    (PUSHES, "LPOP l", 0),
    (PUSHES, "RPOP l", 0),
    (PUSHES, "LINDEX l 5", 0),
    (PUSHES, "LINDEX l -5", 0),
    (PUSHES, "LSET l 5 x", 0),
    (PUSHES, "LRANGE l 3 6", 0),
    (PUSHES, "LRANGE l -4 -1", 0),
    (PUSHES, "LINSERT l BEFORE 000002 x", FIRST_LOOK),
    (PUSHES, "LREM l 1 000001", FIRST_LOOK),
    (PUSHES, "LMOVE l l LEFT RIGHT", 0),
    (PUSHES, "LTRIM l 0 4", 10),
    (PUSHES, "RENAME l m", 0),
    (PUSHES, "EXPIRE l 100", 0),
    (PUSHES, "DEL l", 0),
    (FIELDS, "HSET h 000003 x", 0),
    (FIELDS, "HSET h new x", COUNTED),
    (FIELDS, "HSETNX h 000003 x", 0),
    (FIELDS, "HSETNX h new x", COUNTED),
    (FIELDS, "HGET h 000003", 0),
    (FIELDS, "HMGET h 000003 nosuch", 0),
    (FIELDS, "HEXISTS h 000003", 0),
    (FIELDS, "HSTRLEN h 000003", 0),
    (FIELDS, "HLEN h", 0),
    (FIELDS, "HDEL h 000003", COUNTED),
    (FIELDS, "HDEL h nosuch", 0),
    (FIELDS, "HINCRBY h 000003 1", 0),
    (FIELDS, "HINCRBY h new 1", COUNTED),
    (FIELDS, "HINCRBYFLOAT h 000003 1", 0),
    (FIELDS, "HRANDFIELD h", RANKED),
    (FIELDS, "HSCAN h 0 COUNT 5", 0),
    (FIELDS, "HSCAN h 0 MATCH 00000? COUNT 10", 2),
    (FIELDS, "RENAME h g", 0),
    (FIELDS, "OBJECT ENCODING h", 0),
    (FIELDS, "DEL h", 0),
    (MEMBERS, "SADD s 000003", 0),
    (MEMBERS, "SADD s new", COUNTED),
    (MEMBERS, "SREM s 000003", COUNTED),
    (MEMBERS, "SREM s nosuch", 0),
    (MEMBERS, "SISMEMBER s 000003", 0),
    (MEMBERS, "SMISMEMBER s 000003 nosuch", 0),
    (MEMBERS, "SCARD s", 0),
    (MEMBERS, "SMOVE s t 000003", COUNTED),
    (MEMBERS, "SMOVE s s 000003", 0),
    (MEMBERS, "SRANDMEMBER s", RANKED),
    (MEMBERS, "SPOP s", RANKED + COUNTED),
    (MEMBERS, "SSCAN s 0 COUNT 5", 0),
    (MEMBERS, "SINTER s nosuch", 0),
    (MEMBERS, "SDIFF s s", 0),
    (MEMBERS, "OBJECT ENCODING s", 0),
]


@pytest.fixture(scope="module")
def labs(tmp_path_factory: pytest.TempPathFactory) -> object:
    made: list[tuple[Lab, Connection]] = []
    for size in (SMALL, LARGE):
        lab = Lab(Path(tmp_path_factory.mktemp(f"of-{size}")))
        made.append((lab, lab.connect()))
    yield made
    for lab, _ in made:
        lab.close()


def fill(client: Connection, recipe: tuple[str, str], size: int) -> None:
    client.call("FLUSHALL")
    command, element = recipe
    for start in range(0, size, AT_ONCE):
        elements = " ".join([element.format(n=number) for number in range(start, min(size, start + AT_ONCE))])
        assert client.call(f"{command} {elements}")[:1] != b"-"


@pytest.mark.parametrize(("recipe", "command", "more"), COSTS, ids=[command for _, command, _ in COSTS])
def test_one_element(labs: list[tuple[Lab, Connection]], recipe: tuple[str, str], command: str, more: int) -> None:
    counts = []
    for (lab, client), size in zip(labs, (SMALL, LARGE), strict=True):
        fill(client, recipe, size)
        counts.append(calls(lab, {client: command.encode() + b"\r\n"}))
        assert client.transport.sent.rsplit(b"\r\n", 2)[-2][:1] != b"-"
    small, large = counts
    assert large.total() <= small.total() + more + 2, (small, large)
    assert large["put"] <= small["put"] + 7, (small, large)
