"""A web page that makes a browser write to the server's port, in headless Chromium: only with KEYP_LONG=1."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import redis

from tests.integration.conftest import StartServer
from tests.integration.daemon import DEADLINE_S, LONG, wait_until

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.skipif(not LONG, reason="starts a browser: only with KEYP_LONG=1"),
    pytest.mark.skipif(CHROMIUM is None, reason="chromium is missing: install Debian's package chromium"),
]

# Every way in which a page may send something of its own to a port without having been allowed to.
PAGE = """<!doctype html>
<iframe name="away"></iframe>
<form id="form" target="away" method="post" enctype="text/plain" action="http://store.test:%(port)d/">
<textarea name="x">\r\n\r\nSET pwned form\r\n</textarea></form>
<script>
const port = %(port)d, body = "\\r\\nSET pwned fetch\\r\\n", target = "http://store.test:" + port + "/";
document.getElementById("form").submit();
const sent = [
  fetch(target, {method: "POST", mode: "no-cors", body}),
  fetch(target + "%%0d%%0aSET pwned path", {mode: "no-cors"}),
  fetch(target, {method: "PUT", body}),
  new Promise(done => { const image = new Image(); image.onerror = done; image.src = target + "SET pwned image"; }),
  new Promise(done => { const ws = new WebSocket("ws://store.test:" + port + "/"); ws.onerror = done; }),
];
navigator.sendBeacon(target, body);
Promise.allSettled(sent).then(() => fetch("/done"));
</script>"""


class Site(ThreadingHTTPServer):
    """Serves the page, and knows when it has tried everything."""

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.page = (PAGE % {"port": port}).encode()
        self.done = threading.Event()


class Visitor(BaseHTTPRequestHandler):
    """One request of the browser."""

    server: Site

    def do_GET(self) -> None:  # the name is the library's
        if self.path == "/done":
            self.server.done.set()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(self.server.page)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def browse(tmp_path: Path) -> Callable[[int], None]:
    """A function that has the browser open a page that attacks a port, until the page has tried everything."""

    def browse(port: int) -> None:
        assert CHROMIUM is not None
        site = Site(port)
        threading.Thread(target=site.serve_forever, daemon=True).start()
        browser = subprocess.Popen(
            [
                CHROMIUM,
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--no-first-run",
                f"--user-data-dir={tmp_path / 'profile'}",
                # To 127.0.0.1 itself it would send headers with quotes, which break the line they stand in.
                "--host-resolver-rules=MAP *.test 127.0.0.1",
                f"http://page.test:{site.server_address[1]}/",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            assert site.done.wait(DEADLINE_S), "the page has not come to its end"
        finally:
            browser.kill()
            browser.wait()
            site.shutdown()
            site.server_close()

    return browse


def listener() -> tuple[socket.socket, list[bytes]]:
    """A port that hears what the page sends, and says nothing."""
    port = socket.create_server(("127.0.0.1", 0))
    received: list[bytes] = []

    def hear() -> None:
        while True:
            try:
                connection, _ = port.accept()
            except OSError:
                return
            with connection:
                connection.settimeout(1)
                try:
                    received.append(connection.recv(1 << 16))
                except OSError:
                    received.append(b"")

    threading.Thread(target=hear, daemon=True).start()
    return port, received


def test_a_web_page_sets_nothing(server: StartServer, browse: Callable[[int], None]) -> None:
    daemon = server("--fsync=no")
    client = redis.Redis(port=daemon.port)
    before = client.info("stats")["total_connections_received"]
    browse(daemon.port)
    came = wait_until(lambda: client.info("stats")["total_connections_received"] - before, "the browser's connections")
    assert came >= 2
    assert client.dbsize() == 0
    assert daemon.log().count("possible attack") == 1


def test_the_page_does_send_what_it_says(browse: Callable[[int], None]) -> None:
    """Else the test above would show nothing."""
    port, received = listener()
    with port:
        browse(port.getsockname()[1])
    everything = b"".join(received)
    assert b"POST / HTTP/1.1\r\nHost: " in everything
    assert b"\r\nSET pwned f" in everything
