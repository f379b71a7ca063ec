"""The verdict on a correction: what it changed, whether its control did not, and whether it is to be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.metrics.people.boxes import quantiles
from attnscope.metrics.people.gaze import LEVEL
from attnscope.report.page.provenance import active_heads, heads_in_words
from attnscope.report.verdict.one import FAILED, Reading, on_answer, on_attention, on_limits, read
from attnscope.report.verdict.statements import (
    CORRECTION,
    LIMITS,
    Statement,
    Verdict,
    count,
    listed,
    name_of,
    quoted,
    share,
)
from attnscope.scene.names import equal_but_for_case

if TYPE_CHECKING:
    from attnscope.capture import Capture

POINT = 0.01  # of a share among options: what moves less is not called a change (ours)
SUPPORTED, CONTRADICTED, WEAKENED, OPEN, NONE = "supported", "contradicted", "weakened", "open", "nothing to believe"


@dataclass(frozen=True)
class Run:
    """A capture and what is said of it."""

    cap: Capture
    reading: Reading


def of_change(before: Capture, after: Capture, control: Capture | None = None, *, threshold: float = 0.5) -> Verdict:
    """The verdict on two captures of one scene, and on a control beside them.

    Args:
        before: The capture to compare with.
        after: The capture of the changed run.
        control: The same correction on other cells or heads, if it was run.
        threshold: Covered fraction from which a cell counts as a speaker's.
    """
    caps = [cap for cap in (before, after, control) if cap is not None]
    failed = [cap.path.name for cap in caps if cap.check.get("passed") is False]
    if failed:
        which = f"{FAILED} It failed in {listed(failed)}."
        return Verdict((Statement(LIMITS, which),), {"self_check": "failed", "failed": failed})
    runs = [Run(cap, read(cap, threshold)) for cap in caps]
    first = runs[0].reading
    effect, belief = _effect(runs), _belief(runs)
    statements = (
        on_answer(first),
        on_attention(first),
        _on_correction(runs, effect, belief),
        _limits(before, threshold),
    )
    names = ("before", "after", "control")
    facts: dict[str, Any] = {"self_check": "passed" if all(cap.check.get("passed") for cap in caps) else "not run"}
    facts |= {name: run.reading.facts() for name, run in zip(names, runs, strict=False)}
    facts |= {"control": facts.get("control"), "effect": effect, "belief": belief}
    facts["active_heads"] = {
        name: [list(head) for head in active_heads(run.cap)] for name, run in zip(names, runs, strict=False)
    }
    facts["attention_change"] = {
        name: {person: _moved(runs[0], run, person) for person in _followed(runs)}
        for name, run in zip(names[1:], runs[1:], strict=False)
    }
    return Verdict(statements, facts)


# ---- what it did, in words that the facts hold


def _changed(first: Run, second: Run) -> bool:
    return not equal_but_for_case(first.reading.answer, second.reading.answer)


def _effect(runs: Sequence[Run]) -> str:
    """What the second run did to the answer: helps, hurts, changes, none."""
    before, after = runs[0], runs[1]
    if not _changed(before, after):
        return "none"
    words = before.reading.word, after.reading.word
    return {("wrong", "right"): "helps", ("right", "wrong"): "hurts"}.get(words, "changes")


def _belief(runs: Sequence[Run]) -> str:
    """Whether the control speaks for the correction."""
    before, after = runs[0], runs[1]
    if not after.cap.correction or not _changed(before, after):
        return NONE
    if len(runs) < 3:
        return OPEN
    if not _changed(before, runs[2]):
        return SUPPORTED
    return WEAKENED if _changed(after, runs[2]) else CONTRADICTED


_DOES = {
    "helps": "The correction turns the answer right",
    "hurts": "The correction turns a right answer wrong",
    "changes": "The correction changes the answer",
    "none": "The correction does not change the answer",
}


def _on_correction(runs: Sequence[Run], effect: str, belief: str) -> Statement:
    before, after = runs[0], runs[1]
    if not after.cap.correction:
        said = "changes" if _changed(before, after) else "is the same"
        lead = f"No correction is recorded in the second capture, so there is none to judge; the answer {said}."
        return Statement(CORRECTION, lead, tuple(_on_answers(runs)))
    does = _DOES[effect]
    if effect == "changes" and after.reading.word == "wrong" == before.reading.word:
        does = "The correction changes the answer, from one wrong answer to another"
    lead = {
        SUPPORTED: f"{does}, and its control does not change it: this speaks for the correction.",
        CONTRADICTED: f"{does}, but its control does the same: do not believe in the correction.",
        WEAKENED: f"{does}, but its control changes the answer too: this speaks little for the correction.",
        OPEN: f"{does}; no control was run, so whether to believe in the correction is open.",
        NONE: f"{does}, so there is no effect on the answer to believe in.",
    }[belief]
    details = [*_on_answers(runs), *_on_heads(runs), *_on_looks(runs)]
    if len(runs) < 3:
        details.append(_command(before.cap, after.cap))
    return Statement(CORRECTION, lead, tuple(details))


def _on_answers(runs: Sequence[Run]) -> list[str]:
    """What each run answers, and the share of the option that matters."""
    first = runs[0].reading
    words = ["Before", "under the correction" if runs[1].cap.correction else "after", "under the control"]
    followed = (
        first.expected
        if first.expected is not None and first.option_share(first.expected) == first.option_share(first.expected)
        else first.answer
    )
    parts = []
    for word, run in zip(words, runs, strict=False):
        said = quoted(run.reading.answer) if run.reading.answer else "nothing"
        own = run.reading.option_share(followed)
        mark = f", {run.reading.word}" if run.reading.word else ""
        parts.append(f"{word} {said}{mark}" + (f" ({share(own)})" if own == own else ""))
    known = any(run.reading.option_share(followed) == run.reading.option_share(followed) for run in runs)
    of = f" In brackets: the share of {quoted(followed)} among the options." if known else ""
    return [f"The model answers: {'; '.join(parts)}.{of}"]


def _on_heads(runs: Sequence[Run]) -> list[str]:
    """In how many heads the correction and its control act."""
    methods = listed([str(item.get("method")) for item in runs[1].cap.correction])
    places = [active_heads(run.cap) for run in runs[1:]]
    if not places[0]:
        return []
    own = f"{methods} acts in {count(len(places[0]), 'head')} ({heads_in_words(places[0], runs[1].cap.heads)})"
    if len(places) < 2:
        return [f"{own}."]
    same = "the same heads" if places[1] == places[0] else count(len(places[1]), "head")
    return [f"{own}; its control acts with the same strength in {same}, {_other(runs[1].cap, runs[2].cap)}."]


def _other(after: Capture, control: Capture) -> str:
    """What the control does otherwise."""
    texts = []
    for own, other in zip(after.correction, control.correction, strict=False):
        a, b = own.get("params") or {}, other.get("params") or {}
        texts += [f"{key} {b.get(key)} in place of {a.get(key)}" for key in b if a.get(key) != b.get(key)]
    return f"with {listed(texts)}" if texts else "as the correction does"


def _followed(runs: Sequence[Run]) -> list[str]:
    """The people whose share is told: whom the question is about and who is confused, if all runs have them."""
    first = runs[0].reading
    wanted = dict.fromkeys([*first.asked, *([first.confused] if first.confused else [])])
    return [
        name for name in wanted if all(run.reading.gaze is not None and name in run.reading.gaze.names for run in runs)
    ]


def _moved(first: Run, second: Run, person: str) -> dict[str, Any]:
    """How the share of a person moved, with the band of disturbed boxes (the same in both runs)."""
    a, b = first.reading.gaze, second.reading.gaze
    assert a is not None
    assert b is not None
    i, j = a.names.index(person), b.names.index(person)
    change = float(b.share[j] - a.share[i])
    low, high = (
        float(end[0]) for end in quantiles((b.draws[:, j] - a.draws[:, i])[:, None], ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    )
    moves = bool(low > 0 or high < 0) and np.sign(change) == np.sign(low + high) and abs(change) >= POINT
    return {
        "before": float(a.share[i]),
        "after": float(b.share[j]),
        "change": change,
        "low": low,
        "high": high,
        "moves": moves,
    }


def _on_looks(runs: Sequence[Run]) -> list[str]:
    """How the shares of the people who matter moved under the correction and the control."""
    sentences = []
    for person in _followed(runs):
        moved = [_moved(runs[0], run, person) for run in runs[1:]]
        ways = [
            f"{'rises' if m['change'] > 0 else 'falls'} to {share(m['after'])}" if m["moves"] else "hardly moves"
            for m in moved
        ]
        who = f"{name_of(person)}'s share of the attention to people"
        text = f"{who} is {share(moved[0]['before'])} before; it {ways[0]} under the correction"
        sentences.append(f"{text} and {ways[1]} under the control." if len(ways) > 1 else f"{text}.")
    return sentences


def _command(before: Capture, after: Capture) -> str:
    """How a control is run."""
    if not any("whose" in (item.get("defaults") or {}) for item in after.correction):
        methods = listed([str(item.get("method")) for item in after.correction])
        return f"There is no ready control of {methods}: it chooses nothing by the boxes of people."
    return (
        f"A control is run by: attnscope correct {before.path.name} --correction correction.json"
        " --control wrong-speaker."
    )


def _limits(before: Capture, threshold: float) -> Statement:
    limits = on_limits(before, threshold)
    lead = "This is one clip and one question: it does not show how often the correction helps."
    return Statement(LIMITS, lead, (*limits.details, "attnscope eval counts that over many clips, with controls."))
