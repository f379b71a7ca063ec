"""The social bias written out densely, token by token, and the means to look at a running model's maps."""

from __future__ import annotations

import math

import numpy as np
import torch

from attnscope.attention import AttentionCall, allowed_pairs, dense_attention, logits, tapped

EVERYWHERE = {"threshold": 0.0, "layers": "0.0-1.0"}


class Watch:
    """A reader that keeps every prefill's call."""

    def __init__(self):
        self.calls: dict[int, AttentionCall] = {}

    def channels(self, _call):
        return None

    def read(self, call, _readings):
        if not call.is_decode:
            self.calls[call.layer] = call


def run(loaded, inputs, edits):
    """Logits of one forward pass, and the calls of all layers, edits included."""
    watch = Watch()
    with torch.no_grad(), tapped(loaded.model, edits=edits), tapped(loaded.model, readers=[watch]):
        out = loaded.model(**inputs).logits
    return out, watch.calls


def whole_map(call):
    rows = torch.arange(call.query.shape[2])
    return dense_attention(call.query[0], call.key[0], allowed_pairs(call, 0, rows), scaling=call.scaling)


def longer(prompt, ids):
    """The inputs of a prompt with tokens appended."""
    inputs, tail = dict(prompt.inputs), torch.tensor([list(ids)])
    for name in ("input_ids", "attention_mask", "mm_token_type_ids"):
        if name in inputs:
            extra = tail if name == "input_ids" else torch.full_like(tail, int(name == "attention_mask"))
            inputs[name] = torch.cat([inputs[name], extra.to(inputs[name].dtype)], 1)
    return inputs


def own_cells(prompt, settings, instead=None):
    """The cells that each speaker's rows are drawn to, and those of each speaker's box, as {name: [positions]}.

    Args:
        prompt: The prompt.
        settings: The SocialBias.
        instead: In place of a speaker's cells, where chance has placed them.
    """
    tokens, scene = prompt.tokens, prompt.scene
    covered = {s: np.nan_to_num(tokens[f"covered:{s}"].to_numpy()) >= settings.coverage for s in scene.speakers}
    boxed = {s: np.flatnonzero(inside).tolist() for s, inside in covered.items()}
    cells = boxed
    if settings.overlap == "none":
        cells = {s: [j for j in boxed[s] if not any(j in boxed[o] for o in boxed if o != s)] for s in boxed}
    whose = getattr(settings, "whose", "own")  # of a control
    if whose == "other":
        seen = [s for s in boxed if boxed[s]]
        return {s: cells[(seen * 2)[seen.index(s) + 1]] if boxed[s] else [] for s in boxed}, boxed
    if whose == "everyone":
        return dict.fromkeys(boxed, sorted({j for inside in boxed.values() for j in inside})), boxed
    if whose == "visual":
        return dict.fromkeys(boxed, _placed(tokens)), boxed
    return instead or cells, boxed


def _placed(tokens):
    return np.flatnonzero((tokens["modality"] == "visual") & (tokens["x1"] > 0)).tolist()


def targets(prompt, settings, names=None, instead=None):
    """Which cells each position is drawn to, as {position: [positions]}; none for utterances of the unseen.

    Args:
        prompt: The prompt; its question writes a name at most once.
        settings: The SocialBias.
        names: To whom the answer is drawn; None for all visual tokens.
        instead: As of `own_cells`.
    """
    tokens, scene, times = prompt.tokens, prompt.scene, np.asarray(prompt.frames.times)
    cells, boxed = own_cells(prompt, settings, instead)
    first, last, turns = (tokens[name].tolist() for name in ("frame_first", "frame_last", "turn"))
    kinds, found = settings.rows.split(","), {}
    for i in range(len(tokens)) if "utterances" in kinds else ():
        if turns[i] < 0 or not tokens["speaker"][i]:
            continue
        turn = scene.transcript[turns[i]]
        inside = [f for f, t in enumerate(times) if turn.start - settings.window <= t <= turn.end + settings.window]
        live = inside or [int(np.argmin([max(turn.start - t, t - turn.end) for t in times]))]
        found[i] = [j for j in cells.get(turn.speaker, ()) if any(first[j] <= f <= last[j] for f in live)]
    if "question" in kinds:
        begin = prompt.text.rindex(scene.question)
        for name in [s for s in scene.speakers if s in scene.question and cells[s]]:
            at = begin + scene.question.index(name)
            for i in range(len(tokens)):
                if tokens["char_end"][i] > at and tokens["char_start"][i] < at + len(name):
                    found[i] = cells[name]
    if "answer" in kinds:
        chosen = _placed(tokens) if names is None else sorted({j for name in names for j in cells[name]})
        found[len(tokens) - 1] = chosen
    return found, sorted({j for inside in boxed.values() for j in inside})


def reference(call, prompt, settings, names=None, instead=None, width=None):
    """The corrected map [H, N, N] of one call from its plain logits, and the active heads [H].

    The call may hold more tokens than the prompt; arguments as of `targets`. `width` is that of the model's queries, if
    it is not that of its values (latent attention).
    """
    width = width or call.value.shape[-1]
    z = logits(call.query[0, ..., :width], call.key[0, ..., :width], scaling=call.scaling)
    n = z.shape[-1]
    seen = allowed_pairs(call, 0, torch.arange(n))
    if call.mask is None:
        seen &= torch.ones(n, n).tril().bool()
    pairs, visual = targets(prompt, settings, names, instead)
    plain = torch.softmax(z.masked_fill(~seen, -math.inf), -1)
    active = plain[:, sorted(pairs)][..., visual].mean((1, 2)) > settings.threshold
    if settings.heads:
        chosen = [tuple(map(int, head.split("."))) for head in settings.heads.split(",")]
        active = torch.tensor([(call.layer, h) in chosen for h in range(len(z))])
    last = len(prompt.tokens) - 1
    if "answer" in settings.rows:
        pairs |= dict.fromkeys(range(last, n), pairs[last])
    bias = torch.zeros_like(z)
    for i, inside in pairs.items():
        known = [j for j in visual if seen[i, j]]  # a window hides some
        if known and inside:
            peak, mean = z[:, i, known].amax(-1), z[:, i, known].mean(-1)
            rule = {"paper": peak, "clamp": peak.clamp(min=0), "gap": peak - mean}[settings.negative]
            amount = rule if settings.strength == "logit" else torch.ones_like(rule)
            bias[:, i, inside] = settings.alpha * (amount * active)[:, None]
    return torch.softmax((z + bias).masked_fill(~seen, -math.inf), -1), active
