"""Requests that break the protocol: real servers answer with the errors that `tests/resp` has, and hang up."""

from __future__ import annotations

from contextlib import closing

import pytest

from tests.differential.servers import Reference
from tests.resp.test_parser import MALFORMED, Requests

# Redis 7 looks for the end of a line with strchr, for which a zero byte is the end of all, and waits for more.
WITHOUT_ZEROS = [row for row in MALFORMED if b"\0" not in row[0]]


@pytest.mark.parametrize(("stream", "requests_", "error"), MALFORMED)
def test_the_reference_says_the_same(reference: Reference, stream: bytes, requests_: Requests, error: str) -> None:
    assert_refused(reference, stream, requests_, error)


@pytest.mark.parametrize(("stream", "requests_", "error"), WITHOUT_ZEROS)
def test_redis_says_the_same(redis_server: Reference, stream: bytes, requests_: Requests, error: str) -> None:
    assert_refused(redis_server, stream, requests_, error)


def assert_refused(server: Reference, stream: bytes, requests: Requests, error: str) -> None:
    with closing(server.connect()) as connection:
        replies = connection.send(stream, len(requests) + 1)
        assert connection.is_closed()
    text = f"-ERR Protocol error: {error}\r\n".encode("latin-1")
    assert replies == [b"+PONG\r\n"] * len(requests) + [text]
