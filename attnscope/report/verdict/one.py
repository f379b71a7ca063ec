"""The verdict on one capture: what the model answers, whom it looks at when it does, and whom it confuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope.metrics.answer import answer_group
from attnscope.metrics.explain import FEW_WAYS, arrangements
from attnscope.metrics.people.gaze import AMOUNT, Gaze, gaze
from attnscope.report.page.captures import options, verdict
from attnscope.report.page.summary import records
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
from attnscope.scene.mentions import asked_speakers
from attnscope.scene.names import equal_but_for_case
from attnscope.vocabulary import NOWHERE

if TYPE_CHECKING:
    from attnscope.capture import Capture

ONE_CLIP = "This is one clip and one question: it does not show how often the model does so."
FAILED = "There is no verdict: the self-check of the capture failed, so its numbers cannot be trusted."


@dataclass(frozen=True)
class Reading:
    """What the sentences on one capture are made from.

    Attributes:
        answer: What the model says, "" for nothing.
        word: `right`, `wrong`, or "" where nobody knows.
        expected: The scene's answer, if it has one.
        asked: People with a box whom the question names.
        people: Everybody with a box.
        options: The options with their shares.
        gaze: Whom the answer position looks at, if that is defined.
        why: Why it is not; "" where it is.
    """

    answer: str
    word: str
    expected: str | None
    asked: tuple[str, ...]
    people: tuple[str, ...]
    options: pd.DataFrame
    gaze: Gaze | None
    why: str

    @property
    def answered_person(self) -> str | None:
        """The person whom the answer names, if it is nothing but a name."""
        return self._person(self.answer)

    @property
    def expected_person(self) -> str | None:
        """The person who is the right answer, if it is one."""
        return self._person(self.expected or "")

    def _person(self, text: str) -> str | None:
        alike = [name for name in self.people if text and equal_but_for_case(name, text)]
        return alike[0] if len(alike) == 1 else None

    @property
    def first(self) -> str | None:
        """Whom the answer position looks at most."""
        return None if self.gaze is None else self.gaze.first

    @property
    def confused(self) -> str | None:
        """The person whom a wrong answer and the attention both point to, and neither the question nor the scene does.

        None where the answer is not wrong, nobody is looked at most, the question names not one person, or the answer
        names another person than the one who is looked at.
        """
        first = self.first
        if self.word != "wrong" or first is None or len(self.asked) != 1:
            return None
        if first in (*self.asked, self.expected_person) or self.answered_person not in (None, first):
            return None
        return first

    @property
    def instead_of(self) -> str | None:
        """For whom the confused person is taken: the right answer, if it is a person, else the person asked about."""
        if self.confused is None:
            return None
        return self.expected_person or self.asked[0]

    def option_share(self, text: str | None) -> float:
        """Share of an option among the options; NaN if there is no such option."""
        rows = self.options.loc[self.options["option"] == text, "share"]
        return float(rows.iloc[0]) if len(rows) else float("nan")

    def facts(self) -> dict[str, Any]:
        """The numbers as JSON-able facts."""
        facts: dict[str, Any] = {
            "answer": self.answer or None,
            "verdict": self.word or None,
            "expected": self.expected,
            "asked": list(self.asked),
            "looks_most_at": self.first,
            "confused": self.confused,
            "instead_of": self.instead_of,
            "options": {row["option"]: row["share"] for row in records(self.options)},
            "attention": None,
            "attention_not_known": self.why or None,
        }
        look = self.gaze
        if look is not None:
            facts["attention"] = {
                "chance": look.chance,
                "heads": look.heads,
                "people": {
                    name: {
                        "share": look.share[i],
                        "low": look.band(name)[0],
                        "high": look.band(name)[1],
                        "lift": look.lift[i],
                        "layers_led": look.led(name),
                        "layer_most": layer_most(look, name),
                        "heads_led": len(look.heads_led(name)),
                    }
                    for i, name in enumerate(look.names)
                },
            }
        return facts


def read(cap: Capture, threshold: float) -> Reading:
    """What is said of a capture, in numbers."""
    look = gaze(cap, threshold=threshold)
    text = str(cap.answer.get("text") or "").strip()
    return Reading(
        answer=text,
        word=verdict(cap),
        expected=cap.scene.answer,
        asked=tuple(asked_speakers(cap.scene)),
        people=tuple(cap.scene.speakers),
        options=options(cap),
        gaze=look,
        why="" if look is not None else _why_not(cap),
    )


def of_capture(cap: Capture, *, threshold: float = 0.5) -> Verdict:
    """The verdict on one capture.

    Args:
        cap: An open capture.
        threshold: Covered fraction from which a cell counts as a speaker's.
    """
    if cap.check.get("passed") is False:
        return Verdict((Statement(LIMITS, FAILED),), {"self_check": "failed"})
    reading = read(cap, threshold)
    statements = (on_answer(reading), on_attention(reading), on_limits(cap, threshold))
    return Verdict(statements, {"self_check": _check(cap), **reading.facts()})


def on_answer(reading: Reading) -> Statement:
    """What the model answers, and how sure it is."""
    if not reading.answer:
        return Statement(ANSWER, "The model was asked for no answer.")
    said = f"The model answers {quoted(reading.answer)}"
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
    first = look.first
    if first is None:
        highest = [name_of(name) for name in look.highest]
        lead = "It looks at no one person more than at the others when it answers."
        gets = "gets" if len(highest) == 1 else "get"
        most = f"{listed(highest)} {gets} most, but by less than a small error of the boxes could change."
        return Statement(ATTENTION, lead, (most, *_shares(reading, highest_first(look))))
    return Statement(ATTENTION, _lead(reading, first), (*_shares(reading, highest_first(look)), *_places(look, first)))


def _lead(reading: Reading, first: str) -> str:
    """The sentence on the person who is looked at most."""
    who = name_of(first)
    if reading.confused is not None:
        other = name_of(str(reading.instead_of))
        if reading.answered_person == first:
            return f"It confuses {other} with {who}: it answers {who}, and {who} is whom it looks at most when it does."
        return f"It confuses {other} with {who}: {who} is whom it looks at most when it answers."
    looks = f"It looks most at {who} when it answers"
    if first in reading.asked:
        one = len(reading.asked) == 1
        return f"{looks}, {'the person' if one else 'one of the people'} whom the question is about."
    if first == reading.expected_person:
        return f"{looks}, who is the right answer."
    if not reading.asked:
        return f"{looks}; the question names no person with a box, so it cannot be said whom it should look at."
    return f"{looks}, not at {listed([name_of(name) for name in reading.asked], 'or')}, whom the question is about."


def highest_first(look: Gaze) -> list[str]:
    """Everybody by share, the largest first."""
    return [look.names[i] for i in np.argsort(-look.share, kind="stable")]


def _shares(reading: Reading, ordered: list[str]) -> list[str]:
    """The shares of those who matter: the first, the person asked about, the right answer; else of the first two."""
    look = reading.gaze
    assert look is not None
    top = ordered[0]
    low, high = look.band(top)
    moved = band(low, high)
    beside = f"; {moved} with boxes moved at random by {100 * AMOUNT:.0f} % of their size" if moved else ""
    told = [name for name in (*reading.asked, reading.expected_person) if name in look.names and name != top]
    parts = [
        f"{name_of(name)}{_role(reading, name)} {share(look.share[look.names.index(name)])}"
        for name in dict.fromkeys(told or ordered[1:2])
    ]
    own = share(look.share[look.names.index(top)])
    first = f"{name_of(top)} gets {own} of its attention to people (chance {share(look.chance)}{beside})"
    return [f"{listed([first, *parts])}."]


def _role(reading: Reading, name: str) -> str:
    """What a person is to the question, in brackets; "" for nothing."""
    roles = ["asked about"] * (name in reading.asked) + ["the right answer"] * (name == reading.expected_person)
    return f" ({listed(roles)})" if roles else ""


def layer_most(look: Gaze, name: str) -> int | None:
    """Of the layers in which a person comes first the one with the largest share; None where there is none."""
    shares = dict(zip(look.layers.tolist(), look.by_layer[:, look.names.index(name)].tolist(), strict=True))
    return max(look.led(name), key=lambda layer: shares[layer], default=None)


def _places(look: Gaze, first: str) -> list[str]:
    """Layers and heads in which a person comes first, and how that compares with even attention."""
    who, at = name_of(first), look.names.index(first)
    sentences, led = [], look.led(first)
    top = layer_most(look, first)
    if top is not None:
        rows = {int(layer): row for row, layer in enumerate(look.layers)}
        heads = sum(layer == top for layer, _ in look.heads_led(first))
        own = int(np.isfinite(look.by_head[rows[top]]).all(-1).sum())
        most = f"{share(look.by_layer[rows[top], at])}, first in {heads} of {count(own, 'head')}"
        where = f"{layers(led)}, most in layer {top} ({most})" if len(led) > 1 else f"layer {top} ({most})"
        sentences.append(f"{who} comes first in {where}.")
    else:
        sentences.append(f"{who} comes first in no single layer beyond what a small error of the boxes could change.")
    lift = float(look.lift[at])
    if lift < 1:
        sentences.append(
            f"Even so, {who} gets only {lift:.2g} times what attention spread evenly over everything would give."
        )
    return sentences


def on_limits(cap: Capture, threshold: float) -> Statement:
    """What one capture cannot show."""
    details = []
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


def _why_not(cap: Capture) -> str:
    """Why it is not defined whom the answer position looks at."""
    if not cap.has("maps"):
        return "the capture has no maps of attention (the plan lacks maps)."
    if not cap.scene.speakers:
        return "the scene has no boxes of people."
    if cap.placing.how == NOWHERE:
        return "the places of the visual tokens are unknown."
    if answer_group(cap) is None:
        return "the capture does not hold the answer position."
    return "fewer than two people have a box that covers cells of the frames shown."
