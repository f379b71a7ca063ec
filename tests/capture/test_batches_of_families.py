"""A batch of prompts with different clips: each prompt gets its own pixels and its own positions, in every family."""

from __future__ import annotations

import pytest
import torch

import attnscope
from attnscope.capture.record.generate import collate, generate
from attnscope.errors import RequestError
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.families import PLACED, SUPPORTED

pytestmark = pytest.mark.slow

# Transformers 5.24 does not run Llama 4. Of those that are probed, which takes longer, one is tried.
NAMES = [*SUPPORTED, *(name for name in PLACED if name != "llama4"), "hunyuan_vl"]
REFUSED = {
    "hunyuan_vl": "positions of visual tokens in a batch depend on its other prompts; run the prompts one at a time",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_batch_of_different_clips_is_each_prompt_alone(name, checkpoint, drawn):
    """Two and four frames, of which the second prompt's are later ones: no token may take another prompt's pixels."""
    loaded = attnscope.load(str(checkpoint(name)), dtype="float32")
    prompts = [make_prompt(loaded, Scene.read(drawn), frames=count) for count in (2, 4)]
    if name in REFUSED:
        with pytest.raises(RequestError, match=REFUSED[name]):
            collate(prompts, loaded)
        return
    for several in (prompts, prompts[::-1]):
        try:
            inputs, _ = collate(several, loaded)
        except RequestError as error:  # inputs of other shapes are not joined
            assert "run them one at a time" in str(error)
            return
        for answer, prompt in zip(generate(loaded, inputs, 1), several, strict=True):
            (alone,) = generate(loaded, collate([prompt], loaded)[0], 1)
            largest = float(alone.first_logits.abs().max())
            torch.testing.assert_close(answer.first_logits, alone.first_logits, atol=1e-5 * max(10, largest), rtol=0)
