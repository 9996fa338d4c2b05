"""TLS on the running server: clients with and without certificates, renewal, and those who speak another language."""

from __future__ import annotations

import signal
import socket
import ssl
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis
from OpenSSL import SSL

from tests.integration.certificates import Authority
from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, Daemon, free_port, wait_until
from tests.integration.test_redis_cli import run


class Secure:
    """A daemon with a port for TLS beside the plain one."""

    def __init__(self, server: StartServer, directory: Path, *options: str) -> None:
        self.authority = Authority(directory)
        self.certificate, self.key = self.authority.sign("server")
        self.own = self.authority.sign("ann")
        self.port = free_port()
        self.daemon: Daemon = server(
            f"--tls-port={self.port}",
            f"--tls-cert-file={self.certificate}",
            f"--tls-key-file={self.key}",
            f"--tls-ca-cert-file={self.authority.path}",
            *options,
        )

    def client(self, certified: bool = True, **options: Any) -> redis.Redis:
        if certified:
            options |= {"ssl_certfile": str(self.own[0]), "ssl_keyfile": str(self.own[1])}
        return redis.Redis(
            port=self.port,
            host="127.0.0.1",
            ssl=True,
            ssl_ca_certs=str(self.authority.path),
            decode_responses=True,
            socket_timeout=DEADLINE_S,
            **options,
        )

    def connect(self) -> ssl.SSLSocket:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        context.load_cert_chain(*self.own)
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        return context.wrap_socket(plain, server_hostname="127.0.0.1")

    def stepwise(self) -> tuple[socket.socket, ssl.SSLObject, ssl.MemoryBIO]:
        """A connection whose bytes leave when the test sends what the last of these holds; its handshake is done,
        but for the client's last words."""
        context = ssl.create_default_context(cafile=str(self.authority.path))
        context.load_cert_chain(*self.own)
        plain = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        connection = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
        while True:
            try:
                connection.do_handshake()
            except ssl.SSLWantReadError:
                plain.sendall(outgoing.read())
                incoming.write(plain.recv(1 << 16))
            else:
                return plain, connection, outgoing


@pytest.fixture
def secure(server: StartServer, tmp_path: Path) -> Secure:
    return Secure(server, tmp_path)


def number_of(connection: ssl.SSLSocket) -> int:
    certificate = connection.getpeercert()
    assert certificate is not None
    return int(str(certificate["serialNumber"]), 16)


def test_values_of_every_size(secure: Secure) -> None:
    client = secure.client()
    for size in (0, 1, 16_383, 16_384, 16_385, 70_000, 3_000_000):
        value = "v" * size
        assert client.set("k", value)
        assert client.get("k") == value
    pipeline = client.pipeline(transaction=False)
    for number in range(5000):
        pipeline.set(f"k{number}", number)
    assert all(pipeline.execute())
    assert client.dbsize() == 5001


def test_who_has_no_certificate_is_refused(secure: Secure) -> None:
    with pytest.raises(redis.ConnectionError):
        secure.client(certified=False).ping()
    assert "TLS with 127.0.0.1 failed: peer did not return a certificate" in secure.daemon.log()


def test_certificates_may_be_left_out(server: StartServer, tmp_path: Path) -> None:
    secure = Secure(server, tmp_path, "--tls-auth-clients=no")
    assert secure.client(certified=False).ping()
    cli = ["--tls", "--cacert", str(secure.authority.path), "-h", "127.0.0.1", "-p", str(secure.port)]
    assert run(secure.daemon, *cli, "PING", tcp=False) == "PONG\n"


def test_a_slow_reader_stops_only_itself(secure: Secure) -> None:
    secure.client().set("k", "v" * 1_000_000)
    with secure.connect() as connection:
        connection.sendall(b"GET k\r\n" * 30)
        assert secure.client().ping()
        got = 0
        while got < 30 * 1_000_012:
            got += len(connection.recv(1 << 16))


def test_what_comes_before_goodbye_is_answered(secure: Secure) -> None:
    connection = secure.connect()
    connection.sendall(b"SET k v\r\nGET k\r\nQUIT\r\n")
    got = b""
    while data := connection.recv(1000):
        got += data
    assert got == b"+OK\r\n$1\r\nv\r\n+OK\r\n"


def test_idle_connections_keep_no_buffers(secure: Secure) -> None:
    """OpenSSL's own are 16 KiB for each direction."""

    def connect(count: int) -> list[ssl.SSLSocket]:
        connections = [secure.connect() for _ in range(count)]
        for connection in connections:
            connection.sendall(b"PING\r\n")
            assert connection.recv(100) == b"+PONG\r\n"
        return connections

    first = connect(50)
    before = secure.daemon.memory()
    more = connect(200)
    assert (secure.daemon.memory() - before) / 200 < 45_000
    for connection in first + more:
        connection.close()


