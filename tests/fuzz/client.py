"""A client that knows what it is owed: which replies must come for what it has sent, and in which form.

A small model of a session, without Keyp's own: it knows the protocol, the transaction, the subscriptions and whether
replies are wanted. Each request gets exactly one reply, but for those that subscribe (one for each channel) and for
those whose replies the client has switched off. What comes unasked (messages) is told apart by its form.
"""

from __future__ import annotations

from typing import Final

from keyp.errors import INTERNAL
from tests import wire
from tests.fakes import Lab
from tests.fuzz.replies import Reply, Unfinished, Unframed, line_at, read

Call = list[bytes]

SUBSCRIBE: Final = (b"subscribe", b"psubscribe", b"ssubscribe")
UNSUBSCRIBE: Final = (b"unsubscribe", b"punsubscribe", b"sunsubscribe")
UNASKED: Final = (b"message", b"pmessage", b"smessage")
NOT_QUEUED: Final = (b"exec", b"discard", b"multi", b"watch", b"quit", b"reset")

# Long replies that were read, and in which protocol; the last ones of so many bytes.
LONG: Final[list[tuple[bytes, int]]] = []
LONG_BYTES: Final = 10_000
LONG_MAX: Final = 12


class Client:
    """A client of `lab`. `owed` are the calls whose replies have not come yet."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.connection = lab.connect()
        self.transport = self.connection.transport
        self.state = self.connection.connection.client
        self.owed: list[Call] = []
        self.protocol = 2
        self.queue: list[Call] | None = None
        self.quiet = b""  # `off`, or `skip` for the next call
        self.channels: dict[bytes, set[bytes]] = {name: set() for name in SUBSCRIBE}
        self.has_ended = False  # it sends nothing more
        self.at = 0  # how much of what has come was read

    # What happens.

    def send(self, calls: list[Call]) -> None:
        """Sends calls in one chunk."""
        self.owed += calls
        self.deliver(b"".join([wire.request(*call) for call in calls]))

    def deliver(self, data: bytes) -> None:
        """Sends bytes."""
        if not self.is_gone and not self.has_ended:
            self.connection.protocol.dataReceived(data)

    @property
    def is_gone(self) -> bool:
        """Whether the connection is over, or about to be."""
        return bool(self.transport.disconnected or self.transport.disconnecting or self.transport.aborted)

    @property
    def waits(self) -> bool:
        """Whether there is a reason why a reply has not come."""
        server = self.lab.server.state
        return bool(self.state.waiting or server.paused_until_ns or self.state.replies_held or self.is_congested)

    @property
    def is_congested(self) -> bool:
        """Whether the socket has refused something."""
        waiting: bytes = self.transport.io.getvalue()
        return bool(waiting)

    # What comes back.

    def take(self) -> None:
        """Reads all that has come. Raises `Unframed` for what it is not owed, or is no reply."""
        if self.is_congested and not self.is_gone:
            return  # perhaps there is half a reply
        self.drop_quiet()
        while self.at < len(self.transport.sent):
            try:
                self._take_next()
            except Unfinished:
                if not self.is_gone:
                    raise Unframed(f"half a reply to {self.owed[:1]}: {self._rest()!r}") from None
                return
            self.drop_quiet()
        if self.at > 1 << 16:
            self.transport.sent, self.at = b"", 0
        if self.owed and not self.waits and not self.is_gone:
            raise Unframed(f"no reply to {self.owed[0]!r}")

    def drop_quiet(self) -> None:
        """Drops the calls that get no reply. What would end the silence is answered, if with nothing but an error."""
        while self.quiet and self.owed and not is_reply_mode(self.owed[0]):
            self.owed.pop(0)
            if self.quiet == b"skip":
                self.quiet = b""

    def _rest(self) -> bytes:
        return self.transport.sent[self.at : self.at + 200]

    def _read(self) -> Reply:
        reply, self.at = remembered(self.transport.sent, self.at, self.protocol)
        return reply

    def _take_next(self) -> None:
        """One reply, or a message."""
        reply, end = self._peeked()
        if is_unasked(reply):
            self.at = end
            return
        if not self.owed:
            raise Unframed(f"a reply to nothing: {self._rest()!r}")
        call = self.owed.pop(0)
        if is_reply_mode(call) and call[2].lower() in (b"off", b"skip") and not self._is_refused(reply):
            if self.quiet != b"off":
                self.quiet = call[2].lower()  # it has no reply: this one is another's
            return
        if self.queue is not None and call[0].lower() not in NOT_QUEUED:
            self.at = end
            if reply == (b"+", b"QUEUED"):
                self.queue.append(call)
            elif reply[0] != b"-":
                raise Unframed(f"queued, {call!r} is answered {reply!r}")
            return
        self._follow(call)

    def _is_refused(self, reply: Reply) -> bool:
        """Whether this is the answer to a CLIENT REPLY that is refused: then the one behind it is refused, too."""
        is_listening = self.protocol == 2 and any(self.channels.values())
        is_next = bool(self.owed) and is_reply_mode(self.owed[0])
        is_nobody = reply[0] == b"-" and reply[1].startswith(b"NOAUTH")
        return is_nobody or (reply[0] == b"-" and (self.queue is not None or is_listening or is_next))

    def _peeked(self) -> tuple[Reply, int]:
        """What comes next: in the new protocol, where it is the answer to HELLO; of EXEC's only the beginning."""
        data, protocol = self.transport.sent, self.protocol
        if self.owed:
            name = self.owed[0][0].lower()
            if name == b"exec" and data[self.at : self.at + 1] == b"*":
                line = line_at(data, self.at)
                return (b"*", [line]), self.at
            if name == b"hello" and self.queue is None:
                protocol = self._protocol_after(self.owed[0])
        return remembered(data, self.at, protocol)

    def _protocol_after(self, hello: Call) -> int:
        """The protocol of the next reply: of an error or a message that comes first, and of others, the one in use."""
        sign = self.transport.sent[self.at : self.at + 1]
        return self.protocol if sign in (b"-", b">") or hello[1:2] not in ([b"2"], [b"3"]) else int(hello[1])

    def _follow(self, call: Call) -> None:
        """Reads the reply to a call that has run, and what follows from it."""
        name = call[0].lower()
        if name == b"hello":
            self.protocol = self._protocol_after(call)
        if name == b"exec" and self._take_transaction():
            return
        reply = self._read()
        if reply[0] == b"-":
            if INTERNAL.encode() == reply[1]:
                raise Unframed(f"{call!r} is answered {reply!r}")
            if name == b"exec" and reply[1].startswith(b"EXECABORT"):
                self.queue = None
        elif name in SUBSCRIBE or name in UNSUBSCRIBE:
            self._subscribed(name, call[1:], reply)
        elif name == b"multi":
            self.queue = []
        elif name == b"discard":
            self.queue = None
        elif name == b"reset":
            self.protocol, self.queue, self.quiet = 2, None, b""
            self.channels = {each: set() for each in SUBSCRIBE}
        elif is_reply_mode(call) and call[2].lower() == b"on":
            self.quiet = b""

    def _take_transaction(self) -> bool:
        """Reads what a transaction has given; whether it has run."""
        line = line_at(self.transport.sent, self.at)
        if line[:1] == b"-":
            return False
        queue, self.queue = self.queue, None
        if queue is None or line[1:] != b"%d" % len(queue):
            if line in (b"*-1", b"_") and queue is not None:
                self.at += len(line) + 2
                return True
            raise Unframed(f"{queue!r} has given {line!r}")
        self.at += len(line) + 2
        for call in queue:
            self._follow(call)
        return True

    def _subscribed(self, name: bytes, channels: list[bytes], reply: Reply) -> None:
        """A confirmation for each channel; one for none."""
        word = name.replace(b"un", b"")
        known = self.channels[word]
        if name in SUBSCRIBE:
            expected = channels
            known.update(channels)
        else:
            expected = channels or sorted(known) or [b""]
            known.difference_update(channels or list(known))
        confirmed = []
        for number in range(len(expected)):
            sign, items = reply if number == 0 else self._read()
            if sign != (b"*" if self.protocol == 2 else b">") or items[0] != (b"$", name):
                raise Unframed(f"{name!r} is confirmed by {items!r}")
            confirmed.append(items[1][1] or b"")
        if sorted(confirmed) != sorted(expected):
            raise Unframed(f"{name!r} of {expected!r} is confirmed for {confirmed!r}")


def remembered(data: bytes, at: int, protocol: int) -> tuple[Reply, int]:
    """As `read`; of long replies the last ones that were read are known, since those of COMMAND are many."""
    for known, of_protocol in LONG:
        if of_protocol == protocol and data.startswith(known, at):
            return (known[:1], []), at + len(known)
    reply, end = read(data, at, protocol)
    if end - at > LONG_BYTES:
        LONG.append((data[at:end], protocol))
        del LONG[:-LONG_MAX]
    return reply, end


def is_reply_mode(call: Call) -> bool:
    """Whether it is CLIENT REPLY with one word behind it."""
    return len(call) == 3 and call[0].lower() == b"client" and call[1].lower() == b"reply"


def is_unasked(reply: Reply) -> bool:
    """Whether it is a message."""
    sign, content = reply
    return sign in (b"*", b">") and bool(content) and content[0] in [(b"$", word) for word in UNASKED]
