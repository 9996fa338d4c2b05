"""Requests a second: the original project's table, the everyday commands, and writes that are on the disk."""

from __future__ import annotations

from benchmarks.load import Load, rate
from benchmarks.results import REQUESTS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import ALWAYS, NONE, Server

SPREAD = 3  # keys for each request that uses one up
DEADLINE_S = 100_000
ORIGINAL_VALUE = 64
ORIGINAL_CLIENTS = 10
ORIGINAL_REQUESTS = (10_000, 200_000)
KEYS = 100_000

CLIENTS = (1, 10, 50, 200)
PIPELINES = (16, 100)
SIZES = {1024: (50_000, 60_000), 64 * 1024: (1000, 10_000)}  # bytes of a value: how many keys and requests


def original(bench: Bench) -> None:
    """The six commands of the original project's table. Those that take something away find it on most keys."""
    with bench.servers() as servers:
        for server in bench.turns(servers, "original"):
            for count in ORIGINAL_REQUESTS:
                _original(bench, server, bench.scaled(count), count)


def _original(bench: Bench, server: Server, requests: int, operations: int) -> None:
    keys = requests * SPREAD
    value = "x" * ORIGINAL_VALUE

    def measure(*command: str) -> None:
        load = Load(command, requests, ORIGINAL_CLIENTS, keys)
        facts = {"clients": ORIGINAL_CLIENTS, "operations": operations, "requests": requests}
        bench.record(command[0], REQUESTS, rate(server.port, load), **facts)

    def prepare(*options: str | int) -> None:
        bench.fill(server, range(keys), value_of=lambda _: value.encode(), options=options)

    prepare()
    measure("GET", "KEY")
    measure("SET", "KEY", value)
    measure("DEL", "KEY")
    prepare()
    measure("EXPIRE", "KEY", str(DEADLINE_S))
    prepare("EX", DEADLINE_S)
    measure("TTL", "KEY")
    measure("PERSIST", "KEY")


def commands(bench: Bench) -> None:
    """GET and SET by clients and by pipelines; commands on ten keys; counters; a mixture; larger values."""
    small, larger = _small(bench), _larger(bench)
    gets = Load(("GET", "KEY"), bench.scaled(80_000), 40, KEYS)
    sets = Load(("SET", "KEY", "xxx"), bench.scaled(80_000) // 4, 10, KEYS)
    with bench.servers() as servers:
        for server in servers:
            for size, (keys, _) in SIZES.items():
                bench.fill(server, range(keys), value_of=lambda _, size=size: bytes(size), prefix=f"v{size}:")
        for server in bench.turns(servers, "commands"):

            def measure(name: str, size: int, *loads: Load, server: Server = server) -> None:
                clients = sum(load.clients for load in loads)
                facts = {"clients": clients, "pipeline": loads[0].pipeline, "value": size}
                bench.record(name, REQUESTS, rate(server.port, *loads), **facts)

            bench.fill(server, range(KEYS), value_of=lambda _: b"xxx")
            for name, load in small:
                measure(name, 3, load)
            measure("80 % GET, 20 % SET", 3, gets, sets)
            measure("INCR", 0, Load(("INCR", "KEY"), bench.scaled(100_000), 50, KEYS, prefix="counter:"))
            for name, load, size in larger:  # at the end: the kernel writes them out for some time
                measure(name, size, load)


def _small(bench: Bench) -> list[tuple[str, Load]]:
    """Names and loads, values of 3 bytes."""
    loads = []
    for name, command in (("GET", ("GET", "KEY")), ("SET", ("SET", "KEY", "xxx"))):
        for clients in CLIENTS:
            count = bench.scaled(30_000 if clients == 1 else 100_000)
            loads.append((name, Load(command, count, clients, KEYS)))
        for pipeline in PIPELINES:
            loads += [(name, Load(command, bench.scaled(500_000), clients, KEYS, pipeline)) for clients in (10, 50)]
    tens = {"MGET of 10": ("MGET", *["KEY"] * 10), "MSET of 10": ("MSET", *["KEY", "xxx"] * 10)}
    loads += [(name, Load(words, bench.scaled(50_000), 50, KEYS)) for name, words in tens.items()]
    return loads


def _larger(bench: Bench) -> list[tuple[str, Load, int]]:
    """Names, loads and sizes of values."""
    loads = []
    for size, (keys, count) in SIZES.items():
        for command in (("GET", "KEY"), ("SET", "KEY", "x" * size)):
            loads.append((command[0], Load(command, bench.scaled(count), 50, keys, prefix=f"v{size}:"), size))
    return loads


def durable(bench: Bench) -> None:
    """SETs whose reply means that they are on the disk."""
    with bench.servers() as servers:
        for server in bench.turns(servers, "durable"):
            bench.fill(server, range(KEYS), value_of=lambda _: b"xxx")
            for clients, count in zip(CLIENTS, (4_000, 30_000, 60_000, 100_000), strict=True):
                load = Load(("SET", "KEY", "xxx"), bench.scaled(count), clients, KEYS)
                bench.record("SET", REQUESTS, rate(server.port, load), clients=clients, pipeline=1)
            load = Load(("SET", "KEY", "xxx"), bench.scaled(200_000), 50, KEYS, pipeline=16)
            bench.record("SET", REQUESTS, rate(server.port, load), clients=50, pipeline=16)


ORIGINAL = Section(
    "original",
    "The original project's table",
    NONE,
    f"{ORIGINAL_CLIENTS} clients, keys of 16 bytes, values of {ORIGINAL_VALUE}, without pipelines. Before each load "
    f"the keys are made anew, {SPREAD} for each request (with a deadline for TTL and PERSIST, without one for the "
    "others), and each request draws one of them: some 85 % of the DELs and PERSISTs find what they take away. "
    "Each command is timed alone; the original's own program timed the SETs that made its keys along with it.",
    ("clients", "operations"),
    original,
)
COMMANDS = Section(
    "commands",
    "Commands by clients, pipelines and values",
    NONE,
    f"{KEYS:,} keys (50,000 with values of 1 KiB, 1,000 with 64 KiB), drawn at random. The mixture is 40 clients "
    "that GET beside 10 that SET, four GETs for each SET in all, and its time counts until both are through.",
    ("clients", "pipeline", "value"),
    commands,
)
DURABLE = Section(
    "durable",
    "Writes that are on the disk before the reply",
    ALWAYS,
    f"SET of 3 bytes on {KEYS:,} keys, drawn at random.",
    ("clients", "pipeline"),
    durable,
)
