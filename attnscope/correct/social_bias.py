"""Cross-modal head selection and social-aware attention bias (Ouyang et al., CVPR 2026; read in a secondary summary).

On heads that look across modalities at all, each word of a speaker is drawn to that speaker's pixels in the frames
where it is spoken. The bias of a word u towards a cell v of the same speaker and frame is alpha times the largest
logit of u over all speakers' cells, W(u, v) = alpha * max over v' of z(u, v'), and 0 elsewhere; A' = softmax(z + W).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from attnscope.attention import AttentionCall, add_bias, dense_rows
from attnscope.correct.base import Correction, Running, correction
from attnscope.errors import RequestError
from attnscope.layers import check_layers, select_layers
from attnscope.metrics.density import cells_at, live_frames

if TYPE_CHECKING:
    from attnscope.model import Prompt

NEGATIVE = ("paper", "clamp", "gap")


@correction
@dataclass(frozen=True)
class SocialBias(Correction):
    """Draw each speaker's words to the speaker's own pixels, on the heads that look across modalities.

    Attributes:
        alpha: Strength; 0 is the identity (2nd: 1).
        threshold: A head is active if its mean attention from utterance tokens to speakers' visual tokens exceeds
            this (2nd: lambda = 5e-5). It is a mean over pairs and so shrinks with the length of the prompt.
        layers: Layers in which heads may be active (2nd: layers 10-19 of 28).
        coverage: Fraction of a cell that a box must cover (ours).
        negative: What to do where the largest logit is negative, and the published bias would lower attention:
            "paper" keeps it, "clamp" sets the bias to 0, "gap" uses alpha * (max - mean) instead, which does not
            depend on the logits' level (ours).
    """

    method: ClassVar[str] = "social-bias"
    source: ClassVar[str] = "2nd"
    summary: ClassVar[str] = (
        "draws each speaker's words to the speaker's own pixels, on heads that look across modalities"
    )

    alpha: float = 1.0
    threshold: float = 5e-5
    layers: str = "0.36-0.71"
    coverage: float = 0.5
    negative: str = "paper"

    def __post_init__(self) -> None:
        """Check ranges."""
        if not np.isfinite(self.alpha) or self.alpha < 0:
            raise RequestError(f"--alpha {self.alpha}: must be a number of at least 0")
        if not 0 <= self.threshold < 1:
            raise RequestError(f"--threshold {self.threshold}: must be in [0, 1)")
        if not 0 < self.coverage <= 1:
            raise RequestError(f"--coverage {self.coverage}: must be in (0, 1]")
        if self.negative not in NEGATIVE:
            raise RequestError(f'--negative "{self.negative}": choose from {", ".join(NEGATIVE)}')
        check_layers(self.layers)

    def bind(self, prompt: Prompt, layers: int) -> Running:
        """Find the utterance tokens and the cells that each turn is drawn to.

        Raises:
            RequestError: If the scene has no boxes, or no speaker has both words and a visible box.
        """
        return _RunningSocialBias(self, prompt, layers)


class _RunningSocialBias(Running):
    """The bias bound to one prompt; its state is what the heads did.

    Attributes:
        utterances: [U] positions of all tokens of turns with a speaker.
        turn_of: [U] row of `targets` of each utterance token, -1 for none.
        targets: [G, N] cells that the tokens of a turn are drawn to, turns with equal cells merged.
        visual: [N] cells of any speaker.
    """

    def __init__(self, settings: SocialBias, prompt: Prompt, layers: int) -> None:
        self.settings = settings
        tokens = prompt.tokens
        self.length = len(tokens)
        boxed = {
            str(column).removeprefix("covered:"): np.nan_to_num(tokens[column].to_numpy()) >= settings.coverage
            for column in tokens
            if str(column).startswith("covered:")
        }
        if not boxed:
            raise RequestError(f"{prompt.scene.video}: social-bias needs speakers with boxes, and the scene has none")
        turn = tokens["turn"].to_numpy()
        self.utterances = torch.from_numpy(np.flatnonzero((turn >= 0) & (tokens["speaker"] != "").to_numpy()))
        self.visual = torch.from_numpy(np.logical_or.reduce(list(boxed.values())))
        self.turn_of, self.targets = self._pair(prompt, turn, boxed)
        self.layers = set(select_layers(settings.layers, range(layers), layers))
        self.active: dict[int, list[int]] = {}
        self.negative: dict[int, tuple[int, int]] = {}

    def _pair(self, prompt: Prompt, turn: Any, boxed: dict[str, Any]) -> tuple[Tensor, Tensor]:
        cells: dict[bytes, int] = {}
        rows: list[Any] = []
        of_turn: dict[int, int] = {}
        for number, said in enumerate(prompt.scene.transcript):
            if said.speaker not in boxed:
                continue
            frames = live_frames(said.start, said.end, np.asarray(prompt.frames.times))
            target = boxed[said.speaker] & cells_at(prompt.tokens, frames)
            if target.any():
                of_turn[number] = cells.setdefault(target.tobytes(), len(cells))
                if of_turn[number] == len(rows):
                    rows.append(target)
        if not rows:
            raise RequestError(
                f"{prompt.scene.video}: social-bias needs a speaker with words and a box covering visual tokens,"
                " and the scene has none"
            )
        places = [of_turn.get(int(turn[u]), -1) for u in self.utterances]
        return torch.tensor(places), torch.from_numpy(np.stack(rows))

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Select heads from this very call, then bias them (dynamic selection)."""
        if call.layer not in self.layers or call.is_decode or self.settings.alpha == 0:
            return call  # the paper's U holds prompt tokens only: generated tokens are not biased
        batch, _, length, _ = call.query.shape
        if batch != 1 or length < self.length:  # longer is the same prompt with an answer option appended
            raise RequestError(
                f"social-bias was bound to one prompt of {self.length} tokens,"
                f" and the model is given {batch} x {length}"
            )
        peak, mean, attended = self._measure(call)
        active = attended > self.settings.threshold
        self.active[call.layer] = active.nonzero()[:, 0].tolist()
        if not active.any():
            return call
        bias = self._strength(peak, mean)  # [H, U]
        bias = torch.where(active[:, None] & (self.turn_of.to(bias.device) >= 0), bias, 0.0)
        self.negative[call.layer] = self._negative(peak, active)
        return self._apply(call, bias)

    def _measure(self, call: AttentionCall) -> tuple[Tensor, Tensor, Tensor]:
        """Largest and mean logit of every utterance token over speakers' cells [H, U], mean attention [H]."""
        columns = self.visual.nonzero()[:, 0].to(call.query.device)
        peaks, means, attended = [], [], []
        for _, z, attention, _ in dense_rows(call, 0, self.utterances):
            seen = attention[..., columns] > 0
            own = z[..., columns].masked_fill(~seen, float("-inf"))
            peaks.append(own.amax(-1))
            means.append(own.masked_fill(~seen, 0).sum(-1) / seen.sum(-1).clamp(min=1))
            attended.append(attention[..., columns].sum((-2, -1)))
        pairs = len(self.utterances) * len(columns)
        return torch.cat(peaks, 1), torch.cat(means, 1), torch.stack(attended).sum(0) / pairs

    def _strength(self, peak: Tensor, mean: Tensor) -> Tensor:
        strength = peak - mean if self.settings.negative == "gap" else peak
        if self.settings.negative == "clamp":
            strength = strength.clamp(min=0)
        return torch.where(peak.isfinite(), self.settings.alpha * strength, 0.0)  # -inf: the row sees no cell

    def _apply(self, call: AttentionCall, bias: Tensor) -> AttentionCall:
        heads, rows = call.query.shape[1], call.query.shape[2]
        table = torch.zeros(heads, rows, len(self.targets), device=bias.device)
        paired = (self.turn_of >= 0).nonzero()[:, 0]
        where = self.utterances[paired].to(bias.device), self.turn_of[paired].to(bias.device)
        table[:, where[0], where[1]] = bias[:, paired.to(bias.device)]
        member = torch.zeros(1, call.key.shape[2], len(self.targets), device=call.key.device)
        member[0, : self.length] = self.targets.T
        return add_bias(call, table[None], member)

    def _negative(self, peak: Tensor, active: Tensor) -> tuple[int, int]:
        """How many biased rows have a negative largest logit, and how many biased rows there are."""
        biased = peak[active][:, (self.turn_of >= 0).to(peak.device)]
        biased = biased[biased.isfinite()]
        return int((biased < 0).sum()), biased.numel()

    def record(self) -> dict[str, Any]:
        """Method, parameters, active heads, and what a user should know."""
        heads = sum(len(found) for found in self.active.values())
        notes = [
            f"{heads} active heads in {len(self.layers)} layers;"
            f" threshold x prompt length = {self.settings.threshold * self.length:.3g}",
            "acts on the prompt's utterance tokens only; generated tokens are not biased",
        ]
        negative, rows = (
            (sum(column) for column in zip(*self.negative.values(), strict=True)) if self.negative else (0, 0)
        )
        if negative:
            effect = {
                "paper": "there the published bias lowers attention",
                "clamp": "no bias there",
                "gap": "bias from the gap",
            }
            notes.append(
                f"the largest logit is negative in {negative / rows:.1%} of {rows} biased rows"
                f" ({effect[self.settings.negative]})"
            )
        return {
            "method": self.settings.method,
            "params": self.settings.params(),
            "active": [[layer, found] for layer, found in sorted(self.active.items())],
            "notes": notes,
        }
