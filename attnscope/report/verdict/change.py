"""The verdict on a correction: what it changed, whether its control did not, and whether it is to be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import TYPE_CHECKING, Any

from attnscope.files import printable
from attnscope.metrics.people.boxes import quantiles
from attnscope.metrics.people.gaze import LEVEL
from attnscope.report.control import same_heads
from attnscope.report.page.provenance import active_heads
from attnscope.report.target import drawn_to
from attnscope.report.verdict.one import FAILED, on_answer, on_attention, on_limits
from attnscope.report.verdict.reading import Reading, read
from attnscope.report.verdict.statements import (
    CORRECTION,
    LIMITS,
    Statement,
    Verdict,
    count,
    layers,
    listed,
    name_of,
    quoted,
    share,
)
from attnscope.report.verdict.trial import trial
from attnscope.scene.names import equal_but_for_case

if TYPE_CHECKING:
    from attnscope.capture import Capture

POINT = 0.01  # of a share: what moves less is not called a change (ours)
NAMES = ("before", "after", "control")
# What a run does to the answer
HELPS, HURTS, CHANGES, NONE = "helps", "hurts", "changes", "none"
# What the control says of that
SUPPORTED, CONTRADICTED, WEAKENED, OPEN, NOTHING = "supported", "contradicted", "weakened", "open", "nothing to believe"
NO_CORRECTION, NO_PLAIN = "no correction", "no plain run"


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
        control: The same correction on other cells or heads (`attnscope.report.control.check_control`), if it was run.
        threshold: Covered fraction from which a cell counts as a speaker's.
    """
    caps = [cap for cap in (before, after, control) if cap is not None]
    failed = [cap.path.name for cap in caps if cap.check.get("passed") is False]
    if failed:
        return Verdict((Statement(LIMITS, FAILED, (f"It failed in {listed(failed)}.",)),), facts={"failed": failed})
    runs = [Run(cap, read(cap, threshold)) for cap in caps]
    first, effect = runs[0].reading, _effect(runs[0], runs[1])
    belief = _belief(runs, effect)
    statements = (
        on_answer(first),
        on_attention(first),
        _on_correction(runs, effect, belief),
        _limits(before, threshold),
    )
    named = dict(zip(NAMES, runs, strict=False))
    facts: dict[str, Any] = {
        "self_check": "passed" if all(cap.check.get("passed") for cap in caps) else "not run",
        "effect": effect,
        "effect_of_control": None if len(runs) < 3 else _effect(runs[0], runs[2]),
        "belief": belief,
        **{name: named[name].reading.facts() if name in named else None for name in NAMES},
        "active_heads": {name: [list(head) for head in active_heads(run.cap)] for name, run in named.items()},
        "attention_change": {
            name: {person: _moved(runs[0], named[name], person) for person in _followed(runs)}
            for name in NAMES[1:]
            if name in named
        },
    }
    return Verdict(statements, trial(caps, [run.reading for run in runs]), facts)


# ---- what it did, in words that the facts hold


def _same(first: Run, second: Run) -> bool:
    return equal_but_for_case(first.reading.answer, second.reading.answer)


def _effect(before: Run, after: Run) -> str:
    """What a run did to the answer."""
    if _same(before, after):
        return NONE
    words = before.reading.word, after.reading.word
    return {("wrong", "right"): HELPS, ("right", "wrong"): HURTS}.get(words, CHANGES)


def _belief(runs: Sequence[Run], effect: str) -> str:
    """Whether the control speaks for the correction: it does if it does not do the same."""
    if not runs[1].cap.correction:
        return NO_CORRECTION
    if runs[0].cap.correction:
        return NO_PLAIN
    if effect == NONE:
        return NOTHING
    if len(runs) < 3:
        return OPEN
    before, after, control = runs
    judged = effect in (HELPS, HURTS)
    if control.reading.word == after.reading.word if judged else _same(after, control):
        return CONTRADICTED  # also in fewer heads: less was enough
    if _touches_less(runs):
        return OPEN
    return SUPPORTED if judged or _same(before, control) else WEAKENED


