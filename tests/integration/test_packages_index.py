"""Real input: what Debian knows of its packages, loaded in one go; the server is killed and has it all.

A key a package, its stanza the value, byte for byte. The index of the repositories has tens of thousands of them and
is used where it has been fetched (`apt-get update`); otherwise what is installed must do. Everyday runs take the first
few thousand, KEYP_LONG=1 all.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import redis

from tests import wire
from tests.integration.conftest import StartServer
from tests.integration.daemon import LONG, program

EVERYDAY = 3000
FEWEST_IN_AN_INDEX = 1000
STATUS = Path("/var/lib/dpkg/status")


def stanzas() -> Iterator[bytes]:
    """The index, a stanza at a time; each ends with a line break."""
    text = b""
    if shutil.which("apt-cache"):
        text = subprocess.run(["apt-cache", "dumpavail"], capture_output=True, check=False).stdout
    if text.count(b"\n\n") < FEWEST_IN_AN_INDEX:
        text = STATUS.read_bytes()
    for stanza in text.split(b"\n\n"):
        if stanza.strip():
            yield stanza.lstrip(b"\n") + b"\n"


def packages() -> dict[bytes, bytes]:
    """Stanzas by key: name, version and architecture."""
    found: dict[bytes, bytes] = {}
    for stanza in stanzas() if LONG else islice(stanzas(), EVERYDAY):
        fields = dict(line.split(b": ", 1) for line in stanza.splitlines() if line[:1] != b" " and b": " in line)
        found[b":".join((fields[b"Package"], fields.get(b"Version", b""), fields.get(b"Architecture", b"")))] = stanza
    return found


def test_the_index_survives(server: StartServer, capsys: pytest.CaptureFixture[str]) -> None:
    index = packages()
    assert len(index) > 50
    load = b"".join(wire.request(b"SET", name, stanza) for name, stanza in index.items())
    daemon = server()

    started = time.monotonic()
    done = subprocess.run(
        [program("redis-cli"), "-p", str(daemon.port), "--pipe"],
        input=load,
        capture_output=True,
        timeout=600,
        check=False,
    )
    loaded = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.decode().endswith(f"errors: 0, replies: {len(index)}\n")

    daemon.kill()
    started = time.monotonic()
    daemon.start()
    restarted = time.monotonic() - started

    started = time.monotonic()
    with redis.Redis(port=daemon.port) as r:
        assert r.dbsize() == len(index)
        names = list(index)
        for start in range(0, len(names), 1000):
            some = names[start : start + 1000]
            for name, stanza in zip(some, r.mget(some), strict=True):
                assert stanza == index[name], name
        read = time.monotonic() - started
        assert set(r.scan_iter(count=1000)) == set(index)
    scanned = time.monotonic() - started - read

    size = sum(map(len, index.values())) / 1e6
    on_disk = sum(path.stat().st_blocks * 512 for path in daemon.data_dir.iterdir()) / 1e6
    with capsys.disabled():
        if LONG:
            print(
                f"\n{len(index)} packages, {size:.1f} MB of stanzas: loaded in {loaded:.2f} s, up again after the kill "
                f"in {restarted:.2f} s, read in {read:.2f} s, scanned in {scanned:.2f} s, {on_disk:.1f} MB on disk"
            )
