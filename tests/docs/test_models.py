"""docs/models.md: every family is measured, and what is stated is good enough to be stated."""

from __future__ import annotations

import pytest

from attnscope.families import FAMILIES
from attnscope.vocabulary import LAYOUT, NOWHERE, PLACINGS
from docs.supported import PUBLISHED, by_family, models_tables, read_table, readme_lines
from tests.families import EVERY
from tests.families.measured import AGREE, TRIED, WORST

ROWS = {row["name"]: row for row in read_table()}


def test_every_checkpoint_is_measured() -> None:
    assert set(ROWS) == set(EVERY)


def test_every_family_with_a_layout_is_measured_and_placed_by_it() -> None:
    laid = {row["family"] for row in ROWS.values() if row["how"] == LAYOUT}
    assert laid == {family.family for family in FAMILIES}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_states_what_the_page_says(name: str) -> None:
    row = ROWS[name]
    assert 0 < row["worst"] <= WORST
    assert set(row["how"].split("/")) <= set(PLACINGS)
    assert AGREE[row["how"] == LAYOUT] * row["tokens"] <= row["answered"] <= row["tokens"]
    assert (row["tokens"] > 0) == (row["how"] != NOWHERE) and row["cells"] <= row["tokens"]
    assert bool(row["reason"]) == (NOWHERE in row["how"].split("/"))
    refused = [part.partition(": ")[0] for part in row["refused"].split(" | ") if part]
    assert sorted([*row["acts"].split(", "), *refused]) == sorted(TRIED)
    assert row["how"] == LAYOUT or row["family"] in PUBLISHED


def test_at_least_35_families_are_placed() -> None:
    assert sum(row["how"] != NOWHERE for row in by_family(list(ROWS.values()))) >= 35


def test_every_family_stands_on_the_page_once() -> None:
    tables = dict(models_tables())
    lines = [line for name in ("layouts", "probed", "nowhere") for line in tables[name][2:]]
    assert sorted(line.split(" | ")[1].strip("`") for line in lines) == sorted({row["family"] for row in ROWS.values()})
    assert len(readme_lines()) == 3


def test_checkpoints_of_one_family_are_one_row() -> None:
    first, second = (
        {**next(iter(ROWS.values())), "worst": worst, "tokens": 10, "answered": 9} for worst in (1e-7, 3e-7)
    )
    (row,) = by_family([first, second])
    assert (row["worst"], row["tokens"], row["answered"]) == (3e-7, 20, 18)
    with pytest.raises(ValueError, match="differ in 'how'; list them apart"):
        by_family([first, {**second, "how": NOWHERE}])
