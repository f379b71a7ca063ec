"""The results of an evaluation: one row a question, accuracies of groups of them, and why corrections did not apply."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from attnscope.errors import RequestError
from attnscope.evaluate import stats
from attnscope.evaluate.folder import read_run, read_samples
from attnscope.metrics.clips.verdict import verdict
from attnscope.metrics.tables import records

MOST = 3  # reasons that a person reads
_QUOTED = re.compile(r'"[^"]*"')
USUAL_GROUPS = ("task", "people")
ALL, NONE = "(all)", "(none)"
_COLUMNS = ("condition", "n", "clips", "accuracy", "low", "high", "chance", "no_option")
_COMPARED = ("applied", "difference", "p", "p_clips", "n01", "n10", "verdict")


@dataclass(frozen=True)
class Evaluation:
    """The results of `attnscope.evaluate.evaluate`.

    Attributes:
        folder: Where they are.
        run: What was run: the document run.json.
        samples: One row a question, in the manifest's order: the keys of a line of samples.jsonl, those of its inner
            objects joined by a dot ("fields.task", "plain.correct", "corrected.logprobs").
        by: Fields that group the tables if nothing else is asked for; None for task and people where there are such.

    Example:
        >>> result = attnscope.evaluate.evaluate(model, "manifest.jsonl", "scored", [social])
        >>> result.conditions, result.comparison(by=[])["difference"].tolist()
        (['plain', 'corrected'], [1.0])
        >>> attnscope.evaluate.Evaluation.read("scored").samples["plain.prediction"].tolist()
        ['Ben', 'Ben']
    """

    folder: Path
    run: dict[str, Any]
    samples: pd.DataFrame
    by: Sequence[str] | None = None

    @classmethod
    def read(cls, folder: str | Path) -> Evaluation:
        """Read the results back, also those of an unfinished run.

        Raises:
            RequestError: If the folder holds no evaluation, or one without any scored question.
        """
        run, lines = read_run(Path(folder)), read_samples(Path(folder))
        if not lines:
            raise RequestError(f"{folder}: holds an evaluation that has not scored any question yet")
        return cls(Path(folder), run, to_frame(lines))

    def table(self, by: Sequence[str] | None = None) -> pd.DataFrame:
        """Accuracy of all questions and of each group, under every condition.

        Args:
            by: Fields of the scenes whose combinations are the groups; None for those of `by`.

        Returns:
            Columns: those of `by` ("(all)" in the rows of all questions, "(none)" where a scene lacks the field),
            condition ("plain", "corrected", "control: ..."), n questions, their clips, accuracy with the ends of its
            interval (none over fewer than six clips), chance (mean of 1 / number of options), and for generated answers
            no_option (answers that are no option).

        Raises:
            RequestError: If no scene has a field of `by`.
        """
        rows = []
        for group, part in self._groups(by):
            for condition in self.conditions:
                share = stats.accuracy(*_counts(part, [f"{condition}.correct"]))
                row: dict[str, Any] = {"condition": condition, "n": len(part), "clips": part["clip"].nunique()}
                row |= {"accuracy": share.estimate, "low": share.low, "high": share.high}
                row |= {"chance": float((1 / part["options"].map(len)).mean())}
                if f"{condition}.text" in part:
                    row["no_option"] = int(part[f"{condition}.prediction"].isna().sum())
                rows.append(group | row)
        return pd.DataFrame(rows)

    def comparison(self, by: Sequence[str] | None = None) -> pd.DataFrame:
        """The corrected model, and each control, against the plain one, on the same questions.

        Args:
            by: As in `table`.

        Returns:
            Columns: those of `by`, condition, n, clips, applied (questions to which it applied; the others count as
            unchanged), difference of the accuracies (corrected - plain) with the ends of its interval, p of McNemar's
            exact test over questions, p_clips of the exact sign-flip test over clips, n01 (wrong, then right), n10
            (right, then wrong), and verdict: what the interval and both tests say (`metrics.clips.verdict`). No
            row without corrections.
        """
        others = self.conditions[1:]
        rows = [_compared(group, part, name) for group, part in self._groups(by) for name in others]
        return pd.DataFrame(rows)

    @property
    def conditions(self) -> list[str]:
        """First "plain", then "corrected" if there was a correction, and "control: ..." of each control."""
        inner = [str(column).rpartition(".") for column in self.samples]
        return [name for name, _, last in inner if last == "correct" and name not in ("", "fields")]

    @property
    def not_applied(self) -> int:
        """Number of questions to which the correction did not apply; they are scored as by the plain model."""
        return int((~self.samples["corrected.applied"].astype(bool)).sum()) if "corrected" in self.conditions else 0

    def reasons(self) -> list[tuple[str, int]]:
        """Why the correction did not apply to questions, and to how many, the commonest first."""
        if not self.not_applied:
            return []
        out = self.samples[~self.samples["corrected.applied"].astype(bool)]
        return counted(out["corrected.reason"].astype(str))

    def to_dict(self) -> dict[str, Any]:
        """The tables as JSON-able values; an interval that is not defined becomes null."""
        return {
            "kind": "evaluation",
            "out": str(self.folder),
            "model": self.run["model"]["id"],
            "correction": self.run["correction"],
            "controls": self.run.get("controls", {}),
            "controls_left_out": self.run.get("controls_left_out", {}),
            "questions": len(self.samples),
            "clips": self.samples["clip"].nunique(),
            "cautions": self.run.get("cautions", []),
            "not_applied": self.not_applied,
            "reasons": [{"reason": reason, "questions": n} for reason, n in self.reasons()],
            "accuracy": records(self.table()),
            "comparison": records(self.comparison()),
        }

    def _groups(self, by: Sequence[str] | None) -> list[tuple[dict[str, Any], pd.DataFrame]]:
        """All questions, then those of each combination of labels."""
        present = [str(column).removeprefix("fields.") for column in self.samples if str(column).startswith("fields.")]
        names = check_groups(self.by if by is None else by, present)
        groups: list[tuple[dict[str, Any], pd.DataFrame]] = [(dict.fromkeys(names, ALL), self.samples)]
        if names:
            labels = [self.samples[f"fields.{name}"].map(_label).rename(name) for name in names]
            parts = [(key, part) for key, part in self.samples.groupby(labels, sort=False)]
            parts.sort(key=lambda item: [(isinstance(label, str), label == NONE, label) for label in item[0]])
            groups += [(dict(zip(names, key, strict=True)), part) for key, part in parts]
        return groups


def _compared(group: dict[str, Any], part: pd.DataFrame, condition: str) -> dict[str, Any]:
    """One row of a comparison."""
    before, after = (part[f"{name}.correct"].astype(bool) for name in ("plain", condition))
    counts = _counts(part, ["plain.correct", f"{condition}.correct"])
    change, clips_p = stats.difference(*counts), stats.clip_test(*counts[:2])
    gained, lost = int((~before & after).sum()), int((before & ~after).sum())
    row: dict[str, Any] = {"condition": condition, "n": len(part), "clips": part["clip"].nunique()}
    row |= {"applied": int(part[f"{condition}.applied"].sum())}
    row |= {"difference": change.estimate, "low": change.low, "high": change.high}
    p = stats.mcnemar(gained, lost)
    row |= {"p": p, "p_clips": clips_p, "n01": gained, "n10": lost}
    return group | row | {"verdict": verdict(change.low, change.high, p, clips_p)}


def check_groups(by: Sequence[str] | None, present: Sequence[str]) -> list[str]:
    """The fields to group by.

    Args:
        by: Wanted fields; None for the usual ones that are there.
        present: Fields that at least one scene has.

    Raises:
        RequestError: If no scene has one of them, or it is named like a column of the tables.
    """
    if by is None:
        return [name for name in USUAL_GROUPS if name in present]
    for name in by:
        if name in (*_COLUMNS, *_COMPARED):
            raise RequestError.of("by", name, "is a column of the tables; rename the field")
        if name not in present:
            known = f"the fields are {', '.join(present)}" if present else "the scenes have no fields"
            raise RequestError.of("by", name, f"no scene has such a field; {known}")
    return list(dict.fromkeys(by))


def to_frame(lines: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Lines of samples.jsonl as a table; the keys of inner objects get the outer one before them."""
    rows = []
    for line in lines:
        row: dict[str, Any] = {}
        for name, value in line.items():
            row |= {f"{name}.{inner}": x for inner, x in value.items()} if isinstance(value, dict) else {name: value}
        rows.append(row)
    frame = pd.DataFrame(rows, dtype=object)  # a label stays what it was, 3 and not 3.0, also where others lack it
    columns = {str(name): column for name, column in frame.items()}
    return pd.DataFrame({n: c if n.startswith("fields.") else c.infer_objects() for n, c in columns.items()})


