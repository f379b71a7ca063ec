"""Tables of many captures as one: means over clips with intervals, paired comparisons, groups by a field of the scenes.

The unit is the clip: the captures of one clip (its questions, say) are averaged first, then the clips, and intervals
draw whole clips again (ours). In every table here `n` counts clips.

    tables = {"speakers": DataFrame with a column `capture`, ...}
    about = labels(caps, names)
    pooled(tables["speakers"], about)                    # one row a number: mean, interval
    contrast(tables["speakers"], about, by="people")     # difference between groups of clips
    paired(tables["speakers"], about, plain, corrected)  # the same clips, twice
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.nulls import q_values
from attnscope.metrics.registry import FOUND
from attnscope.metrics.resample import (
    DRAWS,
    PERMUTATIONS,
    interval,
    labels_exchanged,
    means,
    sign_flips,
    signed_ranks,
)
from attnscope.metrics.tidy import divide

if TYPE_CHECKING:
    from attnscope.capture import Capture

Floats = NDArray[np.float64]
NONE = "(none)"  # the group of captures whose scene lacks the field
SPEAKERS = "speakers"  # every scene can be grouped by how many speakers have a box


def labels(caps: Sequence[Capture], names: Sequence[str]) -> pd.DataFrame:
    """What captures are of.

    Args:
        caps: open captures.
        names: their names in the column `capture` of tables.

    Returns:
        One row a capture: `capture`, `clip` (the video), `speakers` (how many have a box, as a text), and a column for
        each field of the scenes, which wins over `speakers`; a list is one label, "(none)" a missing field.
    """
    rows = []
    for cap, name in zip(caps, names, strict=True):
        scene = cap.scene
        fields = {f"field:{key}": _label(value) for key, value in scene.fields.items()}
        rows.append(
            {"capture": name, "clip": str(scene.video), f"field:{SPEAKERS}": str(len(scene.speakers)), **fields}
        )
    return pd.DataFrame(rows).fillna(NONE)


def pooled(
    table: pd.DataFrame, about: pd.DataFrame, by: str | None = None, *, draws: int = DRAWS, seed: int = 0
) -> pd.DataFrame:
    """Mean over clips of every number of a table, with a 95 % bootstrap interval over clips.

    Args:
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        by: a field of the scenes: then the means of each group apart.
        draws: bootstrap samples.
        seed: of the random numbers.

    Returns:
        The table's keys, with `by` also `field` and `group`, then `value`, `n` (clips that define it), `low`, `high`
        (NaN for fewer than two clips).

    Raises:
        RequestError: if no scene has the field, or the table names a number of a capture twice or an unknown capture.
    """
    sets = {"": about["capture"].tolist()} if by is None else groups(about, by)
    keys, values = by_clip(table, about, list(sets.values()))
    parts = []
    for group, part in zip(sets, values, strict=True):
        value, n = means(part)
        low, high = interval(part, draws=draws, seed=seed)
        own: dict[str, Any] = {} if by is None else {"field": by, "group": group}
        parts.append(keys.assign(**own, value=value, n=n, low=low, high=high))
    return pd.concat(parts, ignore_index=True)


def paired(
    table: pd.DataFrame,
    about: pd.DataFrame,
    before: Collection[str],
    after: Collection[str],
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Two sets of captures of the same clips: every number's change, after less before, clip by clip.

    Args:
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        before: names of captures, for example plain ones.
        after: names of others, for example corrected ones.
        draws: bootstrap samples.
        permutations: of signs; all are counted out if there are no more.
        seed: of the random numbers.

    Returns:
        The table's keys, `before` and `after` (means over the clips that define both), `value` (the mean change), `n`
        (these clips), `low`, `high`, `p` (two-sided permutation test of the mean change, signs of clips flipped) and
        `p_wilcoxon` (signed-rank test), and `q`, `q_wilcoxon`: p corrected over layers x heads (Benjamini and
        Hochberg; NaN for means over them).

    Raises:
        RequestError: as `pooled`, and if no clip is in both sets, or a capture is.
    """
    both = sorted(set(before) & set(after))
    if both:
        raise RequestError(f"capture '{both[0]}' is in both of the sets that are compared")
    keys, (first, second) = by_clip(table, about, [before, after])
    shared = [set(about.loc[about["capture"].isin(list(names)), "clip"]) for names in (before, after)]
    if not shared[0] & shared[1]:
        raise RequestError("the two sets of captures share no clip; compare them as groups of a field instead")
    change = second - first
    defined = np.isfinite(change)
    value, n = means(change)
    low, high = interval(change, draws=draws, seed=seed)
    p, ranks = sign_flips(change, permutations=permutations, seed=seed), signed_ranks(change)
    return keys.assign(
        before=means(np.where(defined, first, np.nan))[0],
        after=means(np.where(defined, second, np.nan))[0],
        value=value,
        n=n,
        low=low,
        high=high,
        p=p,
        q=_q(p, keys),
        p_wilcoxon=ranks,
        q_wilcoxon=_q(ranks, keys),
    )


