"""What OpenSSL itself has to say on a TLS connection, to a peer that asks for more and more of it."""

from __future__ import annotations

from keyp.net.tls_records import MEMORY_BYTES, OWN_MAX, OpenSSL, Records


class FakeLibrary:
    """OpenSSL that answers everything that comes with a thousand bytes of its own. There are no requests in it."""

    SSL_ERROR_WANT_READ = 2
    SSL_ERROR_ZERO_RETURN = 6
    NULL = None

    def __init__(self) -> None:
        self.waiting = 0

    def new(self, kind: str, size: int) -> bytes:
        return bytes(size)

    def buffer(self, memory: bytes) -> bytes:
        return memory

    def BIO_write(self, bio: object, data: bytes, size: int) -> int:
        self.waiting += 1000
        return size

    def SSL_read(self, connection: object, memory: object, size: int) -> int:
        return -1

    def SSL_write(self, connection: object, data: bytes, size: int) -> int:
        self.waiting += size
        return size

    def SSL_get_error(self, connection: object, count: int) -> int:
        return self.SSL_ERROR_WANT_READ

    def ERR_clear_error(self) -> None:
        pass

    def BIO_get_mem_data(self, bio: object, pointer: object) -> int:
        return self.waiting

    def BIO_read(self, bio: object, memory: object, size: int) -> int:
        count = min(size, self.waiting)
        self.waiting -= count
        return count or -1


class Socket:
    """One that takes all, or nothing. It is the connection, the transport and the owner as well."""

    _ssl = _into_ssl = _from_ssl = None

    def __init__(self) -> None:
        self.takes = True
        self.sent = 0
        self.kept = 0
        self.floods = 0

    def getHandle(self) -> Socket:
        return self

    def send(self, data: bytes) -> int:
        if not self.takes:
            raise BlockingIOError
        self.sent += len(data)
        return len(data)

    def write(self, data: bytes) -> None:
        self.kept += len(data)

    def ended(self) -> None:
        raise AssertionError

    failed = ended

    def flooded(self) -> None:
        self.floods += 1


def make() -> tuple[Records, Socket, FakeLibrary]:
    openssl = FakeLibrary()
    connection = Socket()
    records = Records(OpenSSL(openssl, openssl), connection, connection, connection)
    records.open(lambda data: None, True)
    return records, connection, openssl


def test_it_leaves_at_once() -> None:
    records, socket, openssl = make()
    for count in range(1, 1000):
        records.received(b"a change of keys")
        assert socket.sent == count * 1000
    assert openssl.waiting == 0


def test_who_does_not_read_it_is_ended() -> None:
    records, socket, openssl = make()
    socket.takes = False
    while not socket.floods:
        records.received(b"a change of keys")
        assert openssl.waiting + socket.kept < OWN_MAX + 10_000


def test_it_leaves_when_the_socket_takes_more() -> None:
    records, socket, openssl = make()
    socket.takes = False
    for _ in range(50):
        records.received(b"a change of keys")
    assert openssl.waiting
    socket.takes = True
    records.drained()
    assert openssl.waiting == 0
    assert socket.sent + socket.kept == 50_000


def test_however_much_waits_leaves_with_a_reply() -> None:
    records, socket, openssl = make()
    openssl.waiting = 3 * MEMORY_BYTES
    assert records.send(b"reply") == 5
    assert socket.sent == 3 * MEMORY_BYTES + 5
