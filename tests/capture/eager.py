"""The independent oracle: transformers' own eager attention in float32, which returns whole maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

import attnscope
from attnscope.scene import Sampling, Scene, read_scene_frames


@dataclass
class Oracle:
    """Maps of one text, [H, P, P] a layer, and the greedy tokens of plain generation."""

    attention: list[np.ndarray]
    generated: list[int]


def make_prompt(loaded, scene, *, frames=4):
    from attnscope.model import build_prompt

    scene = scene if isinstance(scene, Scene) else Scene.read(scene)
    return build_prompt(loaded, scene, read_scene_frames(scene, Sampling(frames=frames)))


def plain_generate(loaded, prompt, max_new_tokens):
    out = loaded.model.generate(**prompt.inputs, max_new_tokens=max_new_tokens, do_sample=False)
    return out[0, prompt.inputs["input_ids"].shape[1] :].tolist()


def eager_oracle(folder, prompt, generated):
    """One full eager forward of prompt and fed-back tokens, no cache, no attnscope."""
    model = attnscope.load(str(folder), attn="eager").model
    inputs = dict(prompt.inputs)
    tail = torch.tensor([generated[:-1]], dtype=torch.long)
    for name in prompt.token_inputs:  # the generated tokens are text, so their kind is 0 whatever the input's name
        if name in inputs:
            extra = tail if name == "input_ids" else torch.full_like(tail, int(name == "attention_mask"))
            inputs[name] = torch.cat([inputs[name], extra.to(inputs[name].dtype)], 1)
    with torch.no_grad():
        out = model(**inputs, output_attentions=True, use_cache=False)
    return Oracle([a[0].numpy() for a in out.attentions], generated)


def eager_maps(folder, prompt):
    """[H, N, N] maps a layer of one full eager forward of a prompt, no cache, no attnscope."""
    model = attnscope.load(str(folder), attn="eager", dtype="float32", device="cpu").model
    with torch.no_grad():
        out = model(**prompt.inputs, output_attentions=True, use_cache=False)
    return [a[0].numpy() for a in getattr(out, "language_model_outputs", out).attentions]  # BLIP-2 nests its decoder's
