"""The log-sum-exp that a fused kernel gives is that of the dense rows, or it is not used."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import Qwen2Config

from attnscope.attention import classify, dense_rows, row_lse, tapped
from attnscope.attention.fused import log_sum_exp
from attnscope.attention.stats import kernel_lse
from tests.attention.test_seam import MODELS, Bias, Spy, inputs, make_model


def dense_lse(call, sample, rows):
    return torch.cat([lse for _, _, _, lse in dense_rows(call, sample, rows)], 1)


def calls_of(model, batch, edits=(), grad=False):
    spy = Spy()
    with torch.set_grad_enabled(grad), tapped(model, edits=edits), tapped(model, readers=[spy]):
        model(**batch)
    return [call for call, _ in spy.calls]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("edited", [False, True])
def test_log_sum_exp_of_every_row_equals_the_dense_one(name, edited):
    model, batch = MODELS[name](), inputs()
    edits = [Bias(1.5)] if edited and name != "softcap" else []
    for call in calls_of(model, batch, edits):
        assert (call.lse is not None) == (call.backend == "sdpa")
        for sample, real in enumerate(batch["attention_mask"].bool()):
            rows = real.nonzero()[:, 0]
            found = row_lse(call, sample, rows, classify(call, sample, rows))
            torch.testing.assert_close(found, dense_lse(call, sample, rows), atol=2e-5, rtol=0)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_log_sum_exp_in_half_precision(dtype):
    model, batch = make_model(Qwen2Config).to(dtype), inputs(padding=0)
    for call in calls_of(model, batch):
        rows = torch.arange(30)
        found = kernel_lse(call, 0, rows, rows)
        torch.testing.assert_close(found, dense_lse(call, 0, rows), atol=5e-3, rtol=0)


@pytest.mark.parametrize("grad", [False, True])
def test_it_is_seen_in_every_mode_of_autograd(grad):
    model, batch = make_model(Qwen2Config, layers=1), inputs(padding=0)
    (call,) = calls_of(model, batch, grad=grad)
    assert call.lse is not None
    assert not call.lse.requires_grad
    with torch.inference_mode():
        (inferred,) = calls_of(model, batch)
    assert torch.equal(inferred.lse, call.lse)


def test_a_log_sum_exp_in_another_base_is_not_used():
    (call,) = calls_of(make_model(Qwen2Config, layers=1), inputs(padding=0))
    rows = torch.arange(30)
    exact = dense_lse(call, 0, rows)
    wrong = replace(call, lse=call.lse / torch.log(torch.tensor(2.0)))
    assert kernel_lse(wrong, 0, rows, rows) is None
    torch.testing.assert_close(row_lse(wrong, 0, rows, classify(wrong, 0, rows)), exact, atol=2e-5, rtol=0)


def test_an_operation_without_one_gives_none():
    query = torch.randn(1, 2, 5, 8)
    with log_sum_exp("sdpa") as ran:
        out = nn.functional.scaled_dot_product_attention(query, query, query, dropout_p=0.5)
    assert ran.of(query.shape) is None
    assert out.shape == query.shape
    with log_sum_exp("eager") as ran:
        nn.functional.scaled_dot_product_attention(query, query, query)
    assert ran.of(query.shape) is None
