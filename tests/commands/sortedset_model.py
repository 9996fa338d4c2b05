"""What a sorted set is, as a dictionary: the oracle of the random tests.

`Model.run` takes a command's words and gives the reply that has to come, as `plain` gives it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isnan
from typing import Any

Scored = tuple[bytes, float]

NAN = "ERR resulting score is not a number (NaN)"


def number(text: bytes) -> float:
    return float(text)


class Model:
    """One sorted set, under whatever key the words name."""

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}

    def run(self, words: list[bytes]) -> Any:
        command: Callable[..., Any] = getattr(self, words[0].decode().lower())
        return command(*words[2:])

    def in_order(self) -> list[Scored]:
        return sorted(self.scores.items(), key=lambda element: (element[1], element[0]))

    def take(self, elements: list[Scored]) -> int:
        for member, _ in elements:
            del self.scores[member]
        return len(elements)

    def zadd(self, *words: bytes) -> Any:
        rest = list(words)
        options = set()
        while rest[0].upper() in (b"NX", b"XX", b"GT", b"LT", b"CH", b"INCR"):
            options.add(rest.pop(0).upper())
        added = changed = 0
        reply: Any = None
        for text, member in zip(rest[::2], rest[1::2], strict=True):
            score, old = number(text), self.scores.get(member)
            if b"INCR" in options and old is not None:
                score += old
                if isnan(score) and b"NX" not in options:
                    return NAN
            skipped = (
                (old is None and b"XX" in options)
                or (old is not None and b"NX" in options)
                or (old is not None and b"GT" in options and score <= old)
                or (old is not None and b"LT" in options and score >= old)
            )
            if skipped:
                continue
            added += old is None
            changed += old is not None and old != score
            self.scores[member] = score
            reply = score
        if b"INCR" in options:
            return reply
        return added + changed if b"CH" in options else added

    def zincrby(self, increment: bytes, member: bytes) -> Any:
        return self.zadd(b"INCR", increment, member)

    def zrem(self, *members: bytes) -> int:
        return sum(self.scores.pop(member, None) is not None for member in members)

    def zscore(self, member: bytes) -> float | None:
        return self.scores.get(member)

    def zrank(self, member: bytes) -> int | None:
        members = [name for name, _ in self.in_order()]
        return members.index(member) if member in members else None

    def zrevrank(self, member: bytes) -> int | None:
        rank = self.zrank(member)
        return None if rank is None else len(self.scores) - 1 - rank

    def by_rank(self, start: bytes, stop: bytes, elements: list[Scored]) -> list[Scored]:
        first, last = int(start), int(stop)
        first = max(0, first + len(elements)) if first < 0 else first
        last = last + len(elements) if last < 0 else last
        return elements[first : last + 1] if first <= last else []

    def by_score(self, low: bytes, high: bytes) -> list[Scored]:
        def is_within(score: float) -> bool:
            above = score > number(low[1:]) if low[:1] == b"(" else score >= number(low)
            return above and (score < number(high[1:]) if high[:1] == b"(" else score <= number(high))

        return [element for element in self.in_order() if is_within(element[1])]

    def shown(self, elements: list[Scored], words: tuple[bytes, ...]) -> Any:
        if b"LIMIT" in words:
            at = words.index(b"LIMIT")
            offset, count = int(words[at + 1]), int(words[at + 2])
            elements = elements[offset:] if count < 0 else elements[offset : offset + count]
        if b"WITHSCORES" in words:
            return [list(element) for element in elements]
        return [member for member, _ in elements]

    def zrange(self, start: bytes, stop: bytes, *words: bytes) -> Any:
        return self.shown(self.by_rank(start, stop, self.in_order()), words)

    def zrevrange(self, start: bytes, stop: bytes, *words: bytes) -> Any:
        return self.shown(self.by_rank(start, stop, self.in_order()[::-1]), words)

    def zrangebyscore(self, low: bytes, high: bytes, *words: bytes) -> Any:
        return self.shown(self.by_score(low, high), words)

    def zrevrangebyscore(self, high: bytes, low: bytes, *words: bytes) -> Any:
        return self.shown(self.by_score(low, high)[::-1], words)

    def zcount(self, low: bytes, high: bytes) -> int:
        return len(self.by_score(low, high))

    def zremrangebyrank(self, start: bytes, stop: bytes) -> int:
        return self.take(self.by_rank(start, stop, self.in_order()))

    def zremrangebyscore(self, low: bytes, high: bytes) -> int:
        return self.take(self.by_score(low, high))

    def pop(self, elements: list[Scored], count: bytes) -> Any:
        popped = elements[: int(count)]
        self.take(popped)
        return [list(element) for element in popped]

    def zpopmin(self, count: bytes) -> Any:
        return self.pop(self.in_order(), count)

    def zpopmax(self, count: bytes) -> Any:
        return self.pop(self.in_order()[::-1], count)

    def zcard(self) -> int:
        return len(self.scores)
