"""LCS: the property that makes a subsequence the longest, and the memory that it would take in Redis."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from keyp.commands.lcs import Run, Table, common_runs

SETUP = "MSET a ohmytext b mynewtext; "
TOO_MUCH_MEMORY = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"


def test_what_the_reference_has_no_memory_for_is_refused(keyp: Any) -> None:
    keyp.shared.max_string_bytes = 4 * 9 * 10
    assert keyp.script(SETUP + "LCS a b LEN") == 6
    assert keyp.script("APPEND a x; LCS a b LEN") == TOO_MUCH_MEMORY


def reference(first: bytes, second: bytes) -> tuple[int, list[tuple[int, int, int]]]:
    """The full table, and the way back through it that Redis takes."""
    table = [[0] * (len(second) + 1)]
    for byte in first:
        above, row = table[-1], [0]
        for j, other in enumerate(second):
            row.append(above[j] + 1 if byte == other else max(above[j + 1], row[j]))
        table.append(row)
    runs: list[tuple[int, int, int]] = []
    i, j, together = len(first), len(second), False
    while i and j:
        if first[i - 1] == second[j - 1]:
            i, j = i - 1, j - 1
            if together:
                runs[-1] = (i, j, runs[-1][2] + 1)
            else:
                runs.append((i, j, 1))
            together = True
            continue
        together = False
        if table[i - 1][j] > table[i][j - 1]:
            i -= 1
        else:
            j -= 1
    return table[-1][-1], runs


def as_rows(runs: list[Run]) -> list[tuple[int, int, int]]:
    return [(run.first, run.second, run.length) for run in runs]


words = st.text(alphabet="abc", max_size=40).map(str.encode) | st.binary(max_size=20)


@given(words, words)
def test_the_way_back_is_the_one_of_a_full_table(first: bytes, second: bytes) -> None:
    table = Table(first, second, turns=True)
    assert (table.length, as_rows(common_runs(first, second, table))) == reference(first, second)
    assert Table(first, second, turns=False).length == table.length
