"""A decoding step that nothing reads: its one row is biased and computed by itself, as the channels would have it."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.attention import RowEdit, add_bias, channels, dense_rows, masses
from attnscope.attention.dense import replace_rows
from tests.attention.test_channels import kernel_of, make_call

N = 40


def step(dtype=torch.float32, **fields):
    """Two samples with one query each, the first padded by 7."""
    call = make_call(batch=2, n=N)
    seen = torch.ones(2, 1, 1, N, dtype=torch.bool)
    seen[0, ..., :7] = False
    call = replace(call, query=call.query[:, :, -1:], mask=seen, causal=False, past=N - 1, **fields)
    call = replace(call, **{name: getattr(call, name).to(dtype) for name in ("query", "key", "value")})
    return replace(call, kernel=kernel_of(call))


def bias():
    generator = torch.Generator().manual_seed(3)
    table = 2 * torch.randn(2, 4, 1, 3, generator=generator)
    table[1, 2, 0, 1] = -1000
    return table, torch.nn.functional.one_hot(torch.arange(N) % 4, 4)[None, :, :3].float().repeat(2, 1, 1)


@pytest.mark.parametrize(("dtype", "within"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)], ids=str)
def test_the_row_is_that_of_the_channels(dtype, within):
    lone, wide = add_bias(step(dtype), *bias()), add_bias(step(dtype, read=True), *bias())
    assert len(lone.row_edits) == 1 and wide.query.shape[-1] > lone.query.shape[-1]

    def no_kernel(*_args):
        raise AssertionError("the kernel was run for a row that is computed by itself")

    found, _ = replace_rows(lone, no_kernel)(lone.query, lone.key, lone.value)
    identity = RowEdit([torch.tensor([0])] * 2, lambda _sample, _rows, z, _allowed: z)
    wide_row = wide.with_rows(identity)
    expected, _ = replace_rows(wide_row, no_kernel)(wide.query, wide.key, wide.value)
    torch.testing.assert_close(found, expected, atol=within, rtol=0)
    for sample in (0, 1):  # what a later correction sees
        rows = [next(dense_rows(call, sample, torch.tensor([0])))[2] for call in (lone, wide)]
        torch.testing.assert_close(*rows, atol=within, rtol=0)


def test_a_second_bias_and_other_edits_keep_their_order():
    table, member = bias()
    two = add_bias(add_bias(step(), table, member), 0.5 * table, member.flip(1))
    wide = add_bias(add_bias(step(read=True), table, member), 0.5 * table, member.flip(1))
    rows = [next(dense_rows(call, 1, torch.tensor([0])))[2] for call in (two, wide)]
    torch.testing.assert_close(*rows, atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    "fields",
    [{"read": True}, {"softcap": 30.0}, {"backend": "eager"}, {"past": 0}],
    ids=lambda fields: next(iter(fields)),
)
def test_channels_where_something_needs_them(fields):
    call = replace(step(), **fields)
    edited = add_bias(call, *bias())
    assert edited.query.shape[-1] == call.query.shape[-1] + 3 and not edited.row_edits


def test_masses_of_one_row_are_read_densely(monkeypatch):
    call, member = step(), bias()[1]
    expected = masses(call, member)
    monkeypatch.setattr(channels, "read_columns", None)
    torch.testing.assert_close(masses(call, member, torch.ones(2, 1, dtype=torch.bool)), expected, atol=1e-6, rtol=0)
