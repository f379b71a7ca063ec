"""What captures are of, and their numbers as numbers of clips.

The unit of many captures is the clip: what several captures of one clip say (its questions, say) is averaged first.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.errors import RequestError
from attnscope.metrics.registry import FOUND, OVER
from attnscope.metrics.tables import divide
from attnscope.vocabulary import SPEAKER, VISUAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

Floats = NDArray[np.float64]
NONE = "(none)"  # the label of captures whose scene lacks the field
SPEAKERS = "speakers"  # every scene can be grouped by how many speakers have a box
CORRECTION, PLAIN = "correction", "plain"  # and every capture by the corrections that it was made under
EACH, OWN, OTHER = "each", "own", "other"  # what stands for the speakers, turns and moments of a clip
_PEOPLE = (f"{SPEAKER}:", f"{VISUAL}:")  # what begins the name of a group of queries or keys that is about one speaker


def labels(caps: Sequence[Capture], names: Sequence[str]) -> pd.DataFrame:
    """What captures are of.

    Args:
        caps: Open captures.
        names: Their names in the column `capture` of tables.

    Returns:
        One row a capture: `capture`, `clip` (the video), `question`, and a column "field:<name>" of texts for
        `speakers` (how many have a box), `correction` (the methods that the capture was made under, "plain" for none)
        and each field of the scenes, which wins over these two; a list is one label, "(none)" a missing field.

    Example:
        >>> about = metrics.clips.labels([cap, after], ["run", "after"])
        >>> about[["capture", "question", "field:correction"]].values.tolist()
        [['run', 'Who is Dan talking to?', 'plain'], ['after', 'Who is Dan talking to?', 'social-bias']]
    """
    rows = []
    for cap, name in zip(caps, names, strict=True):
        scene, methods = cap.scene, [str(entry["method"]) for entry in cap.correction]
        fields = {SPEAKERS: str(len(scene.speakers)), CORRECTION: ", ".join(methods) or PLAIN}
        fields |= {key: _label(value) for key, value in scene.fields.items()}
        own = {"capture": name, "clip": str(scene.video), "question": scene.question or ""}
        rows.append(own | {f"field:{key}": value for key, value in fields.items()})
    return pd.DataFrame(rows).fillna(NONE)


def groups(about: pd.DataFrame, by: str) -> dict[str, list[str]]:
    """Names of captures by their label of a field; numbers in order, then texts, "(none)" last.

    Raises:
        RequestError: If no scene has the field.

    Example:
        >>> metrics.clips.groups(about, "correction")
        {'plain': ['run'], 'social-bias': ['after']}
    """
    column = f"field:{by}"
    if column not in about:
        known = ", ".join(str(c).removeprefix("field:") for c in about if str(c).startswith("field:"))
        raise RequestError(f"field '{by}': no scene has it; the fields are {known}")
    captures_by_label = {str(label): part["capture"].tolist() for label, part in about.groupby(column, sort=False)}
    return {label: captures_by_label[label] for label in sorted(captures_by_label, key=_order)}


def several_groups(about: pd.DataFrame, by: str) -> dict[str, list[str]]:
    """As `groups`, of which there must be two.

    Raises:
        RequestError: As `groups`, and if all captures have one label.
    """
    captures_by_label = groups(about, by)
    if len(captures_by_label) < 2:
        only = next(iter(captures_by_label))
        raise RequestError(f"field '{by}': every capture is in the group '{only}'; there is none to compare it with")
    return captures_by_label


def each_its_own(captures: Sequence[str]) -> pd.DataFrame:
    """The `labels` of captures of which nothing is known: each is of a clip of its own."""
    return pd.DataFrame({"capture": list(captures), "clip": list(captures)})


def common(about: pd.DataFrame, first_set: Collection[str], second_set: Collection[str]) -> set[str]:
    """The clips that two sets of captures share."""
    first, second = (set(about.loc[about["capture"].isin(list(names)), "clip"]) for names in (first_set, second_set))
    return first & second


def same_questions(
    about: pd.DataFrame, first_set: Collection[str], second_set: Collection[str]
) -> tuple[Collection[str], Collection[str]]:
    """Two sets of captures, less what would compare one question with another.

    Args:
        about: What captures are of (`labels`); without a column `question` nothing is left out.
        first_set: Names of captures.
        second_set: Names of others.

    Returns:
        Both sets: of a clip of which both hold a question, only the captures with such a question.
    """
    if "question" not in about:
        return first_set, second_set
    parts = [about[about["capture"].isin(list(names))] for names in (first_set, second_set)]
    asked = [list(zip(part["clip"], part["question"], strict=True)) for part in parts]
    both = set(asked[0]) & set(asked[1])
    clips = {clip for clip, _ in both}
    kept = [[pair in both or pair[0] not in clips for pair in pairs] for pairs in asked]
    first, second = (part.loc[keep, "capture"].tolist() for part, keep in zip(parts, kept, strict=True))
    return first, second


def by_clip(
    table: pd.DataFrame, about: pd.DataFrame, sets: Sequence[Collection[str]]
) -> tuple[pd.DataFrame, list[Floats]]:
    """The numbers of a table by clip.

    Args:
        table: A tidy table of many captures, with a column `capture`.
        about: What they are of (`labels`).
        sets: Names of captures.

    Returns:
        The keys of the X numbers, and for each set their means over its captures of each clip, [X, C], clips by name;
        NaN where no capture defines the number.

    Raises:
        RequestError: If the table names a number of a capture twice, or an unknown capture.
    """
    unknown = set(table["capture"]) - set(about["capture"])
    if unknown:
        raise RequestError(f"the table holds capture '{min(unknown)}', of which nothing is known")
    number, keys = _numbered(table[keys_of(table)])
    names: Mapping[str, int] = {name: i for i, name in enumerate(about["capture"])}
    capture = table["capture"].map(names).to_numpy(np.int64)
    _, at, times = np.unique(number * len(names) + capture, return_index=True, return_counts=True)
    if (times > 1).any():
        twice = table.iloc[int(at[times > 1][0])]
        raise RequestError(f"the table holds a number of '{twice['metric']}' of capture '{twice['capture']}' twice")
    clips = clips_of(about)
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


def shared(table: pd.DataFrame) -> pd.DataFrame:
    """Only numbers that mean the same in every clip: Ann, turn 3 and second 4 of one clip are not those of another.

    Numbers of single speakers, turns and moments are averaged within each capture: `speaker`, `turn` and `time` say
    "each" where a number was of one, `target` says "own" or "other" than the speaker, and a group of queries or keys
    that is one speaker's loses the name ("speaker:Ann" becomes "speaker:each").

    Args:
        table: A tidy table of many captures, with a column `capture`.

    Returns:
        Its columns without intervals and p; n = numbers that were averaged.

    Example:
        >>> table = metrics.clips.shared(looks)
        >>> sorted(set(looks["speaker"])), sorted(set(table["speaker"]))
        (['Ada', 'Ben', 'Cleo', 'Dan', 'Eva'], ['each'])
    """
    columns = ["capture", *keys_of(table)]
    number, keys = _numbered(table[columns])
    again, keys = _numbered(_nameless(keys))
    number, value = again[number], table["value"].to_numpy(np.float64)
    use = np.isfinite(value)
    count = np.bincount(number[use], minlength=len(keys))
    total = np.bincount(number[use], weights=value[use], minlength=len(keys))
    return keys.assign(value=divide(total, count), n=count)


def _nameless(keys: pd.DataFrame) -> pd.DataFrame:
    """Keys with "each" in place of names of speakers, turns and moments; "" where a number is not of one."""
    out = keys.copy()
    if "target" in keys:
        own = np.where(keys["target"] == keys["speaker"], OWN, OTHER)
        out["target"] = np.where(_is_given(keys["target"]), own, "")
    if "speaker" in keys:
        out["speaker"] = np.where(_is_given(keys["speaker"]), EACH, "")
    if "turn" in keys:
        out["turn"] = np.where(keys["turn"] == OVER, "", EACH)
    if "time" in keys:
        out["time"] = np.where(keys["time"].isna(), "", EACH)
    for name in {"query", "key"} & set(keys.columns):
        for begin in _PEOPLE:
            out.loc[keys[name].str.startswith(begin, na=False), name] = begin + EACH
    return out


def _is_given(column: pd.Series[Any]) -> NDArray[np.bool_]:
    return (column.notna() & (column != "")).to_numpy(np.bool_)


def _numbered(keys: pd.DataFrame) -> tuple[NDArray[np.int64], pd.DataFrame]:
    """The distinct rows of a table, and for each row which of them it is."""
    number = np.asarray(keys.groupby(list(keys.columns), sort=False, dropna=False).ngroup(), dtype=np.int64)
    return number, keys[~pd.Series(number).duplicated().to_numpy()].reset_index(drop=True)


def keys_of(table: pd.DataFrame) -> list[str]:
    """The columns that say what a number is of, the capture apart."""
    return [c for c in table.columns if c not in (*FOUND, "capture")]


def clips_of(about: pd.DataFrame) -> list[str]:
    """Clips in the order of columns, which is not that of captures: a seed draws the same ones whatever that is."""
    return sorted(set(about["clip"]))


def _order(label: str) -> tuple[bool, bool, bool, float, str]:
    try:
        return False, False, False, float(label), ""
    except ValueError:
        return label == NONE, True, label != PLAIN, 0.0, label


def _label(value: object) -> str:
    return ", ".join(str(entry) for entry in value) if isinstance(value, list) else str(value)
