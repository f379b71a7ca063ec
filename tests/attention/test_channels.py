"""The identities that everything rests on, against the dense softmax."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import scaled_dot_product_attention

from attnscope.attention import (
    AttentionCall,
    add_bias,
    allowed_pairs,
    dense_attention,
    dense_rows,
    read_with_output,
)


def make_call(batch=1, heads=4, kv=2, n=24, width=16, *, mask=None, seed=0, softcap=None, window=None, backend="sdpa"):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(batch, h, n, width, generator=generator) for h in (heads, kv, kv))
    return AttentionCall(0, 2 * q, k, v, mask, width**-0.5, softcap, window, None, mask is None, backend)


def kernel_of(call):
    def kernel(q, k, v):
        out = scaled_dot_product_attention(
            q, k, v, attn_mask=call.mask, is_causal=call.mask is None, scale=call.scaling, enable_gqa=True
        )
        return out.transpose(1, 2), None

    return kernel


def oracle(call, sample=0):
    n = call.query.shape[2]
    allowed = allowed_pairs(call, sample, torch.arange(n))
    return dense_attention(call.query[sample], call.key[sample], allowed, scaling=call.scaling, softcap=call.softcap)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 40), groups=st.integers(0, 300), kv=st.sampled_from([1, 2, 4]), seed=st.integers(0, 99))
def test_value_channels_equal_sums_of_the_dense_map(n, groups, kv, seed):
    call = make_call(n=n, kv=kv, seed=seed)
    members = (torch.rand(groups, n, generator=torch.Generator().manual_seed(seed)) < 0.5).float()
    channels = members.T[None, None].expand(1, kv, n, groups)
    out, _, read = read_with_output(call, kernel_of(call), channels)
    attention = oracle(call)
    values = call.value[0].repeat_interleave(4 // kv, 0)
    torch.testing.assert_close(out[0].transpose(0, 1), attention @ values, atol=1e-5, rtol=0)
    torch.testing.assert_close(read[0].transpose(0, 1), attention @ members.T, atol=1e-5, rtol=0)


def test_no_channels_is_the_plain_call_bit_for_bit():
    call = make_call()
    out, _, read = read_with_output(call, kernel_of(call), call.value[..., :0])
    plain, _ = kernel_of(call)(call.query, call.key, call.value)
    assert torch.equal(out, plain)
    assert read.shape[-1] == 0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 30), groups=st.integers(1, 5), scale=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_bias_identity(n, groups, scale, seed):
    """Mass p on a row's biased keys obeys logit(p') = logit(p) + b; proportions inside and outside stay."""
    call = make_call(n=n, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    group = torch.randint(0, groups + 1, (n,), generator=generator)  # the last value: in no group
    member = torch.nn.functional.one_hot(group, groups + 1)[None, :, :groups].float()
    chosen = torch.randint(0, groups, (4, n), generator=generator)  # each row biases one group
    bias = scale * torch.randn(4, n, generator=generator)
    table = torch.zeros(1, 4, n, groups).scatter_(-1, chosen[None, ..., None], bias[None, ..., None])
    before, after = oracle(call).double(), oracle(add_bias(call, table, member)).double()
    inside = (group == chosen[..., None]).double()  # [H, N, N]
    # Summing the part inside and the part outside keeps digits that 1 - p would lose.
    shares = [((a * inside).sum(-1), (a * (1 - inside)).sum(-1)) for a in (before, after)]
    mixed = torch.stack([part for pair in shares for part in pair]).amin(0) > 1e-12
    odds_before, odds_after = (torch.log(within / without) for within, without in shares)
    torch.testing.assert_close(odds_after[mixed], (odds_before + bias)[mixed], atol=1e-4, rtol=0)
    for part, old, new in zip((inside, 1 - inside), *shares, strict=True):
        left, right = (before * part / old[..., None])[mixed], (after * part / new[..., None])[mixed]
        torch.testing.assert_close(left, right, atol=1e-4, rtol=0)


def test_bias_equals_an_explicit_matrix_of_biases_for_overlapping_groups():
    call = make_call(n=20)
    member = (torch.rand(1, 20, 3) < 0.5).float()
    table = torch.randn(1, 4, 20, 3)
    widened = add_bias(call, table, member)
    z = (call.query @ call.key.repeat_interleave(2, 1).transpose(-1, -2)) * call.scaling
    z = z + table @ member[:, None].transpose(-1, -2)
    causal = torch.ones(20, 20).tril().bool()
    expected = torch.softmax(z.masked_fill(~causal, -math.inf), -1)
    torch.testing.assert_close(oracle(widened), expected[0], atol=1e-5, rtol=0)
    out, _ = kernel_of(call)(widened.query, widened.key, torch.nn.functional.pad(call.value, (0, 3)))
    torch.testing.assert_close(
        out[0, ..., :16].transpose(0, 1), expected[0] @ call.value[0].repeat_interleave(2, 0), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("softcap", [None, 1.5])
def test_chunked_rows_equal_the_whole_map(monkeypatch, softcap):
    call = make_call(n=33, softcap=softcap)
    whole = oracle(call)
    monkeypatch.setattr("attnscope.attention.dense.CHUNK_BYTES", 4 * 4 * 33 * 5)
    rows = torch.tensor([0, 3, 4, 9, 10, 11, 20, 32])
    chunks = list(dense_rows(call, 0, rows))
    assert [len(part) for part, *_ in chunks] == [5, 3]
    torch.testing.assert_close(torch.cat([a for _, _, a, _ in chunks], 1), whole[:, rows], atol=1e-6, rtol=0)


def test_sink_logits_take_mass_from_every_row():
    """One head, two keys, logits 0 and a learned sink logit 0: each key gets 1/3 of the second row."""
    q, k = torch.zeros(1, 2, 4), torch.zeros(1, 2, 4)
    causal = torch.ones(2, 2).tril().bool()
    attention = dense_attention(q, k, causal, scaling=1.0, sink_logits=torch.zeros(1))
    torch.testing.assert_close(attention[0], torch.tensor([[1 / 2, 0], [1 / 3, 1 / 3]]))


def test_a_row_with_no_allowed_key_is_zero():
    attention = dense_attention(
        torch.ones(1, 1, 4), torch.ones(1, 3, 4), torch.zeros(1, 3, dtype=torch.bool), scaling=1.0
    )
    assert attention.tolist() == [[[0.0, 0.0, 0.0]]]
