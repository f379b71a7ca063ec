"""The verdict on one capture: what the model answers, whom it looks at when it does, and whom it confuses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from attnscope.metrics.explain import FEW_WAYS, arrangements
from attnscope.metrics.people.gaze import AMOUNT, LEAST, Gaze
from attnscope.report.verdict.reading import Reading, read, role
from attnscope.report.verdict.statements import (
    ANSWER,
    ATTENTION,
    LIMITS,
    Statement,
    Verdict,
    band,
    count,
    layers,
    listed,
    name_of,
    quoted,
    share,
)
from attnscope.report.verdict.trial import trial
from attnscope.vocabulary import NOWHERE

if TYPE_CHECKING:
    from attnscope.capture import Capture

QUESTION = 160  # letters of the question at most
ONE_CLIP = "This is one clip and one question: it does not show how often the model does so."
FAILED = "There is no verdict: the self-check of the capture failed, so its numbers cannot be trusted."


def of_capture(cap: Capture, *, threshold: float = 0.5) -> Verdict:
    """The verdict on one capture.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.
    """
    if cap.check.get("passed") is False:
        return Verdict((Statement(LIMITS, FAILED),), facts={"self_check": "failed"})
    reading = read(cap, threshold)
    statements = (on_answer(reading), on_attention(reading), on_limits(cap, threshold))
    return Verdict(statements, trial([cap], [reading]), {"self_check": _check(cap), **reading.facts()})


def on_answer(reading: Reading) -> Statement:
    """What the model answers, and how sure it is."""
    if not reading.answer:
        return Statement(ANSWER, "The model was asked for no answer.")
    asked = f"Asked {quoted(reading.question, QUESTION)}, the model" if reading.question else "The model"
    said = f"{_under(reading, asked)} answers {quoted(reading.answer)}"
    if reading.word == "right":
        lead = f"{said}, which is right."
    elif reading.word == "wrong":
        lead = f"{said}, which is wrong: the right answer is {quoted(str(reading.expected))}."
    else:
        lead = f"{said}; the scene has no answer to compare it with."
    return Statement(ANSWER, lead, tuple(_on_options(reading)))


def _on_options(reading: Reading) -> list[str]:
    known: pd.DataFrame = reading.options[reading.options["share"].notna()]
    if len(known) < 2:
        return ["No options were scored, so how sure the model is stays unknown."]
    together = float(np.logaddexp.reduce(known["logprob"].to_numpy(np.float64)))
    if together < np.log(0.01):
        return ["All options together are improbable, so how sure the model is among them means little."]
    top = known.nlargest(1, "share")["option"].tolist()
    shown = dict.fromkeys([*top, *known.loc[known["expected"], "option"]])
    parts = [f"{share(reading.option_share(text))} to {quoted(text)}" for text in shown]
    return [f"Among the {len(known)} options it gives {listed(parts)}."]


def on_attention(reading: Reading) -> Statement:
    """Whom the answer position looks at, and in which layers and heads."""
    look = reading.gaze
    if look is None:
        return Statement(ATTENTION, f"Whom it looks at when it answers is not known: {reading.why}")
    first, by_share = look.first, [look.names[i] for i in np.argsort(-look.share, kind="stable")]
    if first is None:
        highest = [name_of(name) for name in look.highest]
        lead = _under(reading, "It looks at no one person clearly more than at the others when it answers.")
        near = look.share.max() < LEAST * look.chance
        why = "hardly more than chance" if near else "by less than a small error of the boxes could change"
        most = f"{listed(highest)} {'gets' if len(highest) == 1 else 'get'} most, but {why}."
        return Statement(ATTENTION, lead, (most, _shares(reading, by_share, by_share[:2]), *_beside(reading, look)))
    told = [*reading.asked, reading.expected_person]
    shares = _shares(reading, by_share, [name for name in told if name in look.names] or by_share[1:2])
    lead = _under(reading, _lead(reading, look, first))
    return Statement(ATTENTION, lead, (shares, *_places(reading, look, first), *_beside(reading, look)))


def _under(reading: Reading, sentence: str) -> str:
    """A sentence that begins with the correction under which it holds, if there is one."""
    if not reading.methods:
        return sentence
    return f"Under {' + '.join(reading.methods)}, {sentence[0].lower()}{sentence[1:]}"


def _beside(reading: Reading, look: Gaze) -> list[str]:
    """What else a reader must know of the shares: what a correction made of them, and who is out of sight."""
    sentences = []
    if reading.corrected:
        what = " + ".join(reading.methods)
        sentences.append(f"What heads of {layers(reading.corrected)} attend to is in part what {what} drew them to.")
    away = [(list(look.hidden), "no cell in the frames shown, so attention there cannot be counted")]
    named = dict.fromkeys([reading.expected_person, reading.answered_person])
    boxless = [name for name in named if name is not None and name not in (*look.names, *look.hidden)]
    for names, what in (*away, (boxless, "no box, so whether it looks there is not known")):
        if names:
            sentences.append(f"{listed(list(map(name_of, names)))} {'has' if len(names) == 1 else 'have'} {what}.")
    return sentences


def _lead(reading: Reading, look: Gaze, first: str) -> str:
    """The sentence on the person who is looked at most."""
    who, led = name_of(first), look.led(first)
    where = f" in {layers(led)}" if led else ""
    if reading.confused is not None:
        other = name_of(str(reading.instead_of))
        also = f"it answers {who}, and " if reading.answered_person == first else ""
        return f"It confuses {other} with {who}: {also}it looks most at {who}{where}."
    looks = f"It looks most at {who}{where}"
    if first in reading.asked and len(reading.asked) == 1:
        return f"{looks}, and the question is about {who}."
    if first == reading.expected_person:
        return f"{looks}: the right answer."
    if not reading.asked:
        return f"{looks}; the question names nobody with a box, so there is nobody to compare that with."
    but = "and" if first in reading.asked else "but"
    return f"{looks}, {but} the question is about {listed([name_of(name) for name in reading.asked])}."


def _shares(reading: Reading, by_share: list[str], told: list[str]) -> str:
    """The share of the person who has most, and those of some others."""
    look = reading.gaze
    assert look is not None
    top = by_share[0]
    at = look.names.index(top)
    (low, high), size = look.band(top), f"boxes moved at random by {100 * AMOUNT:.0f} % of their size"
    moved = band(low, high)
    beside = f"; {moved} with {size}" if moved else ""
    if moved and not low <= look.share[at] <= high:  # worse boxes take in what is beside the person
        beside = f"; {size} make it {moved}"
    named = {name: f" ({what})" if (what := role(reading, name)) else "" for name in (top, *told)}
    own = share(look.share[look.names.index(top)])
    parts = [f"{name_of(top)}{named[top]} gets {own} of its attention to people (chance {share(look.chance)}{beside})"]
    for name in dict.fromkeys(told):
        if name != top:
            parts.append(f"{name_of(name)}{named[name]} {share(look.share[look.names.index(name)])}")
    return f"{listed(parts)}."


def _places(reading: Reading, look: Gaze, first: str) -> list[str]:
    """The layer and the heads in which a person comes first, and how that compares with even attention."""
    who, at, top = name_of(first), look.names.index(first), look.layer_most(first)
    sentences = []
    if top is not None:
        rows = {int(layer): row for row, layer in enumerate(look.layers)}
        heads = sum(layer == top for layer, _ in look.heads_led(first))
        own = int(np.isfinite(look.by_head[rows[top]]).all(-1).sum())
        most = f"{who}'s share is highest in layer {top}: {share(look.by_layer[rows[top], at])}"
        look_most = "looks" if heads == 1 else "look"
        sentences.append(f"{most}; {heads} of its {count(own, 'head')} {look_most} most at {who}.")
    else:
        sentences.append(f"In no single layer does {who} lead as clearly.")
    lift = float(look.lift[at])
    even = "what attention spread evenly over all it may see would give"
    times = f"{lift:.0f}" if lift >= 10 else f"{lift:.2g}"
    over = f"{who}'s cells get {times} times {even}"
    whole = len(look.layers) == reading.depth
    where = "Over all layers" if whole else f"Over the {count(len(look.layers), 'recorded layer')}"
    sentences.append(f"{where}, {over}." if lift >= 1 else f"Even so, {over}: less than that.")
    return sentences


def on_limits(cap: Capture, threshold: float) -> Statement:
    """What one capture cannot show."""
    details, depth = list[str](), int(cap.model.get("layers") or 0)
    if len(cap.layers) < depth:
        details.append(f"{len(cap.layers)} of {count(depth, 'layer')} were recorded; of the others nothing is said.")
    boxed = cap.has("maps") and cap.scene.speakers and cap.placing.how != NOWHERE
    ways = arrangements(cap, threshold) if boxed else None
    if ways is not None and ways[1] <= FEW_WAYS:
        turns = count(ways[0], "turn")
        details.append(
            f"Whether words look at their own speakers cannot be tested: {turns} can be given to the speakers in only"
            f" {count(ways[1], 'way')}, so that no p is below 1/{ways[1]}."
        )
    return Statement(LIMITS, ONE_CLIP, tuple(details))


def _check(cap: Capture) -> str:
    return "passed" if cap.check.get("passed") else "not run"
