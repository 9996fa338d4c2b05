"""The file of results."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.results import REQUESTS, begin, read
from tests.benchmarks.sample import ENVIRONMENT, OTHER, OWN, add, results, section


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    results().write(path)
    assert read(path) == results()
    assert [file.name for file in path.parent.iterdir()] == ["results.json"]


def test_rows_are_told_apart_by_name_and_facts() -> None:
    result = section()
    add(result, "GET", REQUESTS, [1, 2], [3, 4], clients=1)
    add(result, "GET", REQUESTS, [5], [6], clients=10)
    add(result, "SET", REQUESTS, [7], [8], clients=10)
    assert [row.rounds for row in result.rows] == [
        [{OWN: 1, OTHER: 3}, {OWN: 2, OTHER: 4}],
        [{OWN: 5, OTHER: 6}],
        [{OWN: 7, OTHER: 8}],
    ]
    assert result.find("GET", clients=10) is result.rows[1]
    assert result.find("SET") is result.rows[2]
    assert result.find("SET", clients=1) is None


def test_a_round_that_begins_in_the_middle() -> None:
    result = section()
    result.put("GET", REQUESTS, {}, 2, OWN, 1.0)
    assert result.rows[0].rounds == [{}, {}, {OWN: 1.0}]


def test_sections_measured_before_stay_if_machine_and_programs_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results().write(path)
    assert begin(path, ENVIRONMENT, [OWN, OTHER]) == results()
    assert begin(path, {**ENVIRONMENT, "processor": "Another"}, [OWN, OTHER]).sections == {}
    assert begin(path, ENVIRONMENT, [OWN, "valkey-server"]).sections == {}
    assert begin(tmp_path / "none", ENVIRONMENT, [OWN, OTHER]).sections == {}


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 2}', '{"format": 1}'])
def test_a_file_that_is_none_of_ours(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"results|Expecting|delimiter"):
        read(path)
    assert begin(path, ENVIRONMENT, [OWN, OTHER]).sections == {}


def test_every_round_is_in_the_file(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results().write(path)
    rows = json.loads(path.read_text())["sections"]["commands"]["rows"]
    assert rows[0]["rounds"] == [
        {OWN: own, OTHER: 100_000} for own in (50_000, pytest.approx(55_000), pytest.approx(45_000))
    ]
