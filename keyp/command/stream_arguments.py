"""Arguments of the commands on streams: ids, ends of intervals, and how a stream is to be trimmed."""

from __future__ import annotations

from typing import Final

from keyp.command.arguments import INT64_MAX, integer, to_int64
from keyp.command.spec import Args
from keyp.errors import SYNTAX, CommandError
from keyp.storage.types.stream_ids import HALF_MAX, LARGEST, ZERO, following, packed, preceding

INVALID_ID: Final = "ERR Invalid stream ID specified as stream command argument"
INVALID_START: Final = "ERR invalid start ID for the interval"
INVALID_END: Final = "ERR invalid end ID for the interval"
BOTH_STRATEGIES: Final = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
NEGATIVE_MAXLEN: Final = "ERR The MAXLEN argument must be >= 0."
NEGATIVE_LIMIT: Final = "ERR The LIMIT argument must be >= 0."
LIMIT_WITHOUT_STRATEGY: Final = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
NO_STRATEGY: Final = "ERR syntax error, XTRIM must be called with a trimming strategy"
LIMIT_WITHOUT_TILDE: Final = "ERR syntax error, LIMIT cannot be used without the special ~ option"

ID_BYTES_MAX: Final = 127  # of the text of an id

RUNS_TRIMMED: Final = 100  # at most by `~`, where no limit is given …
TRIMMED_MAX: Final = 1_000_000  # … and entries …
TRIMMED_WITHOUT_RUNS: Final = 10_000  # … or as many, where runs have no limit

ENDS: Final = {b"-": ZERO, b"+": LARGEST}


def _half(data: bytes) -> int | None:
    """A half of an id as Redis's string2ull reads it: if it is not a plain number, as C's strtoull would."""
    number = to_int64(data)
    if number is not None:
        return number if number >= 0 else None
    text = data.lstrip(b" \t\n\v\f\r")
    digits = text[1:] if text[:1] in (b"+", b"-") else text
    if not digits.isdigit():
        return None
    value = int(digits)
    if value > HALF_MAX:
        return None
    return -value & HALF_MAX if text[:1] == b"-" else value


def entry_id(data: bytes, missing: int = 0) -> bytes:
    """An id, `ms` or `ms-seq`; `missing` is the sequence number where there is none. Raises INVALID_ID."""
    if len(data) > ID_BYTES_MAX:
        raise CommandError(INVALID_ID)
    first, dash, second = data.partition(b"\0")[0].partition(b"-")
    milliseconds = _half(first)
    sequence = _half(second) if dash else missing
    if milliseconds is None or sequence is None:
        raise CommandError(INVALID_ID)
    return packed(milliseconds, sequence)


def id_or_end(data: bytes, missing: int = 0) -> bytes:
    """An id, or `-` and `+` for the smallest and the largest. Raises INVALID_ID."""
    end = ENDS.get(data.partition(b"\0")[0])
    return entry_id(data, missing) if end is None else end


def start_of(data: bytes) -> bytes:
    """The first id of an interval; behind `(` the id itself is not in it. Raises INVALID_ID and INVALID_START."""
    if len(data) < 2 or data[:1] != b"(":
        return id_or_end(data)
    found = entry_id(data[1:])
    if found == LARGEST:
        raise CommandError(INVALID_START)
    return following(found)


def stop_of(data: bytes) -> bytes:
    """The last id of an interval. Raises INVALID_ID and INVALID_END."""
    if len(data) < 2 or data[:1] != b"(":
        return id_or_end(data, HALF_MAX)
    found = entry_id(data[1:], HALF_MAX)
    if found == ZERO:
        raise CommandError(INVALID_END)
    return preceding(found)


class Trimming:
    """How XADD and XTRIM are to trim: to `most` entries, or to ids from `least` on. `is_wanted` says whether at all.

    `whole_runs` is set by `~`; `limit` is how many entries may go then, 0 for any number. `end` is the argument behind
    the options: XADD's end where the id stands. `may_make` is not set where XADD is not to make a stream.
    """

    def __init__(self, args: Args, is_add: bool) -> None:
        self.is_wanted = False
        self.most = INT64_MAX
        self.least = ZERO
        self.whole_runs = False
        self.limit = 0
        self.may_make = True
        self._limit_given = False
        at = 2
        while at < len(args):
            word = args[at].upper()
            has_value = at + 1 < len(args)
            if has_value and word in (b"MAXLEN", b"MINID"):
                at = self._read_threshold(args, at)
            elif has_value and word == b"LIMIT":
                self._read_limit(args[at + 1])
                at += 2
            elif is_add and word == b"NOMKSTREAM":
                self.may_make = False
                at += 1
            elif is_add:
                break
            else:
                raise CommandError(SYNTAX)
        self.end = at

    def _read_threshold(self, args: Args, at: int) -> int:
        """Reads MAXLEN or MINID, the argument `at`, with what belongs to it; where that ends."""
        if self.is_wanted:
            raise CommandError(BOTH_STRATEGIES)
        by_length = args[at].upper() == b"MAXLEN"
        at += 1
        self.whole_runs = at + 1 < len(args) and args[at] == b"~"
        if at + 1 < len(args) and args[at] in (b"~", b"="):
            at += 1
        if not by_length:
            self.least = entry_id(args[at])
        else:
            self.most = integer(args[at])
            if self.most < 0:
                raise CommandError(NEGATIVE_MAXLEN)
        self.is_wanted = True
        return at + 1

    def _read_limit(self, data: bytes) -> None:
        self.limit = integer(data)
        if self.limit < 0:
            raise CommandError(NEGATIVE_LIMIT)
        self._limit_given = True

    def settle(self, run_entries: int, must_trim: bool) -> None:
        """Checks the options together, and finds the limit. Raises what Redis does.

        `run_entries` is how many entries are trimmed together, 0 for no limit.
        """
        if self.limit and not self.is_wanted:
            raise CommandError(LIMIT_WITHOUT_STRATEGY)
        if must_trim and not self.is_wanted:
            raise CommandError(NO_STRATEGY)
        if self._limit_given and not self.whole_runs:
            raise CommandError(LIMIT_WITHOUT_TILDE)
        if self.whole_runs and not self._limit_given:
            self.limit = min(RUNS_TRIMMED * run_entries, TRIMMED_MAX) or TRIMMED_WITHOUT_RUNS
