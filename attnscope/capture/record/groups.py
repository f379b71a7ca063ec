"""Groups of keys and of queries, made from the token table: what masses and maps are summed over."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

MODALITIES = ("visual", "text", "special")
ROLES = ("system", "template", "visual", "transcript", "question", "answer")

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class KeyGroups:
    """Sets of key positions.

    Attributes:
        names: One a group.
        families: modality, role, speaker_text, speaker_visual, frame or sink, one a group.
        member: [G, N] over the prompt; groups of family sink hold the modality, of which each layer's sinks are a
            part.
        answer: [G] whether generated tokens belong to the group.
    """

    names: list[str]
    families: list[str]
    member: Bools
    answer: Bools

    @property
    def is_sink(self) -> Bools:
        """[G] which groups are of family sink (they are always last)."""
        return np.array([family == "sink" for family in self.families])

    @property
    def probes(self) -> npt.NDArray[np.int64]:
        """Positions of the prompt that are read densely: all that are not visual."""
        return np.flatnonzero(~self.member[self.names.index("visual")])  # the modality: its family comes first

    def extended(self, positions: int) -> Bools:
        """[G, positions]: the members, generated positions included."""
        extra = np.repeat(self.answer[:, None], positions - self.member.shape[1], axis=1)
        return np.concatenate([self.member, extra], axis=1)


@dataclass(frozen=True)
class QueryGroups:
    """Sets of query positions of the prompt: names, kinds, references and member [R, N]."""

    names: list[str]
    kinds: list[str]
    refs: list[str]
    member: Bools


def key_groups(tokens: pd.DataFrame, coverage: float) -> KeyGroups:
    """Group the prompt's positions by modality, role, speaker, frame and sink.

    Args:
        tokens: The token table.
        coverage: Least covered fraction of a cell that counts as the speaker's.

    Returns:
        The groups; frames are those of placed visual tokens.
    """
    rows: list[tuple[str, str, Bools]] = []
    modality, role = tokens["modality"].to_numpy(), tokens["role"].to_numpy()
    rows += [("modality", name, modality == name) for name in MODALITIES]
    rows += [("role", name, role == name) for name in ROLES]
    speaker = tokens["speaker"].to_numpy()
    boxed = [str(c).removeprefix("covered:") for c in tokens if str(c).startswith("covered:")]
    speaking = [name for name in dict.fromkeys(speaker) if name and name not in boxed]
    rows += [("speaker_text", f"text:{name}", speaker == name) for name in [*boxed, *speaking]]
    rows += [("speaker_visual", f"visual:{name}", _covered(tokens, name, coverage)) for name in boxed]
    first, last = tokens["frame_first"].to_numpy(), tokens["frame_last"].to_numpy()
    visual = modality == "visual"
    for a, b in sorted(set(zip(first[visual & (first >= 0)], last[visual & (first >= 0)], strict=True))):
        rows.append(("frame", f"frame:{a}-{b}", visual & (first == a) & (last == b)))
    rows += [("sink", f"sink:{name}", modality == name) for name in MODALITIES]
    answer = np.array([name in ("text", "answer", "sink:text") and family != "frame" for family, name, _ in rows])
    return KeyGroups([r[1] for r in rows], [r[0] for r in rows], np.stack([r[2] for r in rows]), answer)


def query_groups(tokens: pd.DataFrame) -> QueryGroups:
    """Group the prompt's text queries by turn, speaker, question and answer position.

    Args:
        tokens: The token table.

    Returns:
        The groups that have at least one query.
    """
    turn, speaker, role = (tokens[c].to_numpy() for c in ("turn", "speaker", "role"))
    rows: list[tuple[str, str, str, Bools]] = []
    rows += [("turn", f"turn:{t}", str(t), turn == t) for t in sorted(set(turn[turn >= 0]))]
    rows += [("speaker", f"speaker:{s}", s, speaker == s) for s in dict.fromkeys(speaker) if s]
    rows.append(("question", "question", "", role == "question"))
    rows.append(("answer_position", "answer_position", "", np.arange(len(tokens)) == len(tokens) - 1))
    rows = [row for row in rows if row[3].any()]
    return QueryGroups([r[1] for r in rows], [r[0] for r in rows], [r[2] for r in rows], np.stack([r[3] for r in rows]))


def _covered(tokens: pd.DataFrame, name: str, coverage: float) -> Bools:
    values: Bools = np.nan_to_num(tokens[f"covered:{name}"].to_numpy(), nan=0.0) >= coverage
    return values
