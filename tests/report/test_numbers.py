"""Numbers in which an order is read: as many digits as tell neighbours apart."""

from __future__ import annotations

import math

import numpy as np
import pytest

from attnscope.report.page.numbers import ranked


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([1.000365, 1.000266, 1.000213, 1.000041], ["1.00036", "1.00027", "1.00021", "1.00004"]),
        ([0.5, 0.25, None, math.nan], ["0.5", "0.25", "—", "—"]),
        ([0.01234, 0.01235, 3.14], ["0.01234", "0.01235", "3.14000"]),
        ([-0.5, -0.50001], ["−0.50000", "−0.50001"]),
        ([12345.6, 12345.7, 0.5], ["12345.6", "12345.7", "0.5"]),
        ([1e-5, 1.00001e-5], ["1.00000e−5", "1.00001e−5"]),
        ([2, 2, 3], ["2", "2", "3"]),
        ([0.7, math.inf], ["0.7", "∞"]),
        ([], []),
    ],
)
def test_neighbours_are_told_apart(values: list[float | None], texts: list[str]) -> None:
    assert ranked(values) == texts


def test_equal_numbers_stay_equal_and_noise_stays_hidden() -> None:
    assert len(set(ranked([0.1 + 0.2, 0.3]))) == 1
    assert ranked([1 / 3, 1 / 3]) == ["0.333", "0.333"]


@pytest.mark.parametrize("spread", [1.0, 1e-2, 1e-4, 1e-6])
def test_the_order_can_be_read_at_any_spread(spread: float) -> None:
    values = (1 + spread * np.random.default_rng(3).normal(size=40)).tolist()
    read = [float(text.replace("−", "-")) for text in ranked(values)]
    assert np.array_equal(np.argsort(read), np.argsort(values))


def test_changes_are_ordered_by_size() -> None:
    assert ranked([0.12341, -0.12342, 0.0, None], change=True) == ["+0.12341", "−0.12342", "0.00000", "—"]
