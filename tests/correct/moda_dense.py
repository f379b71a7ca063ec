"""MODA's corrections written out on an explicit N x N matrix, and a model run with such a matrix in every layer."""

from __future__ import annotations

import math

import numpy as np
import torch
from scipy.optimize import brentq

from attnscope.attention import decoder_layers
from attnscope.attention.decoder import registry_of


class Dense:
    """In place of the decoder's kernel: an explicit matrix, from a rule (layer, z, seen, keys, values) -> A [H, N, N].

    Keys and values [Hkv, N, D] and z [H, N, N] are float64 and those of the layer as it runs; a rule that changes keys
    gives {"key": its keys} and leaves the softmax to the next rule.
    """

    def __init__(self, model, rules):
        self.modules = {module: number for number, module in decoder_layers(model).items()}
        self.registry, self.rules = registry_of(next(iter(self.modules))), rules
        self.original = self.registry["sdpa"]

    def __call__(self, module, query, key, value, attention_mask, scaling=None, **kwargs):
        if module not in self.modules:
            return self.original(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        layer, n, share = self.modules[module], query.shape[2], query.shape[1] // key.shape[1]
        q, k, v = (x[0].double() for x in (query, key, value))
        seen = allowed(attention_mask, n)
        attention = None
        for rule in self.rules:
            z = q @ k.repeat_interleave(share, 0).mT * (scaling or q.shape[-1] ** -0.5)
            found = rule(layer, z, seen, k, v)
            if isinstance(found, dict):
                k = found["key"]
            else:
                attention = found
        if attention is None:
            attention = plain(q @ k.repeat_interleave(share, 0).mT * (scaling or q.shape[-1] ** -0.5), seen)
        out = (attention @ v.repeat_interleave(share, 0)).to(query)
        return out.transpose(0, 1)[None].contiguous(), None

    def logits(self, loaded, inputs):
        self.registry["sdpa"] = self
        try:
            with torch.no_grad():
                return loaded.model(**inputs, use_cache=False).logits
        finally:
            del self.registry["sdpa"]


def allowed(mask, n):
    """[n, n] pairs that a prefill's mask, as SDPA takes it, lets a query see: none is causal."""
    if mask is None:
        return torch.ones(n, n, dtype=torch.bool).tril()
    return mask[0, 0] if mask.dtype == torch.bool else mask[0, 0] == 0


def plain(z, seen):
    return torch.softmax(z.masked_fill(~seen, -math.inf), -1)


def kinds_of(prompt, length):
    """Modality of each token; tokens after the prompt are text."""
    return [*prompt.tokens["modality"], *["text"] * (length - len(prompt.tokens))]


def align(prompt, settings):
    """K + r K^ G_n, key by key and head by head, as the paper and the released code say it."""

    def rule(_layer, _z, _seen, keys, values):
        n, out = len(prompt.tokens), keys.clone()
        kinds = kinds_of(prompt, n)
        visual = [kind == "visual" for kind in kinds]
        sides = {"visual": [True], "text": [False]}.get(settings.direction, [True, False])
        for head in range(len(keys)):
            for side in sides:
                grams = {}
                for j in range(n):
                    if visual[j] != side:
                        continue
                    given = [i for i in range(n) if visual[i] != side and (settings.scope == "prompt" or i < j)]
                    if not given:
                        continue
                    if len(given) not in grams:
                        grams[len(given)] = gram(keys[head, given], values[head, given], settings)
                    own = keys[head, j]
                    if settings.gram == "code":
                        own = (own + 1e-6) / (own + 1e-6).norm()
                    out[head, j] = keys[head, j] + settings.strength * own @ grams[len(given)]
        return {"key": out}

    return rule


def gram(keys, values, settings):
    if settings.gram == "code":
        keys = torch.stack([(k + 1e-6) / (k + 1e-6).norm() for k in keys])
        found = sum(torch.outer(k, v) for k, v in zip(keys, values, strict=True))
    else:
        found = sum(torch.outer(k, k) for k in keys)
    if settings.norm == "row":
        return torch.stack([row / row.norm() for row in found])
    size = {
        "fro": lambda: found.pow(2).sum().sqrt(),
        "spectral": lambda: torch.linalg.svdvals(found)[0],
        "trace": lambda: torch.linalg.eigvalsh(found).sum(),
    }
    return found / size[settings.norm]()


def mask(prompt, settings):
    """Two softmaxes a row, added by the gate; the plain row where only one side is seen or the row is not asked for."""

    def rule(_layer, z, seen, *_):
        n = z.shape[-1]
        visual = torch.tensor([kind == "visual" for kind in kinds_of(prompt, n)])
        out = plain(z, seen)
        for i in range(n):
            own, other = seen[i] & (visual == visual[i]), seen[i] & (visual != visual[i])
            asked = settings.queries in ("both", "visual" if visual[i] else "text")
            if not asked or not own.any() or not other.any():
                continue
            inside, across = (
                torch.softmax(z[:, i].masked_fill(~part, -math.inf), -1).nan_to_num() for part in (own, other)
            )
            even = float(other.sum()) / float(own.sum() + other.sum())  # as large a share as there are keys
            fixed = even if settings.gate is None else settings.gate
            gate = out[:, i, other].sum(-1, keepdim=True) if settings.combine == "natural" else fixed
            out[:, i] = (1 - gate) * inside + gate * across
        return out

    return rule


def pseudo(prompt, settings):
    """n - i scores appended to row i, with value 0."""

    def rule(_layer, z, seen, *_):
        n, out = len(prompt.tokens), plain(z, seen)
        for i in range(n):
            more = settings.p_base - settings.beta * torch.arange(n - (i + 1), dtype=torch.float64)
            row = z[:, i, seen[i]]
            more = more.expand(len(z), -1)
            if settings.level == "row":
                more = more + torch.logsumexp(row, -1, keepdim=True)
            out[:, i, seen[i]] = torch.softmax(torch.cat([row, more], -1), -1)[:, : row.shape[-1]]
        return out

    return rule


def signed(z, seen, own, other, c, denominator):
    """(s - c) / denominator of some rows of one head [R, N] whose cross logits are raised by c."""
    attention = plain(z + c * other, seen)  # pairs that are not allowed hold 0
    means = [float(attention[:, part].sum() / seen[:, part].sum()) for part in (own, other)]
    return (means[0] - means[1]) / {"max": max(means), "sum": sum(means), "self": means[0]}[denominator]


def calibrate(prompt, settings):
    """The constant of each head by Brent's method on the explicit matrix."""

    def rule(_layer, z, seen, *_):
        n, total = len(prompt.tokens), z.shape[-1]
        kinds = np.array(kinds_of(prompt, total), object)
        out = z.clone()
        for side, other in (("visual", "text"), ("text", "visual")):
            if settings.queries not in ("both", side):
                continue
            rows, to = torch.tensor(kinds == side), torch.tensor(kinds == other)
            if not seen[:n, :n][rows[:n]][:, to[:n]].any():
                continue
            for head in range(len(z)):

                def gap(c, head=head, rows=rows, to=to):
                    part = z[head, :n, :n][rows[:n]], seen[:n, :n][rows[:n]], rows[:n], to[:n]
                    return signed(*part, c, settings.denominator)

                if settings.change == "down" and abs(gap(0.0)) <= settings.target:
                    continue
                found = []
                for wanted in (settings.target, -settings.target):
                    ends = gap(-settings.limit) - wanted, gap(settings.limit) - wanted
                    if ends[0] * ends[1] < 0:
                        at = brentq(lambda c, w=wanted, gap=gap: gap(c) - w, -settings.limit, settings.limit, xtol=1e-7)
                        found.append((abs(at), at))
                out[head] += min(found)[1] * (rows[:, None] & to[None])
        return plain(out, seen)

    return rule


RULES = {"moda-align": align, "moda-mask": mask, "moda-pseudo": pseudo, "moda-calibrate": calibrate}


def reference(loaded, prompt, inputs, corrections):
    """Logits of a model whose every layer computes the corrected matrix."""
    rules = [RULES[one.method](prompt, one) for one in corrections]
    return Dense(loaded.model, rules).logits(loaded, inputs)
