"""The README's tables of settings, made from the table that the server obeys."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyp.server.config.table import FIXED, INERT, OBEYED, PINNED, TABLE, Setting

MARKERS: Final = ("<!-- settings -->", "<!-- /settings -->")

OBEYED_TITLE: Final = "Obeyed, and changed by `CONFIG SET` while Keyp runs"
INERT_TITLE: Final = "Taken by `CONFIG SET`, without effect"
PINNED_TITLE: Final = "Left as they are: another value would promise what Keyp does not do, and is refused"
FIXED_TITLE: Final = "Fixed while the server runs, as in Redis"


def settings_markdown() -> str:
    """What settings do, in four tables. Ends with a line break."""
    parts = [
        "".join(_by_name(OBEYED_TITLE, "Meaning", OBEYED)),
        "".join(_by_reason(INERT_TITLE, INERT)),
        "".join(_by_name(PINNED_TITLE, "Why", PINNED)),
        "".join(_by_reason(FIXED_TITLE, FIXED)),
    ]
    return "\n".join(parts)


def _by_name(title: str, column: str, state: str) -> Iterator[str]:
    """A row for each setting."""
    yield f"### {title}\n\n| Setting | Default | {column} |\n|---|---|---|\n"
    for setting in TABLE:
        if setting.state == state:
            also = f", also `{setting.alias}`" if setting.alias else ""
            yield f"| `{setting.name}`{also} | {_default(setting)} | {setting.note} |\n"


def _by_reason(title: str, state: str) -> Iterator[str]:
    """A row for each reason, with the settings that it is the reason for."""
    yield f"### {title}\n\n| Why | Settings and their defaults |\n|---|---|\n"
    reasons = dict.fromkeys([setting.note for setting in TABLE if setting.state == state])
    for reason in reasons:
        shown = [_in_a_list(setting) for setting in TABLE if setting.state == state and setting.note == reason]
        yield f"| {reason} | {', '.join(shown)} |\n"


def _in_a_list(setting: Setting) -> str:
    also = f" (`{setting.alias}`)" if setting.alias else ""
    return f"`{setting.name}`{also} {_default(setting)}"


def _default(setting: Setting) -> str:
    shown = setting.setting_type.show(setting.default)
    return f"`{shown}`" if shown else '`""`'
