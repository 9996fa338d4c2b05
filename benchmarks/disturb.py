"""What goes on beside the probe, in a process of its own: `python -m benchmarks.disturb PORT keys` or `… save`.

It goes on until it is ended. Replies of `KEYS *` are read and thrown away as they come, for a client that took them
apart would keep a processor from the servers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.wire import Connection, Refused, encode

ROOT = Path(__file__).resolve().parent.parent
KEYS, SAVE = "keys", "save"


@contextmanager
def disturbed(port: int, what: str) -> Iterator[None]:
    """Keeps a server busy beside what the `with` holds. Raises `RuntimeError` where that has ended by itself."""
    process = subprocess.Popen([sys.executable, "-m", "benchmarks.disturb", str(port), what], cwd=ROOT)
    try:
        yield
        if process.poll() is not None:
            raise RuntimeError(f"the disturbance {what!r} has ended by itself")
    finally:
        process.kill()
        process.wait()


def all_keys(connection: Connection) -> None:
    """Sends KEYS * and reads the reply without looking at it; a reply to PING marks its end."""
    connection.socket.sendall(encode("KEYS", "*") + encode("PING"))
    tail = b""
    while not tail.endswith(b"+PONG\r\n"):
        received = connection.socket.recv(1 << 20)
        if not received:
            raise ConnectionError("the server has closed the connection")
        tail = (tail + received)[-7:]


def save(connection: Connection) -> None:
    """Sends BGSAVE and waits until it has ended."""
    try:
        connection.call("BGSAVE")
    except Refused as error:
        if "in progress" not in str(error).lower():
            raise
    while True:
        info = connection.call("INFO", "persistence")
        if isinstance(info, bytes) and b"rdb_bgsave_in_progress:0" in info:
            return
        time.sleep(0.02)


def main() -> None:
    """Disturbs for ever."""
    disturb = {KEYS: all_keys, SAVE: save}[sys.argv[2]]
    with Connection(int(sys.argv[1])) as connection:
        while True:
            disturb(connection)


if __name__ == "__main__":
    main()
