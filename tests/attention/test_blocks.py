"""Blocks of rows and of columns hold what dense rows hold, whatever the mask, the edits and the order of the work."""

from dataclasses import replace

import pytest
import torch

from attnscope.attention import RowEdit, blocks, classify, column_blocks, dense_rows, row_blocks
from attnscope.attention.masks import SampleMask
from tests.attention.test_fused import calls_of
from tests.attention.test_seam import MODELS, Bias, inputs

CASES = ["gqa", "eager", "sliding", "softcap", "sink logits"]


def dense(call, sample, index, rows):
    chunks = list(dense_rows(call, sample, index[rows]))
    attention = torch.cat([a for _, _, a, _ in chunks], 1)[..., index]
    return attention, torch.cat([lse for *_, lse in chunks], 1)


def from_blocks(call, sample, index, rows, mask, lse):
    heads, n = call.query.shape[1], len(index)
    attention = torch.full((heads, len(rows), n), 0.0)
    found, entropy, seen = torch.zeros(heads, len(rows)), torch.zeros(heads, len(rows)), torch.zeros(heads, len(rows))
    for block in row_blocks(call, sample, index, rows, mask, lse):
        part = attention[block.heads]
        part[:, block.at, block.keys] = block.attention
        found[block.heads, block.at], entropy[block.heads, block.at] = block.lse, block.entropy
        seen[block.heads, block.at] += 1
    assert (seen == 1).all()
    return attention, found, entropy


def edited(call, rows):
    """The call with some of its rows' logits halved."""
    return replace(call, row_edits=(RowEdit([rows] * len(call.query), lambda _s, _r, z, _a: z / 2),))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("change", ["none", "bias", "rows"])
def test_rows_and_columns_are_those_of_the_dense_map(name, change, monkeypatch):
    monkeypatch.setattr(blocks, "_ROWS", 8)
    monkeypatch.setattr(blocks, "_CACHED", 2**10)
    batch = inputs()
    edits = [Bias(1.5)] if change == "bias" and name != "softcap" else []
    for call in calls_of(MODELS[name](), batch, edits):
        for sample, real in enumerate(batch["attention_mask"].bool()):
            index = real.nonzero()[:, 0]
            mask = classify(call, sample, index)
            if change == "rows":
                call = edited(call, torch.tensor([8, 9, 21]))
            rows = torch.tensor([0, 1, 2, 7, 11, 12, 20, len(index) - 1])
            expected, exact = dense(call, sample, index, rows)
            entropy = -torch.xlogy(expected.double(), expected.double()).sum(-1)
            _, every = dense(call, sample, index, torch.arange(len(index)))
            off = every + 0.5 * torch.rand(every.shape, generator=torch.Generator().manual_seed(0))
            for lse in (None, every, off):  # a row is divided by its own sum
                attention, found, spread = from_blocks(call, sample, index, rows, mask, lse)
                torch.testing.assert_close(attention, expected, atol=1e-6, rtol=1e-4)
                torch.testing.assert_close(found, exact, atol=2e-5, rtol=0)
                torch.testing.assert_close(spread.double(), entropy, atol=1e-4, rtol=0)
            columns = torch.tensor([0, 3, 4, 13, 19])
            got = torch.zeros(len(expected), len(rows), len(columns))
            for at, seen, attention in column_blocks(call, sample, index, rows, columns, every, mask):
                part = got[:, at]
                part[:, :, seen] = attention
                got[:, at] = part
            torch.testing.assert_close(got, expected[..., columns], atol=1e-5, rtol=1e-4)


def test_no_rows_and_no_columns_give_nothing():
    (call, *_), none = calls_of(MODELS["gqa"](), inputs(padding=0)), torch.zeros(0, dtype=torch.long)
    index, mask, lse = torch.arange(30), SampleMask("causal"), torch.zeros(4, 30)
    assert not list(row_blocks(call, 0, index, none, mask, lse))
    assert not list(column_blocks(call, 0, index, index, none, lse, mask))
    assert not list(column_blocks(call, 0, index, none, index, lse, mask))


@pytest.mark.parametrize("kind", ["causal", "sliding", "explicit"])
def test_a_span_holds_all_keys_that_a_row_sees_and_ragged_parts_all_that_only_some_see(kind):
    torch.manual_seed(0)
    n, everything = 40, torch.arange(40)
    mask = {
        "causal": SampleMask("causal"),
        "sliding": SampleMask("sliding", 7),
        "explicit": SampleMask("explicit", explicit=torch.rand(n, n) < 0.4),
    }[kind]
    for rows in (torch.tensor([0]), torch.tensor([5, 6, 7]), torch.tensor([3, 17, 38]), torch.arange(n)):
        first, last = mask.span(rows, n)
        seen = mask.block(rows, everything)
        assert not seen[:, :first].any() and not seen[:, last:].any()
        part = torch.zeros(n, dtype=torch.bool)
        for some in mask.ragged(rows, first, last):
            part[some] = True
        assert seen[:, first:last][:, ~part[first:last]].all()
