"""What a server says of a command in COMMAND INFO and COMMAND DOCS, in the words of the block that defines it.

`python -m tests.differential.facts SINTERCARD` (`make block COMMAND=SINTERCARD`) prints the block of a command of Redis
as the reference describes it: all that is to be written by hand is the summary, the complexity and the function.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import Any, Final

from tests import wire
from tests.differential.servers import Reference, reference_program

Facts = dict[str, str]
FACTS: Final = (
    "arity", "keys", "first, last, step", "flags", "tips", "categories", "since", "group", "syntax", "types",
)  # fmt: skip

KEY_FLAGS: Final = ("RO", "RW", "OW", "RM", "access", "update", "insert", "delete")  # in the order of our blocks


def pairs(flat: list[Any]) -> dict[bytes, Any]:
    """A map of RESP2."""
    return dict(zip(flat[::2], flat[1::2], strict=True))


def facts_of(info: list[Any], docs: list[Any]) -> Facts:
    """A command's facts from its row in COMMAND INFO and its entry in COMMAND DOCS, read from RESP2.

    Not among them: summary and complexity, which are prose, the `notes` of key specifications, and subcommands, each
    of which has facts of its own.
    """
    entry = pairs(docs)
    arguments = [pairs(argument) for argument in entry.get(b"arguments", [])]
    return {
        "arity": str(info[1]),
        "keys": " + ".join([key_spec(pairs(one)) for one in info[8]]),
        "first, last, step": ", ".join(map(str, info[3:6])),
        "flags": " | ".join(sorted(str(flag) for flag in info[2])),
        "tips": ", ".join(sorted(tip.decode() if isinstance(tip, bytes) else tip for tip in info[7])),
        "categories": " ".join(sorted(info[6])),
        "since": entry[b"since"].decode(),
        "group": entry[b"group"].decode(),
        "syntax": notation(arguments),
        "types": types(arguments),
    }


def key_spec(spec: dict[bytes, Any]) -> str:
    """A key specification as the call that makes it, or in Redis's words where our blocks have no common one."""
    words = [flag if isinstance(flag, str) else flag.decode() for flag in spec[b"flags"]]
    flags = " ".join(sorted(words, key=lambda word: (word not in KEY_FLAGS, (*KEY_FLAGS, word).index(word))))
    search, find = pairs(spec[b"begin_search"]), pairs(spec[b"find_keys"])
    begin, how = pairs(search[b"spec"]), pairs(find[b"spec"])
    if search[b"type"] == b"index":
        if find[b"type"] == b"range" and (how[b"lastkey"], how[b"keystep"]) == (0, 1):
            return f'key_at({begin[b"index"]}, "{flags}")'
        if find[b"type"] == b"range" and (how[b"lastkey"], how[b"limit"]) == (-1, 0):
            step = f", {how[b'keystep']}" if how[b"keystep"] != 1 else ""
            return f'keys_from({begin[b"index"]}, "{flags}"{step})'
        if find[b"type"] == b"range" and how[b"limit"] == 0:
            return f'(KeySpec({begin[b"index"]}, {how[b"lastkey"]}, {how[b"keystep"]}, "{flags}"),)'
        if how == {b"keynumidx": 0, b"firstkey": 1, b"keystep": 1}:
            return f'counted_keys({begin[b"index"]}, "{flags}")'
    return f'<{search[b"type"].decode()} {plain(begin)}, {find[b"type"].decode()} {plain(how)}, "{flags}">'


def plain(spec: dict[bytes, Any]) -> str:
    return " ".join(
        [f"{name.decode()}={value.decode() if isinstance(value, bytes) else value}" for name, value in spec.items()]
    )


def notation(arguments: list[dict[bytes, Any]]) -> str:
    """Arguments in the manual's notation, as `keyp/command/syntax.py` reads it."""
    return " ".join(map(_written, arguments))


