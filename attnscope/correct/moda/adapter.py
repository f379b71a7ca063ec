"""MODA's alignment as parameters: r and the fuser of every layer, trained with any loop that calls the model.

code: fused keys (K + r * mapped K) W, with r [D] learned from 0 and W a learned linear map without bias, both
shared by the heads of a layer; the mapped keys are those of `gram` (see there). Ours: W begins as the identity, not
at random, so that the adapter changes no logit before it is trained; the Gram matrix never takes in a token that
the loss is about, nor anything after it (the released code does, and its visual keys then tell of the answer);
generated tokens see the fused keys.
"""

from __future__ import annotations

import json
import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnscope import transformers_names as names
from attnscope._version import __version__
from attnscope.attention import AttentionCall, decoder_layers, tapped
from attnscope.attention.forward import named
from attnscope.correct.moda.gram import Step, check_alignment, mapped_keys, steps
from attnscope.errors import ModelError, RequestError
from attnscope.files import check_regular, unfinished
from attnscope.layers import select_layers
from attnscope.transformers_names import cache_in, cache_of, cached_tokens, modalities_in, text_config
from attnscope.vocabulary import TEXT, VISUAL

if TYPE_CHECKING:
    from attnscope.model import LoadedModel

# ---- the file of an adapter: safetensors, with what it belongs to in the metadata

FORMAT = "attnscope moda adapter"
VERSION = 1


def describe(model: Any) -> dict[str, Any]:
    """What a model is: its class and a hash of its configuration, however it was loaded."""
    from attnscope.model.pretrained import config_sha256

    return {"model": type(model).__name__, "config_sha256": config_sha256(model.config)}


def write(path: str | Path, tensors: dict[str, Tensor], about: dict[str, Any]) -> None:
    """Write parameters; the file is complete or absent.

    Raises:
        RunError: If it cannot be written.
    """
    from safetensors.torch import save_file

    header = {"format": FORMAT, "version": VERSION, "attnscope": __version__} | about
    with unfinished(path) as part:
        save_file(
            {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()},
            part,
            {name: value if isinstance(value, str) else json.dumps(value) for name, value in header.items()},
        )


