"""Every error reply that more than one place gives, written once.

A command that cannot do what it was asked raises `CommandError`; the session turns it into an error reply, and that is
the one edge where it is translated. Any other exception that leaves a command is a defect: the commit group is undone
and the reply says that the server failed, not that the request was wrong.

The texts are Redis's, to the letter: clients compare them.
"""

from typing import Final


class CommandError(Exception):
    """An error reply: `text` starts with its code in capitals (`ERR`, `WRONGTYPE` …) and holds no line break."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


NOT_AN_INTEGER: Final = "ERR value is not an integer or out of range"
NOT_A_FLOAT: Final = "ERR value is not a valid float"
NO_SUCH_KEY: Final = "ERR no such key"
OVERFLOW: Final = "ERR increment or decrement would overflow"
NOT_FINITE: Final = "ERR increment would produce NaN or Infinity"
OUT_OF_RANGE_INDEX: Final = "ERR index out of range"
NOT_POSITIVE: Final = "ERR value is out of range, must be positive"
OUT_OF_RANGE: Final = "ERR value is out of range"
NUMKEYS_TOO_LOW: Final = "ERR numkeys should be greater than 0"
NUMKEYS_TOO_HIGH: Final = "ERR Number of keys can't be greater than number of args"
COUNT_TOO_LOW: Final = "ERR count should be greater than 0"
COUNT_NOT_POSITIVE: Final = "ERR COUNT must be > 0"
NEGATIVE_LIMIT: Final = "ERR LIMIT can't be negative"
BAD_TIMEOUT: Final = "ERR timeout is not an integer or out of range"
NEGATIVE_TIMEOUT: Final = "ERR timeout is negative"
TIMEOUT_TOO_LONG: Final = "ERR timeout is out of range"
NOT_INT32: Final = "ERR value is out of range, value must between -2147483648 and 2147483647"
NO_OPPOSITE: Final = "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807"
OFFSET_OUT_OF_RANGE: Final = "ERR offset is out of range"
STRING_TOO_LONG: Final = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
SAME_OBJECT: Final = "ERR source and destination objects are the same"
SYNTAX: Final = "ERR syntax error"
WRONG_TYPE: Final = "WRONGTYPE Operation against a key holding the wrong kind of value"
DATABASE_OUT_OF_RANGE: Final = "ERR DB index is out of range"
EXEC_REFUSED: Final = "EXECABORT Transaction discarded because of: "  # and why
OUT_OF_SPACE: Final = "OOM command not allowed when used memory > 'maxmemory'."
DAMAGED: Final = "ERR this key is damaged on the disk; DEL removes it, a backup may have it"
DISK_FULL: Final = "MISCONF No space left on the store's disk: nothing was applied; reads, DEL and FLUSHALL go on"
DISK_FAILED: Final = "MISCONF The store's disk failed: nothing was applied; no more writes until the store is checked"
DAMAGED_STORE: Final = "ERR the store is damaged here; keyp check tells more, a backup may have what is lost"
EFFECT_FAILED: Final = "ERR the server could not do this; see its log"
INTERNAL: Final = "ERR internal error, nothing of this command was applied; see the server's log"


def wrong_arity(name: str) -> CommandError:
    """The error for a call with too few or too many arguments; `name` is the full name in lower case (`client|id`)."""
    return CommandError(f"ERR wrong number of arguments for '{name}' command")


def wrong_subcommand(container: str, word: bytes) -> CommandError:
    """The error of a subcommand that takes other arguments; `word` names it as it was sent."""
    name = printable(word[:128])
    return CommandError(f"ERR unknown subcommand or wrong number of arguments for '{name}'. Try {container} HELP.")


def unknown_command(args: list[bytes]) -> CommandError:
    """The error for an unknown command: its name and the first arguments, as Redis quotes and cuts them."""
    quoted = ""
    for arg in args[1:]:
        if len(quoted) >= 128:
            break
        quoted += f"'{printable(arg[: 128 - len(quoted)])}' "
    return CommandError(f"ERR unknown command '{printable(args[0][:128])}', with args beginning with: {quoted}")


def printable(data: bytes) -> str:
    """`data` as text for one line of an error reply.

    It ends at a zero byte, as Redis's strings do; line breaks become spaces, foreign bytes keep their value.
    """
    return data.partition(b"\0")[0].decode("latin-1").replace("\r", " ").replace("\n", " ")