def _touches_less(runs: Sequence[Run]) -> bool:
    """Whether the control acted in fewer heads than the correction, so that it says little."""
    own, other = (len(active_heads(run.cap)) for run in runs[1:])
    return other < own


_DOES = {
    HELPS: "The correction turns the answer right",
    HURTS: "The correction turns a right answer wrong",
    CHANGES: "The correction changes the answer",
    NONE: "The correction does not change the answer",
}
# How the lead ends, by what the correction does and what its control says of that
_THEN = {
    (HELPS, SUPPORTED): "; its control does not. This is a reason to believe in the correction.",
    (HELPS, CONTRADICTED): ", but its control turns it right too. Do not believe in the correction.",
    (HURTS, SUPPORTED): "; its control does not. The harm is the correction's own.",
    (HURTS, CONTRADICTED): ", and so does its control. The harm does not hang on where the correction draws.",
    (CHANGES, SUPPORTED): "; its control does not. The change is the correction's own{}.",
    (CHANGES, CONTRADICTED): ", but its control gives the same answer. Do not believe in the correction.",
    (CHANGES, WEAKENED): ", but its control changes it too. This is no reason to believe in the correction.",
}
_OF_USE = {"wrong": ", but it does not help", "": "; whether it helps is not known"}


def _on_correction(runs: Sequence[Run], effect: str, belief: str) -> Statement:
    before, after = runs[0], runs[1]
    if belief == NO_CORRECTION:
        does = "the answer is the same" if _same(before, after) else "the answer is another"
        lead = f"No correction is recorded in the second capture, so there is none to judge; {does}."
        return Statement(CORRECTION, lead, (_answers(runs),))
    details, numbers = (*_acts(runs), *_control(runs)), (_answers(runs), *_looks(runs))
    if belief == NO_PLAIN:  # nor has a control anything to be held against
        details = tuple(_acts(runs))
        lead = "The first capture was itself made under a correction, so the second one cannot be judged by itself."
        return Statement(CORRECTION, lead, details, numbers)
    words, does = (before.reading.word, after.reading.word), _DOES[effect]
    if effect == CHANGES and words == ("wrong", "wrong"):
        does = "The correction changes the answer from one wrong answer to another"
    if belief == NOTHING:
        lead = f"{does}, so there is no effect on the answer to believe in."
    elif belief == OPEN:
        why = "No control was run" if len(runs) < 3 else "Its control acted in fewer heads"
        whether = "to believe in the correction" if effect == HELPS else "that is its own effect"
        lead = f"{does}. {why}, so whether {whether} is open."
    else:
        lead = does + _THEN[effect, belief].format(_OF_USE.get(words[1], ""))
    return Statement(CORRECTION, lead, details, numbers)


def _answers(runs: Sequence[Run]) -> str:
    """What each run answers, with the share of the option that is followed."""
    first = runs[0].reading
    said = [quoted(run.reading.answer) if run.reading.answer else "nothing" for run in runs]
    second = f" before and {said[1]} after" if said[0] != said[1] else " before and after"
    sentence = f"It answers {said[0]}{second}"
    sentence += f"; under the control, {said[2]}." if len(said) > 2 else "."
    shares = [run.reading.option_share(first.followed) for run in runs]
    if any(value != value for value in shares):
        return sentence
    texts = [share(value) for value in shares]
    after = f" before and {texts[1]} after" if texts[0] != texts[1] else " before and after"
    beside = f" ({texts[2]} under the control)" if len(texts) > 2 else ""
    return f"{sentence} {quoted(first.followed)} has {texts[0]} of the options{after}{beside}."


def _acts(runs: Sequence[Run]) -> list[str]:
    """In which heads the correction and its control act, and on what."""
    after = runs[1].cap
    places = active_heads(after)
    if not places:
        return []
    methods = " + ".join(str(item.get("method")) for item in after.correction)
    own = f"{methods} acts in {count(len(places), 'head')} of {layers([layer for layer, _ in places])}"
    drawn = [listed([text for item in run.cap.correction if (text := drawn_to(run.cap, item))]) for run in runs[1:]]
    own += f" and draws to {drawn[0]}" if drawn[0] else ""
    if len(runs) < 3:
        return [f"{own}."]
    control = runs[2].cap
    others = active_heads(control)
    to = f", but draws to {drawn[1]}" if drawn[1] and drawn[1] != drawn[0] else ""
    if same_heads(after, control):
        return [f"{own}. Its control acts as strongly in the same heads{to}."]
    if not others:
        return [f"{own}. Its control acted in no head, so it says nothing."]
    shared = len(set(others) & set(places))
    which = f"{count(len(others), 'head')} ({shared} of them the same)" if shared else count(len(others), "other head")
    if shared == len(others):
        which = f"{shared} of these heads"
    how = "as strongly" if len(others) == len(places) else "with the same strength"
    return [f"{own}. Its control acts {how} in {which}{to}."]


def _followed(runs: Sequence[Run]) -> list[str]:
    """The people whose share a sentence gives: the one asked about and the one confused, if all runs have them."""
    first = runs[0].reading
    wanted = [*first.asked, *([first.confused] if first.confused else [])]
    looks = [run.reading.gaze for run in runs]
    return [name for name in dict.fromkeys(wanted) if all(look is not None and name in look.names for look in looks)]


def _moved(first: Run, second: Run, person: str) -> dict[str, Any]:
    """How the share of a person moved, with the band of disturbed boxes, the same in both runs."""
    a, b = first.reading.gaze, second.reading.gaze
    assert a is not None
    assert b is not None
    i, j = a.names.index(person), b.names.index(person)
    change = float(b.share[j] - a.share[i])
    draws = (b.draws[:, j] - a.draws[:, i])[:, None]
    low, high = (float(end[0]) for end in quantiles(draws, ((1 - LEVEL) / 2, (1 + LEVEL) / 2)))
    moves = abs(change) >= POINT and (low > 0 if change > 0 else high < 0)
    values = {"before": float(a.share[i]), "after": float(b.share[j]), "change": change, "low": low, "high": high}
    return {**values, "moves": bool(moves)}


def _looks(runs: Sequence[Run]) -> list[str]:
    """How the shares of the people who matter moved under the correction and the control."""
    sentences = []
    for person in _followed(runs):
        moved = [_moved(runs[0], run, person) for run in runs[1:]]
        ways = [_way(move) for move in moved]
        whose = f"{name_of(person)}'s share of the attention to people ({share(moved[0]['before'])} before)"
        beside = f"; under the control it {ways[1]}" if len(ways) > 1 else ""
        sentences.append(f"{whose} {ways[0]}{beside}.")
    return sentences


def _way(move: Mapping[str, Any]) -> str:
    """How a share moved, in words."""
    if move["moves"]:
        return f"{'rises' if move['change'] > 0 else 'falls'} to {share(move['after'])}"
    if abs(move["change"]) < POINT:
        return "hardly moves"
    return f"is {share(move['after'])}, a change that a small error of the boxes could make"


def _control(runs: Sequence[Run]) -> list[str]:
    """What more there is to say of the control, or how one is run."""
    before, after = runs[0].cap, runs[1].cap
    if len(runs) > 2:
        if _effect(runs[0], runs[2]) == NONE or _same(runs[1], runs[2]):
            return []
        if _same(runs[0], runs[1]):
            return ["The control changes the answer, which the correction does not."]
        return ["The control changes the answer too, to another one."]
    if not any("whose" in (item.get("defaults") or {}) for item in after.correction):
        methods = listed([str(item.get("method")) for item in after.correction])
        return [f"There is no ready control of {methods}, which chooses nothing by the boxes of people."]
    file = quote(printable(before.path.name))
    command = f"attnscope correct {file} --correction correction.json --control wrong-speaker -o out/"
    return [f"Run a control with “{command}”."]


def _limits(before: Capture, threshold: float) -> Statement:
    limits = on_limits(before, threshold)
    lead = "This is one clip and one question: it does not show how often the correction helps."
    return Statement(LIMITS, lead, ("attnscope eval counts that over many clips, with controls.", *limits.details))
