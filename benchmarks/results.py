"""What was measured, as it goes into the file: every round of every row, the machine and the options beside it."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

FORMAT = 1
REQUESTS, KEYS = "requests/s", "keys/s"  # more is better; of all other units less is
SECONDS, MILLISECONDS, MEGABYTES = "s", "ms", "MB"

Facts = dict[str, Any]


@dataclass
class Row:
    """One thing that was measured on each server. `rounds` has what each server did, by its name, in each round."""

    name: str
    unit: str
    facts: Facts
    rounds: list[dict[str, float]] = field(default_factory=list)

    @property
    def more_is_better(self) -> bool:
        """True of rates, false of times and sizes."""
        return self.unit in (REQUESTS, KEYS)


@dataclass
class SectionResult:
    """The rows of one section. `measured` says when (ISO 8601) and how: rounds, scale, promise."""

    measured: Facts
    rows: list[Row] = field(default_factory=list)

    def put(self, name: str, unit: str, facts: Facts, round_number: int, server: str, value: float) -> None:
        """Notes what a server did in a round, counted from 0; the row is made if it is not there."""
        row = next((row for row in self.rows if row.name == name and row.facts == facts), None)
        if row is None:
            row = Row(name, unit, facts)
            self.rows.append(row)
        while len(row.rounds) <= round_number:
            row.rounds.append({})
        row.rounds[round_number][server] = float(f"{value:.6g}")

    def find(self, name: str, /, **facts: Any) -> Row | None:
        """The first row of that name that has these facts, perhaps among others."""
        return next((row for row in self.rows if row.name == name and facts.items() <= row.facts.items()), None)


@dataclass
class Results:
    """Everything. `environment` says on what machine and with which programs; `servers` has Keyp's name first."""

    environment: Facts
    servers: list[str]
    sections: dict[str, SectionResult] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Puts it into a file, which at no moment is half written."""
        document = {"format": FORMAT, **asdict(self)}
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f"{path.name}.partial")
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        os.replace(partial, path)


def read(path: Path) -> Results:
    """What a file holds. Raises `ValueError` where it is none of ours."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if document["format"] != FORMAT:
            raise ValueError(f"{path} has format {document['format']}, not {FORMAT}")
        sections = {
            name: SectionResult(section["measured"], [Row(**row) for row in section["rows"]])
            for name, section in document["sections"].items()
        }
        return Results(document["environment"], document["servers"], sections)
    except (KeyError, TypeError) as error:
        raise ValueError(f"{path} does not hold results of this benchmark: {error!r}") from None


def begin(path: Path, environment: Facts, servers: list[str]) -> Results:
    """Empty results, or those of the file if they come from the same machine and programs: other sections are kept."""
    try:
        before = read(path)
    except (OSError, ValueError):
        return Results(environment, servers)
    if (before.environment, before.servers) != (environment, servers):
        return Results(environment, servers)
    return before
