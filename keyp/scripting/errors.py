"""How calls of scripts fail."""

from __future__ import annotations


class CallError(Exception):
    """An error that a script may catch: `text` is what it sees as its message, or what the client gets as the reply."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class ScriptFailed(Exception):
    """A script has ended with an error: `text` is the reply, without what says where it happened.

    `source` and `line` say where, as Lua names it (`@user_script`, 1); the source is empty where that is not known.
    """

    def __init__(self, text: str, source: str = "", line: int = -1) -> None:
        super().__init__(text)
        self.text = text
        self.source = source
        self.line = line


class Killed(Exception):
    """A script has been ended from outside: by SCRIPT KILL, FUNCTION KILL, or the end of the server.

    `source` and `line` say where it was, as those of `ScriptFailed` do.
    """

    def __init__(self) -> None:
        super().__init__()
        self.source = ""
        self.line = -1


class Overstays(Exception):
    """A script has run for too long beside other batches of its group, which wait for it: it is to run again alone."""
