"""Why numbers of a capture are not defined, in sentences for a report."""

from __future__ import annotations

from math import factorial
from typing import TYPE_CHECKING

import numpy as np

from attnscope.metrics.answer import answer_group
from attnscope.metrics.groups import modality_flow
from attnscope.metrics.people.density import seen_cells, speaker_cells
from attnscope.metrics.people.nulls import count
from attnscope.metrics.rank import MASSIVE
from attnscope.metrics.registry import all_metrics, lacking
from attnscope.metrics.rollout import obstacle
from attnscope.scene.mentions import asked_speakers
from attnscope.vocabulary import NOWHERE, READINGS, SPECIAL

if TYPE_CHECKING:
    from attnscope.capture import Capture

NO_MASSES = (
    "No attention between modalities, no balance of the answer (MDI, AEI) and no decay: the capture has no 'masses' "
    "reading."
)
NO_MAPS = "No speaker, grounding, pair or answer metrics: the capture has no 'maps' reading."
FEW_WAYS = 19  # arrangements up to which no p is at or below 0.05
OF_PEOPLE = "Speaker, grounding, pair and answer metrics"


def explain(cap: Capture, *, threshold: float = 0.5) -> list[str]:
    """Say what the metrics leave undefined in this capture, and why.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.

    Returns:
        Sentences, none if everything is defined.

    Example:
        >>> print(metrics.explain(cap)[0])
        Massive activations are not defined: a state of 128 channels cannot have a ratio above 20.
    """
    notes = _modality(cap) if cap.has("masses") else [NO_MASSES]
    notes += _not_computed(cap)
    if not cap.has("maps"):
        return [*notes, NO_MAPS]
    undefined = f"{OF_PEOPLE} are not defined"
    if not cap.scene.speakers:
        return [*notes, f"{undefined}: the scene names no speaker boxes."]
    if cap.placing.how == NOWHERE:
        return [*notes, f"{undefined}: the places of the visual tokens are unknown ({cap.placing.reason})."]
    return notes + _speakers(cap, threshold) + _answer(cap, threshold)


def _not_computed(cap: Capture) -> list[str]:
    """Metrics whose reading is missing, but for `masses` and `maps`, which have sentences of their own."""
    without: dict[str, list[str]] = {}
    for entry in all_metrics():
        lack = lacking(cap, entry)
        if lack and lack not in ("'masses'", "'maps'"):
            without.setdefault(lack, []).append(entry.title)
    notes = [f"Not computed: {', '.join(names)}. The capture has no {lack} reading." for lack, names in without.items()]
    if large := obstacle(cap) if cap.has("qk") or cap.has("full") else None:
        notes.append(large)
    if cap.has("hidden") and cap.hidden_width <= MASSIVE**2:
        notes.append(
            f"Massive activations are not defined: a state of {cap.hidden_width} channels cannot have a ratio above "
            f"{MASSIVE:g}."
        )
    if missing := _missing(cap):
        notes.append(f"A capture has the readings of its plan; one with the plan {missing} holds all that is missing.")
    return notes


def _missing(cap: Capture) -> str:
    """A plan that has what this capture has, and whatever a metric lacks; "" if none lacks anything."""
    lacks = {lack.replace("'", "").split(" or ")[0] for entry in all_metrics() if (lack := lacking(cap, entry))}
    return ",".join(reading for reading in READINGS if cap.has(reading) or reading in lacks) if lacks else ""


def _modality(cap: Capture) -> list[str]:
    flow = modality_flow(cap)
    notes = []
    for q, query in enumerate(flow.names):
        for k, key in enumerate(flow.names):
            pairs = int(flow.pairs[:, q, k].max(initial=0))
            free = int(flow.without_sinks()[1][:, q, k].max(initial=0))
            if SPECIAL in (query, key) or free:
                continue
            if not flow.queries[[q, k]].all():
                empty = query if not flow.queries[q] else key
                notes.append(f"{query} → {key} is not defined: the prompt has no {empty} tokens.")
            elif not pairs:
                notes.append(
                    f"{query} → {key} is not defined: no {query} query is allowed to see a {key} key (all "
                    "of them come later)."
                )
            else:
                notes.append(
                    f"{query} → {key} without sinks is not defined: every {key} key that {query} queries "
                    "may see is a sink."
                )
    return list(dict.fromkeys(notes))


def _speakers(cap: Capture, threshold: float) -> list[str]:
    names = list(cap.scene.speakers)
    if not cap.scene.transcript:
        return ["Speaker, grounding and pair metrics are not defined: the scene has no transcript."]
    notes = []
    spoken = {turn.speaker for turn in cap.scene.transcript}
    silent = [name for name in names if name not in spoken]
    cells = zip(names, speaker_cells(cap, threshold), strict=True)
    hidden = [name for name, own in cells if name in spoken and not own.any()]
    if silent:
        notes.append(
            f"{_have(silent)} no row in the consistency score, only a column of those who may be looked at: no turn of "
            "the transcript is theirs."
        )
    if hidden:
        box = "the box covers" if len(hidden) == 1 else "their boxes cover"
        notes.append(f"{_enter(hidden)} the consistency score: {box} no visual token by {threshold:g} or more.")
    strangers = sorted(s for s in spoken if s is not None and s not in names)
    if strangers:
        notes.append(f"Turns of {', '.join(repr(s) for s in strangers)} do not enter: the scene has no box for them.")
    if alone := sum(turn.speaker is None for turn in cap.scene.transcript):
        notes.append(f"Turns without a speaker ({alone}) do not enter the speaker metrics.")
    return notes + _rivals(cap, threshold) + _least_p(cap, threshold)


def arrangements(cap: Capture, threshold: float) -> tuple[int, int] | None:
    """How many turns have a speaker to be told from others, and in how many ways they can be given to the speakers.

    None where fewer than two speakers have both words and a visible box while they speak.
    """
    turns = seen_cells(cap, threshold, "live")
    if turns.entering.sum() < 2:
        return None
    free = turns.entering[turns.labels]
    return int(free.sum()), count(turns.labels[free])


def _least_p(cap: Capture, threshold: float) -> list[str]:
    """Which nulls have too few arrangements for any of them to be rare."""
    turns, given = seen_cells(cap, threshold, "live"), arrangements(cap, threshold)
    if given is None:
        return []
    (free, ways), notes = given, list[str]()
    if ways <= FEW_WAYS:
        notes.append(
            f"Permutation p cannot be below 1/{ways}: {free} turns can be given to their speakers in only {ways} ways."
        )
    people, moments = int((turns.cells > 0).any(0).sum()), turns.live.shape[1]
    dealt, others = factorial(people), list[str]()
    if moments <= FEW_WAYS:
        others.append(f"of boxes of other times not below 1/{moments} ({moments} moments)")
    if dealt <= FEW_WAYS:
        others.append(f"of exchanged seats not below 1/{dealt} ({people} people)")
    return [*notes, f"Too few arrangements: p {', p '.join(others)}."] if others else notes


def _enter(names: list[str]) -> str:
    """Who does not enter."""
    quoted = ", ".join(repr(name) for name in names)
    return f"Speaker {quoted} does not enter" if len(names) == 1 else f"Speakers {quoted} do not enter"


def _have(names: list[str]) -> str:
    quoted = ", ".join(repr(name) for name in names)
    return f"Speaker {quoted} has" if len(names) == 1 else f"Speakers {quoted} have"


def _rivals(cap: Capture, threshold: float) -> list[str]:
    """Whether there is somebody to be confused with."""
    whole, live = (seen_cells(cap, threshold, frames) for frames in ("all", "live"))
    enter = whole.entering
    if not enter.any() or (whole.cells > 0).any(0).sum() < 2:
        notes = [
            "The consistency score is not defined: it needs a speaker with text and a visible box, and a second person "
            "with a visible box."
        ]
        return notes if enter.any() else [*notes, "Nor are grounding and pairs of words and cells: they need one."]
    notes = []
    for s in np.flatnonzero(enter):
        seen = (live.cells[live.labels == s] > 0).any(0)
        name = whole.speakers[s]
        if not seen[s]:
            notes.append(f"At live frames, '{name}' does not enter: the box is not visible while they speak.")
        elif seen.sum() < 2:
            notes.append(f"At live frames, '{name}' does not enter: nobody else is visible when they speak.")
    return notes


def _answer(cap: Capture, threshold: float) -> list[str]:
    names = list(cap.scene.speakers)
    if answer_group(cap) is None:
        return ["Answer metrics are not defined: the capture has no query group of the answer position."]
    cells = speaker_cells(cap, threshold)
    hidden = [name for name, own in zip(names, cells, strict=True) if not own.any()]
    notes = [
        f"Where the answer looks is not defined for '{name}': the box covers no visual token by {threshold:g} or more."
        for name in hidden
    ]
    if len(names) - len(hidden) == 1:
        notes.append("The answer's share of a speaker is not defined: only one speaker has a visible box.")
    asked = asked_speakers(cap.scene)
    if len(asked) != 1:
        named = " and ".join(asked) or "no speaker with a box"
        question = "The scene has no question" if cap.scene.question is None else f"The question names {named}"
        notes.append(f"{question}: there is no answer's lift on the asked speaker.")
    return notes
