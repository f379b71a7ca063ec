"""MODA's alignment as parameters: r and the fuser of every layer, trained with any loop that calls the model.

code: fused keys (K + r * mapped K) W, with r [D] learned from 0 and W a learned linear map without bias, both shared by
the heads of a layer; the mapped keys are those of `gram` (see there). Ours: W begins as the identity, not at random,
so that the adapter changes no logit before it is trained; the Gram matrix never takes in a token that the loss is
about, nor anything after it (the released code does, and its visual keys then tell of the answer); generated tokens
see the fused keys.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from attnscope.attention import AttentionCall, decoder_layers, tapped
from attnscope.attention.forward import named
from attnscope.correct.moda._adapter_file import describe, read, write
from attnscope.correct.moda._adapter_keys import check_call, fused_keys, head_width, put_back
from attnscope.correct.moda._adapter_tokens import Batch, visual_ids
from attnscope.correct.moda.gram import Step, check_alignment
from attnscope.errors import RequestError
from attnscope.layers import select_layers
from attnscope.transformers_names import cache_in, cache_of, text_config

if TYPE_CHECKING:
    from attnscope.model import LoadedModel

_NAME = "moda_adapter"  # the submodule of the model while it is attached


class ModaAdapter(nn.Module):
    """Trainable alignment of keys around any supported model.

    >>> adapter = ModaAdapter(model)
    >>> with adapter:
    ...     Trainer(model, args, train_dataset=data).train()
    >>> adapter.save("moda.safetensors")

    While it is attached it is a submodule of the model, so that optimizers find its parameters, and the model's own are
    frozen; leaving the block restores the model. Visual tokens are found by the placeholder ids in `input_ids`; every
    other token that the attention mask lets be seen is text. Sequences may be padded on either side. Gradient
    checkpointing works, also where layers are computed again in another thread (as on a GPU).

    Attributes:
        layers: Numbers of the layers that it changes.
        settings: gram, norm, direction and scope, as in `ModaAlign`.
        r: [D] by side and layer, as in "visual_3".
        fuser: [D, D] likewise.
    """

    def __init__(
        self,
        model: LoadedModel | nn.Module,
        *,
        layers: str | Sequence[int] = "0.0-1.0",
        gram: str = "code",
        norm: str = "row",
        direction: str = "visual",
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
        self.sides = ["visual", "text"] if direction == "both" else [direction]
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
            path: Of the file.
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
