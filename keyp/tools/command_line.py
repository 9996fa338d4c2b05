"""The subcommands of `keyp` beside serving: their options, what they print, how they exit.

Results go to standard output, problems to standard error. The exit status is 0 where all is well and 1 where not;
`check` keeps 1 for problems in the store, and says 2 where it could not look.
"""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentParser, Namespace
from time import monotonic
from typing import Final

from keyp.storage.check import PROBLEMS_LISTED
from keyp.storage.lmdb import ownership
from keyp.storage.lmdb.errors import StoreError
from keyp.tools.backup import backup
from keyp.tools.check import examine, report
from keyp.tools.restore import DamagedBackup, restore

SUMMARIES: Final = {
    "backup": "Copy one moment of a store into a directory, also while it is served.",
    "restore": "Make a backup the store of a data directory that is not served.",
    "check": "Look whether a store or a backup is sound.",
}

PROBLEM: Final = 1
CANNOT_CHECK: Final = 2


def run(args: list[str]) -> int:
    """Does what `args` say, the first of them one of `SUMMARIES`; returns the exit status."""
    name = args[0]
    options = _parser(name).parse_args(args[1:])
    # A copy is one long call of LMDB, during which Python would not handle Ctrl-C. What it leaves half done, the next
    # copy to the same place removes.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    ownership.keep_own_rights()
    started = monotonic()
    try:
        return _do(name, options, started)
    except DamagedBackup as error:
        _list(error.problems)
        print(f"keyp {name}: {error}", file=sys.stderr)
    except StoreError as error:
        print(f"keyp {name}: {error}", file=sys.stderr)
    return CANNOT_CHECK if name == "check" else PROBLEM


def _do(name: str, options: Namespace, started: float) -> int:
    if name == "check":
        found = examine(options.directory)
        _list(found.problems)
        print("\n".join(report(options.directory, found)))
        return PROBLEM if found.problems else 0
    if name == "backup":
        copied = backup(options.data_dir, options.directory, options.force)
    else:
        copied = restore(options.directory, options.data_dir, options.force)
    print(f"{copied}, {monotonic() - started:.1f} s")
    return 0


def _list(problems: list[str]) -> None:
    for problem in problems:
        print(problem, file=sys.stderr)
    if len(problems) >= PROBLEMS_LISTED:
        print("… and perhaps more", file=sys.stderr)


def _parser(name: str) -> ArgumentParser:
    parser = ArgumentParser(prog=f"keyp {name}", description=SUMMARIES[name], add_help=False)
    what = {"backup": "where the backup goes", "restore": "where the backup is", "check": "the store or the backup"}
    parser.add_argument("directory", metavar="DIR", help=f"directory: {what[name]}")
    if name != "check":
        parser.add_argument(
            "-d", "--data-dir", default="./data", metavar="DIR", help="directory of the store [default: ./data]"
        )
        parser.add_argument("--force", action="store_true", help="replace what is there already")
    parser.add_argument("--help", action="help", help="show this and exit")
    return parser
