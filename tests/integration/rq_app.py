"""Jobs for RQ."""

import os

import redis


def double(number: int) -> int:
    """Notes that it has run."""
    with redis.Redis(port=int(os.environ["KEYP_PORT"])) as connection:
        connection.rpush("ran", number)
    return 2 * number


def fail() -> None:
    """A job that fails."""
    raise ValueError("never mind")


def fail_twice() -> None:
    """A job that succeeds at the third try."""
    with redis.Redis(port=int(os.environ["KEYP_PORT"])) as connection:
        if connection.incr("tries") < 3:
            raise ValueError("not yet")