def _written(node: dict[bytes, Any]) -> str:
    inner = [_written(pairs(one)) for one in node.get(b"arguments", [])]
    flags = [str(flag) for flag in node.get(b"flags", [])]
    token = node[b"token"].decode() if b"token" in node else ""
    if node[b"type"] == b"oneof":
        text = " | ".join(inner)
        if token or "multiple" in flags or "optional" not in flags:
            text = f"<{text}>"
    elif node[b"type"] == b"block":
        text = " ".join(inner)
    else:
        text = "" if node[b"type"] == b"pure-token" else node.get(b"display_text", node[b"name"]).decode()
    text = f"{token} {text}".strip()
    if "multiple" in flags:
        again = text if "multiple_token" in flags else text.removeprefix(f"{token} ")
        text = f"{text} [{again} ...]"
    return f"[{text}]" if "optional" in flags else text


def types(arguments: list[dict[bytes, Any]]) -> str:
    """The types of the arguments that are values, and of which key specification the keys are."""
    found: list[str] = []
    for node in arguments:
        if b"arguments" in node:
            found.append(types([pairs(one) for one in node[b"arguments"]]))
        elif node[b"type"] != b"pure-token":
            spec = f"#{node[b'key_spec_index']}" if b"key_spec_index" in node else ""
            found.append(f"{node.get(b'display_text', node[b'name']).decode()}:{node[b'type'].decode()}{spec}")
    return " ".join(filter(None, found))


def ask(reference: Reference, names: list[str]) -> dict[str, Facts]:
    """What the reference says of those commands and subcommands that it has; names as in `client|id`."""
    words = [name.encode() for name in names]
    with closing(reference.connect()) as client:
        rows = wire.parse(client.send(wire.request(b"COMMAND", b"INFO", *words), 1)[0])
        entries = pairs(wire.parse(client.send(wire.request(b"COMMAND", b"DOCS", *words), 1)[0]))
    return {
        name: facts_of(row, entries[name.encode()]) for name, row in zip(names, rows, strict=True) if row is not None
    }


def block(name: str, facts: Facts) -> str:
    """The decorator's lines. Categories are the table's and follow from the flags but for unusual ones."""
    flags = facts["flags"].split(" | ")
    kind = "write" if "write" in flags else "read" if "readonly" in flags else "session"
    named = [flag.upper() for flag in flags if flag not in ("write", "readonly", "")]
    lines = [f'@TABLE.{kind}(  # of the group "{facts["group"]}", in the categories {facts["categories"]}']
    lines += [f'    "{name.upper()}",', f"    arity={facts['arity']},"]
    if facts["keys"]:
        keys = facts["keys"]
        lines.append(f"    keys={keys}," + ("  # a KeySpec of keyp/command/spec.py" if "<" in keys else ""))
    if named:
        lines.append(f"    flags={' | '.join(named)},")
    lines.append(f'    since="{facts["since"]}",')
    if facts["tips"]:
        lines.append(f"    tips={tuple(facts['tips'].split(', '))!r},".replace("'", '"'))
    if facts["syntax"]:
        lines.append(f'    syntax="{facts["syntax"]}",')
    return "\n".join([*lines, '    complexity="O(1)",', '    summary="",', ")"])


def main(name: str) -> int:
    """Prints the block of a command."""
    program = reference_program()
    if not name:
        print("Which command? make block COMMAND=SINTERCARD", file=sys.stderr)
        return 2
    if program is None:
        print("There is no real server to ask: CONTRIBUTING.md says which one is used.", file=sys.stderr)
        return 1
    reference = Reference(program)
    try:
        reference.start()
        found = ask(reference, [name.strip().lower().replace(" ", "|")])
    finally:
        reference.stop()
    for one, facts in found.items():
        print(f"# as {reference.version} has it\n{block(one, facts)}")
    if not found:
        print(f"{reference.version} has no command {name}: if it is to be our own, its block has the flag OWN.")
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
