"""How a question becomes a line of samples.jsonl: its prompt, its scores, and what they are called there."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attnscope.correct import Correction, check_applies, prompted
from attnscope.errors import NotApplicableError, RequestError
from attnscope.evaluate.manifest import Manifest, Question
from attnscope.evaluate.score import Score, score
from attnscope.model.positions import CONTEXT
from attnscope.scene import Frames, Sampling, check_against, read_scene_frames

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt
    from attnscope.scene import Scene

logger = logging.getLogger("attnscope")

# What a line calls the conditions; of a control, what stands before its name
PLAIN, CORRECTED, CONTROL = "plain", "corrected", "control: "


@dataclass
class Scorer:
    """Scores questions, plain and under the corrections; arguments as in `attnscope.evaluate.evaluate`.

    Attributes:
        conditions: Corrections by condition, in the order of a line.
        warned: By kind, the first warning about a prompt, and the questions whose prompts have one like it.
    """

    model: LoadedModel
    manifest: Manifest
    conditions: Mapping[str, Sequence[Correction]]
    sampling: Sampling
    template: str
    rule: str
    max_new_tokens: int
    warned: dict[str, tuple[str, set[str]]] = field(default_factory=dict)
    decoded: tuple[Any, Frames] | None = None

    def score(self, questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        """Lines of neighbours, of which `first` is the number of the first."""
        prompts = [self._prompts(question) for question in questions]
        how: dict[str, Any] = {"rule": self.rule, "batch": len(prompts), "max_new_tokens": self.max_new_tokens}
        plain = score(self.model, [of[PLAIN] for of in prompts], **how)
        lines = [
            _describe(first + i, question, scored)
            for i, (question, scored) in enumerate(zip(questions, plain, strict=True))
        ]
        for condition, corrections in self.conditions.items():
            fit = [of[condition] for of in prompts if not isinstance(of[condition], str)]
            scores = iter(score(self.model, fit, corrections, **how))
            for line, question, before, of in zip(lines, questions, plain, prompts, strict=True):
                reason = of[condition]
                if isinstance(reason, str):
                    line[condition] = {"applied": False, "reason": reason} | _scored(question, before)
                else:
                    line[condition] = {"applied": True} | _scored(question, next(scores))
        return lines

    def _prompts(self, question: Question) -> dict[str, Any]:
        """The prompt of a question under each condition, or why the corrections do not apply to it.

        Raises:
            RequestError: If the video cannot be read or does not fit the scene, the scene does not fit the model, or
                the corrections of a condition apply to no question at all.
        """
        try:
            frames = self._frames(question.scene)
            prompts: dict[str, Any] = {PLAIN: self._build(question, frames, ())}
        except RequestError as error:
            raise type(error)(f"{self.manifest.path}: {self.manifest.unit} {question.line}: ", *error.args) from None
        for condition, corrections in self.conditions.items():
            try:
                shows = any("prompt" in correction.changes for correction in corrections)
                prompt = self._build(question, frames, corrections) if shows else prompts[PLAIN]
                check_applies(self.model, prompt, corrections)
                prompts[condition] = prompt
            except NotApplicableError as error:
                prompts[condition] = str(error).removeprefix(f"{question.scene.video}: ")
        return prompts

    def _frames(self, scene: Scene) -> Frames:
        """The frames of a scene; those of the last one are kept, since questions about one video are neighbours."""
        source = (scene.video, scene.frame_rate, scene.window, str(scene.further))
        if self.decoded is None or self.decoded[0] != source:
            self.decoded = source, read_scene_frames(scene, self.sampling)
        else:
            check_against(scene, self.decoded[1])
        return self.decoded[1]

    def _build(self, question: Question, frames: Frames, corrections: Sequence[Correction]) -> Prompt:
        prompt = prompted(self.model, question.scene, corrections, template=self.template, frames=frames)
        for warning in prompt.warnings:
            kind = CONTEXT if warning.startswith(CONTEXT) else " ".join(warning.split()[-3:])  # without its names
            if kind not in self.warned:
                self.warned[kind] = warning, set()
                logger.warning("%s: %s", question.id, warning)
            self.warned[kind][1].add(question.id)
        return prompt

    def tell_warnings(self) -> None:
        """Say how many questions have a warning like one that was logged; each kind is logged for one of them."""
        for warning, questions in self.warned.values():
            if len(questions) > 1:
                logger.warning("%d questions have a warning of this kind: %s", len(questions), warning)


def _describe(number: int, question: Question, plain: Score) -> dict[str, Any]:
    """A line of samples.jsonl."""
    scene = question.scene
    line = {"doc_id": number, "id": question.id, "clip": question.clip, "fields": scene.fields}
    line |= {"question": scene.question, "options": scene.options, "answer": scene.answer}
    return line | {PLAIN: _scored(question, plain)}


def _scored(question: Question, scored: Score) -> dict[str, Any]:
    scores: dict[str, Any] = {
        "prediction": scored.prediction,
        "correct": scored.prediction == question.scene.answer,
    }
    if scored.text is not None:
        return scores | {"text": scored.text}
    numbers = {
        "logprobs": scored.logprobs,
        "probabilities": scored.probabilities,
        "logprobs_per_token": scored.per_token,
    }
    return scores | {name: [round(value, 6) for value in values] for name, values in numbers.items()}
