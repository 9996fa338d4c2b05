"""The Python calls inside keyp/ that one request costs: `python -m benchmarks.call_trace` counts and prints them.

A server on the lean reactor serves one client over a socket of its own, in this process, uncompiled and without syncs.
Once it is warm, a profile function notes each call into a file of keyp/, on the reactor's thread and the writer's, from
the moment the request is sent until the reply is there and the server is at rest. Counts, unlike times, are the same
on every machine; `tests/benchmarks/test_call_trace.py` keeps them.

    python -m benchmarks.call_trace                    the counts of the requests below
    python -m benchmarks.call_trace --trace SET k v    each call of one request, indented by its depth
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final

import keyp

PACKAGE: Final = str(Path(keyp.__file__).parent) + os.sep
LOOP: Final = "net/reactor.py"  # its rounds depend on when bytes arrive
TICK: Final = "KeypService._repeat.<locals>.once"  # what happens by the clock, whoever sends requests
WARM_UP: Final = 20  # requests: sub-databases exist, sizes have settled
ROUNDS: Final = 15
REST_S: Final = 0.02  # a server that has answered is at rest again by then; LMDB commits later


class Call:
    """One call: the thread it ran on, how deep it was nested among calls of keyp/, and where it went."""

    def __init__(self, thread: str, depth: int, file: str, function: str) -> None:
        self.thread = thread
        self.depth = depth
        self.file = file
        self.function = function


class Recorder:
    """Notes the calls into keyp/ while `is_on`."""

    def __init__(self) -> None:
        self.is_on = False
        self.calls: list[Call] = []
        self._thread = threading.local()

    def profile(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function, as `sys.setprofile` takes it."""
        file = frame.f_code.co_filename
        if not file.startswith(PACKAGE) or event not in ("call", "return"):
            return
        depth = getattr(self._thread, "depth", 0)
        name = frame.f_code.co_qualname
        if event == "return":
            self._thread.depth = max(0, depth - 1)
            if name == TICK:
                self._thread.in_tick = False
            return
        self._thread.depth = depth + 1
        if name == TICK:
            self._thread.in_tick = True
        if self.is_on and not getattr(self._thread, "in_tick", False):
            self.calls.append(Call(threading.current_thread().name, depth, file[len(PACKAGE) :], name))


class Client:
    """A client with a blocking socket; one request at a time."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)

    def send(self, *words: str) -> None:
        """Sends one request."""
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words]
        self._socket.sendall(b"".join(parts))

    def receive(self) -> bytes:
        """What has come: one small reply."""
        return self._socket.recv(65536)

    def call(self, *words: str) -> bytes:
        """A request and its reply."""
        self.send(*words)
        return self.receive()

    def close(self) -> None:
        """Ends the connection."""
        self._socket.close()


@contextmanager
def serving(recorder: Recorder) -> Iterator[int]:
    """A server on a store of its own, on a thread of this process; its port."""
    from keyp.net import reactor as lean

    with suppress(Exception):  # the process has one already
        lean.install()
    from twisted.internet import reactor

    from keyp.net.options import Options
    from keyp.net.service import KeypService

    running: Any = reactor
    with tempfile.TemporaryDirectory() as folder:
        options: Any = Options()
        options.parseOptions(["--host=127.0.0.1", "--port=0", f"--data-dir={folder}", "--fsync=no"])
        service = KeypService(options, running)
        started = threading.Event()

        def run() -> None:
            sys.setprofile(recorder.profile)
            running.callWhenRunning(service.privilegedStartService)
            running.callWhenRunning(service.startService)
            running.callWhenRunning(started.set)
            running.run(installSignalHandlers=False)

        def stop() -> None:
            service.stopService().addBoth(lambda _: running.stop())

        threading.setprofile(recorder.profile)
        thread = threading.Thread(target=run, name="reactor")
        thread.start()
        started.wait()
        try:
            yield service.ports.tcp_port()
        finally:
            running.callFromThread(stop)
            thread.join()
            threading.setprofile(None)


def least(recorder: Recorder, request: Callable[[], None], ready: Callable[[], None] | None = None) -> list[Call]:
    """The calls of a request, from the round with the fewest beside those of the loop.

    The others met the sweeper or a tick of the clock, or waited for a busy machine.
    """
    rounds: list[list[Call]] = []
    for _ in range(ROUNDS):
        if ready is not None:
            ready()
        time.sleep(REST_S)
        recorder.calls = []
        recorder.is_on = True
        request()
        time.sleep(REST_S)
        recorder.is_on = False
        rounds.append(recorder.calls)
    return min(rounds, key=lambda calls: sum([call.file != LOOP for call in calls]))


def measure(recorder: Recorder, port: int) -> dict[str, list[Call]]:
    """The calls of each request of the list, of one client that sends nothing else."""
    client, other = Client(port), Client(port)
    for _ in range(WARM_UP):
        client.call("SET", "key", "value")
        client.call("GET", "key")
        client.call("RPUSH", "list", "element")
        client.call("BLPOP", "list", "0")
    found = {
        "GET": least(recorder, lambda: _check(client.call("GET", "key"))),
        "SET": least(recorder, lambda: _check(client.call("SET", "key", "value"))),
        "BLPOP that waits": least(
            recorder,
            lambda: client.send("BLPOP", "list", "0"),
            lambda: _serve(client, other),
        ),
    }
    _serve(client, other)
    found["LPUSH that wakes"] = least(
        recorder,
        lambda: _wake(client, other),
        lambda: client.send("BLPOP", "list", "0"),
    )
    client.close()
    other.close()
    return found


def _check(reply: bytes) -> None:
    assert reply[:1] in b"+$:", reply


def _serve(client: Client, other: Client) -> None:
    """Ends the waiting of `client`, if it waits."""
    if other.call("RPUSH", "list", "element") == b":1\r\n":
        with suppress(TimeoutError):
            client._socket.settimeout(0.2)
            client.receive()
        client._socket.settimeout(10)
    other.call("DEL", "list")


def _wake(client: Client, other: Client) -> None:
    _check(other.call("LPUSH", "list", "element"))
    assert client.receive().startswith(b"*2")


def main() -> None:
    """Prints the counts, or the trace of one request."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trace", nargs="+", metavar="WORD", help="print each call of this request")
    arguments = parser.parse_args()
    recorder = Recorder()
    with serving(recorder) as port:
        if arguments.trace:
            client = Client(port)
            for _ in range(WARM_UP):
                client.call(*arguments.trace)
            for call in least(recorder, lambda: _check(client.call(*arguments.trace))):
                print(f"{call.thread:12} {'  ' * call.depth}{call.function}  ({call.file})")
            client.close()
            return
        for name, calls in measure(recorder, port).items():
            files = {call.file for call in calls}
            rounds = sum(call.file == LOOP for call in calls)
            print(f"{name:20} {len(calls):4} calls in {len(files)} files, {rounds} of them rounds of the loop")


if __name__ == "__main__":
    main()
