"""Tables and charts of results."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import charts, report
from benchmarks.results import KEYS, MEGABYTES, MILLISECONDS, REQUESTS, SECONDS, Results, read
from benchmarks.sections import SECTIONS
from benchmarks.servers import Missing
from benchmarks.targets import TARGETS
from keyp.tools.readme import put_between_markers
from tests.benchmarks.sample import ENVIRONMENT, OTHER, OWN, add, results, section

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT / "benchmarks" / "results" / "results.json"


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (123_456, REQUESTS, "123,000/s"),
        (99_950, REQUESTS, "100,000/s"),
        (1234.5, KEYS, "1,230 keys/s"),
        (0.31415, SECONDS, "0.314 s"),
        (0.0123, MILLISECONDS, "0.0123 ms"),
        (12.34, MEGABYTES, "12.3 MB"),
        (100, MEGABYTES, "100 MB"),
        (0, SECONDS, "0 s"),
    ],
)
def test_amounts(value: float, unit: str, text: str) -> None:
    assert report.amount(value, unit) == text


def test_ratios() -> None:
    shown = [report.times(ratio) for ratio in (0.854, 1, 9.994, 33.33, 1234.5)]
    assert shown == ["0.85", "1.00", "9.99", "33.3", "1,234"]


def test_facts_in_cells() -> None:
    assert [report.fact("value", size) for size in (0, 3, 1024, 65536)] == ["", "3 B", "1 KiB", "64 KiB"]
    assert report.fact("keys", 5_000_000) == "5,000,000"


def test_the_full_page() -> None:
    page = report.full_markdown(results())
    assert (
        "Keyp 0.1.0 (compiled, Python 3.11.7, AReactor) beside redis-server 7.0.15; A Processor, 2 processors" in page
    )
    assert "| GET | 10 | 1 | 3 B | 50,000/s | 100,000/s | **0.50** | 0.45 to 0.55 |\n" in page
    assert "| GET | 50 | 1 | 64 KiB | 1,000/s | 2,000/s | **0.50** | 0.45 to 0.55 |\n" in page
    assert "| restart | 5,000,000 | 0.250 s | 5.00 s | **20.0** | 20.0 to 20.0 |\n" in page
    assert "Keyp `--fsync always`, the other `--appendonly yes --appendfsync always`. 3 rounds." in page
    assert "(durable.svg)" in page
    assert SECTIONS["original"].title not in page


def test_work_that_was_less_or_interrupted_is_called_so() -> None:
    result = section(scale=0.1, complete=False)
    add(result, "GET", REQUESTS, [1], [2], clients=1, pipeline=1, value=3)
    page = report.full_markdown(Results(ENVIRONMENT, [OWN, OTHER], {"commands": result}))
    assert "On a scale of 0.1" in page
    assert "interrupted" in page


def test_two_references() -> None:
    both = results()
    both.servers.append("valkey-server")
    both.environment = {**ENVIRONMENT, "versions": {**ENVIRONMENT["versions"], "valkey-server": "9.1"}}
    for row in both.sections["durable"].rows:
        for values in row.rounds:
            values["valkey-server"] = values[OWN] * 4
    page = report.full_markdown(both)
    assert (
        "| SET | 10 | 1 | 5,000/s | 10,000/s | **0.50** | 0.50 to 0.50 | 20,000/s | **0.25** | 0.25 to 0.25 |\n" in page
    )


def test_what_goes_into_the_readme() -> None:
    text = report.summary_markdown(results(), "benchmarks/results/")
    assert "| GET, 10 clients | 50,000/s | 100,000/s | **0.50** | 0.45 to 0.55 |\n" in text
    assert "| Start with 5,000,000 keys | 0.250 s | 5.00 s | **20.0** | 20.0 to 20.0 |\n" in text
    assert "| GET while 25 clients write to the disk, p99 | 0.400 ms | 0.200 ms | **0.50** | 0.50 to 0.50 |\n" in text
    assert "(benchmarks/results/ratios.svg)" in text
    assert "PERSIST" not in text  # was not measured


def test_every_target_belongs_to_a_section() -> None:
    for target in TARGETS:
        facts = set(SECTIONS[target.section].columns)
        assert set(target.facts) <= facts, target.title


def test_everything_is_published(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    readme = tmp_path / "README.md"
    readme.write_text(f"# A\n\n{report.MARKERS[0]}\n{report.MARKERS[1]}\n")
    folder = tmp_path / "some" / "results"
    folder.mkdir(parents=True)
    written = report.publish(results(), folder, readme)
    assert {path.name for path in written if path.parent == folder} == {
        "README.md", "ratios.svg", "durable.svg", "growth.svg", "latency.svg",
    }  # fmt: skip
    assert "(some/results/growth.svg)" in readme.read_text()
    for name in re.findall(r"\((some/[^)]+)\)", readme.read_text()):
        assert (tmp_path / name).exists(), name


def test_charts_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    drawn = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        drawn.append({path.name: path.read_bytes() for path in charts.draw(results(), tmp_path / name)})
    assert drawn[0] == drawn[1]
    for name, content in drawn[0].items():
        ElementTree.fromstring(content)
        assert len(content) < 60_000, name
        assert b"<dc:date>" not in content


def test_charts_show_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    some = results()
    del some.sections["growth"], some.sections["latency"].rows[1:]
    assert charts.drawable(some) == ["ratios", "durable", "latency"]
    assert len(charts.draw(some, tmp_path)) == 3
    texts = (tmp_path / "ratios.svg").read_text()
    assert "GET, 10 clients" in texts
    assert charts.drawable(Results(ENVIRONMENT, [OWN, OTHER])) == []


def test_without_matplotlib_the_tables_are_made_and_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Missing, match="pip install matplotlib"):
        report.publish(results(), tmp_path, None)
    assert (tmp_path / "README.md").exists()


def test_the_readme_has_room_for_it() -> None:
    put_between_markers((ROOT / "README.md").read_text(encoding="utf-8"), "", report.MARKERS)


@pytest.mark.skipif(not PUBLISHED.exists(), reason="nothing is published")
def test_what_is_published_is_what_was_measured() -> None:
    anew = "`python -m benchmarks.report benchmarks/results/results.json --readme README.md` writes it anew"
    published = read(PUBLISHED)
    assert (PUBLISHED.parent / "README.md").read_text(encoding="utf-8") == report.full_markdown(published), anew
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    summary = report.summary_markdown(published, "benchmarks/results/")
    assert text == put_between_markers(text, summary, report.MARKERS), anew