def test_a_plain_client_is_ended(secure: Secure) -> None:
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", secure.port), DEADLINE_S) as plain:
            plain.sendall(b"PING\r\n")
            with suppress(ConnectionResetError):
                while plain.recv(1000):
                    pass
    assert secure.daemon.log().count("TLS with 127.0.0.1 failed") == 1, "one line a minute"
    assert secure.client().ping()


@pytest.mark.parametrize("request_", [b"PING\r\n", b"SUBSCRIBE c\r\n", b"BLPOP k 0\r\n"])
def test_what_is_no_tls_in_mid_stream_ends_the_connection(secure: Secure, request_: bytes) -> None:
    connection = secure.connect()
    connection.sendall(request_)
    with socket.socket(fileno=connection.detach()) as plain:
        plain.settimeout(DEADLINE_S)
        plain.sendall(b"no TLS" * 100)
        with suppress(ConnectionResetError):
            while plain.recv(1000):
                pass
    admin = secure.client()
    wait_until(lambda: len(admin.client_list()) == 1, "the server to forget the client")


@pytest.mark.parametrize("request_", [b"PING\r\n", b"SUBSCRIBE c\r\n"])
def test_goodbye_ends_the_connection(secure: Secure, request_: bytes) -> None:
    """Also where the client keeps its socket open; and it is told goodbye as well."""
    connection = secure.connect()
    connection.sendall(request_)
    connection.recv(100)
    with connection.unwrap() as plain:
        assert plain.recv(1) == b""
    admin = secure.client()
    wait_until(lambda: len(admin.client_list()) == 1, "the server to forget the client")


def goodbye(connection: ssl.SSLObject, outgoing: ssl.MemoryBIO) -> bytes:
    """What the client has still to send, and that it sends no more."""
    with suppress(ssl.SSLWantReadError):
        connection.unwrap()
    return outgoing.read()


def test_requests_and_goodbye_may_come_with_the_end_of_the_handshake(secure: Secure) -> None:
    admin = secure.client()
    admin.set("k", "v" * 60_000)
    plain, connection, outgoing = secure.stepwise()
    connection.write(b"GET k\r\nSET k2 v\r\nPING\r\n")
    plain.sendall(goodbye(connection, outgoing))
    got = 0
    while data := plain.recv(1 << 16):
        got += len(data)
    assert got > 60_000
    assert admin.get("k2") == "v"
    plain.close()


def test_what_comes_after_goodbye_is_not_read(secure: Secure) -> None:
    """Also while replies wait."""
    admin = secure.client()
    admin.set("k", "v" * 60_000)
    plain, connection, outgoing = secure.stepwise()
    connection.write(b"GET k\r\n" * 1000)
    plain.sendall(goodbye(connection, outgoing))
    wait_until(lambda: any(int(each["omem"]) for each in admin.client_list()), "replies to wait")
    before = secure.daemon.memory()
    plain.settimeout(0.5)
    record = b"\x17\x03\x03\x40\x00" + b"x" * 16_384
    with suppress(TimeoutError):
        for _ in range(3000):
            plain.sendall(record)
    assert secure.daemon.memory() - before < 20_000_000
    plain.close()


def test_what_one_who_vanishes_has_sent_is_run(secure: Secure) -> None:
    """Where the server did not read, because the client has not read either."""
    admin = secure.client()
    admin.set("k", "v" * 60_000)
    connection = secure.connect()
    connection.sendall(b"GET k\r\n" * 1000)
    wait_until(lambda: any(int(each["omem"]) for each in admin.client_list()), "replies to wait")
    connection.sendall(b"RPUSH list x\r\n" * 2000)
    connection.close()
    wait_until(lambda: admin.llen("list") == 2000, "all to be run")


def test_a_renegotiation_is_refused(server: StartServer, tmp_path: Path) -> None:
    secure = Secure(server, tmp_path, "--tls-auth-clients=no", "--tls-protocols=TLSv1.2")
    plain = socket.create_connection(("127.0.0.1", secure.port), DEADLINE_S)
    plain.settimeout(None)  # pyOpenSSL wants one that blocks; the system's own deadline does
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", int(DEADLINE_S), 0))
    connection = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), plain)
    connection.set_connect_state()
    connection.do_handshake()
    connection.sendall(b"PING\r\n")
    assert connection.recv(7) == b"+PONG\r\n"
    connection.renegotiate()
    with pytest.raises(SSL.Error, match="no renegotiation"):
        connection.do_handshake()
    plain.close()


def test_a_client_with_tls_on_the_plain_port_is_ended(secure: Secure) -> None:
    client = redis.Redis(port=secure.daemon.port, ssl=True, ssl_cert_reqs="none", socket_timeout=DEADLINE_S)
    with pytest.raises(redis.ConnectionError):
        client.ping()
    assert "it speaks TLS to a port without it" in secure.daemon.log()


