"""What the four corrections share: modalities of a prompt's tokens, and where these stand in an attention call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.attention.masks import MaskCache
from attnscope.correct.base import Correction, Decoder, Running
from attnscope.correct.placing import Placing
from attnscope.errors import NotApplicableError
from attnscope.layers import select_layers
from attnscope.vocabulary import SPECIAL, TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.model import Prompt


@dataclass(frozen=True)
class Modalities:
    """Modalities of one prompt of N tokens; entry N stands for every later token, which is text.

    Attributes:
        length: N.
        member: [3, N + 1] boolean, a partition: visual, text, special (special tokens and the chat template's own).
    """

    length: int
    member: Tensor

    @property
    def visual(self) -> Tensor:
        """[N + 1] visual tokens."""
        return self.member[0]

    @property
    def rest(self) -> Tensor:
        """[N + 1] every other token."""
        return ~self.member[0]

    def to(self, device: torch.device) -> Modalities:
        """The same on another device."""
        return replace(self, member=self.member.to(device))


def modalities(prompt: Prompt, method: str) -> Modalities:
    """The modalities of a prompt's tokens.

    Raises:
        NotApplicableError: If there is no text or no visual token.
    """
    kinds = prompt.tokens["modality"].to_numpy()
    found = [[*(kinds == name), name == TEXT] for name in (VISUAL, TEXT, SPECIAL)]
    for name, member in zip((VISUAL, TEXT), found, strict=False):
        if not any(member[:-1]):
            raise NotApplicableError(f"{prompt.scene.video}: {method}: the prompt has no {name} tokens")
    return Modalities(len(kinds), torch.tensor(found))


class ModaRunning(Running):
    """A correction of MODA bound to a left-padded batch.

    Attributes:
        settings: The correction.
        prompts: Modalities of each prompt.
        layers: Numbers of the layers where it acts.
        active: One a prompt: the heads that it acted on, by layer.
    """

    def __init__(self, settings: Correction, prompts: Sequence[Modalities], layers: str, decoder: Decoder) -> None:
        self.settings, self.prompts = settings, list(prompts)
        self.layers = set(select_layers(layers, decoder.layers, decoder.depth))
        self.heads = list(range(decoder.heads))
        self.active: list[dict[int, list[int]]] = [{} for _ in prompts]
        self.placing = Placing(settings.method, [one.length for one in prompts])
        self._moved: dict[torch.device, list[Modalities]] = {}
        self._masks: dict[tuple[int, int, int], MaskCache] = {}

    def on(self, device: torch.device) -> list[Modalities]:
        """The prompts' modalities on a device."""
        if device not in self._moved:
            self._moved[device] = [one.to(device) for one in self.prompts]
        return self._moved[device]

    def place(self, number: int) -> int:
        """Where a prompt begins on the padded axis."""
        return self.placing.padded - self.prompts[number].length

    def among(self, number: int, values: Tensor, positions: int, first: int) -> Tensor:
        """Entries of a prompt's tokens on an axis of a call, false at padding.

        Args:
            number: Number of the prompt.
            values: [..., N + 1] boolean.
            positions: Length of the axis.
            first: How many of the oldest tokens the axis does not hold.

        Returns:
            [..., positions].
        """
        own = torch.arange(positions, device=values.device) + first - self.place(number)
        return values[..., own.clamp(0, self.prompts[number].length)] & (own >= 0)

    def keys(self, call: AttentionCall, copies: int, first: int) -> Tensor:
        """[B, Nk, 3] which keys are visual, text and special; none at padding."""
        prompts, held = self.on(call.query.device), call.key.shape[2]
        several = [self.among(n, one.member, held, first).T for n, one in enumerate(prompts)]
        return torch.stack(several).repeat_interleave(copies, 0)

    def rows(self, call: AttentionCall, number: int) -> Tensor:
        """[3, Nq] which rows of a prompt, and later ones, are visual, text and special; none at padding."""
        one = self.on(call.query.device)[number]
        return one.member[:, -1:] if call.is_decode else self.among(number, one.member, call.query.shape[2], 0)

    def mask(self, call: AttentionCall, sample: int, number: int) -> MaskCache:
        """What the tokens of a sample may see in a prefill; recognised once for layers that share a mask."""
        place, length = self.place(number), call.query.shape[2]
        if any(known[2] != length for known in self._masks):  # of an earlier run: its mask may be N x N
            self._masks.clear()
        if (sample, place, length) not in self._masks:
            member = self.among(number, self.prompts[number].member, length, 0)[:, place:]
            self._masks[sample, place, length] = MaskCache(sample, torch.arange(place, length), member)
        return self._masks[sample, place, length]

    def pairs(self, call: AttentionCall, copies: int) -> Tensor:
        """[B, Nq, 3] how many visual, text and special keys each row of a prefill sees; 0 at padding."""
        found = torch.zeros(len(call.query), call.query.shape[2], 3, dtype=torch.long, device=call.query.device)
        for sample in range(len(found)):
            found[sample, self.place(sample // copies) :] = self.mask(call, sample, sample // copies).counts(call)
        return found

    def records(self) -> list[dict[str, Any]]:
        """Method, parameters, heads and what a user should know, one a prompt."""
        return [self.settings.record(active, self.notes(number)) for number, active in enumerate(self.active)]

    @abstractmethod
    def notes(self, number: int) -> list[str]:
        """What a user should know of one prompt, a sentence each."""


def layers_said(active: dict[int, list[int]]) -> str:
    """How many layers: "4 layers", "1 layer"."""
    return f"{len(active)} layer{'' if len(active) == 1 else 's'}"
