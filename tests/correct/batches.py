"""Several prompts at once: what tests of batches share."""

from __future__ import annotations

import torch

import attnscope
from attnscope.capture.record.generate import PLAIN_GREEDY
from attnscope.correct import corrected
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer
from tests.families.llava import build_sliding

NEW = 5  # generated tokens


def load(family, checkpoint, tmp_path_factory):
    """A model in float32. `sliding`: a window over most of a prompt, out of which the oldest keys pass in decoding."""
    folder = (
        build_sliding(tmp_path_factory.mktemp("sliding") / "model", window=236)
        if family == "sliding"
        else checkpoint(family)
    )
    return attnscope.load(str(folder), dtype="float32")


def asked(loaded, drawn):
    """Three prompts of different lengths, whose questions name different people."""
    scene = Scene.read(drawn)
    fields = [
        {"question": "What does Ada's coat hide?"},
        {"question": "Where is Ben?", "transcript": scene.transcript[:2]},
        {"question": "And what is it that Ada says to him in the end?", "options": []},
    ]
    built = [make_prompt(loaded, scene.model_copy(update=one)) for one in fields]
    assert len({len(prompt.tokens) for prompt in built}) == 3
    return built


def last_logits(loaded, inputs):
    with torch.no_grad():
        return loaded.model(**inputs).logits[:, -1]


def generate(loaded, inputs, **how):
    how = PLAIN_GREEDY | {"max_new_tokens": NEW, "min_new_tokens": NEW, "pad_token_id": 0} | how
    return loaded.model.generate(**inputs, **how, return_dict_in_generate=True, output_logits=True, output_scores=True)


def whole_text(loaded, prompt, corrections, new):
    """Log-probabilities of new tokens [n, vocabulary] in one corrected pass over prompt and tokens, without a cache."""
    with torch.no_grad(), corrected(loaded, prompt, corrections):
        out = loaded.model(**longer(prompt, new[:-1]), use_cache=False).logits[0, -len(new) :]
    return torch.log_softmax(out, -1)
