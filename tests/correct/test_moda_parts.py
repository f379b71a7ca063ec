"""The output under biases of groups of keys, from one run of the kernel: what a second run with them would give."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.attention import RowEdit, add_bias, allowed_pairs, channels, dense_attention, seam, tapped
from attnscope.capture.record.generate import collate
from attnscope.correct import bind
from attnscope.correct.moda import ModaAlign, ModaCalibrate, ModaMask, ModaPseudo, parts
from attnscope.correct.moda.parts import Parts
from tests.attention.test_channels import kernel_of, make_call
from tests.correct.batches import asked, load
from tests.correct.by_hand import longer, run
from tests.correct.moda_dense import reference
from tests.correct.test_moda_odds import call_of
from tests.families import CORRECTED


def logits_of(loaded, inputs, edits):
    """Of one forward pass in which nothing is read."""
    with torch.no_grad(), tapped(loaded.model, edits=edits):
        return loaded.model(**inputs).logits


BOTH = ModaCalibrate(target=0.6, queries="both", denominator="sum", change="both")
ALONE = {"mask": [ModaMask()], "calibrate": [BOTH]}
VARIANTS = {
    "mask, no cross": [ModaMask(gate=0.0)],
    "mask, only cross": [ModaMask(gate=1.0)],
    "calibrate, visual": [ModaCalibrate(target=0.0, queries="visual")],
    "align, then mask": [ModaAlign(strength=2.0), ModaMask(gate=0.6)],
}


@pytest.fixture
def always(monkeypatch):
    """Count runs of the kernel; the prompts of the tests are short, and have more text than counts as few keys."""
    runs = {"parts": 0, "seam": 0}

    def counted(where, name):
        inner = where.read_with_output
        monkeypatch.setattr(
            where, "read_with_output", lambda *args: runs.update({name: runs[name] + 1}) or inner(*args)
        )

    monkeypatch.setattr(parts, "FEW_KEYS", 1.0)
    counted(parts, "parts")
    counted(seam, "seam")
    return runs


@pytest.mark.parametrize("family", CORRECTED)
@pytest.mark.parametrize("corrections", ALONE.values(), ids=ALONE)
def test_one_run_of_the_kernel_equals_an_explicit_matrix(prepared, always, family, corrections):
    loaded, prompt = prepared(family)
    inputs = longer(prompt, [300, 301])
    found = logits_of(loaded, inputs, bind(loaded, prompt, corrections))
    assert always == {"parts": 4, "seam": 0}
    torch.testing.assert_close(found, reference(loaded, prompt, inputs, corrections), atol=1e-4, rtol=0)


@pytest.mark.parametrize("corrections", VARIANTS.values(), ids=VARIANTS)
def test_variants_and_several_corrections_equal_an_explicit_matrix(prepared, always, corrections):
    loaded, prompt = prepared("qwen2_5_vl")
    found = logits_of(loaded, prompt.inputs, bind(loaded, prompt, corrections))
    assert always["parts"]
    torch.testing.assert_close(found, reference(loaded, prompt, prompt.inputs, corrections), atol=1e-4, rtol=0)


def test_the_natural_gate_is_the_plain_run(prepared, always):
    loaded, prompt = prepared("qwen3_vl")
    plain = logits_of(loaded, prompt.inputs, [])
    found = logits_of(loaded, prompt.inputs, bind(loaded, prompt, [ModaMask(combine="natural")]))
    assert always["parts"] == 4
    assert (found - plain).abs().max() <= 1e-5


@pytest.mark.parametrize("family", ["qwen2_5_vl", "sliding"])
def test_padded_prompts_and_windows_give_what_two_runs_give(
    checkpoint, drawn, tmp_path_factory, monkeypatch, always, family
):
    loaded = load(family, checkpoint, tmp_path_factory)
    prompts = asked(loaded, drawn)
    inputs, places = collate(prompts, loaded)
    for corrections in (
        [ModaMask(gate=0.3)],
        [BOTH],
        [ModaCalibrate(queries="both"), ModaMask(gate=0.4), ModaPseudo()],
    ):
        found, records = [], []
        for few in (1.0, 0.0):
            monkeypatch.setattr(parts, "FEW_KEYS", few)
            running = bind(loaded, prompts, corrections)
            found.append(logits_of(loaded, inputs, running))
            records.append([record["active"] for record in running[0].records()])
        for row, own in enumerate(places):
            torch.testing.assert_close(found[0][row, own], found[1][row, own], atol=1e-4, rtol=0)
        assert records[0] == records[1] and found[0].isfinite().all()
    assert always["parts"] == 16


MASKS = ["causal", "padded", "window", "explicit"]


def mask_of(kind, n):
    """[2, 1, n, n] as SDPA takes it; every row sees its own key."""
    rows, keys = torch.arange(n)[:, None], torch.arange(n)[None]
    seen = (keys <= rows)[None, None].repeat(2, 1, 1, 1)
    if kind == "padded":
        seen[0, :, :, :7] = False
        seen[0, 0, range(7), range(7)] = True
    if kind == "window":
        seen &= keys > rows - 9
    if kind == "explicit":
        seen = torch.rand(2, 1, n, n, generator=torch.Generator().manual_seed(2)) < 0.4
        seen |= torch.eye(n, dtype=torch.bool)
    return seen


@pytest.mark.parametrize("kind", MASKS)
@pytest.mark.parametrize(
    ("dtype", "within"), [(torch.float32, 2e-6), (torch.bfloat16, 2e-2), (torch.float16, 4e-3)], ids=str
)
def test_any_bias_under_any_mask_equals_the_dense_softmax(monkeypatch, kind, dtype, within):
    """Biases of three groups, from none to a cut, on grouped queries; half precision within the kernel's rounding."""
    n, heads = 40, 4
    call = make_call(batch=2, n=n, mask=None if kind == "causal" else mask_of(kind, n))
    call = replace(call, **{name: getattr(call, name).to(dtype) for name in ("query", "key", "value")})
    call = replace(call, kernel=kernel_of(call))
    generator = torch.Generator().manual_seed(1)
    kinds = torch.multinomial(torch.tensor([0.8, 0.1, 0.1]), 2 * n, replacement=True, generator=generator)
    groups = torch.nn.functional.one_hot(kinds.reshape(2, n), 3).bool()
    table = 3 * torch.randn(2, heads, n, 3, generator=generator)
    table[:, :, ::3], table[:, :, 1::4, 0], table[:, :, 2::4, 1] = 0, -1000, -40
    seen = torch.stack([allowed_pairs(call, sample, torch.arange(n)) for sample in (0, 1)])  # [2, n, n]
    counts = seen.long() @ groups.long()
    table = table.where((counts > 0).sum(-1)[:, None, :, None] > 1, 0.0)  # a row of one group would lose all its keys
    monkeypatch.setattr(parts, "FEW_KEYS", 1.0)
    found = Parts.of(call, groups, counts > 0, torch.ones(2, n, dtype=torch.bool))
    edited = found.biased(add_bias(call, table, groups.float()), table)
    out = edited.shortcut()
    for sample in (0, 1):
        z = call.query[sample].double() @ call.key[sample].double().repeat_interleave(2, 0).mT * call.scaling
        plain = torch.softmax(z.masked_fill(~seen[sample], -torch.inf), -1)
        torch.testing.assert_close(
            found.mass[sample].double(), plain @ groups[sample].double(), atol=within, rtol=within
        )
        z = z + torch.stack([table[sample][..., kind].double() for kind in kinds.reshape(2, n)[sample]], -1)
        attention = torch.softmax(z.masked_fill(~seen[sample], -torch.inf), -1)
        expected = attention @ call.value[sample].double().repeat_interleave(2, 0)
        torch.testing.assert_close(out[sample].transpose(0, 1).double(), expected, atol=within, rtol=0)


