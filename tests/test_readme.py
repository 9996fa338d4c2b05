"""The README's tables of commands and settings say what the registry and the table of settings say."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyp.command.registry import Registry
from keyp.command.spec import OWN
from keyp.command.table import CommandTable
from keyp.commands.all import TABLES
from keyp.resp.values import Reply
from keyp.server.config import TABLE
from keyp.server.config.markdown import MARKERS, settings_markdown
from keyp.tools.readme import BEGIN, END, markdown, put_between_markers

README = Path(__file__).parent.parent / "README.md"


def test_the_readme_is_up_to_date() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == put_between_markers(text, markdown(Registry(TABLES))), "`make readme` writes the table anew"
    assert text == put_between_markers(text, settings_markdown(), MARKERS), "`make readme` writes the tables anew"


def test_every_setting_is_named_in_the_readme() -> None:
    text = settings_markdown()
    assert [name for setting in TABLE for name in setting.names if f"`{name}`" not in text] == []


def test_every_command_has_its_row() -> None:
    rows = markdown(Registry(TABLES)).splitlines()
    for spec in Registry(TABLES):
        named = [row for row in rows if row.startswith((f"| `{spec.name} ", f"| `{spec.name}`"))]
        assert len(named) >= max(1, len(spec.subcommands)), spec


def nothing(*_: object) -> Reply:
    return 0


def test_rows() -> None:
    table = CommandTable(group="string")
    table.read("ZED", arity=2, since="1.0.0", summary="Last.", syntax="key [NX | XX]", aliases=("ZET",))(nothing)
    table.read("ALPHA", arity=1, since="2.0.0", summary="First: a|b.")(nothing)
    table.read("BETA", arity=1, since="0.2.0", summary="Ours.", flags=OWN)(nothing)
    things = CommandTable(group="things")
    things.container("BOX", arity=-2, since="3.0.0", summary="A container.")
    things.read("BOX|OPEN", arity=3, since="3.0.0", summary="Opens it.", syntax="key")(nothing)
    assert markdown(Registry([table, things])) == (
        "### Strings\n\n"
        "| Command | What it does | Since Redis |\n"
        "|---|---|---|\n"
        "| `ALPHA` | First: a\\|b. | 2.0.0 |\n"
        "| `BETA` | Ours. | Keyp 0.2.0 |\n"
        "| `ZED key [NX \\| XX]` | Last. Also `ZET`. | 1.0.0 |\n"
        "\n"
        "### Things\n\n"
        "| Command | What it does | Since Redis |\n"
        "|---|---|---|\n"
        "| `BOX HELP` | Lists the subcommands. | 3.0.0 |\n"
        "| `BOX OPEN key` | Opens it. | 3.0.0 |\n"
    )


def test_between_markers() -> None:
    assert put_between_markers(f"a\n{BEGIN}\nold\n{END}\nb", "new\n") == f"a\n{BEGIN}\nnew\n{END}\nb"
    for broken in ("", BEGIN, END, f"{END}{BEGIN}"):
        with pytest.raises(ValueError, match="there is no"):
            put_between_markers(broken, "")
