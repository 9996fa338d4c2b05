"""The command `keyp`: the server in the foreground, from its own options alone.

`twistd keyp` does the same and can do more: become a daemon, write a pid file, run under another reactor. Here the
service is named outright, without the search for plugins: no cache file to write beside the program, a quicker start.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.application.service import ServiceMaker
from twisted.python import usage
from twisted.scripts import twistd

from keyp.net.options import Options


def main() -> None:
    """Runs the server until a signal or SHUTDOWN stops it. Options without sense: one line of text, exit status 1."""
    sys.argv[0] = "keyp"  # the name in the usage text, also for `python -m keyp`
    options = Options()
    try:
        usage.Options.parseOptions(options, sys.argv[1:])
    except usage.UsageError as error:
        sys.exit(f"keyp: {error} (keyp --help tells more)")
    runner: Any = twistd  # it does not tell the type checker what it exports
    around = runner.ServerOptions()
    around.parseOptions(["--nodaemon", "--no_save", "--pidfile="])
    around.loadedPlugins = {"keyp": ServiceMaker("Keyp", "keyp.net.service", "", "keyp")}
    around.subCommand = "keyp"
    around.subOptions = options
    runner.runApp(around)