def contrast(
    table: pd.DataFrame,
    about: pd.DataFrame,
    by: str,
    *,
    draws: int = DRAWS,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> pd.DataFrame:
    """Differences between groups of captures, for example those with many speakers and those with one object.

    Args:
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        by: a field of the scenes (or `speakers`, how many have a box) whose labels are the groups.
        draws: bootstrap samples.
        permutations: of labels over clips; all are counted out if there are no more.
        seed: of the random numbers.

    Returns:
        One row a number and pair of groups: the table's keys, `field`, `group`, `other`, `value` (mean of `group` less
        that of `other`), `n` (clips of both), `low`, `high`, `p` (two-sided permutation test: labels of clips
        exchanged) and `q` (p corrected over layers x heads, Benjamini and Hochberg; NaN for means over them). p is NaN
        where two groups share a clip, whose labels cannot be exchanged: `paired` is for those.

    Raises:
        RequestError: as `pooled`, and if there are fewer than two groups.
    """
    sets = groups(about, by)
    if len(sets) < 2:
        raise RequestError(
            f"field '{by}': every capture is in the group '{next(iter(sets))}'; there is none to compare"
        )
    keys, values = by_clip(table, about, list(sets.values()))
    parts = []
    for (group, one), (other, two) in combinations(zip(sets, values, strict=True), 2):
        (mean, n), (less, m) = means(one), means(two)
        low, high = interval(one, two, draws=draws, seed=seed)
        in_one, in_two = (set(about.loc[about["capture"].isin(sets[name]), "clip"]) for name in (group, other))
        p = np.full(len(keys), np.nan)
        if not in_one & in_two:
            either = np.where(np.isfinite(one), one, two)
            first = np.array([clip in in_one for clip in _clips(about)])
            p = labels_exchanged(either, first, permutations=permutations, seed=seed)
        found = {"value": mean - less, "n": n + m, "low": low, "high": high, "p": p, "q": _q(p, keys)}
        parts.append(keys.assign(field=by, group=group, other=other, **found))
    return pd.concat(parts, ignore_index=True)


def groups(about: pd.DataFrame, by: str) -> dict[str, list[str]]:
    """Names of captures by their label of a field; numbers in order, then texts, "(none)" last.

    Raises:
        RequestError: if no scene has the field.
    """
    column = f"field:{by}"
    if column not in about:
        known = ", ".join(str(c).removeprefix("field:") for c in about if str(c).startswith("field:"))
        raise RequestError(f"field '{by}': no scene has it; the fields are {known}")
    found = {str(label): part["capture"].tolist() for label, part in about.groupby(column, sort=False)}
    return {label: found[label] for label in sorted(found, key=_order)}


def by_clip(
    table: pd.DataFrame, about: pd.DataFrame, sets: Sequence[Collection[str]]
) -> tuple[pd.DataFrame, list[Floats]]:
    """The numbers of a table by clip.

    Args:
        table: a tidy table of many captures, with a column `capture`.
        about: their `labels`.
        sets: names of captures.

    Returns:
        The keys of the X numbers, and for each set their means over its captures of each clip, [X, C], clips by name;
        NaN where no capture defines the number.

    Raises:
        RequestError: if the table names a number of a capture twice, or an unknown capture.
    """
    unknown = set(table["capture"]) - set(about["capture"])
    if unknown:
        raise RequestError(f"the table holds capture '{min(unknown)}', of which nothing is known")
    columns = [c for c in table.columns if c not in (*FOUND, "capture")]
    number = table.groupby(columns, sort=False, dropna=False).ngroup().to_numpy(np.int64)
    names: Mapping[str, int] = {name: i for i, name in enumerate(about["capture"])}
    capture = table["capture"].map(names).to_numpy(np.int64)
    _, at, times = np.unique(number * len(names) + capture, return_index=True, return_counts=True)
    if (times > 1).any():
        twice = table.iloc[int(at[times > 1][0])]
        raise RequestError(f"the table holds a number of '{twice['metric']}' of capture '{twice['capture']}' twice")
    keys = table.loc[~pd.Series(number).duplicated().to_numpy(), columns].reset_index(drop=True)
    clips = _clips(about)
    clip = about["clip"].map({name: i for i, name in enumerate(clips)}).to_numpy(np.int64)[capture]
    value = table["value"].to_numpy(np.float64)
    cell, size = number * len(clips) + clip, len(keys) * len(clips)
    out = []
    for chosen in sets:
        use = np.isfinite(value) & table["capture"].isin(list(chosen)).to_numpy()
        total = np.bincount(cell[use], weights=value[use], minlength=size)
        mean = divide(total, np.bincount(cell[use], minlength=size))
        out.append(mean.reshape(len(keys), len(clips)))
    return keys, out


def _order(label: str) -> tuple[bool, bool, float, str]:
    try:
        return False, False, float(label), ""
    except ValueError:
        return label == NONE, True, 0.0, label


def _label(value: object) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def _clips(about: pd.DataFrame) -> list[str]:
    """Clips in the order of columns, which is not that of captures: a seed draws the same ones whatever that is."""
    return sorted(set(about["clip"]))


def _q(p: Floats, keys: pd.DataFrame) -> Floats:
    """Correct p over layers x heads (Benjamini and Hochberg), each number by itself; NaN for means over them."""
    q = np.full(len(p), np.nan)
    columns = [c for c in keys.columns if c not in ("layer", "head")]
    for rows in keys.groupby(columns, sort=False, dropna=False).indices.values():
        q[rows] = q_values(p[rows], keys.iloc[rows])
    return q
