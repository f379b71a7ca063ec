"""Whole rows of logits edited, masses and log-sum-exp read by an edit: running decoders against written-out maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import (
    RowEdit,
    add_bias,
    allowed_pairs,
    classify,
    dense_attention,
    dense_rows,
    logits,
    masses,
    row_lse,
    tapped,
)
from attnscope.attention.dense import replace_rows
from attnscope.capture.run import capture_prompts
from attnscope.correct import bind
from attnscope.correct.peers.pai import Pai
from attnscope.errors import RequestError
from tests.attention.test_channels import kernel_of, make_call
from tests.attention.test_seam import MODELS, inputs
from tests.capture.eager import make_prompt
from tests.correct import peers_by_hand as hand
from tests.correct.by_hand import longer

ROWS = ([12, 13, 29], [0, 3, 17, 29])  # of two samples, the first of which begins at 7


def change(sample, rows, z, allowed):
    """Depends on sample, row, head, key and the sign of the logit; must never be asked for other rows."""
    assert z.dtype == torch.float32 and z.shape[1:] == allowed.shape
    assert set(rows.tolist()) <= set(ROWS[sample])
    head, key = torch.arange(len(z))[:, None, None], torch.arange(z.shape[2])
    return torch.where(key % 3 == sample, z + 0.4 * z.abs() + 0.1 * head, z * 0.9 + 0.01 * rows[:, None])


def doubled(_sample, _rows, z, _allowed):
    return 2 * z


def edit(what=change, rows=ROWS):
    return RowEdit([torch.tensor(some, dtype=torch.long) for some in rows], what)


def oracle(call, sample, edits, rows=ROWS):
    """The map [H, N, N] and log-sum-exp [H, N] of one sample, row by row."""
    n = call.query.shape[2]
    z = logits(call.query[sample], call.key[sample], scaling=call.scaling, softcap=call.softcap)
    allowed = allowed_pairs(call, sample, torch.arange(n))
    for what in edits:
        for row in rows[sample]:
            at = torch.tensor([row])
            z[:, at] = what(sample, at, z[:, at].clone(), allowed[at])
    z = z.masked_fill(~allowed, -torch.inf)
    learned = call.sink_logits
    wide = z if learned is None else torch.cat([z, learned.float()[:, None, None].expand(-1, n, 1)], -1)
    return torch.softmax(wide, -1)[..., :n].nan_to_num(0), torch.logsumexp(wide, -1)


class Looking:
    """An edit that changes rows in one layer, after it has asked for masses and log-sum-exp; then a reader of maps."""

    def __init__(self, layer=1, padding=7):
        self.layer, self.places = layer, [torch.arange(padding, 30), torch.arange(30)]
        self.call, self.masses, self.lse, self.map = None, None, None, None

    def __call__(self, call):
        if call.layer != self.layer:
            return call
        call = call.with_rows(edit())
        member = torch.eye(30)[None].expand(2, 30, 30)
        self.masses = masses(call, member)
        self.lse = [row_lse(call, i, at, classify(call, i, at)) for i, at in enumerate(self.places)]
        return call

    def channels(self, call):
        return torch.eye(30)[None, None] if call.layer == self.layer else None

    def read(self, call, readings):
        if call.layer == self.layer:
            self.call, self.map = call, readings.transpose(1, 2)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_edited_rows_masses_and_log_sum_exp_of_a_running_model(name, dtype):
    """Grouped queries, left padding, sliding windows, capped logits and learned sink logits."""
    model, looking, fine = MODELS[name]().to(dtype), Looking(), dtype == torch.float32
    with torch.no_grad(), tapped(model, edits=[looking]), tapped(model, readers=[looking]):
        model(**inputs())
    for sample, at in enumerate(looking.places):
        expected, lse = oracle(looking.call, sample, [change])
        plain, _ = oracle(looking.call, sample, [])
        edited = torch.tensor(ROWS[sample])
        assert (expected - plain)[:, edited[1:]].abs().amax((0, 2)).min() > 1e-2
        for found in (looking.map[sample].float(), looking.masses[sample]):
            torch.testing.assert_close(found[:, at], expected[:, at], atol=1e-5 if fine else 2e-2, rtol=0)
            torch.testing.assert_close(found[:, edited], expected[:, edited], atol=1e-5 if fine else 4e-3, rtol=0)
        torch.testing.assert_close(looking.lse[sample], lse[:, at], atol=1e-3 if fine else 5e-2, rtol=0)
        own = torch.isin(at, edited)
        torch.testing.assert_close(looking.lse[sample][:, own], lse[:, at][:, own], atol=1e-4, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("kv", [1, 2, 4])
def test_only_edited_rows_leave_the_kernel(dtype, kv):
    call = make_call(batch=2, kv=kv, n=30)
    call = replace(call, query=call.query.to(dtype), key=call.key.to(dtype), value=call.value.to(dtype))
    plain, _ = kernel_of(call)(call.query, call.key, call.value)
    edited = call.with_rows(edit())
    out, _ = replace_rows(edited, kernel_of(call))(call.query, call.key, call.value)
    for sample, rows in enumerate(ROWS):
        others = [row for row in range(30) if row not in rows]
        assert torch.equal(out[sample, others], plain[sample, others])
        attention, _ = oracle(call, sample, [change])
        expected = attention @ call.value[sample].float().repeat_interleave(4 // kv, 0)
        rounding = 0 if dtype == torch.float32 else 8e-3
        found = out[sample, rows].float().transpose(0, 1)
        torch.testing.assert_close(found, expected[:, rows], atol=1e-5, rtol=rounding)
    assert torch.equal(plain, kernel_of(call)(call.query, call.key, call.value)[0])  # nothing was written into


def test_edits_follow_channels_and_one_another(monkeypatch):
    """Biases first, whenever they were added; then edits of rows in their order; chunks change nothing."""
    call = make_call(batch=2, n=30)
    member, table = torch.rand(2, 30, 3), torch.randn(2, 4, 30, 3)
    before = add_bias(call, table, member).with_rows(edit()).with_rows(edit(doubled))
    after = add_bias(call.with_rows(edit()).with_rows(edit(doubled)), table, member)
    swapped = add_bias(call, table, member).with_rows(edit(doubled)).with_rows(edit())
    expected, lse = oracle(add_bias(call, table, member), 1, [change, doubled])
    monkeypatch.setattr("attnscope.attention.dense.CHUNK_BYTES", 4 * 4 * 30 * 7)
    for changed, same in ((before, True), (after, True), (swapped, False)):
        chunks = list(dense_rows(changed, 1, torch.arange(30)))
        assert max(len(part) for part, *_ in chunks) == 7
        found = torch.cat([attention for _, _, attention, _ in chunks], 1)
        assert torch.allclose(found, expected, atol=1e-5) == same
        assert torch.allclose(torch.cat([one for *_, one in chunks], 1), lse, atol=1e-4) == same


def test_edits_of_different_rows_meet_where_they_share_some():
    call = make_call(batch=2, n=30)
    shared = call.with_rows(edit(doubled, ([3], [3, 17]))).with_rows(edit(doubled, ([], [17, 20])))
    assert [shared.edited_rows(sample).tolist() for sample in (0, 1)] == [[3], [3, 17, 20]]
    found = torch.cat([a for _, _, a, _ in dense_rows(shared, 1, torch.arange(30))], 1)
    plain = logits(call.query[1], call.key[1], scaling=call.scaling)
    for row, times in ((2, 1), (3, 2), (17, 4), (20, 2)):
        expected = torch.softmax(times * plain[:, row, : row + 1], -1)
        torch.testing.assert_close(found[:, row, : row + 1], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("rows", [([], [3, 17]), ([], [])])
def test_a_sample_may_have_no_rows(rows):
    call = make_call(batch=2, n=30)
    plain, _ = kernel_of(call)(call.query, call.key, call.value)
    edited = call.with_rows(edit(doubled, rows))
    out, _ = replace_rows(edited, kernel_of(call))(call.query, call.key, call.value)
    assert torch.equal(out[0], plain[0])
    assert torch.equal(out[1], plain[1]) == (not rows[1])
    whole = torch.cat([attention for _, _, attention, _ in dense_rows(edited, 0, torch.arange(30))], 1)
    expected = dense_attention(call.query[0], call.key[0], torch.ones(30, 30).tril().bool(), scaling=call.scaling)
    torch.testing.assert_close(whole, expected, atol=1e-6, rtol=0)


def test_masses_need_the_kernel_of_a_running_model():
    call = make_call()
    with pytest.raises(ValueError, match="this call came without its kernel"):
        masses(call, torch.ones(1, 24, 1))
    member = (torch.rand(1, 24, 300) < 0.5).float()  # wider than one call of the kernel
    found = masses(replace(call, kernel=kernel_of(call)), member)
    whole = torch.cat([attention for _, _, attention, _ in dense_rows(call, 0, torch.arange(24))], 1)
    torch.testing.assert_close(found[0], whole @ member[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "softcap"])
def test_a_capture_reads_edited_rows(checkpoint, stage, tmp_path, name):
    """The self-check passes, and every reading of the answer's row is that of the edited map."""
    folder, attn = checkpoint(name), {"softcap": "eager"}.get(name)
    loaded = attnscope.load(str(folder), dtype="float32", attn=attn)
    prompt = make_prompt(loaded, stage, frames=2)
    plan = attnscope.Plan(full=True, sink_mass=0.004, sink_ratio=1.3, exhaustive=("stats",))
    running = bind(loaded, prompt, [Pai(alpha=0.5, layers="0-3")])
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan, max_new_tokens=3, corrections=running)
    with cap:
        assert cap.check["passed"] and cap.check["verified"]
        assert cap.correction == running[0].documents()
        n, new = cap.prompt_length, cap.tokens["token_id"][cap.prompt_length :].tolist()
        _, maps = hand.Eager(folder).run(longer(prompt, new), hand.pai(prompt, n + len(new), range(4), 0.5))
        found = 0
        for layer, expected in maps.items():
            allowed = torch.ones(n, n).tril().bool() & (expected[:, :n, :n] > 0).any(0)  # a window hides some
            sinks = hand.sinks_of(expected[:, :n, :n], allowed, prompt, n, plan.sink_mass, plan.sink_ratio)
            found += int(sinks.sum())
            readings = {
                "entropy": -(expected * expected.clamp(min=1e-30).log()).sum(-1),
                "sink_mass": expected[..., :n][..., sinks].sum(-1),
            }
            np.testing.assert_allclose(cap.attention(layer), expected, atol=1e-4)
            np.testing.assert_allclose(cap.maps(layer=layer).values[:, -3:], expected[:, n - 1 :], atol=1e-4)
            for stat, values in readings.items():
                np.testing.assert_allclose(cap.stat(stat, layer=layer).values, values, atol=1e-3, err_msg=stat)
        assert found > 4


def test_queries_and_keys_do_not_hold_edited_rows(checkpoint, stage, tmp_path):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    prompt = make_prompt(loaded, stage, frames=2)
    running = bind(loaded, prompt, [Pai()])
    refused = pytest.raises(RequestError, match="layer 0: queries and keys do not hold a correction that changes rows")
    with refused as caught:
        capture_prompts(
            loaded, [prompt], [tmp_path / "a.h5"], plan=attnscope.Plan(qk=True), max_new_tokens=1, corrections=running
        )
    assert "capture without 'qk'" in str(caught.value) and "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []
