"""What the document says of one capture beside its attention: answer, words, sets of queries and of keys."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.report.page import captures, provenance
from attnscope.report.page.summary import records
from attnscope.vocabulary import (
    ANSWER_POSITION,
    GENERATED,
    MODALITY,
    QUESTION,
    SPEAKER,
    SPEAKER_TEXT,
    SPEAKER_VISUAL,
    TEXT,
    TURN,
    VISUAL,
    media,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from attnscope.capture import Capture
    from attnscope.report.viewer.shown import Shown

KEYS = (MODALITY, SPEAKER_VISUAL, SPEAKER_TEXT)  # families of key groups that are shown, in this order


def capture_of(shown: Shown, *, exact: bool) -> dict[str, Any]:
    """A `CaptureView` of viewer/src/document.ts without `values` and `views`.

    Args:
        shown: The capture.
        exact: Whether whoever shows the document can compute the row of any token.
    """
    cap = shown.cap
    text = str(cap.answer.get("text") or "").strip()
    return {
        "name": cap.path.name,
        "label": shown.label,
        "model": provenance.model_name(cap),
        "stage": shown.stage,
        "answer": text or None,
        "verdict": captures.verdict(cap),
        "options": [
            {"text": o["option"], "share": o["share"], "expected": bool(o["expected"])}
            for o in records(captures.options(cap))
        ],
        "layers": cap.layers.tolist(),
        "heads": cap.heads,
        "tokens": tokens(cap),
        "groups": groups(cap) if cap.has("maps") else [],
        "keys": [key.entry(cap) for key in keys(cap)] if cap.has("masses") else [],
        "active": [[int(layer), int(head)] for layer, head in provenance.active_heads(cap)],
        "exact": exact and (cap.has("qk") or cap.has("full")),
    }


def tokens(cap: Capture) -> list[dict[str, Any]]:
    """Every token that is shown as text: all but those of pictures and sounds."""
    table = cap.tokens[~cap.tokens[MODALITY].isin(media(cap.modalities))]
    columns = ["position", "text", "role", MODALITY, TURN, SPEAKER]
    return [
        {"position": int(p), "text": str(t), "role": str(r), "modality": str(m), "turn": int(n), "speaker": str(s)}
        for p, t, r, m, n, s in table[columns].itertuples(index=False)
    ]


def groups(cap: Capture) -> list[dict[str, Any]]:
    """The sets of queries that have a map."""
    table = cap.query_groups[["name", "kind", "ref"]].astype(str)
    return [
        {"name": name, "title": _title(cap, kind, ref), "positions": np.flatnonzero(member).tolist()}
        for (name, kind, ref), member in zip(table.itertuples(index=False), cap.query_member, strict=True)
    ]


@dataclass(frozen=True)
class KeySet:
    """A set of keys.

    Attributes:
        row: Its row in the capture's table of key groups.
        name: Its name in the document.
        family: Its family in the capture.
    """

    row: int
    name: str
    family: str

    @property
    def main(self) -> bool:
        """Whether it is of those that stay where room is short: not the words of a person."""
        return self.family in (MODALITY, SPEAKER_VISUAL)

    def entry(self, cap: Capture) -> dict[str, Any]:
        """A `Key` of viewer/src/document.ts."""
        thing = self.name.partition(":")[2]
        title, kind = {
            MODALITY: (f"all {self.name} tokens", self.name if self.name in (VISUAL, TEXT) else "other"),
            SPEAKER_VISUAL: (f"the cells of {thing}", VISUAL),
            SPEAKER_TEXT: (f"the words of {thing}", TEXT),
        }[self.family]
        person = thing if self.family in (SPEAKER_VISUAL, SPEAKER_TEXT) else None
        size = int(np.asarray(cap.key_member[self.row]).sum())
        return {"name": self.name, "title": title, "person": person, "kind": kind, "size": size}


def keys(cap: Capture) -> list[KeySet]:
    """The sets of keys on which the mass of every word is shown, those that nobody is in left out."""
    table = cap.key_groups
    sets = [KeySet(i, str(row.name), str(row.family)) for i, row in enumerate(table.itertuples(index=False))]
    filled = [bool(member.any()) for member in cap.key_member]
    return [one for family in KEYS for one in sets if one.family == family and filled[one.row]]


def queries(cap: Capture) -> NDArray[np.int64]:
    """Positions of the words whose masses are known, [Q]."""
    return np.asarray(cap.masses_allowed(layer=int(cap.layers[0]))["query"].values, dtype=np.int64)


def _title(cap: Capture, kind: str, ref: str) -> str:
    """What a set of queries is, in words."""
    if kind == TURN:
        speaker = cap.scene.transcript[int(ref)].speaker
        return f"turn {ref}" + (f", {speaker}" if speaker else "")
    if kind == GENERATED:
        at = cap.prompt_length + int(ref)
        return f"generated token {ref}, “{str(cap.tokens['text'].iloc[at]).strip()}”"
    named = {
        SPEAKER: f"the words of {ref}",
        QUESTION: "the question",
        ANSWER_POSITION: "the answer position",
    }
    return named.get(kind, kind)