def _label(value: Any) -> Any:
    """What a row of a table is called by: a list as its items, a missing field as such."""
    if isinstance(value, list):
        return ", ".join(item if isinstance(item, str) else json.dumps(item) for item in value)
    return NONE if value is None or value != value else value


def _counts(part: pd.DataFrame, columns: list[str]) -> list[Any]:
    """[clips] right answers in each of the columns, and the number of questions, of every clip."""
    clips = part.groupby("clip", sort=False)
    right = [part[column].astype(int).groupby(part["clip"], sort=False).sum().to_numpy() for column in columns]
    return [*right, clips.size().to_numpy()]


def counted(reasons: Iterable[str]) -> list[tuple[str, int]]:
    """Reasons and how often each is there, the commonest first.

    Questions differ in names and words, reasons in few ways: reasons are alike if they are equal up to a semicolon,
    what stands in quotes apart. Where they are not equal as a whole, the part that is equal stands for them.
    """
    alike: dict[str, list[str]] = defaultdict(list)
    for reason in reasons:
        alike[_kind(reason)].append(reason)
    counts = [(_common(several), len(several)) for several in alike.values()]
    return sorted(counts, key=lambda count: -count[1])  # stable: of equal ones the first met


def _kind(reason: str) -> str:
    return _QUOTED.sub('"…"', reason).partition(";")[0]


def _common(reasons: list[str]) -> str:
    for texts in (reasons, [reason.partition(";")[0] for reason in reasons]):
        if len(set(texts)) == 1:
            return texts[0]
    return _kind(reasons[0])
