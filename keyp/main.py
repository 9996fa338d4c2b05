"""The command `keyp`: the same as `twistd -n keyp`, without a pid file."""

from __future__ import annotations

import sys

from twisted.scripts import twistd


def main() -> None:
    """Runs the server in the foreground with the options of the command line."""
    sys.argv[:1] = ["twistd", "--nodaemon", "--pidfile=", "keyp"]
    twistd.run()
