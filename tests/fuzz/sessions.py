"""What clients do to their sessions, several at once: transactions, subscriptions, waiting, silence, log-ins, the end.

How many replies each of them must get, and in which form, says the model in `tests/fuzz/client.py`. Chunks are cut
anywhere, the socket takes as much as the input says, threads answer when it says, and clients leave in the middle.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests import wire
from tests.fuzz.client import Call, Client
from tests.fuzz.commands import Stage
from tests.fuzz.source import Source
from tests.fuzz.target import Run

# What leaves no trace in a session, so that it may be called where its reply is not seen.
PLAIN: Final = (
    "PING", "ECHO a", "SET k 1", "GET k", "INCR k", "LPUSH q a", "DEL q", "GET", "NOSUCH a", "PUBLISH c m",
    "LPUSH k a", "SPUBLISH s m", "XADD x * f v", "EXPIRE k 0", "CLIENT GETNAME", "CLIENT NO-EVICT ON",
    "CLIENT NO-TOUCH OFF", "CLIENT TRACKING ON", "CLIENT LIST", "CLIENT ID", "SELECT 1", "SELECT 0", "SELECT 99",
    "MSET k a l b", "KEYS *", "SCRIPT EXISTS a", "CLIENT INFO", "CONFIG SET notify-keyspace-events KEA",
    "CONFIG SET notify-keyspace-events X", "FLUSHALL", "SWAPDB 0 1", "EVAL return{1,{ok='a'}} 0",
    "EVAL redis.call('lpush','q',1)return(1) 0", "WAIT 0 0",
)  # fmt: skip
LINES: Final = (
    *PLAIN, "MULTI", "MULTI", "EXEC", "EXEC", "DISCARD", "WATCH k", "WATCH", "UNWATCH", "EXEC x", "MULTI x",
    "HELLO 2", "HELLO 3", "HELLO", "HELLO 4", "HELLO 3 AUTH ann p", "HELLO 3 AUTH ann x", "HELLO 2 SETNAME a",
    "AUTH ann p", "AUTH x", "AUTH pw", "AUTH pw", "HELLO 3 AUTH default pw", "AUTH default pw", "RESET",
    "SUBSCRIBE c", "SUBSCRIBE c d c", "PSUBSCRIBE * c?", "SSUBSCRIBE s", "UNSUBSCRIBE", "UNSUBSCRIBE c x",
    "PUNSUBSCRIBE", "SUNSUBSCRIBE", "BLPOP q 0", "BLPOP q 1", "BRPOP q q2 0.5", "BLMOVE q q LEFT RIGHT 0",
    "BZPOPMIN z 2", "XREAD BLOCK 0 STREAMS x $", "BLMPOP 1 1 q LEFT", "BLPOP q -1", "WAIT 1 100", "CLIENT PAUSE 50",
    "CLIENT UNPAUSE", "CLIENT PAUSE 100 WRITE", "DEBUG SLEEP 0.1", "QUIT", "CLIENT KILL TYPE normal",
    "CLIENT KILL TYPE pubsub", "CLIENT UNBLOCK 2", "CLIENT KILL ID 3", "CLIENT UNBLOCK 3 ERROR", "MONITOR",
    "ACL SETUSER ann on >p ~* &* +@all", "ACL DELUSER ann", "ACL SETUSER ann resetchannels", "CLIENT KILL USER ann",
    "SHUTDOWN ABORT", "REPLICAOF NO ONE",
)  # fmt: skip
QUIET: Final = ("CLIENT REPLY OFF", "CLIENT REPLY SKIP")
LOUD: Final = b"CLIENT REPLY ON"
CLIENTS_MAX: Final = 3
PASSWORD: Final = "pw"
BEGINNING: Final = b"".join(
    [wire.request(*line.split()) for line in (b"FLUSHALL", b"ACL DELUSER ann", b"CONFIG SET notify-keyspace-events g")]
)
ROOMS: Final = (1 << 30, 0, 1, 10, 100)


def chunk(source: Source) -> list[Call]:
    """Calls that are sent together."""
    calls = [source.choice(LINES).encode().split() for _ in range(1 + source.below(5))]
    if source.chance(15):
        silenced = [source.choice(PLAIN).encode().split() for _ in range(source.below(4))]
        calls += [source.choice(QUIET).encode().split(), *silenced, LOUD.split()]
    return calls


def sessions(directory: Path) -> Run:
    """Chunks of calls from several clients, and what else may happen to them."""
    return _run(Stage(directory, BEGINNING))


def log_ins(directory: Path) -> Run:
    """The same where clients have to log in first."""
    return _run(Stage(directory, BEGINNING, PASSWORD))


def _run(stage: Stage) -> Run:
    def run(data: bytes) -> None:
        source = Source(data)
        stage.begin()
        play = Play(stage, source)
        while source.has_more() and not stage.lab.stopped:
            play.step()
        play.end()

    return run


class Play:
    """What one input has happen."""

    def __init__(self, stage: Stage, source: Source) -> None:
        self.stage = stage
        self.source = source
        self.clients = [stage.connect(2), stage.connect(3)]

    def step(self) -> None:
        """Something happens."""
        source, stage = self.source, self.stage
        form = source.below(16)
        if form == 0:
            stage.advance(source.choice((1, 60, 600, 2500)))
        elif form == 1 and len(self.clients) < CLIENTS_MAX:
            self.clients.append(stage.connect(2))
        elif form == 2:
            self.leave(source.choice(self.clients))
        elif form == 3:
            source.choice(self.clients).transport.drain(source.choice(ROOMS))
        elif form == 4:
            self.hold()
        elif form == 5:
            self.work()
        else:
            self.say(source.choice(self.clients))
        if not stage.lab.writer_thread.held:
            self.take()

    def take(self) -> None:
        """Every reply that is owed has come, unless there is a reason."""
        self.stage.settle()
        for client in self.clients:
            client.take()

    def say(self, client: Client) -> None:
        """Sends a chunk, cut somewhere."""
        calls = chunk(self.source)
        for call in calls:
            self.stage.note(call)
        client.owed += calls
        data = b"".join([wire.request(*call) for call in calls])
        cut = self.source.below(len(data)) if self.source.chance(30) else len(data)
        client.deliver(data[:cut])
        if cut < len(data):
            self.stage.settle()
            client.deliver(data[cut:])

    def leave(self, client: Client) -> None:
        """A client ends its input, or is gone."""
        if client.transport.disconnected or len(self.clients) == 1:
            return
        if self.source.chance(50):
            client.connection.protocol.readConnectionLost()
            client.has_ended = True
            return
        client.connection.lose()
        self.clients.remove(client)

    def hold(self) -> None:
        """From now on the threads work when they are told."""
        lab = self.stage.lab
        lab.writer_thread.held = lab.reader_threads.held = True

    def work(self) -> None:
        """The threads do what they have got, and are prompt again."""
        lab = self.stage.lab
        lab.writer_thread.held = lab.reader_threads.held = False
        for thread in (lab.writer_thread, lab.reader_threads):
            while thread.line:
                thread.work()
                self.stage.settle()

    def end(self) -> None:
        """Everything goes on until nobody is owed anything."""
        self.work()
        for client in self.clients:
            client.transport.drain()
        self.take()
        self.stage.clients = self.clients
        self.stage.finish()
