"""The command `keyp`: the server in the foreground, from its own options alone.

`twistd keyp` does the same and can do more: become a daemon, write a pid file, run under another reactor. Here the
service is named outright, without the search for plugins: no cache file to write beside the program, a quicker start.
"""

from __future__ import annotations

import sys

from twisted.application.service import ServiceMaker
from twisted.python.usage import UsageError
from twisted.scripts import twistd

from keyp.net.options import Options


def main() -> None:
    """Runs the server until a signal or SHUTDOWN stops it. Options that make no sense: one line, exit status 1."""
    sys.argv[0] = "keyp"  # also where it was called as `python -m keyp`
    options = Options()
    try:
        options.parseOptions(sys.argv[1:])
    except UsageError as error:
        sys.exit(f"keyp: {error}\nkeyp --help tells what there is.")
    surroundings = twistd.ServerOptions()
    surroundings.parseOptions(["--nodaemon", "--pidfile="])
    surroundings.loadedPlugins = {"keyp": ServiceMaker("Keyp", "keyp.net.service", "", "keyp")}
    surroundings.subCommand = "keyp"
    surroundings.subOptions = options
    twistd.runApp(surroundings)
