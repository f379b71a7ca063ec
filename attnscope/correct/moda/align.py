"""Keys of one modality, pulled by the Gram matrix of the other (Zhang et al., ICML 2025, Eq. 5 and 6, and their code).

paper: mapped keys K ||K'^T K'||, with K' the keys of the other modality, one aligner per modality, fused with the
keys. How the norm is taken and how they are fused is not printed. code: G = K_t^T V_t of normalised keys, rows
normalised, only visual keys aligned: K_v + r K_v^ G, r learned from 0, then a learned linear map; every token that is
no image counts as text, the Gram matrix takes in all of them (it is not causal), and cached decoding steps see the
keys unaligned. Ours: `strength` in place of the learned r and no linear map (the identity), the other norms, the
causal `prefix`, generated tokens that see the aligned keys too, so that a cached run equals a full pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from torch import Tensor

from attnscope.attention import AttentionCall
from attnscope.correct.base import Correction, Decoder, layers_parameter
from attnscope.correct.moda._running import Modalities, ModaRunning, layers_said, modalities
from attnscope.correct.moda.gram import Step, check_alignment, cosine, mapped_keys, steps
from attnscope.correct.notes import Caution
from attnscope.correct.params import parameter
from attnscope.correct.registry import correction
from attnscope.errors import ModelError, NotApplicableError, RequestError
from attnscope.vocabulary import TEXT, VISUAL, Text, Visual

if TYPE_CHECKING:
    from attnscope.model import Prompt

_SAID = {VISUAL: "visual keys", TEXT: "text keys", "both": "visual and text keys"}
_FROM = {"prefix": "the tokens before them", "prompt": "all tokens of the prompt"}


@correction
@dataclass(frozen=True)
class ModaAlign(Correction):
    """Pull keys of one modality by the Gram matrix of the other: K + strength * mapped K.

    A key belongs to all query heads of its group, so there is no choice of heads. Keys are those that the kernel
    receives, after the position embedding (code). Special and template tokens count as text (code). Keys of generated
    tokens stay, and no Gram matrix takes them in. It goes before corrections that append channels.

    Example:
        >>> edit = attnscope.correct.ModaAlign(strength=1.0)
        >>> [score] = attnscope.evaluate.score(model, [prompt], [edit])
        >>> round(score.logprobs[-1], 1)  # of the right answer; -9.6 without the edit
        -9.1
    """

    method: ClassVar[str] = "moda-align"
    source: ClassVar[str] = "code"
    summary: ClassVar[str] = "pulls the keys of one modality by the Gram matrix of the other's"

    strength: float = parameter(1.0, "r; 0 is the identity (the paper learns it).")
    gram: Literal["paper", "code"] = parameter("code", "`code` (K^T V of normalised keys) or `paper` (K^T K).", "code")
    norm: Literal["row", "fro", "spectral", "trace"] = parameter(
        "row",
        "`row` (code), `fro`, `spectral` or `trace` (ours; only with `paper`: K^T V has no such norm).",
        "code",
    )
    direction: Visual | Text | Literal["both"] = parameter(
        VISUAL, "Whose keys are pulled: `visual` (code), `text` or `both` (paper).", "code"
    )
    scope: Literal["prefix", "prompt"] = parameter(
        "prompt",
        "`prompt`, the Gram matrix of all prompt tokens of the other modality (code; not causal: a visual key then"
        " depends on the question after it); `prefix`, of those before each run of aligned tokens (ours; causal).",
        "code",
    )
    layers: str = layers_parameter()

    def __post_init__(self) -> None:
        """Check ranges."""
        super().__post_init__()
        check_alignment(self.gram, self.norm, self.direction, self.scope, self.method)

    def bind(self, prompts: Sequence[Prompt], decoder: Decoder) -> RunningAlign:
        """Find which keys are pulled by which.

        Raises:
            RequestError: If the model has no such layer.
            NotApplicableError: If no key of a prompt would be pulled.
        """
        found = [modalities(prompt, self.method) for prompt in prompts]
        orders = [orders_of(one, self.direction, self.scope) for one in found]
        for prompt, order in zip(prompts, orders, strict=True):
            if not any(order) and self.strength:
                raise NotApplicableError(
                    f"{prompt.scene.video}: {self.method} with scope=prefix: no token of the other modality stands"
                    f" before the {_SAID[self.direction].replace('keys', 'tokens')}"
                )
        return RunningAlign(self, found, orders, decoder)


def orders_of(one: Modalities, direction: str, scope: str) -> list[list[Step]]:
    """For each modality whose keys are pulled, the steps on the tokens [N] of a prompt (see `gram.steps`)."""
    visual, rest = one.visual[:-1], one.rest[:-1]
    pairs = {VISUAL: [(visual, rest)], TEXT: [(rest, visual)]}
    both = pairs[VISUAL] + pairs[TEXT]
    return [steps(aligned, other, scope) for aligned, other in pairs.get(direction, both)]


class RunningAlign(ModaRunning):
    """The alignment bound to a left-padded batch.

    The pulled keys of the prompt are kept for the decoding steps, in the keys' type: memory is linear in N.

    Attributes:
        settings: The correction.
        orders: One a prompt: which tokens are pulled by which, on its own positions.
        moved: One a prompt: by layer, the pulled keys' mean change over their mean norm, and mean cosine with their
            mapped form.
    """

    settings: ModaAlign

    def __init__(
        self,
        settings: ModaAlign,
        prompts: Sequence[Modalities],
        orders: Sequence[Sequence[Sequence[Step]]],
        decoder: Decoder,
    ) -> None:
        super().__init__(settings, prompts, settings.layers, decoder)
        self.orders = list(orders)
        self.moved: list[dict[int, tuple[Tensor, Tensor]]] = [{} for _ in prompts]
        self._kept: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}  # of layer and prompt: tokens [M], keys

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Pull keys in a prefill; put the same keys into the cache's at later steps."""
        if call.layer not in self.layers or not self.settings.strength:
            return call
        copies, first = self.placing(call)
        key = call.key.clone()
        for number in range(len(self.prompts)):
            if not call.is_decode:
                self._pull(call, number, number * copies)
            tokens, pulled = self._kept[call.layer, number]
            columns = tokens + (self.place(number) - first)
            if first > self.place(number):  # a sliding cache has dropped the oldest keys
                held = columns >= 0
                columns, pulled = columns[held], pulled[:, held]
            key[number * copies : (number + 1) * copies, :, columns] = pulled
        return call.widened(call.query, key)

    def _pull(self, call: AttentionCall, number: int, sample: int) -> None:
        """Pull the keys of one prompt, and keep them."""
        _check_values(call, self.settings.gram)
        place, length = self.place(number), self.prompts[number].length
        own = slice(place, place + length)
        key, value = call.key[sample, :, own].float(), call.value[sample, :, own].float()
        tokens, pulled, moved, cosines = [], [], [], []
        for order in self.orders[number]:
            order = [(one.to(key.device), other.to(key.device)) for one, other in order]
            for at, mapped in mapped_keys(key, value, order, self.settings.gram, self.settings.norm):
                tokens.append(at)
                pulled.append(key[:, at] + self.settings.strength * mapped)
                moved.append(mapped.norm(dim=-1) * abs(self.settings.strength))
                cosines.append(cosine(key[:, at], mapped))
        where = torch.cat(tokens)
        self._kept[call.layer, number] = where, torch.cat(pulled, 1).to(call.key.dtype)
        change = torch.cat(moved, 1).mean() / key[:, where].norm(dim=-1).mean()
        self.moved[number][call.layer] = change, torch.cat(cosines, 1).mean()
        self.active[number][call.layer] = self.heads

    def notes(self, number: int) -> list[str]:
        """What was pulled, how far, and how alike keys and mapped keys are."""
        settings, one, moved = self.settings, self.prompts[number], self.moved[number]
        if not moved:
            why = "the model has not run" if settings.strength else "nothing was pulled: the strength is 0"
            return [Caution(why)]
        pulled = sum(len(at) for order in self.orders[number] for at, _ in order)
        of = {VISUAL: one.visual, TEXT: one.rest}.get(settings.direction, one.visual | one.rest)
        total = int(of[:-1].sum())
        change, cosines = (torch.stack(each).cpu() for each in zip(*moved.values(), strict=True))
        notes = [
            f"{pulled} of {total} {_SAID[settings.direction]} are pulled in {layers_said(self.active[number])}, for all"
            f" query heads, by {settings.gram}'s Gram matrix of {_FROM[settings.scope]}",
            f"they move by {change.mean():.3g} of their norm; cosine with their mapped form {cosines.mean():.3g}"
            f" ({cosines.min():.3g} to {cosines.max():.3g} over layers)",
        ]
        if pulled < total:
            notes.append(f"{total - pulled} have no token of the other modality before them and stay as they are")
        if settings.scope == "prompt":
            notes.append(Caution("not causal: a key depends on prompt tokens after it; generated tokens never enter"))
        return notes


def _check_values(call: AttentionCall, gram: str) -> None:
    """Refuse what the Gram matrix cannot be made of.

    Raises:
        ModelError: If channels were appended to the keys, or the model's values are of another width than its keys
            (latent attention), so that K^T V does not fit the keys.
        RequestError: If there are no values, only what a capture holds.
    """
    wide, values = call.key.shape[-1], call.value.shape[-1]
    own = call.own_width or values
    if wide != own:
        raise ModelError(
            f"moda-align: layer {call.layer} has keys of {wide} channels, {own} of them the model's: it must come"
            " before corrections that append channels"
        )
    if gram == "code" and own != values:
        raise ModelError(
            f"moda-align: layer {call.layer} has keys of {own} and values of {values} channels, and the Gram matrix of"
            " gram=code needs equal widths; take gram=paper"
        )
    if gram == "code" and call.stored:
        raise RequestError("moda-align with gram=code needs the values, which a capture does not hold; take gram=paper")
