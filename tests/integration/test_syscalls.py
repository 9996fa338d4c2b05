"""What a request costs in system calls, counted under strace: so that no change adds some unnoticed.

One client sends its requests one after the other, each after the last one's reply. Between two marks in the trace lie
the calls of so many requests; a server at rest wakes up ten times a second and once more each second, which is the
slack allowed.
"""

from __future__ import annotations

import re
import shutil
import socket
from collections import Counter
from pathlib import Path

import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import Daemon

REQUESTS = 500
SLACK = REQUESTS // 10
GROWTH = 5.5  # pages of the data file that a commit of one small value uses
CALL = re.compile(rb"^\d+ +(?:<\.\.\. )?(\w+)")


def traced(server: StartServer, path: Path, *options: str) -> Daemon:
    strace = shutil.which("strace")
    assert strace, "strace is missing: install Debian's package strace (apt-get install strace)"
    return server(*options, launcher=[strace, "-D", "-f", "-qq", "-s", "64", "-o", str(path)])


def calls_of(daemon: Daemon, path: Path, *exchanges: tuple[bytes, bytes]) -> Counter[str]:
    """The system calls between two marks, while each request was sent and its reply received, REQUESTS times in all."""
    with socket.create_connection(("127.0.0.1", daemon.port), timeout=30) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def ask(data: bytes, size: int) -> bytes:
            client.sendall(data)
            answer = b""
            while len(answer) < size:
                answer += client.recv(size)
            return answer

        for request, reply in exchanges:
            assert ask(request, len(reply)) == reply  # the first write also readies the end of the data file
        assert ask(b"ECHO the-first-mark\r\n", 21) == b"$14\r\nthe-first-mark\r\n"
        for request, reply in exchanges * (REQUESTS // len(exchanges)):
            assert ask(request, len(reply)) == reply
        assert ask(b"ECHO the-last-mark\r\n", 20) == b"$13\r\nthe-last-mark\r\n"
    daemon.stop()
    lines = path.read_bytes().splitlines()
    first = next(at for at, line in enumerate(lines) if b"sendto" in line and b"the-first-mark" in line)
    if b"unfinished" in lines[first]:  # another thread came between; its end is not one of the calls to be counted
        resumed = lines[first].split(b" ", 1)[0] + b" <... sendto resumed"
        first = next(at for at in range(first, len(lines)) if b" ".join(lines[at].split()).startswith(resumed))
    last = next(at for at, line in enumerate(lines) if b"recvfrom" in line and b"the-last-mark" in line)
    found = [CALL.match(line) for line in lines[first + 1 : last] if b"unfinished" not in line]
    return Counter(match[1].decode() for match in found if match)


def test_a_get_is_one_wait_one_receive_and_one_send(server: StartServer, tmp_path: Path) -> None:
    daemon = traced(server, tmp_path / "trace", "--fsync=no")
    counts = calls_of(daemon, tmp_path / "trace", (b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n", b"$-1\r\n"))
    assert counts["sendto"] == REQUESTS
    assert REQUESTS <= counts["recvfrom"] <= REQUESTS + 1
    assert REQUESTS <= counts["epoll_wait"] <= REQUESTS + SLACK
    assert counts.total() <= 3 * REQUESTS + SLACK, counts


def test_a_set_without_syncs(server: StartServer, tmp_path: Path) -> None:
    """Besides its own wait, receive and send: one hop to the writer's thread and back, the record, and LMDB's pages.

    No page is used again before the next checkpoint, which does not come here: so the data file grows by some five
    pages a commit, each written once ahead of LMDB.

    The threads wake each other by an event counter each. Futexes are not counted: the two collide over Python's lock
    only because strace stops them at each call.
    """
    daemon = traced(server, tmp_path / "trace", "--fsync=no", "--journal-size=64mb")
    counts = calls_of(daemon, tmp_path / "trace", (b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\nb\r\n", b"+OK\r\n"))
    assert counts["sendto"] == REQUESTS
    assert REQUESTS <= counts["recvfrom"] <= REQUESTS + 1
    assert counts["epoll_wait"] <= 2 * REQUESTS + SLACK, counts
    assert counts["write"] <= 2 * REQUESTS + SLACK, counts
    assert counts["pwrite64"] <= (1 + 1 + GROWTH) * REQUESTS + SLACK, counts  # the record, the meta page
    assert not {"fdatasync", "fsync", "msync", "sync_file_range"} & set(counts)
    assert counts.total() - counts["futex"] <= (13 + 1 + GROWTH) * REQUESTS, counts


def test_writes_for_nothing_reach_no_disk(server: StartServer, tmp_path: Path) -> None:
    """The daily bread of task queues: polling pops, locks that are taken, members that are there already."""
    daemon = traced(server, tmp_path / "trace", "--fsync=always")
    with redis.Redis(port=daemon.port) as client:
        client.set("taken", "by another")
        client.sadd("s", "member")
    counts = calls_of(
        daemon,
        tmp_path / "trace",
        (b"LPOP nosuch\r\n", b"$-1\r\n"),
        (b"DEL nosuch\r\n", b":0\r\n"),
        (b"SREM s absent\r\n", b":0\r\n"),
        (b"SETNX taken v\r\n", b":0\r\n"),
        (b"SET taken v NX\r\n", b"$-1\r\n"),
        (b"SADD s member\r\n", b":0\r\n"),
        (b"BLPOP queue 0.001\r\n", b"*-1\r\n"),
        (b"EXPIRE nosuch 100\r\n", b":0\r\n"),
        (b"MULTI\r\nLPOP nosuch\r\nSETNX taken v\r\nEXEC\r\n", b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$-1\r\n:0\r\n"),
    )
    to_disk = {"fdatasync", "fsync", "msync", "pwrite64", "pwritev", "writev", "ftruncate", "fallocate"}
    assert not to_disk & set(counts), counts
    assert counts["write"] <= 3 * REQUESTS + SLACK, counts  # the threads wake each other, nothing else
