"""The command `keyp`: the server, from its own options and a configuration file, or one of the tools beside it.

`twistd keyp` does the same and can do more: give up root's rights, run under another reactor. Here the
service is named outright, without the search for plugins: no cache file to write beside the program, a quicker start.
A server that a signal has stopped in order exits with status 0, where twistd would end by that signal.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from twisted.application.service import IServiceMaker, ServiceMaker
from twisted.python import usage
from twisted.scripts._twistd_unix import ServerOptions, UnixApplicationRunner

from keyp.net.log_file import observer_to
from keyp.net.options import Options, install_reactor
from keyp.net.pid_file import PidFile
from keyp.tools import command_line


class CommandLine(Options):
    """The options of the server, and the list of subcommands, which have options of their own."""

    def getUsage(self, width: int | None = None) -> str:
        """Called by Twisted: what `--help` shows."""
        lines = [f"    {name:<11}{summary}\n" for name, summary in command_line.SUMMARIES.items()]
        commands = "".join(["\nCommands, each with a --help of its own (keyp backup --help):\n", *lines])
        return f"{Options.getUsage(self, width)}{commands}"

    def parseArgs(self, *arguments: str) -> None:
        """Called by Twisted with what is no option. Raises `UsageError`."""
        if arguments and arguments[0] in command_line.SUMMARIES:
            raise usage.UsageError(f"{arguments[0]} comes first, its options after it")
        Options.parseArgs(self, *arguments)


class Runner(UnixApplicationRunner):
    """Runs the server with a pid file of Keyp's own: Twisted's would keep it from starting after a crash."""

    def __init__(self, config: ServerOptions, pid_file: PidFile) -> None:
        runner: Any = super()
        runner.__init__(config)
        self._pid_file = pid_file

    def run(self) -> None:
        """Returns when the server has stopped."""
        try:
            runner: Any = super()
            runner.run()
        finally:
            self._pid_file.remove()

    def startApplication(self, application: Any) -> None:
        """Called by Twisted in the final process. Whoever waits for the daemon finds the file when it serves."""
        runner: Any = super()
        runner.startApplication(application)
        self._pid_file.write()


def main() -> None:
    """Runs the server until a signal or SHUTDOWN stops it. Options without sense: one line of text, exit status 1."""
    sys.argv[0] = "keyp"  # the name in the usage text, also for `python -m keyp`
    if sys.argv[1:2] and sys.argv[1] in command_line.SUMMARIES:
        sys.exit(command_line.run(sys.argv[1:]))
    options = CommandLine()
    try:
        options.parseOptions(sys.argv[1:])
    except usage.UsageError as error:
        sys.exit(f"keyp: {error} (keyp --help tells more)")
    install_reactor()
    Runner(_around(options), PidFile(options.settings.get("pidfile"))).run()
    if options["lost"]:
        sys.exit(1)


def _around(options: Options) -> ServerOptions:
    """What twistd would have made of the command line `twistd --nodaemon --pidfile= keyp` and these options.

    A configuration file may ask for a daemon and a log. The log of a daemon that names none goes nowhere,
    as in Redis.
    """
    get = options.settings.get
    words = ["--no_save", "--pidfile="]
    if get("daemonize") == "no":
        words.append("--nodaemon")
    if get("syslog-enabled") == "yes":
        words += ["--syslog", f"--prefix={get('syslog-ident')}"]
    around = ServerOptions()
    ServerOptions.parseOptions(around, words)
    log_path = get("logfile") or (os.devnull if get("daemonize") == "yes" else "")
    if log_path and get("syslog-enabled") == "no":
        try:
            observer = observer_to(log_path)
        except OSError as error:
            sys.exit(f"keyp: Can't open the log file: {error.strerror} ({log_path})")
        around["logger"] = lambda: observer
    maker = ServiceMaker("Keyp", "keyp.net.service", "", "keyp")
    around.loadedPlugins = {"keyp": IServiceMaker(maker)}
    around.subCommand = "keyp"
    around.subOptions = options
    return around
