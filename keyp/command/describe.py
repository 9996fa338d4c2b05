"""What COMMAND replies about a command, derived from its block: flags, categories, where its keys stand."""

from __future__ import annotations

from typing import Any, Final

from keyp.command.spec import ADMIN, BLOCKING, FAST, FLAG_NAMES, PUBSUB, READ, WRITE, WRITES_DATA, CommandSpec, KeySpec
from keyp.command.syntax import arguments
from keyp.resp.values import Reply, Set

# The access categories, in Redis's order.
CATEGORIES: Final = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo",
    "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)  # fmt: skip


def flags(spec: CommandSpec) -> list[str]:
    """The words COMMAND INFO uses: `write`, `readonly`, `fast` …"""
    words = ["write"] if spec.access == WRITE else ["readonly"] if reads_keys(spec) else []
    return words + [word for flag, word in FLAG_NAMES if spec.flags & flag]


def reads_keys(spec: CommandSpec) -> bool:
    """Whether the command only reads the keyspace."""
    given = spec.categories.split()
    return spec.access == READ and bool(spec.keys or "keyspace" in given or "read" in given)


def categories(spec: CommandSpec) -> list[str]:
    """The command's access categories, without `@`: those its block gives and those that follow from its flags."""
    words = spec.categories.split()
    unknown = set(words).difference(CATEGORIES)
    assert not unknown, f"{spec} is in no category that exists: {unknown}"
    if spec.access == WRITE or spec.flags & WRITES_DATA:
        words.append("write")
    elif reads_keys(spec):
        words.append("read")
    if spec.flags & ADMIN:
        words += ["admin", "dangerous"]
    if spec.flags & PUBSUB:
        words.append("pubsub")
    if spec.flags & BLOCKING:
        words.append("blocking")
    words.append("fast" if spec.flags & FAST else "slow")
    return [category for category in CATEGORIES if category in words]


def legacy_range(spec: CommandSpec) -> tuple[int, int, int]:
    """First key, last key and step, as clients older than key specifications read them."""
    plain = [key_spec for key_spec in spec.keys if key_spec.is_plain()]
    if not plain:
        return 0, 0, 0
    first, last = plain[0], plain[-1]
    return first.begin, last.last if last.last < 0 else last.begin + last.last, last.step


def info(spec: CommandSpec) -> Reply:
    """The command's row in COMMAND INFO."""
    return [
        spec.full_name.encode(),
        spec.arity,
        Set(flags(spec)),
        *legacy_range(spec),
        Set([f"@{category}" for category in categories(spec)]),
        Set([tip.encode() for tip in spec.tips]),
        Set([_key_spec(key_spec) for key_spec in spec.keys]),
        [info(subcommand) for subcommand in spec.subcommands.values()] or Set([]),  # in RESP3 a set if it is empty
    ]


def _key_spec(key_spec: KeySpec) -> Reply:
    notes: dict[bytes, Reply] = {b"notes": key_spec.notes.encode()} if key_spec.notes else {}
    return notes | {
        b"flags": Set(key_spec.flags.split()),
        b"begin_search": key_spec.search(),
        b"find_keys": key_spec.find(),
    }


def docs(spec: CommandSpec) -> dict[bytes, Any]:
    """The command's entry in COMMAND DOCS."""
    entry: dict[bytes, Any] = {
        b"summary": spec.summary.encode(),
        b"since": spec.since.encode(),
        b"group": spec.group.encode(),
        b"complexity": spec.complexity.encode(),
    }
    described = arguments(spec)
    if described:
        entry[b"arguments"] = [_argument(node) for node in described]
    if spec.subcommands:
        entry[b"subcommands"] = {
            subcommand.full_name.encode(): docs(subcommand) for subcommand in spec.subcommands.values()
        }
    return entry


def _argument(node: dict[bytes, Any]) -> dict[bytes, Any]:
    """An argument as a reply: flags are a set of plain words, and every argument that is no group has a text."""
    reply = dict(node)
    if b"flags" in reply:
        reply[b"flags"] = Set([flag.decode() for flag in reply[b"flags"]])
    if b"arguments" in reply:
        reply[b"arguments"] = [_argument(inner) for inner in reply[b"arguments"]]
    else:
        reply[b"display_text"] = reply[b"name"]
    return reply
