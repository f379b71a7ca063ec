"""Every correction that is tried, with its doses; the first of a family is the one that its controls are of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from attnscope.correct import (
    AdaptVis,
    BoxesDescribed,
    BoxesDrawn,
    Correction,
    Knockout,
    ModaAlign,
    ModaCalibrate,
    ModaMask,
    ModaPseudo,
    Pai,
    SocialBias,
    Temperature,
    Vaf,
    Var,
)
from attnscope.correct.controls import EVERY_LAYER, controls
from benchmarks.studies.conditions import Condition, written
from benchmarks.studies.corrections.settings import ASKED, Chosen
from benchmarks.studies.settings import NAMED, TEST_PEOPLE

FIRST = "social-bias, answer row"


@dataclass(frozen=True)
class Method:
    """One row of the page.

    Attributes:
        name: What a reader sees.
        family: "social-bias", "controls", "moda", "peers", "shown" or "knockout".
        source: Mark, and what of it is ours.
        corrections: Applied together, at their default strength.
        dose: The parameter of the first correction that is swept; "" for none.
        doses: Its values, of which the default is one; of equally good ones the first is chosen.
    """

    name: str
    family: str
    source: str
    corrections: tuple[Correction, ...]
    dose: str = ""
    doses: tuple[float, ...] = ()

    @property
    def default(self) -> float:
        """The value of the swept parameter in the main table."""
        return float(getattr(self.corrections[0], self.dose))

    def at(self, dose: float) -> tuple[Correction, ...]:
        """The corrections at another strength."""
        change: dict[str, Any] = {self.dose: dose}
        return replace(self.corrections[0], **change), *self.corrections[1:]


def methods(choice: Chosen) -> list[Method]:
    """All of them, in the order of the page."""
    return [*_social(choice), *_moda(), *_peers(choice), *_knockouts(choice)]


def _social(choice: Chosen) -> list[Method]:
    answer = SocialBias(alpha=choice.alpha, rows="answer", heads=written(choice.heads), strength="constant")
    dynamic = replace(answer, heads="", layers=EVERY_LAYER)
    count = len(choice.heads)
    alphas = tuple(sorted({1.0, 2.0, 4.0, 8.0, 16.0, choice.alpha}))
    made = [
        Method(FIRST, "social-bias", "ours", (answer,), "alpha", alphas),
        Method("social-bias, as published", "social-bias", "2nd", (SocialBias(),), "alpha", (0.5, 1.0, 2.0, 4.0, 8.0)),
        Method(
            "social-bias, answer row, else as published",
            "social-bias",
            "2nd, rows ours",
            (SocialBias(rows="answer"),),
            "alpha",
            (0.25, 0.5, 1.0, 2.0),
        ),
        Method(
            f"social-bias, answer row, top {count} heads of each prompt",
            "social-bias",
            "ours",
            (replace(dynamic, topk=count),),
            "alpha",
            alphas,
        ),
        Method(
            f"social-bias, answer row, {count} localization heads",
            "social-bias",
            "ours, heads code",
            (replace(dynamic, topk=count, by="localization"),),
            "alpha",
            alphas,
        ),
    ]
    for name, others in controls([answer]).items():
        made.append(Method(f"control: {name}", "controls", "ours", tuple(others)))
    return made


def _moda() -> list[Method]:
    strengths = (0.03, 0.1, 0.3, 1.0, 3.0)
    align, half = ModaAlign(), ModaMask(gate=0.5)
    gates, targets = (0.1, 0.2, 0.3, 0.5, 0.7), (0.9, 0.75, 0.6, 0.45, 0.3)
    return [
        Method("moda-align, code", "moda", "code, strength ours", (align,), "strength", strengths),
        Method(
            "moda-align, paper",
            "moda",
            "paper, norm and fusion ours",
            (ModaAlign(gram="paper", direction="both", scope="prompt"),),
            "strength",
            strengths,
        ),
        Method("moda-mask, equal means per pair", "moda", "paper, gate ours", (ModaMask(),)),
        Method("moda-mask, fixed gate", "moda", "paper, gate ours", (half,), "gate", gates),
        Method(
            "moda-align, code + moda-mask, fixed gate",
            "moda",
            "code and paper, rest ours",
            (align, half),
            "strength",
            strengths,
        ),
        Method("moda-pseudo", "moda", "paper, values ours", (ModaPseudo(),), "p_base", (-4.0, -2.0, 0.0, 2.0, 4.0)),
        Method("moda-calibrate, down", "moda", "ours", (ModaCalibrate(),), "target", targets),
        Method("moda-calibrate, both ways", "moda", "ours", (ModaCalibrate(change="both"),), "target", targets),
    ]


def _peers(choice: Chosen) -> list[Method]:
    temperature = Temperature(heads=written(choice.heads))
    keeps = (0.8, 0.6, 0.4, 0.2)
    return [
        Method("pai, attention only", "peers", "code", (Pai(),), "alpha", (0.1, 0.2, 0.4, 0.8, 1.6)),
        Method("vaf", "peers", "code", (Vaf(),), "enhance", (1.05, 1.15, 1.3, 1.6, 2.0)),
        Method("adaptvis", "peers", "code", (AdaptVis(),), "w_high", (1.1, 1.2, 1.5, 2.0, 3.0)),
        Method("var, text rows", "peers", "code, sinks ours", (Var(rows="text"),), "keep", keeps),
        Method("var, answer row", "peers", "code, sinks and rows ours", (Var(),), "keep", keeps),
        Method("temperature, chosen heads", "peers", "ours", (temperature,), "temperature", (1.5, 0.8, 0.5, 0.25, 0.1)),
        Method("boxes drawn on the frames", "shown", "2nd, drawing ours", (BoxesDrawn(),)),
        Method("boxes told in the prompt", "shown", "ours", (BoxesDescribed(),)),
    ]


def _knockouts(choice: Chosen) -> list[Method]:
    return [
        Method("knockout of the chosen heads", "knockout", "ours", (Knockout(heads=written(choice.heads)),)),
        Method(
            "knockout of the heads ranked lowest on calibration clips",
            "knockout",
            "ours",
            (Knockout(heads=written(choice.lowest)),),
        ),
    ]


def at_default(tried: Sequence[Method]) -> list[Condition]:
    """Every correction at its default on test clips."""
    return [Condition(method.name, corrections=method.corrections, tasks=ASKED, people=TEST_PEOPLE) for method in tried]


def at_doses(tried: Sequence[Method]) -> list[Condition]:
    """Every correction that has a strength, at every dose, on calibration clips."""
    return [
        Condition(dosed(method, dose), corrections=method.at(dose), tasks=NAMED, people=())
        for method in tried
        for dose in method.doses
    ]


def at_best(tried: Sequence[Method], best: dict[str, float]) -> list[Condition]:
    """Those whose best dose on calibration clips is not their default, at that dose, on test clips."""
    return [
        Condition(
            dosed(method, best[method.name]), corrections=method.at(best[method.name]), tasks=ASKED, people=TEST_PEOPLE
        )
        for method in tried
        if method.name in best and best[method.name] != method.default
    ]


def dosed(method: Method, dose: float) -> str:
    """Name of a condition at a dose."""
    return f"{method.name}, {method.dose} = {dose:g}"
