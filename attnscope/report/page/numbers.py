"""How numbers are written, on every page and in the terminal: one formatter for each kind of number."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

RISE = 1e-6  # of a number that changed by more than rounding
PLACES = 6  # decimals that a cell has at most
FLOOR = 1e-4  # of a share: smaller ones are only said to be smaller
MOST_DIGITS = 9  # that tell two numbers apart; further ones are noise of float32 sums


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table cell: significant digits, a dash where it is not defined.

    What is not 1 is not written as 1, which stands for certainty, chance and no change.
    """
    if value is None or not isinstance(value, (int, float)) or math.isnan(value):
        return "—"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    if isinstance(value, int):
        return str(value)
    size = abs(value)
    if value and (size < 1e-3 or size >= 1e5):
        mantissa, power = f"{value:.{digits - 1}e}".split("e")
        return f"{mantissa}e{int(power)}".replace("-", "−")
    while size != 1 and float(f"{size:.{digits}g}") == 1 and digits < 9:
        digits += 1
    return f"{value:.{digits}g}".replace("-", "−")


def ranked(values: Sequence[float | None], digits: int = 3, *, change: bool = False) -> list[str]:
    """The numbers of one column in which an order is read: as many digits as tell neighbours apart.

    Args:
        values: In any order; those that are not defined get a dash.
        digits: Significant digits to have at least.
        change: Whether the numbers are changes: they are ordered by their size and written with their sign.

    Returns:
        A text for each number. Different numbers have different texts, unless they differ by less than a part in 1e9.

    >>> ranked([1.000365, 1.000266, 1.000213, 1.000041])
    ['1.00036', '1.00027', '1.00021', '1.00004']
    """
    if change:
        sizes = ranked([None if value is None else abs(value) for value in values], digits)
        return [_plus(text, value) for text, value in zip(sizes, values, strict=True)]
    known = sorted({value for value in values if value is not None and math.isfinite(value)})
    least = digits
    while digits < MOST_DIGITS and any(number(a, digits) == number(b, digits) for a, b in pairwise(known)):
        digits += 1
    texts = [number(value, digits) for value in values]
    if any("e" in text for text in texts) or all(_digits(text) <= least for text in texts):
        return texts
    places = max(len(text.partition(".")[2]) for text in texts)  # one number of decimals, since it is a column
    return [
        text if value is None or not math.isfinite(value) else f"{value:.{places}f}".replace("-", "−")
        for text, value in zip(texts, values, strict=True)
    ]


def _plus(size: str, value: float | None) -> str:
    """The text of a number's size with the number's sign; 0 and what is not defined have none."""
    return size if not value or value != value else f"{'+' if value > 0 else '−'}{size}"


def _digits(text: str) -> int:
    """Significant digits of a number without a power of ten."""
    return len(text.lstrip("−0.").replace(".", ""))


def signed(value: float | None, digits: int = 3) -> str:
    """A change: as `number`, with its sign."""
    text = number(value, digits)
    return f"+{text}" if value is not None and isinstance(value, (int, float)) and value > 0 else text


def changed(row: Mapping[str, Any]) -> str:
    """The change of a row, as `signed`; 0 where it is no more than rounding of what changed."""
    before, after, change = row["before"], row["after"], row["change"]
    if change is not None and abs(change) <= RISE * max(abs(before), abs(after)):
        return "0"
    return signed(change)


def aligned(row: Mapping[str, Any], of: str = "", least: int = 0) -> tuple[str, str, str]:
    """Before, after and change of a row, with as many decimals as the change needs to be seen in them.

    Args:
        row: With `before`, `after` and `change`, None where not defined.
        of: What comes before these names, as in `logprob_before`; the change is then `logprob_change`, or `change`.
        least: Decimals to have at least; small numbers then get no power of ten.
    """
    before, after = row[f"{of}before"], row[f"{of}after"]
    change = row.get(f"{of}change", row["change"])
    text = changed({"before": before, "after": after, "change": change})
    largest = max((abs(value) for value in (before, after) if value is not None), default=0.0)
    if not largest or largest >= 1e5 or (largest < 1e-3 and not least):
        return number(before), number(after), text
    places = max(least, 2 - math.floor(math.log10(largest)))
    if text not in ("0", "—"):
        places = max(places, 1 - math.floor(math.log10(abs(change))))
    places = min(places, PLACES)
    known = [value for value in (before, after) if value is not None]
    apart = [p for p in range(places, PLACES + 1) if not any(value != 1 == round(value, p) for value in known)]
    places = apart[0] if apart else places
    cells = [_least(value, places) if least else _fixed(value, places) for value in (before, after)]
    return cells[0], cells[1], text if text in ("0", "—") else _fixed(change, places, "+")


