"""The README's tables of commands and settings, made from the blocks that define them.

`python -m keyp.tools.readme` prints them; with a file's name it puts each between its two markers in the file. A
test compares the README with them, so that they cannot drift apart.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Final

from keyp.command.registry import Registry
from keyp.command.spec import OWN, CommandSpec
from keyp.server.config.markdown import MARKERS, settings_markdown

BEGIN: Final = "<!-- commands -->"
END: Final = "<!-- /commands -->"

# A group's title, in the order in which groups are shown; groups that are not here follow under their own name.
TITLES: Final = {
    "string": "Strings",
    "bitmap": "Bitmaps",
    "hyperloglog": "HyperLogLogs",
    "list": "Lists",
    "hash": "Hashes",
    "set": "Sets",
    "sorted-set": "Sorted sets",
    "geo": "Geospatial indexes",
    "generic": "Keys of any type",
    "transactions": "Transactions",
    "pubsub": "Publish/subscribe",
    "connection": "Connection",
    "server": "Server",
    "cluster": "Clusters",
}


def markdown(registry: Registry) -> str:
    """A heading and a table for each group, its commands in alphabetical order. Ends with a line break."""
    groups: dict[str, list[CommandSpec]] = {group: [] for group in TITLES}
    for spec in registry:
        if spec.function is not None:
            groups.setdefault(spec.group, []).append(spec)
        for subcommand in spec.subcommands.values():
            groups.setdefault(subcommand.group, []).append(subcommand)
    return "\n".join("".join(_section(group, specs)) for group, specs in groups.items() if specs)


def _section(group: str, specs: list[CommandSpec]) -> Iterator[str]:
    yield f"### {TITLES.get(group, group.capitalize())}\n\n"
    yield "| Command | What it does | Since Redis |\n"
    yield "|---|---|---|\n"
    for spec in sorted(specs, key=_name):
        call = f"{spec.name.replace('|', ' ')} {spec.syntax}".rstrip()
        also = "".join(f" Also `{alias}`." for alias in spec.aliases)
        yield f"| `{_cell(call)}` | {_cell(spec.summary)}{also} | {'Keyp ' if spec.flags & OWN else ''}{spec.since} |\n"


def _name(spec: CommandSpec) -> str:
    return spec.name


def _cell(text: str) -> str:
    """`text` inside a cell, where a bar would end it, even in a code span."""
    return text.replace("|", "\\|")


def put_between_markers(document: str, text: str, markers: tuple[str, str] = (BEGIN, END)) -> str:
    """`document` with `text` in place of what stands between the markers. Raises `ValueError` where one is missing."""
    begin, end = markers
    head, found, rest = document.partition(begin)
    _, found_too, tail = rest.partition(end)
    if not found or not found_too:
        raise ValueError(f"there is no {begin} … {end} in the document")
    return f"{head}{begin}\n{text}{end}{tail}"


def main() -> None:
    """Prints the tables, or puts them into the file that the command line names."""
    from keyp.commands.all import TABLES  # not sooner: this module serves tests with tables of their own

    commands = markdown(Registry(TABLES))
    if len(sys.argv) == 1:
        sys.stdout.write(f"{commands}\n{settings_markdown()}")
        return
    with open(sys.argv[1], encoding="utf-8") as file:
        document = file.read()
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(put_between_markers(put_between_markers(document, commands), settings_markdown(), MARKERS))


if __name__ == "__main__":
    main()
