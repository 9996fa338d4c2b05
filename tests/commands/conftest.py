"""`keyp`: commands run one by one, each in a transaction of its own, on a real store, with a clock that tests set.

`client`: a connection to a whole server without sockets, for what commands do to their client.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from keyp.command.context import CommandEnvironment, ReadContext, WriteContext
from keyp.command.registry import Registry
from keyp.command.spec import SESSION, WRITE
from keyp.commands.all import TABLES
from keyp.errors import CommandError
from keyp.resp.values import DoubleText, Encoded, PairedMap, Pairs, Reply, ReplyError, Set, Verbatim
from keyp.storage.check import check
from keyp.storage.keys.keyspace import WritableKeyspace
from keyp.storage.keys.sweep import sweep
from keyp.storage.lmdb.environment import NO, Environment
from keyp.storage.lmdb.transaction import ReadTransaction, WriteTransaction
from tests.fakes import Connection, Lab

REGISTRY = Registry(TABLES)
START_US = 1_700_000_000_000_000

Word = str | bytes | int


class Keyp:
    """A store and the commands that work on it. `now_us` is the clock; tests set it."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.shared = CommandEnvironment(Random(1), environment.databases, 512 * 1024 * 1024)
        self.now_us = START_US
        self.selected = 0

    @property
    def now_ms(self) -> int:
        return self.now_us // 1000

    def advance(self, milliseconds: int) -> None:
        self.now_us += milliseconds * 1000

    def select(self, database: int) -> None:
        self.selected = database

    def run(self, *words: Word) -> Reply:
        """Runs one command; its reply as the command gave it, an error as `ReplyError`."""
        args = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        try:
            spec = REGISTRY.resolve(args)
        except CommandError as error:
            return ReplyError(error.text)
        assert spec.access != SESSION, f"{spec} is about a session"
        assert spec.function is not None
        if spec.access != WRITE:
            with ReadTransaction(self.environment, self.now_ms) as snapshot:
                return self._call(ReadContext(snapshot, self.shared, self.now_us), spec.function, args)
        transaction = WriteTransaction(self.environment, self.now_ms)
        try:
            transaction.version += 1
            transaction.in_write = True
            reply = self._call(WriteContext(transaction, self.shared, self.now_us), spec.function, args)
            transaction.commit()
        except BaseException:
            transaction.abort()
            raise
        return reply

    def _call(self, context: ReadContext, function: Any, args: list[bytes]) -> Reply:
        context.select(self.selected)
        try:
            reply: Reply = function(context, args)
            return reply
        except CommandError as error:
            return ReplyError(error.text)

    def answer(self, line: str, *more: Word) -> Any:
        """Runs a command written as in a shell, further words behind it; its reply as `plain` gives it."""
        return plain(self.run(*shlex.split(line), *more))

    def script(self, text: str) -> Any:
        """Runs commands separated by semicolons or line breaks; the last one's reply as `plain` gives it."""
        result: Any = None
        for line in text.replace(";", "\n").splitlines():
            if line.strip():
                result = self.answer(line)
        return result

    def sweep(self, budget: int = 1 << 30) -> int:
        """One step of the sweeper, all databases; how much it removed."""
        transaction = WriteTransaction(self.environment, self.now_ms)
        databases = [WritableKeyspace(transaction, index) for index in range(self.environment.databases)]
        removed = sweep(transaction, databases, budget)
        transaction.commit()
        return removed

    def problems(self) -> list[str]:
        """What is wrong with the store."""
        with ReadTransaction(self.environment, self.now_ms) as snapshot:
            return check(snapshot)


def plain(reply: Reply) -> Any:
    """A reply as built-in values that compare: an error is its text, a set a frozenset, pairs are lists of two, a text
    of any type is its bytes."""
    if isinstance(reply, ReplyError):
        return reply.text
    if isinstance(reply, Set):
        return frozenset(plain(member) for member in reply.members)
    if isinstance(reply, Pairs):
        return [list(pair) for pair in reply.pairs]
    if isinstance(reply, PairedMap):
        return [[key, plain(value)] for key, value in reply.pairs]
    if isinstance(reply, Encoded):
        return reply.decoded()
    if isinstance(reply, Verbatim | DoubleText):
        return reply.text
    if isinstance(reply, dict):
        return {key: plain(value) for key, value in reply.items()}
    if isinstance(reply, list | tuple):
        return [plain(item) for item in reply]
    return reply


@pytest.fixture
def keyp(tmp_path: Path) -> Iterator[Keyp]:
    """A store of sixteen databases. After the test its contents must be sound."""
    environment = Environment(str(tmp_path / "store"), fsync=NO)
    server = Keyp(environment)
    try:
        yield server
        assert server.problems() == []
    finally:
        environment.close()


@pytest.fixture
def client(lab: Lab) -> Connection:
    """A client of a whole server."""
    return lab.connect()


def listed(client: Connection, line: str = "CLIENT LIST") -> list[dict[str, str]]:
    """A list of clients as one mapping a line."""
    text = client.answer(line).decode()
    assert text == "" or text.endswith("\n")
    return [dict(field.split("=", 1) for field in part.split(" ")) for part in text.splitlines()]
