"""Tables of numbers by capture, and what the captures are of, given by hand."""

from __future__ import annotations

import pandas as pd


def tidy(values: dict[str, list[float]], metric: str = "m") -> pd.DataFrame:
    """Numbers of the heads of one layer by capture."""
    rows = [
        {"capture": name, "metric": metric, "layer": 0, "head": head, "value": value, "n": 1}
        for name, heads in values.items()
        for head, value in enumerate(heads)
    ]
    return pd.DataFrame(rows)


def of(clips: dict[str, str], **fields: dict[str, str]) -> pd.DataFrame:
    """What captures are of: clip by capture, and fields."""
    about = pd.DataFrame({"capture": list(clips), "clip": list(clips.values())})
    return about.assign(**{f"field:{name}": about["capture"].map(label) for name, label in fields.items()})