def test_a_renewed_certificate_is_for_those_who_come(secure: Secure) -> None:
    """By CONFIG SET, and by SIGHUP. Who is there stays."""
    before = secure.connect()
    first = number_of(before)
    secure.authority.sign("server")
    admin = secure.client()
    assert admin.config_set("tls-cert-file", str(secure.certificate))
    with secure.connect() as after:
        second = number_of(after)
    assert second != first
    secure.authority.sign("server")
    secure.daemon.signal(signal.SIGHUP)
    wait_until(lambda: "the certificate was read again" in secure.daemon.log(), "the certificate to be read")
    with secure.connect() as last:
        assert number_of(last) not in (first, second)
    before.sendall(b"PING\r\n")
    assert before.recv(100) == b"+PONG\r\n"
    before.close()


def test_files_that_are_of_no_use_change_nothing(secure: Secure) -> None:
    admin = secure.client()
    with pytest.raises(redis.ResponseError, match=r"argument 'tls-cert-file'.* Unable to update TLS configuration"):
        admin.config_set("tls-cert-file", "/nosuch.crt")
    assert admin.config_get("tls-cert-file") == {"tls-cert-file": str(secure.certificate)}
    with pytest.raises(redis.ResponseError, match="Unable to update TLS configuration"):
        admin.config_set("tls-protocols", "SSLv3")
    for words, name in (
        (["tls-auth-clients", "optional", "tls-ca-cert-file", ""], "tls-ca-cert-file"),
        (["tls-cert-file", str(secure.certificate), "tls-key-file", str(secure.own[1])], "tls-cert-file"),
        (["tls-protocols", "", "tls-key-file", str(secure.own[1])], "tls-key-file"),
        (["timeout", "0", "tls-cert-file", str(secure.own[0]), "tls-key-file", "/nosuch"], "tls-cert-file"),
    ):
        with pytest.raises(redis.ResponseError, match=f"argument '{name}'"):
            admin.execute_command("CONFIG SET", *words)
    assert admin.config_get("tls-auth-clients") == {"tls-auth-clients": "yes"}
    assert secure.client().ping()
    assert "TLS stays as it was: /nosuch.crt: No such file or directory" in secure.daemon.log()


def test_versions(server: StartServer, tmp_path: Path) -> None:
    secure = Secure(server, tmp_path, "--tls-protocols=TLSv1.2", "--tls-ciphers=ECDHE-ECDSA-AES256-GCM-SHA384")
    with secure.connect() as connection:
        assert connection.version() == "TLSv1.2"
        assert connection.cipher()[0] == "ECDHE-ECDSA-AES256-GCM-SHA384"  # type: ignore[index]


def test_a_certificate_names_its_user(server: StartServer, tmp_path: Path) -> None:
    users = tmp_path / "users.acl"
    users.write_text("user default off\nuser ann on ~* +@all\n")
    secure = Secure(server, tmp_path, f"--aclfile={users}", "--tls-auth-clients-user=cn")
    assert secure.client().acl_whoami() == "ann"
    secure.own = secure.authority.sign("stranger")
    with pytest.raises(redis.AuthenticationError):
        secure.client().ping()


def test_user_and_password_over_tls(server: StartServer, tmp_path: Path) -> None:
    secure = Secure(server, tmp_path, "--requirepass=secret", "--tls-auth-clients=optional")
    assert secure.client(certified=False, password="secret").ping()
    with pytest.raises(redis.AuthenticationError):
        secure.client(password="wrong").ping()


def test_an_endpoint_of_twisteds(server: StartServer, tmp_path: Path) -> None:
    authority, port = Authority(tmp_path), free_port()
    certificate, key = authority.sign("server")
    server(f"--endpoint=ssl:{port}:interface=127.0.0.1:privateKey={key}:certKey={certificate}")
    client = redis.Redis(port=port, host="127.0.0.1", ssl=True, ssl_ca_certs=str(authority.path))
    value = b"v" * 300_000
    assert client.set("k", value)
    assert client.get("k") == value


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--tls-cert-file="], "tls-cert-file is needed"),
        (["--tls-cert-file=/nosuch"], "/nosuch: No such file or directory"),
        (["--tls-ca-cert-file="], "clients cannot be authenticated"),
        (["--tls-protocols=SSLv3"], "sslv3 is no version of TLS"),
    ],
)
def test_what_cannot_be_listened_with_is_told(
    server: StartServer, tmp_path: Path, options: list[str], reason: str
) -> None:
    secure = Secure(server, tmp_path)
    secure.daemon.stop()
    secure.daemon.options = (*secure.daemon.options, *options)
    assert reason in secure.daemon.start_in_vain()
