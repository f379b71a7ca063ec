"""The captures of a report: opened, with what cannot be put into one refused, named and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope import metrics
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.errors import RequestError
from attnscope.files import real_path
from attnscope.metrics.jitter import compute_banded
from attnscope.metrics.modality import DENOMINATORS
from attnscope.progress import Progress, part_of
from attnscope.report.page.output import Output
from attnscope.scene.names import did_you_mean, find_name
from attnscope.vocabulary import SPEAKER, group_name
from attnscope.weights import Match, match, where

Tables = dict[str, pd.DataFrame]


@dataclass(frozen=True)
class Analysis:
    """The captures of a page, with their names and numbers.

    Attributes:
        output: Where figures are written.
        caps: The captures, open.
        names: Their names in tables.
        tables: Their tables by family, with a column `capture`.
        about: What they are of (`attnscope.metrics.clips.labels`).
        speaker: Whose attention is drawn over the frames, if somebody was asked for.
        denominator: Denominator of the gap.
        films: Whether to write films.
    """

    output: Output
    caps: Sequence[Capture]
    names: Sequence[str]
    tables: Tables
    about: pd.DataFrame
    speaker: str | None = None
    denominator: str = "max"
    films: bool = False

    def parts(self, family: str, most: int) -> Iterator[tuple[Capture, pd.DataFrame, str, str]]:
        """The first captures, each with its table, and what its file names and its titles end in."""
        for number, (name, cap) in enumerate(zip(self.names[:most], self.caps, strict=False), 1):
            table = self.tables[family]
            ends = (f"_{number}", f" ({name})") if len(self.caps) > 1 else ("", "")
            yield cap, table[table["capture"] == name], *ends


def open_all(paths: Sequence[str | Path], stack: ExitStack, *, one_model: bool = True) -> list[Capture]:
    """Open captures that can be set side by side: the same recorded layers and heads.

    Args:
        paths: The captures.
        stack: Closes them.
        one_model: Also refuse captures of several models, which must not be averaged.

    Raises:
        RequestError: If there is none, or their layers, heads or models differ.
        FormatError: If a file is not a complete capture.
    """
    if not paths:
        raise RequestError("no capture given; name at least one .h5 file")
    caps = [stack.enter_context(open_capture(path)) for path in paths]
    first = caps[0]
    for cap in caps[1:]:
        alike = [
            ("layers", first.layers.tolist(), cap.layers.tolist()),
            ("heads", first.heads, cap.heads),
        ]
        if one_model:
            alike.append(("model.id", first.model.get("id"), cap.model.get("id")))
        for what, own, other in alike:
            if own != other:
                raise RequestError(
                    f"{cap.path}: {what} {_brief(other)} differ from {_brief(own)} in {first.path}; report them apart"
                )
        if one_model and match(first.model, cap.model) is Match.OTHER:
            place = where(first.model, cap.model)
            raise RequestError(f"{cap.path}: weights differ from those of {first.path}{place}; report them apart")
    return caps


def refuse_twice(paths: Sequence[str | Path]) -> None:
    """Refuse a capture that is named twice: it would count twice.

    Raises:
        RequestError: Naming it.
    """
    resolved = [real_path(path) for path in paths]
    twice = next((path for n, path in enumerate(paths) if resolved[n] in resolved[:n]), None)
    if twice is not None:
        raise RequestError(f"{twice}: is given twice; name each capture once")


def check_options(threshold: float, denominator: str) -> None:
    """Refuse a threshold outside (0, 1] and an unknown denominator.

    Raises:
        RequestError: Naming the option and its value.
    """
    if not 0 < threshold <= 1:
        raise RequestError(f"threshold {threshold:g} is out of range; it is a covered fraction, above 0 and at most 1")
    if denominator not in DENOMINATORS:
        raise RequestError(f"unknown denominator '{denominator}'; known: {', '.join(DENOMINATORS)}")


def names_of(caps: Sequence[Capture]) -> list[str]:
    """A short name for each capture: its file's stem, numbered where two share it."""
    stems = [cap.path.stem for cap in caps]
    return [f"{stem} ({i + 1})" if stems.count(stem) > 1 else stem for i, stem in enumerate(stems)]


def compute_tables(
    caps: Sequence[Capture],
    names: Sequence[str],
    threshold: float,
    jitter: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> Tables:
    """Every metric of every capture: one table a family, with the capture's name in the first column.

    Args:
        caps: Open captures.
        names: Names of the captures.
        threshold: Covered fraction from which a cell counts as a speaker's.
        jitter: Options of `attnscope.metrics.jitter`, whose bands numbers that depend on boxes then have.
        progress: Called with (what, done, total).
    """
    parts: dict[str, list[pd.DataFrame]] = {}
    for number, (name, cap) in enumerate(zip(names, caps, strict=True)):
        own = part_of(progress, number, len(caps))
        if jitter is None:
            measured = metrics.compute(cap, threshold=threshold, progress=own)
        else:
            measured = compute_banded(cap, threshold=threshold, progress=own, **jitter)
        for family, table in measured.items():
            table.insert(0, "capture", name)
            parts.setdefault(family, []).append(table)
    return {family: pd.concat(tables, ignore_index=True) for family, tables in parts.items()}


def subject(cap: Capture, speaker: str | None) -> tuple[str, str | None] | None:
    """Whose attention an overlay shows.

    Args:
        cap: An open capture.
        speaker: A speaker of the scene; by default the first with both text and a box, else the question.

    Returns:
        A query group and the speaker (None for the question); None if the capture has neither.

    Raises:
        RequestError: If the speaker is not in the scene, or says nothing.
    """
    groups = cap.query_groups
    saying = [str(ref) for kind, ref in zip(groups["kind"], groups["ref"], strict=True) if kind == "speaker"]
    if speaker is not None:
        known = list(dict.fromkeys([*cap.scene.speakers, *saying]))
        same = find_name(speaker, known)
        if same is None:
            raise RequestError(
                f"{cap.path}: no speaker '{speaker}' in the scene; it has {', '.join(known) or 'none'}"
                f"{did_you_mean(speaker, known)}"
            )
        speaker = same
        if speaker not in saying:
            raise RequestError(
                f"{cap.path}: speaker '{speaker}' has no words in the prompt; speakers with words: "
                f"{', '.join(saying) or 'none'}"
            )
        return group_name(SPEAKER, speaker), speaker
    boxed = [name for name in saying if name in cap.scene.speakers]
    for name in [*boxed, *saying]:
        return group_name(SPEAKER, name), name
    if (groups["kind"] == "question").any():
        return str(groups["name"][groups["kind"] == "question"].iloc[0]), None
    return None


def _brief(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else text[:57] + "..."
