"""The peers written out on an explicit N x N matrix, in transformers' own eager attention: no channels, no seam."""

from __future__ import annotations

import sys
from contextlib import contextmanager

import torch

import attnscope
from attnscope.attention import decoder_layers


class Eager:
    """A second copy of a checkpoint, run with eager attention whose maps a function may change."""

    def __init__(self, folder):
        self.loaded = attnscope.load(str(folder), attn="eager", dtype="float32")

    def run(self, inputs, edit):
        """Logits [N, vocabulary], and every layer's map [H, N, N] as it was used.

        Args:
            inputs: Of one prompt, perhaps with tokens appended.
            edit: (layer, logits [H, N, N], allowed [N, N]) -> attention [H, N, N].
        """
        maps = {}

        def attend(layer, z, allowed):
            maps[layer] = edit(layer, z, allowed)
            return maps[layer]

        with torch.no_grad(), _written_out(self.loaded.model, attend):
            out = self.loaded.model(**inputs, use_cache=False).logits[0]
        return out, maps


@contextmanager
def _written_out(model, attend):
    """Every file whose classes are attention of the decoder gets an eager function that asks `attend`."""
    layers = {module: number for number, module in decoder_layers(model).items()}
    files = {sys.modules[type(module).__module__] for module in layers}
    own = {file: file.eager_attention_forward for file in files}

    def stand_in(original):
        def eager(module, query, key, value, attention_mask, scaling, **kwargs):
            if module not in layers:
                return original(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
            groups = query.shape[1] // key.shape[1]
            key, value = (x[0].repeat_interleave(groups, 0) for x in (key, value))
            z = query[0] @ key.transpose(1, 2) * scaling
            if (cap := kwargs.get("softcap")) is not None:
                z = torch.tanh(z / cap) * cap
            allowed = attention_mask[0, 0, :, : key.shape[1]]
            allowed = allowed if allowed.dtype == torch.bool else allowed == 0
            return (attend(layers[module], z, allowed) @ value).transpose(0, 1)[None], None

        return eager

    for file, original in own.items():
        file.eager_attention_forward = stand_in(original)
    try:
        yield
    finally:
        for file, original in own.items():
            file.eager_attention_forward = original


def softmax(z, allowed):
    return torch.softmax(z.masked_fill(~allowed, -torch.inf), -1)


def plain(_layer, z, allowed):
    return softmax(z, allowed)


def positions(prompt, total):
    """Image keys, keys before the image, rows of text after its first token, answer rows: [total] boolean each."""
    visual = torch.zeros(total, dtype=torch.bool)
    visual[: len(prompt.tokens)] = torch.tensor((prompt.tokens["modality"] == "visual").to_numpy())
    at, first = torch.arange(total), int(visual.nonzero()[0])
    return visual, at < first, (at > first) & ~visual, at >= len(prompt.tokens) - 1


def pai(prompt, total, layers, alpha):
    visual, _, _, answer = positions(prompt, total)

    def edit(layer, z, allowed):
        if layer in layers:
            z[:, answer] = torch.where(visual, z[:, answer] + alpha * z[:, answer].abs(), z[:, answer])
        return softmax(z, allowed)

    return edit


def vaf(prompt, total, layers, enhance, suppress):
    visual, before, text, _ = positions(prompt, total)

    def edit(layer, z, allowed):
        if layer in layers:
            for row in text.nonzero()[:, 0]:
                z[:, row, visual] *= enhance
                z[:, row, before] *= suppress
        return softmax(z, allowed)

    return edit


def adaptvis(prompt, total, layers, factor):
    visual, _, _, answer = positions(prompt, total)

    def edit(layer, z, allowed):
        if layer in layers:
            for row in answer.nonzero()[:, 0]:
                z[:, row, visual] *= factor
        return softmax(z, allowed)

    return edit


def temperature(prompt, total, heads, by, rows):
    _, _, text, answer = positions(prompt, total)
    chosen = {"answer": answer, "text": text, "all": torch.ones(total, dtype=torch.bool)}[rows]

    def edit(layer, z, allowed):
        for head in heads.get(layer, ()):
            z[head, chosen] /= by
        return softmax(z, allowed)

    return edit


def sinks_of(attention, allowed, prompt, total, least, ratio):
    """[total] keys with much more than their share, from the rows of the prompt that are not visual."""
    n = len(prompt.tokens)
    rows = ~positions(prompt, total)[0]
    rows[n:] = False
    uniform = 1 / allowed[:, :n].sum(1)
    found = torch.zeros(total, dtype=torch.bool)
    for key in range(n):
        seen = rows & allowed[:, key]
        if 2 * seen.sum() >= rows.sum():
            mean = attention[:, seen, key].mean()
            found[key] = mean > least and mean > ratio * uniform[seen].mean()
    return found


def var(prompt, total, layers, settings, looked):
    """Redistribution head by head and row by row; `looked` takes (layer, head, row) of all that was changed."""
    visual, _, text, answer = positions(prompt, total)
    rows = (text if settings.rows == "text" else answer).nonzero()[:, 0].tolist()

    def edit(layer, z, allowed):
        attention = softmax(z, allowed)
        if layer not in layers:
            return attention
        sinks = sinks_of(attention, allowed, prompt, total, settings.sink_mass, settings.sink_ratio)
        changed = attention.clone()
        others = visual & ~sinks
        images, shares = attention[..., visual].sum(-1).tolist(), attention[..., visual & sinks].sum(-1).tolist()
        for head in range(len(attention)) if sinks.any() else ():
            for row in rows:
                old, image = attention[head, row], images[head][row]
                if image < settings.image_mass or shares[head][row] / image > settings.sink_share:
                    continue
                freed = (1 - settings.keep) * old[sinks].sum()
                changed[head, row, sinks] = settings.keep * old[sinks]
                changed[head, row, others] += freed * old[others] / old[others].sum()
                looked.add((layer, head, row))
        return changed

    return edit