@pytest.mark.parametrize(
    ("dtype", "faint"),
    [(torch.float32, -95.0), (torch.float32, -80.0), (torch.bfloat16, -87.0), (torch.float16, -15.0)],
)
def test_faint_masses_that_a_bias_raises(dtype, faint):
    """All but one of many keys receive hardly anything, and the bias gives them half; densely if need be."""
    n = 600
    z = torch.full((n,), faint) + torch.linspace(-0.5, 0.5, n)
    z[0] = 0
    call = call_of(z, dtype)
    groups = torch.stack([torch.arange(n) > 0, torch.arange(n) == 0], -1)[None]
    exact = call.key[0, 0, :, 0].double()
    odds = exact[1:].logsumexp(0) - exact[0]
    table = torch.zeros(1, 1, n, 2)
    table[..., -1, 1] = odds.float()
    seen = torch.ones(1, n, 2, dtype=torch.bool)
    found = Parts.of(call, groups, seen, seen[..., 0])
    edited = found.biased(add_bias(call, table, groups.float()), table)
    weights = torch.cat([torch.zeros(1), torch.softmax(exact[1:], 0).float()]) / 2
    weights[0] = 0.5
    expected = weights.double() @ call.value[0, 0].double()
    torch.testing.assert_close(
        edited.shortcut()[0, -1, 0].double(), expected, atol=1e-5 if dtype == torch.float32 else 2e-2, rtol=0
    )


