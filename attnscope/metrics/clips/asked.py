"""Over many clips: whether the answer position looks at the person asked about more than chance, layer by layer."""

from __future__ import annotations

import numpy as np
import pandas as pd

from attnscope.metrics.answer import ASKED
from attnscope.metrics.clips.keys import by_clip
from attnscope.metrics.clips.resample import interval, means, sign_flips
from attnscope.metrics.people.nulls import q_values
from attnscope.metrics.registry import OVER

_PLACES = ["capture", "layer"]


def looks_at_asked(answer: pd.DataFrame) -> pd.DataFrame:
    """Of each capture and layer: the share of the person asked about, its chance level, and who comes first.

    Args:
        answer: The table of the family `answer`, of many captures, with a column `capture`.

    Returns:
        Columns `capture`, `layer` (-1: over all), `share`, `chance` (1 over the number of people with a visible box)
        and `first` (1 where nobody's share is as large, else 0). Captures whose question names not one person with a
        visible box, or in which nobody else has one, are left out.
    """
    shares = answer[(answer["metric"] == "answer_share") & (answer["head"] == OVER) & answer["value"].notna()]
    people = shares.groupby(_PLACES, sort=False)["value"].size().rename("people")
    asked = (shares["asked"] == ASKED["asked"]) & (shares["named"] == ASKED["named"])
    others = shares[~asked].groupby(_PLACES, sort=False)["value"].max().rename("others")
    rows = shares.loc[asked, [*_PLACES, "value"]].merge(people, on=_PLACES).merge(others, on=_PLACES)
    rows = rows.assign(chance=1 / rows["people"], first=(rows["value"] > rows["others"]).astype(np.float64))
    return rows.rename(columns={"value": "share"})[[*_PLACES, "share", "chance", "first"]].reset_index(drop=True)


def asked_over_chance(looks: pd.DataFrame, about: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Whether the share of the person asked about is above chance, over clips.

    Args:
        looks: Of `looks_at_asked`.
        about: What the captures are of (`attnscope.metrics.clips.labels`).
        seed: Seed of the random numbers.

    Returns:
        One row a layer (-1: over all): `layer`, `share` and `chance` (means over clips), `value` (their difference),
        `n` (clips), `low` and `high` (95 % interval of the difference over clips; NaN for fewer than six), `p`
        (two-sided, signs of clips flipped) and `q` (p corrected for the number of layers; NaN over all layers).
    """
    tidy = looks.assign(head=OVER)
    parts = {}
    for name, values in (("share", tidy["share"]), ("chance", tidy["chance"])):
        keys, (parts[name],) = by_clip(
            tidy[[*_PLACES, "head"]].assign(metric=name, value=values), about, [looks["capture"].tolist()]
        )
    excess = parts["share"] - parts["chance"]
    (value, n), (low, high), p = means(excess), interval(excess, seed=seed), sign_flips(excess, seed=seed)
    places = pd.DataFrame({"layer": keys["layer"], "head": np.where(keys["layer"] == OVER, OVER, 0)})
    table = pd.DataFrame(
        {"layer": keys["layer"], "share": means(parts["share"])[0], "chance": means(parts["chance"])[0]}
    )
    return table.assign(value=value, n=n, low=low, high=high, p=p, q=q_values(p, places))