def _fixed(value: float | None, places: int, sign: str = "-") -> str:
    """A number with a fixed number of decimals; what would be written as 0, and is not, as `number` has it."""
    if value is None or (value and not round(value, places)):
        return signed(value) if sign == "+" else number(value)
    return f"{value:{sign}.{places}f}".replace("-", "−")


def _least(value: float | None, places: int) -> str:
    """As `_fixed`, without powers of ten: of what would be written as 0 only on which side of it, and how near."""
    if value is None or round(value, places) or not value:
        return _fixed(value, places)
    return f"> −{10**-places:.{places}f}" if value < 0 else f"< {10**-places:.{places}f}"


def percent(share: float | None) -> str:
    """A share in percent; what is not 0 and not all is not written as such."""
    if share is None:
        return "—"
    if 0 < share < FLOOR:
        return f"< {100 * FLOOR:g} %"
    if 1 - FLOOR < share < 1:
        return f"> {100 * (1 - FLOOR):g} %"
    return f"{100 * share:.{0 if share in (0, 1) else 2}f} %"


def percents(values: Sequence[float]) -> list[str]:
    """Shares in percent with as many decimals, the same for all, as tell neighbours apart.

    >>> percents([0.684, 0.73, 0.914])
    ['68 %', '73 %', '91 %']
    """
    for places in range(PLACES):
        texts = [f"{100 * value:.{places}f} %" for value in values]
        if not any(a == b for a, b in pairwise(texts)):
            break
    return texts if values else []


def in_percent(row: Mapping[str, Any], of: str = "accuracy", *, change: bool = False) -> str:
    """A share of an evaluation in percent with the ends of its interval, where it has one: `62.5 [50.0, 75.0]`.

    >>> in_percent({"difference": -0.125, "low": -0.25, "high": 0.0}, "difference", change=True)
    '−12.5 [−25.0, +0.0]'
    """
    sign = "+" if change else ""
    texts = [f"{100 * row[name]:{sign}.1f}".replace("-", "−") for name in (of, "low", "high") if row[name] is not None]
    return texts[0] if len(texts) < 3 else f"{texts[0]} [{texts[1]}, {texts[2]}]"


def percent_interval(row: Mapping[str, Any], of: str = "accuracy") -> str:
    """As `in_percent`, in a sentence: `62.5 % (50.0 to 75.0)`."""
    value, _, ends = in_percent(row, of).partition(" [")
    return f"{value} %" + (f" ({ends.rstrip(']').replace(', ', ' to ')})" if ends else "")


def points_interval(row: Mapping[str, Any], of: str = "difference") -> str:
    """A change of an accuracy in a sentence: `+12.5 points (+2.5 to +22.5)`."""
    value, _, ends = in_percent(row, of, change=True).partition(" [")
    return f"{value} points" + (f" ({ends.rstrip(']').replace(', ', ' to ')})" if ends else "")


def points(change: float | None) -> str:
    """The change of a share in percentage points, with its sign."""
    if change is None or not change:
        return number(change)
    if abs(change) < FLOOR:
        return f"< +{100 * FLOOR:g}" if change > 0 else f"> −{100 * FLOOR:g}"
    return f"{100 * change:+.2f}".replace("-", "−")


def likelihood(log: float | None) -> str:
    """A probability from its natural logarithm: in percent, or with its power of ten where that would hide it."""
    if log is None:
        return "—"
    if log >= math.log(FLOOR):
        return percent(min(math.exp(log), 1.0))
    power, rest = divmod(log / math.log(10), 1)  # not by exp(log), which may be 0
    mantissa, carried = f"{10**rest:.0e}".split("e")
    return f"{mantissa}e{int(power) + int(carried)}".replace("-", "−")


def interval(row: Mapping[str, Any], digits: int = 3, of: str = "") -> str:
    """The ends of a row's interval, of several those `of` one; a dash where it has none."""
    low, high = row[f"low{of}"], row[f"high{of}"]
    if low is None or high is None:
        return "—"
    return f"{number(low, digits)} … {number(high, digits)}"


def counted(row: Mapping[str, Any]) -> str:
    """What a row's number is over, for example "1 query" or "3 speakers"."""
    n, things = row["n"], str(row["counts"])
    return f"{n} {things}" if n != 1 else f"1 {'query' if things == 'queries' else things[:-1]}"


def ranges(numbers: Iterable[int]) -> str:
    """Whole numbers as runs.

    >>> ranges([3, 0, 1, 2, 8])
    '0-3, 8'
    """
    runs: list[list[int]] = []
    for value in sorted(set(numbers)):
        if runs and value == runs[-1][1] + 1:
            runs[-1][1] = value
        else:
            runs.append([value, value])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
