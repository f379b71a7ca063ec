"""Groups of keys and of queries, made from the token table: what masses and maps are summed over."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from attnscope import vocabulary as words
from attnscope.vocabulary import group_name

Bools = npt.NDArray[np.bool_]
_OF_THE_ANSWER = (  # the groups that generated tokens belong to
    (words.MODALITY, words.TEXT),
    (words.ROLE, words.ANSWER),
    (words.SINK, group_name(words.SINK, words.TEXT)),
)


@dataclass(frozen=True)
class KeyGroups:
    """Sets of key positions.

    Attributes:
        names: One a group.
        families: One a group, of `attnscope.vocabulary.KEY_FAMILIES`.
        member: [G, N] over the prompt; groups of family sink hold the modality, of which each layer's sinks are a
            part.
        answer: [G] whether generated tokens belong to the group.
        digest: A number that follows from the ids of the tokens: a prompt's own, and the same in a rerun.
    """

    names: list[str]
    families: list[str]
    member: Bools
    answer: Bools
    digest: int = 0

    @property
    def is_sink(self) -> Bools:
        """[G] which groups are of family sink (they are always last)."""
        return np.array([family == words.SINK for family in self.families])

    @property
    def modalities(self) -> dict[str, Bools]:
        """The modalities in their order, and [N] which tokens are of each."""
        rows = zip(self.families, self.names, self.member, strict=True)
        return {name: member for family, name, member in rows if family == words.MODALITY}

    @property
    def probes(self) -> npt.NDArray[np.int64]:
        """Positions of the prompt that are read densely: all that are text or special."""
        modalities = self.modalities
        seen = [modalities[name] for name in words.media(modalities)]
        return np.flatnonzero(~np.any([np.zeros(self.member.shape[1], bool), *seen], axis=0))

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
    modalities = words.modalities_of(tokens)
    modality, role, speaker = (tokens[column].to_numpy() for column in (words.MODALITY, words.ROLE, words.SPEAKER))
    rows += [(words.MODALITY, name, modality == name) for name in modalities]
    names = [name for name in words.roles(modalities) if name not in words.SOMETIMES or (role == name).any()]
    rows += [(words.ROLE, name, role == name) for name in names]
    boxed = words.covered_speakers(tokens)
    speaking = [name for name in dict.fromkeys(speaker) if name and name not in boxed]
    rows += [(words.SPEAKER_TEXT, group_name(words.TEXT, name), speaker == name) for name in [*boxed, *speaking]]
    rows += [(words.SPEAKER_VISUAL, group_name(words.VISUAL, name), _covered(tokens, name, coverage)) for name in boxed]
    first, last = tokens["frame_first"].to_numpy(), tokens["frame_last"].to_numpy()
    visual = words.is_visual(tokens)
    for a, b in sorted(set(zip(first[visual & (first >= 0)], last[visual & (first >= 0)], strict=True))):
        rows.append((words.FRAME, group_name(words.FRAME, f"{a}-{b}"), visual & (first == a) & (last == b)))
    rows += [(words.SINK, group_name(words.SINK, name), modality == name) for name in modalities]
    digest = zlib.crc32(tokens["token_id"].to_numpy(np.int64).tobytes())
    answer = np.array([row[:2] in _OF_THE_ANSWER for row in rows])
    return KeyGroups([r[1] for r in rows], [r[0] for r in rows], np.stack([r[2] for r in rows]), answer, digest)


def query_groups(tokens: pd.DataFrame) -> QueryGroups:
    """Group the prompt's text queries by turn, speaker, question and answer position.

    Args:
        tokens: The token table.

    Returns:
        The groups that have at least one query.
    """
    turn, speaker, role = (tokens[column].to_numpy() for column in (words.TURN, words.SPEAKER, words.ROLE))
    rows: list[tuple[str, str, Bools]] = [(words.TURN, str(t), turn == t) for t in sorted(set(turn[turn >= 0]))]
    rows += [(words.SPEAKER, name, speaker == name) for name in dict.fromkeys(speaker) if name]
    rows.append((words.QUESTION, "", role == words.QUESTION))
    rows.append((words.ANSWER_POSITION, "", np.arange(len(tokens)) == len(tokens) - 1))
    kinds, refs, members = zip(*(row for row in rows if row[2].any()), strict=True)
    return QueryGroups(list(map(group_name, kinds, refs)), list(kinds), list(refs), np.stack(members))


def _covered(tokens: pd.DataFrame, name: str, coverage: float) -> Bools:
    values: Bools = np.nan_to_num(tokens[group_name(words.COVERED, name)].to_numpy(), nan=0.0) >= coverage
    return values