def test_what_it_leaves_to_other_ways():
    n = 40
    call = make_call(n=n)
    call = replace(call, kernel=kernel_of(call))
    groups = torch.stack([torch.arange(n) >= 4, torch.arange(n) < 4], -1)[None]
    seen, rows = torch.ones(1, n, 2, dtype=torch.bool), torch.ones(1, n, dtype=torch.bool)
    assert Parts.of(call, groups, seen, rows) is not None
    edit = RowEdit([torch.tensor([3])], lambda _sample, _rows, z, _allowed: 2 * z)
    others = {
        "edited rows": call.with_rows(edit),
        "capped": replace(call, softcap=30.0),
        "sinks": replace(call, sink_logits=torch.zeros(4)),
        "maps": replace(call, backend="eager"),
        "a gradient": replace(call, value=call.value.clone().requires_grad_()),
        "a step": replace(call, past=3),
    }
    for name, other in others.items():
        assert Parts.of(other, groups, seen, rows) is None, name
    assert Parts.of(call, torch.stack([groups[..., 0].roll(16, 1), groups[..., 1]], -1), seen, rows) is not None
    half = torch.stack([torch.arange(n) >= 20, torch.arange(n) < 20], -1)[None]
    assert Parts.of(call, half, seen, rows) is None  # its columns cost more than a run
    few = rows & (torch.arange(n) < channels.DENSE_SHARE * n)
    assert Parts.of(call, groups, seen, few) is None  # dense rows cost less


def test_a_later_change_runs_the_kernel():
    call = replace(make_call(), shortcut=lambda: None)
    assert call.scaled(torch.ones(1, 4, 24)).shortcut is not None
    edit = RowEdit([torch.tensor([3])], lambda _sample, _rows, z, _allowed: z)
    for changed in (call.widened(call.query, call.key), call.with_rows(edit), call.settings()):
        assert changed.shortcut is None


def test_the_dense_map_of_the_edited_call_is_that_of_its_output(prepared, always):
    """What readers see in the edited queries and keys is what the output was made from."""
    loaded, prompt = prepared("qwen2_5_vl")
    _, calls = run(loaded, prompt.inputs, bind(loaded, prompt, [ModaMask(gate=0.4)]))
    assert always["parts"] == 4
    call, every = calls[0], torch.arange(len(prompt.tokens))
    attention = dense_attention(call.query[0], call.key[0], allowed_pairs(call, 0, every), scaling=call.scaling)
    values = call.value[0].repeat_interleave(call.query.shape[1] // len(call.value[0]), 0)
    torch.testing.assert_close(call.shortcut()[0].transpose(0, 1), attention @ values, atol=1e-5, rtol=0)
