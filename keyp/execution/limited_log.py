"""Errors for the log, the same one once a minute: a full disk or a damaged key can fail a thousand times a second."""

from __future__ import annotations

from typing import Final

from twisted.logger import Logger

from keyp.execution.loop import Loop
from keyp.storage.lmdb.errors import is_damage

log = Logger(__name__)

SAME_EVERY_NS: Final = 60 * 1_000_000_000
TEXTS_REMEMBERED: Final = 1000


class LimitedLog:
    """Any thread may write to it. A line says how often it was left out since it was last written."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._written: dict[str, tuple[int, int]] = {}  # when, and how often it was left out since

    def error(self, what: str, reason: str) -> None:
        """One line."""
        text = f"{what}: {reason}"
        left_out = self._left_out(text)
        if left_out is not None:
            log.error("{text}{left_out}", text=text, left_out=left_out)

    def warn(self, topic: str, text: str) -> None:
        """One line for all warnings of one `topic`."""
        left_out = self._left_out(topic)
        if left_out is not None:
            log.warn("{text}{left_out}", text=text, left_out=left_out)

    def failure(self, what: str, error: Exception) -> None:
        """One line where the store is to blame, a traceback where it is a defect. Called while it is handled."""
        if is_damage(error):
            self.error(what, str(error) or type(error).__name__)
            return
        at = error.__traceback__
        while at is not None and at.tb_next is not None:
            at = at.tb_next
        place = "" if at is None else f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}"
        left_out = self._left_out(f"{what}: {type(error).__name__} {place}")
        if left_out is not None:
            log.failure("{what}{left_out}", what=what, left_out=left_out)

    def _left_out(self, text: str) -> str | None:
        """What to say of the lines that were left out; None where this one is to be left out as well."""
        now_ns = self._loop.nanoseconds()
        written_ns, count = self._written.get(text, (now_ns - SAME_EVERY_NS, 0))
        if now_ns - written_ns < SAME_EVERY_NS:
            self._written[text] = (written_ns, count + 1)
            return None
        if len(self._written) >= TEXTS_REMEMBERED:
            self._written.clear()
        self._written[text] = (now_ns, 0)
        return f" ({count} times more since it was last told)" if count else ""
