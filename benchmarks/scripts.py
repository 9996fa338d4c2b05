"""Scripts a second: one that reads, one that writes, one of a hundred calls, and a lock released in pipelines."""

from __future__ import annotations

from hashlib import sha1

from benchmarks.load import Load, rate
from benchmarks.results import REQUESTS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import NONE
from benchmarks.wire import Connection

KEYS = 100_000
CALLS = 100
GET = "return redis.call('get', KEYS[1])"
SET = "return redis.call('set', KEYS[1], ARGV[1])"
MANY = f"for i = 1, {CALLS} do redis.call('incr', KEYS[1]) end"
RELEASE = "if redis.call('get', KEYS[1]) == ARGV[1] then return redis.call('del', KEYS[1]) else return 0 end"


def scripts(bench: Bench) -> None:
    """Each by its digest, which is how libraries send them."""
    with bench.servers() as servers:
        for server in bench.turns(servers, "scripts"):
            bench.fill(server, range(KEYS), value_of=lambda _: b"xxx")
            with Connection(server.port) as connection:
                for text in (GET, SET, MANY, RELEASE):
                    connection.call("SCRIPT", "LOAD", text)

            def measure(name: str, load: Load, port: int = server.port) -> None:
                facts = {"clients": load.clients, "pipeline": load.pipeline}
                bench.record(name, REQUESTS, rate(port, load), **facts)

            measure("EVALSHA of a GET", Load(("EVALSHA", _sha(GET), "1", "KEY"), bench.scaled(50_000), 50, KEYS))
            measure("EVALSHA of a SET", Load(("EVALSHA", _sha(SET), "1", "KEY", "x"), bench.scaled(50_000), 50, KEYS))
            many = Load(("EVALSHA", _sha(MANY), "1", "KEY"), bench.scaled(3_000), 50, KEYS, prefix="counter:")
            measure(f"EVALSHA of {CALLS} INCRs", many)
            release = ("EVALSHA", _sha(RELEASE), "1", "KEY", "xxx")
            measure("release of a lock", Load(release, bench.scaled(100_000), 10, KEYS, pipeline=16))


def _sha(text: str) -> str:
    return sha1(text.encode()).hexdigest()


SCRIPTS = Section(
    "scripts",
    "Scripts",
    NONE,
    f"Lua, by digest, on {KEYS:,} keys drawn at random. A lock is released by comparing its value and deleting it.",
    ("clients", "pipeline"),
    scripts,
)
