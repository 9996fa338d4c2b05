"""The command `keyp`: the server in the foreground, from its own options alone.

`twistd keyp` does the same and can do more: become a daemon, write a pid file, run under another reactor. Here the
service is named outright, without the search for plugins: no cache file to write beside the program, a quicker start.
A server that a signal has stopped in order exits with status 0, where twistd would end by that signal.
"""

from __future__ import annotations

import sys

from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.python import usage
from twisted.scripts._twistd_unix import ServerOptions, UnixApplicationRunner

from keyp.net.options import Options


def main() -> None:
    """Runs the server until a signal or SHUTDOWN stops it. Options without sense: one line of text, exit status 1."""
    sys.argv[0] = "keyp"  # the name in the usage text, also for `python -m keyp`
    options = Options()
    try:
        usage.Options.parseOptions(options, sys.argv[1:])
    except usage.UsageError as error:
        sys.exit(f"keyp: {error} (keyp --help tells more)")
    UnixApplicationRunner(_around(options)).run()


def _around(options: Options) -> ServerOptions:
    """What twistd would have made of the command line `twistd --nodaemon --pidfile= keyp` and these options."""
    around = ServerOptions()
    ServerOptions.parseOptions(around, ["--nodaemon", "--no_save", "--pidfile="])
    maker = ServiceMaker("Keyp", "keyp.net.service", "", "keyp")
    around.loadedPlugins = {"keyp": IServiceMaker(maker)}
    around.subCommand = "keyp"
    around.subOptions = options
    return around
