"""Requests a second over TLS."""

from __future__ import annotations

import datetime
from pathlib import Path

from benchmarks.load import Load, rate
from benchmarks.results import REQUESTS
from benchmarks.rounds import Bench, Section
from benchmarks.servers import NONE, Tls, free_port

KEYS = 100_000
LOADS = {(1, 1): 30_000, (50, 1): 100_000, (50, 16): 500_000}  # clients and pipeline: requests


def tls(bench: Bench) -> None:
    """GET and SET, by clients and by pipelines."""
    with bench.servers(make_port) as servers:
        for server in bench.turns(servers, "tls"):
            bench.fill(server, range(KEYS), value_of=lambda _: b"xxx")
            assert server.tls is not None
            for command in (("GET", "KEY"), ("SET", "KEY", "xxx")):
                for (clients, pipeline), count in LOADS.items():
                    load = Load(command, bench.scaled(count), clients, KEYS, pipeline, authority=server.tls.certificate)
                    facts = {"clients": clients, "pipeline": pipeline}
                    bench.record(command[0], REQUESTS, rate(server.tls.port, load), **facts)


def make_port(directory: Path) -> Tls:
    """A port, and a certificate for it in `directory`: the one that is there, or a new one."""
    certificate, key = directory / "tls.crt", directory / "tls.key"
    if not key.exists():
        _sign(certificate, key)
    return Tls(free_port(), certificate, key)


def _sign(certificate: Path, key: Path) -> None:
    """Makes a key of elliptic curves, and a certificate that signs itself and holds for a day."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    signed = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number(), now - day, now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


TLS = Section(
    "tls",
    "Over TLS",
    NONE,
    f"GET and SET of 3 bytes on {KEYS:,} keys, drawn at random, by TLS 1.3 with a certificate of elliptic curves.",
    ("clients", "pipeline"),
    tls,
)
