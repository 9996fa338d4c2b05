"""What counting HyperLogLogs writes, and where it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.fakes import Lab


def test_no_read_stores_what_it_has_counted(keyp: Any) -> None:
    keyp.script("PFADD k a; PFCOUNT k; PFADD k b")
    before = keyp.answer("GET k")
    assert keyp.answer("PFCOUNT k") == 2
    assert keyp.answer("GET k") == before


def test_many_at_once_keep_nobody_waiting(tmp_path: Path) -> None:
    """They are counted on a reader's thread."""
    lab = Lab(tmp_path)
    client = lab.connect()
    client.call("PFADD k a")
    assert client.call("PFCOUNT k k") == b":1\r\n"
    assert lab.reader_threads.done == 0
    assert client.call("PFCOUNT k k k k k k") == b":1\r\n"
    assert lab.reader_threads.done == 1
    lab.close()
