"""A visitor of a web application: pages by path, cookies kept."""

from __future__ import annotations

import http.cookiejar
import urllib.error
import urllib.request

from tests.integration.daemon import DEADLINE_S, wait_until


class Browser:
    """Each has a session of its own with the application on a port of this machine."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._address = f"http://127.0.0.1:{port}"
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def get(self, path: str) -> str:
        """The page's text. Any status but a success is an error with the page in it."""
        try:
            with self._opener.open(self._address + path, timeout=DEADLINE_S) as page:
                return str(page.read().decode())
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{path}: {error.code}\n{error.read().decode()[:3000]}") from None

    def wait(self, path: str) -> None:
        """Returns when the application serves this page; nothing may listen on its port before."""

        def serves() -> bool:
            try:
                self.get(path)
            except urllib.error.URLError:
                return False
            return True

        wait_until(serves, "the application's first page")
