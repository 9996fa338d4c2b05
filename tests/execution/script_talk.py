"""What the tests of scripts send, and short ways to send it."""

from __future__ import annotations

from keyp.scripting.script import digest
from tests import wire
from tests.fakes import Connection

GET = "return redis.call('get', KEYS[1])"
INCR = "return redis.call('incr', KEYS[1])"
BUSY = b"-BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.\r\n"
LIBRARY = (
    "#!lua name=lib\n"
    "redis.register_function('add', function(keys, args) return redis.call('incrby', keys[1], args[1]) end)\n"
    "redis.register_function{function_name='get', flags={'no-writes'}, callback=function(keys)"
    " return redis.call('get', keys[1]) end}"
)


def sha(text: str) -> str:
    return digest(text.encode()).decode()


def ask(client: Connection, *words: str | bytes) -> bytes:
    return client.send(request(*words))


def request(*words: str | bytes) -> bytes:
    return wire.request(*[word if isinstance(word, bytes) else word.encode() for word in words])
