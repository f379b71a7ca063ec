"""How a question becomes a line of samples.jsonl: its prompt, its scores, and what they are called there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from attnscope.correct import Correction, bind
from attnscope.errors import NotApplicableError, RequestError
from attnscope.evaluate.manifest import Manifest, Question
from attnscope.evaluate.score import Score, score
from attnscope.model import build_prompt
from attnscope.scene import Frames, Sampling, check_against, read_scene_frames

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

logger = logging.getLogger("attnscope")


@dataclass
class Scorer:
    """Scores questions, plain and under the corrections; arguments as in `attnscope.evaluate.evaluate`."""

    model: LoadedModel
    manifest: Manifest
    corrections: Sequence[Correction]
    sampling: Sampling
    template: str
    rule: str
    max_new_tokens: int
    warned: set[str] = field(default_factory=set)
    shown: tuple[Any, Frames] | None = None

    def score(self, questions: Sequence[Question], first: int) -> list[dict[str, Any]]:
        """Lines of neighbours, of which `first` is the number of the first."""
        prompts = [self._prompt(question) for question in questions]
        reasons = [self._why_not(prompt) for prompt in prompts]
        how: dict[str, Any] = {"rule": self.rule, "batch": len(prompts), "max_new_tokens": self.max_new_tokens}
        plain = score(self.model, prompts, **how)
        lines = [
            _describe(first + i, question, scored)
            for i, (question, scored) in enumerate(zip(questions, plain, strict=True))
        ]
        if self.corrections:
            fit = [prompt for prompt, reason in zip(prompts, reasons, strict=True) if reason is None]
            corrected = iter(score(self.model, fit, self.corrections, **how))
            for line, question, before, reason in zip(lines, questions, plain, reasons, strict=True):
                applied = {"applied": True} if reason is None else {"applied": False, "reason": reason}
                line["corrected"] = applied | _scored(question, next(corrected) if reason is None else before)
        return lines

    def _prompt(self, question: Question) -> Prompt:
        """The prompt of a question; the frames of the last video are kept, since its questions are neighbours.

        Raises:
            RequestError: If the video cannot be read or does not fit the scene, or the scene does not fit the model.
        """
        scene = question.scene
        source = (scene.video, scene.frame_rate)
        try:
            if self.shown is None or self.shown[0] != source:
                self.shown = source, read_scene_frames(scene, self.sampling)
            else:
                check_against(scene, self.shown[1])
            prompt = build_prompt(self.model, scene, self.shown[1], template=self.template)
        except RequestError as error:
            raise type(error)(f"{self.manifest.path}: line {question.line}: {error}") from None
        for warning in prompt.warnings:
            if warning not in self.warned:
                self.warned.add(warning)
                logger.warning("%s: %s", question.id, warning)
        return prompt

    def _why_not(self, prompt: Prompt) -> str | None:
        """Why the corrections do not apply to a question, None if they do.

        Raises:
            RequestError: If they apply to no question at all.
        """
        try:
            bind(self.model, prompt, self.corrections)
        except NotApplicableError as error:
            return str(error).removeprefix(f"{prompt.scene.video}: ")
        return None


def _describe(number: int, question: Question, plain: Score) -> dict[str, Any]:
    """A line of samples.jsonl."""
    scene = question.scene
    line = {"doc_id": number, "id": question.id, "clip": question.clip, "fields": scene.fields}
    line |= {"question": scene.question, "options": scene.options, "answer": scene.answer}
    return line | {"plain": _scored(question, plain)}


def _scored(question: Question, scored: Score) -> dict[str, Any]:
    found: dict[str, Any] = {
        "prediction": scored.prediction,
        "correct": scored.prediction == question.scene.answer,
    }
    if scored.text is not None:
        return found | {"text": scored.text}
    numbers = {
        "logprobs": scored.logprobs,
        "probabilities": scored.probabilities,
        "logprobs_per_token": scored.per_token,
    }
    return found | {name: [round(value, 6) for value in values] for name, values in numbers.items()}
