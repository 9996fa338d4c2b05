"""Users: rules one by one, and files of them.

What describes a user makes the same user again: as a line of a file, and as the rules that ACL SETUSER is given. A copy
is as he is. Of a file either every line is right, and what is written of its users is read as the same ones, or it is
refused by the one documented error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from keyp.command.permission import command_index, denial
from keyp.command.registry import Registry
from keyp.commands.all import TABLES
from keyp.server.acl.rules import FileErrors, Unmatched, join_selectors, parse_file
from keyp.server.acl.selector import RuleError, has_spaces
from keyp.server.acl.user import User
from tests.fuzz.source import Source
from tests.fuzz.target import Run

REGISTRY: Final = Registry(TABLES)
INDEX: Final = command_index(REGISTRY)
NAMES: Final = sorted([name.encode() for name in INDEX.names])
CATEGORIES: Final = (b"all", b"read", b"write", b"keyspace", b"admin", b"dangerous", b"connection", b"fast", b"nosuch")
WHOLE: Final = (
    b"on", b"off", b"nopass", b"resetpass", b"allkeys", b"resetkeys", b"allchannels", b"resetchannels", b"allcommands",
    b"nocommands", b"clearselectors", b"reset", b"sanitize-payload", b"skip-sanitize-payload", b"", b"(", b")", b"()",
    b"NoPass", b"~", b"&", b"%", b"%RW~a", b"%wr~*", b"%RR~a", b"+", b"-", b"+@", b">", b"<", b"#", b"!",
    b"#" + b"0" * 64, b"!" + b"0" * 64, b"#" + b"G" * 64, b"+select|0", b"+SELECT|1", b"+config|get|x", b"+acl|nosuch",
    b"+get|\xc4", b"+debug|", b"-select|0",
)  # fmt: skip
PATTERNS: Final = (b"*", b"a*", b"[ab]", b"\\*", b'"a"', b"'a", b"a#b", b"\xff", b"(a)", b"a)", b"~", b"\x80\\x41")
PREFIXES: Final = (b"~", b"%R~", b"%W~", b"%RW~", b"&", b">", b"<", b"", b"+", b"-", b"(", b"+@", b"#")


def rule(source: Source, depth: int = 0) -> bytes:
    """One rule, right or wrong."""
    form = source.below(8)
    if form == 0:
        return source.choice(WHOLE)
    if form <= 2:
        word = NAMES[source.below(len(NAMES))]
        return source.choice((b"+", b"-")) + (word.upper() if source.chance(10) else word)
    if form == 3:
        return source.choice((b"+@", b"-@")) + source.choice(CATEGORIES)
    if form == 4:
        return source.choice(PREFIXES) + source.choice(PATTERNS)
    if form == 5 and depth == 0:
        return b"(" + b" ".join([rule(source, 1) for _ in range(source.below(4))]) + b")"
    if form == 6:
        return b"+" + NAMES[source.below(len(NAMES))] + b"|" + source.choice(PATTERNS)
    return source.choice(PREFIXES) + source.text(6)


CALLS: Final = [
    (spec, spec.full_name.encode().split(b"|") + [word, b"a1"] * 4)
    for spec in [each for one in REGISTRY for each in (one, *one.subcommands.values())][::7]
    if spec.function is not None
    for word in (b"1", b"x")
]


def allowed(user: User) -> list[bool]:
    """Whether he may make each of some calls."""
    return [denial(user, spec, call) is None for spec, call in CALLS]


def assert_same(user: User, other: User, looks_at_calls: bool) -> None:
    """Two users may do the same, and log in by the same passwords."""
    assert other.describe() == user.describe()
    assert other.is_unrestricted or not user.is_unrestricted
    assert (other.enabled, other.nopass, other.passwords) == (user.enabled, user.nopass, user.passwords)
    if looks_at_calls:
        assert allowed(other) == allowed(user)


def rules(_: Path) -> Run:
    """Rules that are applied one after the other; those that are refused leave the user as he was."""

    def run(data: bytes) -> None:
        source = Source(data)
        all_channels = source.chance(50)
        looks_at_calls = source.chance(5)
        user = User(b"ann", all_channels)
        while source.has_more():
            word = rule(source)
            before = user.describe()
            try:
                user.apply(word, INDEX, all_channels)
            except RuleError as error:
                assert str(error)
                assert user.describe() == before, word
        described = user.describe()
        assert_same(user, user.copy(), looks_at_calls)
        again = User(b"ann", False)
        for word in join_selectors(described.split(b" ")[2:]):
            again.apply(word, INDEX, False)
        assert_same(user, again, looks_at_calls)
        assert_same(user, parse_file(described, "users", INDEX, False)[b"ann"], looks_at_calls)

    return run


LINES: Final = (b"", b" ", b"user", b"user ", b"USER ann", b"user a\tb on", b"# x", b"user default off", b"\r", b"\0")


def line(source: Source) -> bytes:
    """A line of a file, right or wrong."""
    form = source.below(6)
    if form == 0:
        return source.choice(LINES)
    if form == 1:
        return source.text(40).replace(b"\n", b" ")
    words = [b"user", source.choice((b"ann", b"bob", b"default", b'"a b"', b"c\xff", b"d\0", b"e\\x41", b"'f'"))]
    words += [rule(source) for _ in range(source.below(8))]
    return (b" ", b" ", b"\t", b"  ")[form - 2].join(words) + (b"\r" if source.chance(10) else b"")


def files(_: Path) -> Run:
    """Files of users, line by line or as they come."""

    def run(data: bytes) -> None:
        source = Source(data)
        if source.chance(20):
            text = source.rest()
        else:
            lines = []
            while source.has_more():
                lines.append(line(source))
            text = b"\n".join(lines)
        try:
            users = parse_file(text, "users", INDEX, False)
        except FileErrors as errors:
            assert str(errors)
            assert "\n" not in str(errors)
            assert "\r" not in str(errors)
            return
        assert b"default" in users
        written = b"".join([user.describe() + b"\n" for user in users.values()])
        again = parse_file(written, "users", INDEX, True)
        assert list(again) == list(users)
        for name, user in users.items():
            assert not has_spaces(name)
            assert_same(user, again[name], False)

    return run


def words_of_selectors(_: Path) -> Run:
    """Words that are joined to rules: none is lost, whatever the parentheses."""

    def run(data: bytes) -> None:
        words = data.split(b" ")
        try:
            joined = join_selectors(words)
        except Unmatched as unmatched:
            assert unmatched.rule in words
            return
        assert b" ".join(joined).split(b" ") == words

    return run
