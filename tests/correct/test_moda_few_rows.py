"""Where few rows are asked for, masses are read densely instead of by one more run of the kernel: the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import attnscope
from attnscope.attention import Rescale, channels, dense_rows, masses, output_factor, tapped
from attnscope.correct import bind
from attnscope.correct.moda import ModaCalibrate, ModaMask, ModaPseudo
from tests.attention.test_rows import MODELS, change, edit, inputs, kernel_of, make_call, oracle
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer, run
from tests.correct.moda_dense import reference
from tests.families import CORRECTED

CORRECTIONS = {
    "mask": [ModaMask(gate=0.3, queries="text")],
    "calibrate": [ModaCalibrate(target=0.2)],
    "all": [ModaCalibrate(target=0.3), ModaMask(gate=0.5, queries="text"), ModaPseudo(p_base=0.5, beta=0.05)],
}


@pytest.mark.parametrize("family", CORRECTED)
def test_equals_an_explicit_matrix_when_rows_are_few(checkpoint, drawn, monkeypatch, family):
    """The prompts of the tests are short, so that every share counts as few here."""
    monkeypatch.setattr(channels, "DENSE_SHARE", 1.0)
    loaded = attnscope.load(str(checkpoint(family)), dtype="float32")
    prompt = make_prompt(loaded, drawn)
    for name in ("mask", "calibrate"):
        inputs_ = longer(prompt, [300, 301])
        found, _ = run(loaded, inputs_, bind(loaded, prompt, CORRECTIONS[name]))
        expected = reference(loaded, prompt, inputs_, CORRECTIONS[name])
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("corrections", CORRECTIONS.values(), ids=CORRECTIONS)
def test_few_rows_and_all_rows_agree_and_training_keeps_to_the_kernel(checkpoint, drawn, monkeypatch, corrections):
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    prompt, dense = make_prompt(loaded, drawn), []
    monkeypatch.setattr(channels, "dense_rows", lambda *args: dense.append(args) or dense_rows(*args))
    found = []
    for share in (0.0, 1.0):
        monkeypatch.setattr(channels, "DENSE_SHARE", share)
        found.append(run(loaded, prompt.inputs, bind(loaded, prompt, corrections))[0])
        assert bool(dense) == bool(share)
    torch.testing.assert_close(*found, atol=1e-5, rtol=0)
    dense.clear()
    call = make_call(n=30)
    call = replace(call, query=call.query.requires_grad_(), kernel=kernel_of(call))
    masses(call, torch.rand(1, 30, 2), torch.ones(1, 30, dtype=torch.bool)).sum().backward()
    assert not dense and call.query.grad.abs().max() > 0


def test_masses_of_the_rows_that_are_asked_for():
    call = make_call(batch=2, n=80)
    call = replace(call, kernel=kernel_of(call)).with_rows(edit())
    member = torch.rand(2, 80, 3)
    rows = torch.zeros(2, 80, dtype=torch.bool)
    rows[0, [3, 40]] = rows[1, [5, 17, 79]] = True
    few, everything = masses(call, member, rows), masses(call, member)
    for sample in (0, 1):
        expected = oracle(call, sample, [change])[0] @ member[sample]
        torch.testing.assert_close(few[sample][:, rows[sample]], expected[:, rows[sample]], atol=1e-5, rtol=0)
        torch.testing.assert_close(everything[sample], expected, atol=1e-5, rtol=0)


class Reading:
    """A reader of two columns, to stand beside what a factor reads."""

    def channels(self, _call):
        return torch.arange(60.0).reshape(1, 1, 30, 2) / 60

    def read(self, call, readings):
        self.call, self.found = call, readings


@pytest.mark.parametrize("name", MODELS)
def test_factors_that_need_readings_are_those_of_one_more_run(name):
    """Edits that come later count; other factors and readers stay; the factor itself can be asked for."""
    columns, rescaled, alone = torch.rand(2, 1, 30, 3), [], Reading()

    def factor(call, readings):
        assert call.row_edits and readings.shape[::3] == (2, 3)
        rescaled.append(readings)
        return 0.5 + readings[..., 1].transpose(1, 2)

    edits = [
        lambda call: call.scaled(torch.full(call.query.shape[:3], 0.75)),
        lambda call: call.rescaled(Rescale(columns, factor)),
        lambda call: call.with_rows(edit()),
    ]
    model, reader, outs = MODELS[name](), Reading(), []

    def known(call):
        return replace(call, known=output_factor(call), rescales=())

    with torch.no_grad():
        for several in (edits, [*edits, known]):
            with tapped(model, edits=several, readers=[reader], layers=[1]):
                outs.append(model(**inputs()).logits)
            for sample in (0, 1):
                wide = oracle(reader.call, sample, [change])[0]
                for got, given in ((rescaled[-1], columns[sample, 0]), (reader.found, alone.channels(None)[0, 0])):
                    seen = (wide @ given).transpose(0, 1)[7:]
                    torch.testing.assert_close(got[sample, 7:], seen, atol=1e-5, rtol=0)
        with tapped(model, edits=[edits[0], edits[2]], layers=[1]):
            outs.append(model(**inputs()).logits)
    torch.testing.assert_close(outs[0][:, 7:], outs[1][:, 7:], atol=1e-5, rtol=0)
    assert (outs[0] - outs[2])[:, 7:].abs().max() > 1e-3
