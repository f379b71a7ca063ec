"""What the sentences of a verdict are made from: the answer of a capture, its options, and whom it looks at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from attnscope.metrics.answer import answer_group
from attnscope.metrics.people.gaze import Gaze, gaze
from attnscope.report.page.captures import options, verdict
from attnscope.report.page.provenance import active_heads
from attnscope.report.page.summary import records
from attnscope.report.verdict.statements import listed
from attnscope.scene.mentions import asked_speakers
from attnscope.scene.names import equal_but_for_case
from attnscope.vocabulary import NOWHERE

if TYPE_CHECKING:
    from attnscope.capture import Capture


@dataclass(frozen=True)
class Reading:
    """What the sentences on one capture are made from.

    Attributes:
        question: What it was asked, "" for nothing.
        answer: What the model says, "" for nothing.
        word: `right`, `wrong`, or "" where nobody knows.
        expected: The scene's answer, if it has one.
        asked: People with a box whom the question names.
        people: Everybody with a box or words.
        options: The options with their shares.
        gaze: Whom the answer position looks at, if that is defined.
        why: Why it is not; "" where it is.
        methods: Corrections under which the capture was made.
        corrected: Layers in which they acted on its heads.
        depth: How many layers the model has; fewer may be recorded.
    """

    question: str
    answer: str
    word: str
    expected: str | None
    asked: tuple[str, ...]
    people: tuple[str, ...]
    options: pd.DataFrame
    gaze: Gaze | None
    why: str
    methods: tuple[str, ...] = ()
    corrected: tuple[int, ...] = ()
    depth: int = 0

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

        None where the answer is not wrong, nobody is looked at most, the question names not one person, the answer
        names another person than the one who is looked at, or the person for whom he or she would be taken is out of
        sight.
        """
        first = self.first
        if self.word != "wrong" or first is None or len(self.asked) != 1:
            return None
        if self.gaze is not None and (self.expected_person or self.asked[0]) not in self.gaze.names:
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

    @property
    def followed(self) -> str:
        """The option whose share is compared between runs: the right answer, else what the model answers."""
        known = self.option_share(self.expected)
        return self.expected if self.expected is not None and known == known else self.answer

    def facts(self) -> dict[str, Any]:
        """The numbers as JSON-able facts."""
        facts: dict[str, Any] = {
            "question": self.question or None,
            "answer": self.answer or None,
            "verdict": self.word or None,
            "expected": self.expected,
            "asked": list(self.asked),
            "looks_most_at": self.first,
            "confused": self.confused,
            "instead_of": self.instead_of,
            "corrections": list(self.methods),
            "options": {row["option"]: row["share"] for row in records(self.options)},
            "attention": None,
            "attention_not_known": self.why or None,
        }
        look = self.gaze
        if look is not None:
            facts["attention"] = {
                "chance": look.chance,
                "out_of_sight": list(look.hidden),
                "layers_recorded": len(look.layers),
                "layers_of_model": self.depth,
                "heads": look.heads,
                "people": {
                    name: {
                        "share": look.share[i],
                        "low": look.band(name)[0],
                        "high": look.band(name)[1],
                        "lift": look.lift[i],
                        "layers_led": look.led(name),
                        "layer_most": look.layer_most(name),
                        "heads_led": len(look.heads_led(name)),
                    }
                    for i, name in enumerate(look.names)
                },
            }
        return facts


def read(cap: Capture, threshold: float) -> Reading:
    """What is said of a capture, in numbers."""
    look = gaze(cap, threshold=threshold)
    why = _why_not(cap) if look is None else ""
    if look is not None and not np.isfinite(look.share).all():
        look, why = None, "no head attends to anybody's cells."
    text = str(cap.answer.get("text") or "").strip()
    return Reading(
        question=(cap.scene.question or "").strip(),
        answer=text,
        word=verdict(cap),
        expected=cap.scene.answer,
        asked=tuple(asked_speakers(cap.scene)),
        people=tuple(cap.scene.speaker_names),
        options=options(cap),
        gaze=look,
        why=why,
        methods=tuple(str(item.get("method")) for item in cap.correction),
        corrected=tuple(sorted({layer for layer, _ in active_heads(cap)})),
        depth=int(cap.model.get("layers") or 0),
    )


def role(reading: Reading, name: str) -> str:
    """What a person is to the question and the answer; "" for nothing."""
    roles = {
        "asked about": name in reading.asked,
        "the right answer": name == reading.expected_person,
        "its answer": name == reading.answered_person != reading.expected_person,
    }
    return listed([text for text, holds in roles.items() if holds])


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
