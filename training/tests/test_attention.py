"""Packed attention: the same numbers as the dense mask, and as one prompt a question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from attnscope.demo.questions import questions, shown_options
from attnscope.demo.script import ClipSampler
from training.attention import PackedMask, attend, attend_plain, training_attention
from training.language import logits_of
from training.packing import IGNORED, Packed, Packer
from training.pixels import SLOTS, draw_slots, grid, patches
from training.tower import features

Models = tuple[Any, Any]
TOLERANCE = {"atol": 1e-5, "rtol": 1e-5}


def layout(prefix: int, questions: int, length: int, *reals: int) -> PackedMask:
    """`reals`: how many tokens of each row's prefix are no padding."""
    return PackedMask(prefix, questions, length, torch.arange(prefix) < torch.tensor(reals)[:, None])


LAYOUTS = [layout(5, 3, 4, 5, 3), layout(6, 1, 2, 6), layout(4, 2, 1, 1, 4, 2), layout(1, 4, 3, 1)]


@pytest.mark.parametrize("packed", LAYOUTS)
def test_the_mask_is_what_a_token_may_see(packed: PackedMask) -> None:
    mask = packed.mask()[:, 0]
    p, s = packed.prefix, packed.length
    for row, real in enumerate(packed.real.tolist()):
        for query in range(mask.shape[1]):
            if query < p:
                seen = set(range(query + 1))
            else:
                own = p + (query - p) // s * s
                seen = {key for key in range(p) if real[key]} | set(range(own, query + 1))
            assert set(torch.nonzero(mask[row, query])[:, 0].tolist()) == seen
    assert mask.shape == (len(packed.real), p + packed.questions * s, p + packed.questions * s)


def heads(packed: PackedMask, number: int, seed: int) -> Tensor:
    """Random values of some heads, [B, heads, L, 16]."""
    width = packed.prefix + packed.questions * packed.length
    return torch.randn(len(packed.real), number, width, 16, generator=torch.Generator().manual_seed(seed)) * 2


@pytest.mark.parametrize("packed", LAYOUTS)
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_attend_is_dense_attention_under_the_mask(packed: PackedMask, kv_heads: int) -> None:
    query, key, value = heads(packed, 4, 0), heads(packed, kv_heads, 1), heads(packed, kv_heads, 2)
    found, weights = attend(None, query, key, value, packed, 0.3)
    wanted = scaled_dot_product_attention(query, key, value, packed.mask(), scale=0.3, enable_gqa=True)
    assert weights is None
    assert torch.allclose(found, wanted.transpose(1, 2), **TOLERANCE)


def test_attend_plain_sees_everything() -> None:
    query, key, value = (heads(LAYOUTS[0], 4, seed) for seed in range(3))
    found, _ = attend_plain(None, query, key, value, 0.3)
    assert torch.allclose(
        found, scaled_dot_product_attention(query, key, value, scale=0.3).transpose(1, 2), **TOLERANCE
    )


def test_the_model_has_its_own_attention_back(untrained: Models) -> None:
    model, _ = untrained

    def chosen() -> list[str]:
        parts = (model.model.language_model, model.model.visual)
        return [part.config._attn_implementation for part in parts]

    before = chosen()
    with pytest.raises(ZeroDivisionError), training_attention(model):
        assert chosen() == ["attnscope_packed", "attnscope_plain"] != before
        raise ZeroDivisionError
    assert chosen() == before


@pytest.fixture(scope="module")
def batch(untrained: Models) -> tuple[Packed, Tensor, list[Tensor]]:
    """A packed batch of clips with prefixes and questions of different lengths, visual tokens, and pixels."""
    model, processor = untrained
    stage, rng = ClipSampler("train", 5), np.random.default_rng(0)
    clips = [stage.clip(0), stage.clip(4, turns=3, named=True)]
    first, *_ = questions(clips[0])
    asked = [[(first, shown_options(first, rng))], [(question, ()) for question in questions(clips[1])[:2]]]
    packed = Packer(model, processor).pack(clips, asked)
    pixels = [patches(torch.from_numpy(draw_slots(clip, range(SLOTS))), processor) for clip in clips]
    with torch.no_grad():
        tokens = torch.stack([features(model, shown, SLOTS).flatten(0, 1) for shown in pixels])
    assert not packed.layout.real.all()
    return packed, tokens, pixels


@torch.no_grad()
def test_the_decoder_gives_the_same_under_the_dense_mask(
    untrained: Models, batch: tuple[Packed, Tensor, list[Tensor]]
) -> None:
    model, (packed, tokens, _) = untrained[0], batch
    video = model.config.video_token_id
    decoder = model.model.language_model
    x = decoder.embed_tokens(packed.ids)
    x[packed.ids == video] = tokens.reshape(-1, tokens.shape[-1])
    dense = decoder(
        inputs_embeds=x, attention_mask={"full_attention": packed.layout.mask()}, position_ids=packed.positions
    )
    wanted = model.lm_head(dense.last_hidden_state)[packed.targets != IGNORED]
    with training_attention(model):
        found, targets = logits_of(model, packed, tokens, video)
    assert torch.equal(targets, packed.targets[packed.targets != IGNORED])
    assert torch.allclose(found, wanted, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_every_question_is_answered_as_if_asked_alone(
    untrained: Models, batch: tuple[Packed, Tensor, list[Tensor]]
) -> None:
    """By the whole model, from pixels, with its own attention and positions."""
    model, (packed, tokens, pixels) = untrained[0], batch
    with training_attention(model):
        found, _ = logits_of(model, packed, tokens, model.config.video_token_id)
    p, s = packed.layout.prefix, packed.layout.length
    number = 0
    for row, shown in enumerate(pixels):
        prefix = packed.ids[row, :p][packed.layout.real[row]]
        for start in range(p, packed.ids.shape[1], s):
            ends = torch.nonzero(packed.targets[row, start : start + s] != IGNORED)[:, 0]
            if not len(ends):
                continue
            ids = torch.cat([prefix, packed.ids[row, start : start + int(ends[-1]) + 1]])[None]
            out = model(
                input_ids=ids,
                mm_token_type_ids=(ids == model.config.video_token_id).long() * 2,
                pixel_values_videos=shown,
                video_grid_thw=grid(SLOTS),
                second_per_grid_ts=torch.tensor([1.0]),
            ).logits[0]
            wanted = out[len(prefix) + ends]
            assert torch.allclose(found[number : number + len(ends)], wanted, atol=1e-4, rtol=1e-4)
            number += len(ends)
    assert number == len(found) == 2 * 3  # answers and ends of three questions
