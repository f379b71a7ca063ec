"""Compiled code runs uncompiled in a block: readings and edits are those of the plain model."""

from __future__ import annotations

import threading

import pytest
import torch
from transformers import Qwen2Config

from attnscope.attention import dense_rows, tapped
from attnscope.errors import ModelError
from tests.attention.test_seam import Bias, Spy, inputs, make_model

BATCH = inputs(padding=0)


def whole(model):
    return torch.compile(model, backend="eager")


def in_place(model):
    model.compile(backend="eager")
    return model


def decoder(model):
    model.model = torch.compile(model.model, backend="eager")
    return model


def layers(model):
    for block in model.model.layers[:2]:
        block.compile(backend="eager")
    model.model.layers[2] = torch.compile(model.model.layers[2], backend="eager")
    return model


def forward(model):
    model.forward = torch.compile(model.forward, backend="eager")
    return model


@pytest.mark.parametrize("compiled", [whole, in_place, decoder, layers, forward])
def test_a_compiled_model_is_read_and_edited_as_the_plain_one(compiled):
    torch.compiler.reset()
    plain, model = make_model(Qwen2Config), make_model(Qwen2Config)
    called = compiled(model)
    with torch.no_grad():
        before = called(**BATCH).logits  # compiled before the block is opened
        results = []
        for tapped_model, run in ((plain, plain), (model, called)):
            spy = Spy()
            with tapped(tapped_model, edits=[Bias(2.0)]), tapped(tapped_model, readers=[spy]):
                results.append((run(**BATCH).logits, [readings for _, readings in spy.calls]))
        after = called(**BATCH).logits
    (logits, readings), (compiled_logits, compiled_readings) = results
    torch.testing.assert_close(compiled_logits, logits, atol=0, rtol=0)
    assert len(compiled_readings) == len(readings) == 3
    for one, other in zip(readings, compiled_readings, strict=True):
        torch.testing.assert_close(other, one, atol=0, rtol=0)
    assert torch.equal(before, after) and not torch.allclose(after, logits, atol=1e-2)


def test_compiled_code_is_compiled_again_after_the_last_block():
    runs = []

    def backend(graph, _example):
        def run(*args):
            runs.append("compiled")
            return graph.forward(*args)

        return run

    torch.compiler.reset()
    model = make_model(Qwen2Config, layers=1)
    model.compile(backend=backend)
    with torch.no_grad():
        model(**BATCH)
        assert runs
        runs.clear()
        with tapped(model, readers=[Spy()]):
            with tapped(model, readers=[Spy()]):
                model(**BATCH)
            model(**BATCH)
        assert not runs
        with pytest.raises(ZeroDivisionError), tapped(model, readers=[Spy()]):
            raise ZeroDivisionError
        model(**BATCH)
    assert runs


def test_blocks_of_several_threads_leave_the_compiler_as_it_was():
    """The first block to be opened is the first to be closed."""
    model, opened, close = make_model(Qwen2Config, layers=1), threading.Event(), threading.Event()

    def other():
        with tapped(model, readers=[Spy()]):
            opened.set()
            close.wait(10)

    thread = threading.Thread(target=other)
    with tapped(model, readers=[Spy()]):
        thread.start()
        opened.wait(10)
    close.set()
    thread.join()
    assert torch._dynamo.eval_frame._stance.stance == "default"


def test_a_block_that_compiled_code_opens_is_refused():
    model = make_model(Qwen2Config, layers=1)

    @torch.compile(backend="eager")
    def run(ids):
        with tapped(model, readers=[Spy()]):
            return model(ids).logits

    try:
        logits = run(BATCH["input_ids"])
    except ModelError as error:
        assert "outside of compiled code only" in str(error)
    else:  # the compiler stepped out of the way by itself
        torch.testing.assert_close(logits, model(BATCH["input_ids"]).logits)


@pytest.mark.slow
def test_flex_attention_keeps_its_compiled_kernel():
    spy, model = Spy(16), make_model(Qwen2Config, "flex_attention", layers=1)
    batch = inputs(batch=1, n=32, padding=0)
    with torch.no_grad(), tapped(model, readers=[spy]):
        model(**batch)
    ((call, readings),) = spy.calls
    dense = torch.cat([a for _, _, a, _ in dense_rows(call, 0, torch.arange(32))], 1)
    torch.testing.assert_close(readings[0].transpose(0, 1), dense @ spy.channels(call)[0, 0], atol=1e-5, rtol=0)