def read(path: str | Path, model: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Parameters, and what they belong to.

    Args:
        path: Path of the file.
        model: As from `describe`.

    Raises:
        RequestError: If there is no such file, it is no adapter, or it belongs to another model.
    """
    from safetensors import SafetensorError, safe_open

    check_regular(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
    except (OSError, SafetensorError) as error:
        raise RequestError(f"{path}: not a safetensors file ({str(error).splitlines()[0]})") from None
    if header.get("format") != FORMAT or header.get("version") != str(VERSION):
        raise RequestError(f"{path}: is not a MODA adapter of version {VERSION}")
    if header.get("config_sha256") != model["config_sha256"]:
        raise RequestError(
            f"{path}: was trained for another configuration ({header.get('model')}) than this {model['model']}"
        )
    try:
        return tensors, {"layers": json.loads(header["layers"]), "settings": json.loads(header["settings"])}
    except (KeyError, ValueError):
        raise RequestError(f"{path}: its metadata lack the layers or the settings") from None


# What an adapter does to the keys of one attention call.


def fused_keys(
    call: AttentionCall, row: int, order: Sequence[Step], r: Tensor, fuser: Tensor, settings: dict[str, str]
) -> list[tuple[Tensor, Tensor]]:
    """Keys (K + r * mapped K) W of one sample and side.

    Args:
        call: Attention call of a prefill.
        row: Row of the batch.
        order: Tokens, and those whose Gram matrix maps them.
        r: [D].
        fuser: [D, D] W.
        settings: Gram and norm, as in `ModaAlign`.

    Returns:
        Tokens [n] and their keys [H, n, D] in the type of the call's.
    """
    device = call.key.device
    own, value = call.key[row].float(), call.value[row].float()
    order = [(tokens.to(device), given.to(device)) for tokens, given in order]
    r, fuser = r.float().to(device), fuser.float().to(device)
    return [
        (tokens, ((own[:, tokens] + r * mapped) @ fuser.mT).to(call.key.dtype))
        for tokens, mapped in mapped_keys(own, value, order, settings["gram"], settings["norm"])
    ]


def put_back(
    call: AttentionCall, kept: Sequence[Sequence[tuple[Tensor, Tensor] | None]], *, first: int
) -> AttentionCall:
    """Put the prompt's fused keys in place of the cache's, which are the model's own.

    Args:
        call: A cached step.
        kept: Kept of each row, tokens [n] and fused keys [H, n, D] of each side.
        first: Token of the oldest key that a sliding cache still holds.
    """
    key = call.key.clone()
    for row, sides in enumerate(kept):
        for tokens, fused in (side for side in sides if side is not None):
            held = tokens >= first
            key[row, :, tokens[held] - first] = fused[:, held]
    return call.widened(call.query, key)


def check_call(call: AttentionCall, length: int, width: int) -> None:
    """Refuse what an adapter cannot follow.

    Raises:
        RequestError: If the layer is given other tokens than the model.
        ModelError: If keys or values have other widths than the parameters.
    """
    if call.query.shape[2] != length:
        raise RequestError(
            f"MODA adapter: the model was given {length} tokens, and layer {call.layer} {call.query.shape[2]}"
        )
    if (call.key.shape[-1], call.value.shape[-1]) != (width, width):
        raise ModelError(
            f"MODA adapter: layer {call.layer} has keys of {call.key.shape[-1]} and values of"
            f" {call.value.shape[-1]} channels, not {width} each"
        )


def head_width(module: Any, text: Any) -> int:
    """Channels of a head."""
    stated = getattr(module, "head_dim", None) or getattr(text, "head_dim", None)
    return int(stated or text.hidden_size // text.num_attention_heads)


# Which tokens of a batch are visual and which are text, from what a transformers model is called with.


_IGNORED = -100  # label of a token that the loss is not about


@dataclass(frozen=True)
class Batch:
    """The tokens of one forward pass, and of the cached steps that follow it.

    Attributes:
        length: Tokens that the model has met, padding included.
        orders: One a row: for each side, the steps by which its keys are mapped (see `gram.steps`).
    """

    length: int
    orders: list[dict[str, list[Step]]]

    @property
    def any(self) -> bool:
        """Whether a key of any row is mapped."""
        return any(order for orders in self.orders for order in orders.values())

    @classmethod
    def of(
        cls,
        model: Any,
        inputs: dict[str, Any],
        ids: tuple[int, ...],
        settings: dict[str, str],
        last: Batch | None,
    ) -> Batch:
        """Read what the model is called with, by name.

        Args:
            model: The model.
            inputs: What it is called with.
            ids: Ids of visual tokens.
            settings: Settings of the adapter.
            last: The batch whose cache is among the inputs; None if it is another cache, or there is none.

        Raises:
            RequestError: If the tokens cannot be told apart, or the Gram matrix would take in what is to be predicted,
                or a cache is not that of a batch that the adapter has seen, or is not continued token by token.
        """
        given = inputs.get("input_ids")
        if given is None:
            raise RequestError("MODA adapter: the model was given no input_ids, which say which tokens are visual")
        met = cached_tokens(cache_in(inputs)) or 0
        if met:
            if last is None:
                raise RequestError(
                    f"MODA adapter: the cache of {met} tokens is not that of the last prompts that it has seen, so that"
                    " their keys are not known"
                )
            if given.shape[1] != 1:
                raise RequestError(f"MODA adapter: {given.shape[1]} tokens after a cache of {met}; it takes one a step")
            if met != last.length:
                raise RequestError(f"MODA adapter: the cache held {last.length} tokens, and now holds {met}")
            return replace(last, length=met + 1)
        visual = torch.isin(given, torch.tensor(ids, device=given.device)).cpu()
        if not visual.any() and (kinds := modalities_in(inputs)) is not None:
            visual = torch.isin(kinds.cpu(), torch.tensor([1, 2]))
        seen, prompt = _seen(inputs, given), _prompt(model, inputs, given, settings["scope"], bool(visual.any()))
        visual, text = visual & seen, ~visual & seen & prompt
        return cls(
            given.shape[1], [_orders(row, v, t, settings) for row, (v, t) in enumerate(zip(visual, text, strict=True))]
        )


def visual_ids(model: Any) -> tuple[int, ...]:
    """Ids of the tokens whose embeddings a model replaces by visual features.

    Raises:
        ModelError: If its configuration names none.
    """
    found = names.visual_ids(model.config)
    if not found:
        raise ModelError(f"{type(model).__name__}: its configuration names no token id of images or video")
    return tuple(sorted(found))


def _seen(inputs: dict[str, Any], given: Tensor) -> Tensor:
    """[B, N] tokens that are not padding."""
    mask = inputs.get("attention_mask")
    if mask is None:
        return torch.ones(given.shape, dtype=torch.bool)
    if not isinstance(mask, Tensor) or mask.shape != given.shape:
        raise RequestError("MODA adapter: the attention mask must be one value a token, to tell padding")
    return mask.bool().cpu()


def _prompt(model: Any, inputs: dict[str, Any], given: Tensor, scope: str, visual: bool) -> Tensor:
    """[B, N] tokens before the first one with a label."""
    labels = inputs.get("labels")
    if labels is not None:
        before: Tensor = (labels != _IGNORED).long().cumsum(1) == 0
        return before.cpu()
    if scope == "prompt" and visual and model.training and torch.is_grad_enabled():
        raise RequestError(
            "MODA adapter: in training, scope 'prompt' needs labels, or the Gram matrix would take in the answer;"
            " pass labels to the model, or take scope 'prefix'"
        )
    return torch.ones(given.shape, dtype=torch.bool)


def _orders(row: int, visual: Tensor, text: Tensor, settings: dict[str, str]) -> dict[str, list[Step]]:
    if settings["scope"] == "prompt" and visual.any() and not text.any():
        raise RequestError(
            f"MODA adapter: sample {row} has no text before its first label; set the labels of its prompt to -100, or"
            " take scope 'prefix'"
        )
    sides = {VISUAL: (visual, text), TEXT: (text, visual)}
    wanted = sides if settings["direction"] == "both" else {settings["direction"]: sides[settings["direction"]]}
    return {side: steps(*pair, settings["scope"]) for side, pair in wanted.items()}


_NAME = "moda_adapter"  # the submodule of the model while it is attached


class ModaAdapter(nn.Module):
    """Trainable alignment of keys around any supported model.

    While it is attached it is a submodule of the model, so that optimizers find its parameters, and the model's own are
    frozen; leaving the block restores the model. Visual tokens are found by the placeholder ids in `input_ids`; every
    other token that the attention mask lets be seen is text. Sequences may be padded on either side. Gradient
    checkpointing works, also where layers are computed again in another thread (as on a GPU).

    Attributes:
        layers: Numbers of the layers that it changes.
        settings: Gram, norm, direction and scope, as in `ModaAlign`.
        r: [D] by side and layer, as in "visual_3".
        fuser: [D, D] likewise.

    Example:
        >>> adapter = attnscope.correct.ModaAdapter(model, layers="0.0-0.4")
        >>> list(adapter.layers), sum(parameter.numel() for parameter in adapter.parameters())
        ([0, 1], 544)
        >>> with adapter:  # untrained, it changes nothing
        ...     attnscope.evaluate.score(model, [prompt])[0].prediction
        'Ben'
    """

    def __init__(
        self,
        model: LoadedModel | nn.Module,
        *,
        layers: str | Sequence[int] = "0.0-1.0",
        gram: str = "code",
        norm: str = "row",
        direction: str = VISUAL,
        scope: str = "prompt",
        freeze: bool = True,
    ) -> None:
        """Make the parameters; the model is left as it is until `attach` or a `with` block.

        Args:
            model: A loaded model, or a transformers model whose attention can be reached.
            layers: Where keys are changed.
            gram: As in `ModaAlign`.
            norm: As in `ModaAlign`.
            direction: As in `ModaAlign`.
            scope: "prompt": the Gram matrix is that of the text up to the first token with a label, or of all text
                where there are no labels; training without labels is refused. "prefix": as in `ModaAlign`.
            freeze: Whether the model's own parameters get no gradient while this is attached.

        Raises:
            RequestError: If an option is out of range.
            ModelError: If the model's attention cannot be reached, or it has no visual placeholder tokens.
        """
        super().__init__()
        check_alignment(gram, norm, direction, scope)
        inner: Any = getattr(model, "model", model) if hasattr(model, "processor") else model
        found, text = decoder_layers(inner), text_config(inner)
        self.layers = select_layers(layers, tuple(found), int(text.num_hidden_layers))
        self.settings = {"gram": gram, "norm": norm, "direction": direction, "scope": scope}
        self.sides = [VISUAL, TEXT] if direction == "both" else [direction]
        self.freeze = freeze
        self.r, self.fuser = nn.ParameterDict(), nn.ParameterDict()
        for layer in self.layers:
            device = next(found[layer].parameters()).device
            width = head_width(found[layer], text)
            for side in self.sides:
                self.r[f"{side}_{layer}"] = nn.Parameter(torch.zeros(width, device=device))
                self.fuser[f"{side}_{layer}"] = nn.Parameter(torch.eye(width, device=device))
        self._around: tuple[Any] = (inner,)  # in a tuple, or the model would be this module's submodule
        self._attention = [found[layer] for layer in self.layers]
        self._ids = visual_ids(inner)
        self._batch: Batch | None = None
        self._kept: dict[tuple[int, int, str], tuple[Tensor, Tensor]] = {}  # of layer, row, side: tokens, fused keys
        self._cache: weakref.ref[Any] | None = None  # of the batch that was run last
        self._undo: ExitStack | None = None
        self._thread = 0
        self._elsewhere = threading.local()

    # ---- around the model

    def attach(self) -> ModaAdapter:
        """Put the adapter around its model, until `detach`.

        Raises:
            RequestError: If the model has an adapter already.
        """
        (model,) = self._around
        if hasattr(model, _NAME):
            raise RequestError(f"{type(model).__name__} has a MODA adapter already; detach it first")
        with ExitStack() as undo:
            if self.freeze:
                for parameter in model.parameters():
                    undo.callback(parameter.requires_grad_, parameter.requires_grad)
                    parameter.requires_grad_(False)
            model.add_module(_NAME, self)
            undo.callback(delattr, model, _NAME)
            undo.callback(model.register_forward_pre_hook(self._see, with_kwargs=True).remove)
            undo.callback(model.register_forward_hook(self._keep_cache).remove)
            for module in self._attention:
                undo.callback(module.register_forward_pre_hook(self._enter).remove)
                undo.callback(module.register_forward_hook(self._leave, always_call=True).remove)
            undo.enter_context(tapped(model, edits=[self], layers=self.layers))
            self._thread, self._undo = threading.get_ident(), undo.pop_all()
        return self

    def detach(self) -> None:
        """Restore the model; the parameters stay here."""
        undo, self._undo = self._undo, None
        self._batch, self._kept, self._cache = None, {}, None
        if undo is not None:
            undo.close()

    def __enter__(self) -> ModaAdapter:
        """As `attach`."""
        return self.attach()

    def __exit__(self, *_: object) -> None:
        """As `detach`."""
        self.detach()

    def _see(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Learn, before the model runs, which tokens are visual and which may enter the Gram matrix."""
        inputs = named(model, args, kwargs)
        cache = cache_in(inputs)
        known = self._batch if cache is not None and self._cache is not None and self._cache() is cache else None
        batch = Batch.of(model, inputs, self._ids, self.settings, known)
        if self._batch is None or batch.orders is not self._batch.orders:  # not a cached step of the last batch
            self._kept = {}
        self._batch = batch

    def _keep_cache(self, _model: nn.Module, _args: Any, out: Any) -> None:
        """Remember whose cache it is: another one holds the keys of other prompts."""
        cache = cache_of(out)
        self._cache = None if cache is None else weakref.ref(cache)

    def _enter(self, _module: nn.Module, _args: Any) -> None:
        """Where a layer is computed again in another thread, be there too: the seam's blocks are of one thread."""
        if threading.get_ident() != self._thread:
            self._elsewhere.undo = ExitStack()
            self._elsewhere.undo.enter_context(tapped(self._around[0], edits=[self], layers=self.layers))

    def _leave(self, _module: nn.Module, _args: Any, _out: Any) -> None:
        undo = getattr(self._elsewhere, "undo", None)
        if undo is not None:
            self._elsewhere.undo = None
            undo.close()

    # ---- the edit

    def forward(self, call: AttentionCall) -> AttentionCall:
        """Fuse the keys of one attention call: an edit of the seam.

        Raises:
            RequestError: If the model is run in a way that the adapter cannot follow.
            ModelError: If keys and values have other widths than the parameters.
        """
        batch = self._batch
        if batch is None or not batch.any:
            return call
        if call.is_decode:
            kept = [[self._kept.get((call.layer, row, side)) for side in self.sides] for row in range(len(call.key))]
            return put_back(call, kept, first=max(0, batch.length - call.key.shape[2]))
        check_call(call, batch.length, len(self.r[f"{self.sides[0]}_{call.layer}"]))
        key = call.key.clone()
        with torch.autocast(key.device.type, enabled=False):
            for row, orders in enumerate(batch.orders):
                for side, order in orders.items():
                    for tokens, fused in self._fused(call, row, side, order):
                        key[row, :, tokens] = fused
        return call.widened(call.query, key)

    def _fused(self, call: AttentionCall, row: int, side: str, order: Sequence[Step]) -> list[tuple[Tensor, Tensor]]:
        """Tokens and their fused keys of one sample and side; kept for the cached steps that may follow."""
        name = f"{side}_{call.layer}"
        found = fused_keys(call, row, order, self.r[name], self.fuser[name], self.settings)
        if found and not torch.is_grad_enabled():
            tokens, fused = zip(*found, strict=True)
            self._kept[call.layer, row, side] = torch.cat(tokens), torch.cat(fused, 1)
        return found

    # ---- files

    def save(self, path: str | Path) -> None:
        """Write the parameters and what they belong to as safetensors; the file is complete or absent.

        Raises:
            RunError: If it cannot be written.
        """
        about = describe(self._around[0]) | {"layers": self.layers, "settings": self.settings}
        write(path, dict(self.state_dict()), about)

    @classmethod
    def load(cls, model: LoadedModel | nn.Module, path: str | Path, *, freeze: bool = True) -> ModaAdapter:
        """An adapter from a file, not yet attached.

        Args:
            model: The model that it was trained for.
            path: Path of the file.
            freeze: As in the constructor.

        Raises:
            RequestError: If there is no such file, it is no adapter, or it belongs to a model of another configuration.
        """
        inner: Any = getattr(model, "model", model) if hasattr(model, "processor") else model
        tensors, about = read(path, describe(inner))
        adapter = cls(model, layers=about["layers"], freeze=freeze, **about["settings"])
        try:
            adapter.load_state_dict(tensors)
        except RuntimeError:
            raise RequestError(f"{path}: its parameters are not those of this model's layers") from None
        return adapter
