"""One element costs the same in a collection of ten and of a hundred thousand: counted in calls of LMDB.

A few more calls are allowed in the large one, for the counts of runs. Walks are bounded by the length of a run.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from keyp.commands.lists import FIRST_LOOK
from keyp.storage.types.counted import RUN_MAX
from tests.execution.test_work_per_request import calls
from tests.fakes import Lab
from tests.scratch import scratch_directory

Stores = Callable[[tuple[str, str], int], Path]

SMALL, LARGE = 10, 40_000  # three levels of runs
AT_ONCE = 1000

ENTRIES = ("XADD x", "{m} f v")  # one for each call; all but the last one are pending in the group g
PUSHES = ("RPUSH l", "{n:06d}")
FIELDS = ("HSET h", "{n:06d} {n}")
MEMBERS = ("SADD s", "{n:06d}")
SCORES = ("ZADD z", "{n} {n:06d}")

# An element of a hash or a set that comes or goes is counted in a run of each level but the top. To find one by its
# rank takes a walk over a part of a run at each level.
COUNTED = 14
RANKED = 3 * RUN_MAX
RUN = 100  # of a stream: to trim a part of one takes a walk over it

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
    (FIELDS, "HSCAN h 0 MATCH 00000? COUNT 10", 6),  # a large one is not all: where the walk begins is proved
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
    (SCORES, "ZADD z 5 new", COUNTED),
    (SCORES, "ZADD z 5.5 000003", 6),
    (SCORES, "ZADD z 3 000003", 0),
    (SCORES, "ZADD z 99999 000003", 2 * COUNTED),
    (SCORES, "ZINCRBY z 0.5 000003", 6),
    (SCORES, "ZREM z 000003", COUNTED),
    (SCORES, "ZREM z nosuch", 0),
    (SCORES, "ZCARD z", 0),
    (SCORES, "ZSCORE z 000003", 0),
    (SCORES, "ZMSCORE z 000003 nosuch", 0),
    (SCORES, "ZRANK z 000003", RANKED),
    (SCORES, "ZREVRANK z 000003 WITHSCORE", RANKED),
    (SCORES, "ZCOUNT z 2 7", 2 * RANKED),
    (SCORES, "ZRANGE z 3 6", 0),
    (SCORES, "ZRANGE z -4 -1 WITHSCORES", 0),
    (SCORES, "ZREVRANGE z 0 3", 0),
    (SCORES, "ZRANGEBYSCORE z 3 6", 0),
    (SCORES, "ZRANGEBYSCORE z 3 inf LIMIT 2 3", 0),
    (SCORES, "ZREVRANGEBYSCORE z 6 -inf LIMIT 2 3", 0),
    (SCORES, "ZRANDMEMBER z", RANKED),
    (SCORES, "ZSCAN z 0 COUNT 5", 0),
    (SCORES, "ZPOPMIN z", COUNTED),
    (SCORES, "ZPOPMAX z", COUNTED),
    (SCORES, "ZREMRANGEBYSCORE z 3 3", COUNTED),
    (SCORES, "ZREMRANGEBYRANK z 3 3", 2 * RANKED + COUNTED),
    (SCORES, "ZRANGESTORE d z 3 5", 0),
    (SCORES, "ZINTER 2 z nosuch", 0),
    (SCORES, "ZINTERSTORE z 2 z nosuch", 0),
    (SCORES, "RENAME z y", 0),
    (SCORES, "OBJECT ENCODING z", 0),
    (SCORES, "DEL z", 0),
    (ENTRIES, "XADD x * f v", 0),
    (ENTRIES, "XADD x MAXLEN ~ 100000 * f v", 0),
    (ENTRIES, "XADD x MINID ~ 1 * f v", 0),
    (ENTRIES, "XLEN x", 0),
    (ENTRIES, "XRANGE x 3 6", 0),
    (ENTRIES, "XRANGE x - + COUNT 4", 0),
    (ENTRIES, "XREVRANGE x + - COUNT 4", 0),
    (ENTRIES, "XREAD COUNT 3 STREAMS x 4", 0),
    (ENTRIES, "XREAD STREAMS x $", 0),
    (ENTRIES, "XDEL x 3", 4),
    (ENTRIES, "XSETID x 99999", 4),
    (ENTRIES, "XINFO GROUPS x", 0),
    (ENTRIES, "XACK x g 3", 0),
    (ENTRIES, "XPENDING x g", 0),
    (ENTRIES, "XREADGROUP GROUP g d STREAMS x >", 0),
    (ENTRIES, "XREADGROUP GROUP g c COUNT 1 STREAMS x 0", 0),
    (ENTRIES, "XPENDING x g 3 + 2", 0),
    (ENTRIES, "XCLAIM x g d 0 3", 0),
    (ENTRIES, "XAUTOCLAIM x g d 0 0 COUNT 2", 0),
    (ENTRIES, "XGROUP CREATE x h 0", 0),
    (ENTRIES, "XGROUP SETID x g 0", 0),
    (ENTRIES, "XGROUP CREATECONSUMER x g d", 0),
    (ENTRIES, "XGROUP DESTROY x g", 0),
    (ENTRIES, "XTRIM x MAXLEN 0", 4),
    (ENTRIES, "XTRIM x MINID 3", RUN),
    (ENTRIES, "RENAME x y", 0),
    (ENTRIES, "OBJECT ENCODING x", 0),
    (ENTRIES, "DEL x", 0),
]

# Where the wanted elements are far from both ends of a large set: walks over runs, never over all that is before them.
DEEP = [
    "ZRANK z 050000",
    "ZRANGE z 50000 50009",
    "ZREVRANGE z 50000 50009",
    "ZRANGEBYSCORE z 20000 inf LIMIT 30000 10",
    "ZREVRANGEBYSCORE z inf 0 LIMIT 50000 10",
    "ZCOUNT z 20000 70000",
    "ZLEXCOUNT z - +",
    "ZREMRANGEBYRANK z 50000 50003",
]


@pytest.fixture(scope="module")
def stores() -> Iterator[Stores]:
    """Makes a store with one collection, once for each recipe and size; the path of its directory."""
    folder = scratch_directory()

    @cache
    def make(recipe: tuple[str, str], size: int) -> Path:
        path = Path(folder.name, f"{recipe[0]} {size}")
        lab = Lab(path)
        client = lab.connect()
        command, element = recipe
        for start in range(0, size, AT_ONCE):
            numbers = range(start, min(size, start + AT_ONCE))
            if recipe == ENTRIES:
                replies = client.call(*[f"{command} {element.format(m=number + 1)}" for number in numbers])
            else:
                replies = client.call(f"{command} {' '.join([element.format(n=number) for number in numbers])}")
            assert replies[:1] != b"-"
        if recipe == ENTRIES:
            client.call("XGROUP CREATE x g 0", f"XREADGROUP GROUP g c COUNT {size - 1} STREAMS x >")
        lab.close()
        return path

    with folder:
        yield make


@contextmanager
def copied(store: Path, path: Path) -> Iterator[Lab]:
    """A server on a copy, which may be changed."""
    shutil.copytree(store, path)
    lab = Lab(path)
    yield lab
    lab.environment.close()


@pytest.mark.parametrize(("recipe", "command", "more"), COSTS, ids=[command for _, command, _ in COSTS])
def test_one_element(stores: Stores, tmp_path: Path, recipe: tuple[str, str], command: str, more: int) -> None:
    counts = []
    for size in (SMALL, LARGE):
        with copied(stores(recipe, size), tmp_path / str(size)) as lab:
            client = lab.connect()
            counts.append(calls(lab, {client: command.encode() + b"\r\n"}))
            assert client.transport.sent[:1] not in (b"-", b"")
    small, large = counts
    assert large.total() <= small.total() + more + 2, (small, large)
    assert large["put"] <= small["put"] + 7, (small, large)


def test_elements_far_from_the_ends(stores: Stores, tmp_path: Path) -> None:
    with copied(stores(SCORES, LARGE), tmp_path / "store") as lab:
        client = lab.connect()
        for command in DEEP:
            counts = calls(lab, {client: command.encode() + b"\r\n"})
            assert counts.total() <= 3 * RANKED, (command, counts)
