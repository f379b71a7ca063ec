"""Models as they are deployed: windows, generation settings, half precision, batches that stop early."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.record.generate import collate
from attnscope.capture.run import capture_prompts
from attnscope.errors import RunError
from tests.capture.eager import eager_oracle, make_prompt, plain_generate
from tests.families import FAMILIES
from tests.families.gemma import build_gemma3
from tests.families.llava import build_sliding

ALL = attnscope.Plan(qk=True, full=True)
LOSSLESS = attnscope.Plan.parse("qk")


@pytest.fixture
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


def assert_exact(cap, oracle, atol=1e-4):
    for row, layer in enumerate(cap.layers):
        np.testing.assert_allclose(cap.attention(int(layer)), oracle.attention[row], atol=atol)
    assert [str(problem) for problem in validate(cap.path)] == []


@pytest.mark.parametrize(
    ("build", "plan"),
    [
        (build_sliding, ALL),
        (build_gemma3, LOSSLESS),
        pytest.param(build_sliding, LOSSLESS, marks=pytest.mark.slow),
        pytest.param(build_gemma3, ALL, marks=pytest.mark.slow),
    ],
)
def test_an_answer_that_leaves_the_window_of_a_short_prompt(build, plan, stage, tmp_path):
    """The prompt fits the window, so its mask is causal; the rows of later tokens are not."""
    length = len(make_prompt(attnscope.load(str(build(tmp_path / "any"))), stage).tokens)
    folder = build(tmp_path / "model", window=length + 3)
    loaded = attnscope.load(str(folder), dtype="float32")
    prompt = make_prompt(loaded, stage)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=plan, max_new_tokens=12)
    with cap:
        plain = plain_generate(loaded, prompt, 12)
        assert [token["id"] for token in cap.answer["tokens"]] == plain
        assert_exact(cap, eager_oracle(folder, prompt, plain))


@pytest.fixture(scope="module")
def five(checkpoint, stage):
    """A prompt, five tokens of the plain answer, and the attention over them."""
    folder = checkpoint("qwen2_5_vl")
    loaded = attnscope.load(str(folder), dtype="float32")
    prompt = make_prompt(loaded, stage)
    plain = plain_generate(loaded, prompt, 5)
    return prompt, plain, eager_oracle(folder, prompt, plain)


@pytest.mark.parametrize(
    "setting",
    [
        {"use_cache": False},
        {"cache_implementation": "static"},
        {"prefill_chunk_size": 64},
        {"prompt_lookup_num_tokens": 3},
        {"num_beams": 3},
        {"do_sample": True, "temperature": 2.0},
    ],
    ids=lambda setting: next(iter(setting)),
)
def test_a_checkpoints_generation_settings_do_not_reach_the_recording(setting, loaded, five, tmp_path):
    prompt, plain, oracle = five
    for name, value in setting.items():
        setattr(loaded.model.generation_config, name, value)
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], plan=ALL, max_new_tokens=5)
    with cap:
        assert [token["id"] for token in cap.answer["tokens"]] == plain
        assert_exact(cap, oracle)


def test_a_repetition_penalty_shapes_the_answer_and_not_the_log_probabilities(loaded, stage, tmp_path):
    prompt = make_prompt(loaded, stage)
    loaded.model.generation_config.repetition_penalty = 3.0
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "run.h5"], max_new_tokens=3)
    with cap, torch.no_grad():
        first = cap.answer["tokens"][0]
        raw = torch.log_softmax(loaded.model(**prompt.inputs).logits[0, -1], -1)
        assert first["logprob"] == pytest.approx(float(raw[first["id"]]), abs=1e-4)
        assert [t["id"] for t in cap.answer["tokens"]] == plain_generate(loaded, prompt, 3)


QUICK_HALF = (("qwen2_5_vl", "bfloat16"), ("sliding", "float16"))


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        pytest.param(name, dtype, marks=[pytest.mark.slow] * ((name, dtype) not in QUICK_HALF))
        for name in ("qwen2_5_vl", "llava_next_video", "sliding")
        for dtype in ("bfloat16", "float16")
    ],
)
def test_half_precision_passes_its_own_check(name, dtype, checkpoint, stage, tmp_path):
    """The stored statistics of visual rows against float32 sums of exactly the stored queries and keys."""
    loaded = attnscope.load(str(checkpoint(name)), dtype=dtype)
    plan = attnscope.Plan(qk=True, exhaustive=("masses", "stats"))
    (cap,) = capture_prompts(loaded, [make_prompt(loaded, stage)], [tmp_path / "run.h5"], plan=plan)
    with cap:
        assert cap.check["passed"], cap.check
        assert validate(cap.path) == []
        visual = np.flatnonzero(cap.key_member[cap.key_groups["name"].tolist().index("visual")])
        for row, layer in enumerate(cap.layers):
            attention = cap.attention(int(layer), queries=visual).astype(np.float64)
            with np.errstate(divide="ignore", invalid="ignore"):
                entropy = -np.where(attention > 0, attention * np.log(attention), 0).sum(-1)
            np.testing.assert_allclose(cap.stat("entropy").values[row][:, visual], entropy, atol=0.06)


def test_inputs_keep_the_dtypes_of_the_prompt(checkpoint, stage):
    """Times between frames decide positions: rounded to bfloat16 they would move tokens."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="bfloat16")
    prompt = make_prompt(loaded, stage)
    inputs, _ = collate([prompt], loaded)
    assert {k: v.dtype for k, v in inputs.items()} == {k: v.dtype for k, v in prompt.inputs.items()}
    assert inputs["second_per_grid_ts"].dtype == torch.float32


@pytest.mark.slow
def test_a_sample_of_a_batch_that_stops_early(loaded, checkpoint, stage, tmp_path):
    scene = attnscope.Scene.read(stage)
    short = scene.model_copy(update={"transcript": scene.transcript[:1], "question": "Who?"})
    prompts = [make_prompt(loaded, s) for s in (scene, short)]
    long_answer, short_answer = (plain_generate(loaded, p, 8) for p in prompts)
    stop = short_answer[2]
    assert stop not in long_answer[:7] and stop not in short_answer[:2]
    loaded.model.generation_config.eos_token_id = stop
    outs = [tmp_path / "long.h5", tmp_path / "short.h5"]
    one, two = capture_prompts(loaded, prompts, outs, plan=ALL, max_new_tokens=8)
    assert [len(cap.answer["tokens"]) for cap in (one, two)] == [8, 3]
    assert [len(cap.tokens) - cap.prompt_length for cap in (one, two)] == [7, 2]
    for cap, prompt, answer in ((one, prompts[0], long_answer), (two, prompts[1], short_answer[:3])):
        assert_exact(cap, eager_oracle(checkpoint("qwen2_5_vl"), prompt, answer))


def test_an_answer_of_one_token_has_no_generated_position(loaded, stage, tmp_path):
    (cap,) = capture_prompts(loaded, [make_prompt(loaded, stage)], [tmp_path / "run.h5"], plan=ALL, max_new_tokens=1)
    with cap:
        assert len(cap.tokens) == cap.prompt_length and len(cap.answer["tokens"]) == 1
        assert "generated" not in set(cap.query_groups["kind"])
        assert validate(cap.path) == []


def test_a_layer_that_is_skipped_while_the_model_runs_is_no_silent_gap(loaded, stage, tmp_path):
    layer = loaded.model.model.language_model.layers[2]
    layer.forward = lambda hidden_states, **_kwargs: hidden_states
    with pytest.raises(RunError, match="Qwen2_5_VLForConditionalGeneration: layer 2 did not pass through"):
        attnscope.capture(loaded, stage, tmp_path / "run.h5")
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_answers_differently_each_time_fails_the_self_check(loaded, stage, tmp_path, caplog):
    loaded.model.lm_head.register_forward_hook(lambda _m, _i, out: out + torch.randn_like(out))
    with attnscope.capture(loaded, stage, tmp_path / "run.h5", max_new_tokens=1) as cap:
        assert cap.check["passed"] is False
        (failed,) = [c for c in cap.check["checks"] if c["name"] == "logits unchanged by recording"]
        assert not failed["passed"] and failed["value"] > 0.1
    assert any("self-check: logits unchanged by recording" in r.getMessage() for r in caplog.records)


def test_without_verification_the_file_says_so(loaded, stage, tmp_path):
    with attnscope.capture(loaded, stage, tmp_path / "run.h5", max_new_tokens=1, verify=False) as cap:
        assert cap.check["verified"] is False
        assert "conservation" in [c["name"] for c in cap.check["checks"]]


def test_what_waits_to_be_written_does_not_hold_the_key_cache(loaded, stage, tmp_path, monkeypatch):
    """A view of the newest key would keep every older one alive; each array owns just its own memory."""
    from attnscope.capture.record import arrays as staging

    to_numpy, seen = staging.to_numpy, []

    def look(values):
        seen.append((values.untyped_storage().nbytes(), values.nbytes))
        return to_numpy(values)

    monkeypatch.setattr(staging, "to_numpy", look)
    attnscope.capture(loaded, stage, tmp_path / "run.h5", plan=LOSSLESS, max_new_tokens=4).close()
    assert len(seen) == 2 * 4 * 4  # queries and keys of 4 layers: the prompt and 3 generated tokens
    assert all(storage == own for storage, own in seen)


@pytest.mark.slow
def test_two_threads_capture_with_one_model(loaded, stage, tmp_path):
    """Each thread's blocks are its own; the files are those of single captures."""
    prompt = make_prompt(loaded, stage)
    (alone,) = capture_prompts(loaded, [prompt], [tmp_path / "alone.h5"], plan=ALL, max_new_tokens=2)
    errors = []

    def work(name):
        try:
            capture_prompts(loaded, [prompt], [tmp_path / name], plan=ALL, max_new_tokens=2)[0].close()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"{i}.h5",)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    for i in range(2):
        with attnscope.open(tmp_path / f"{i}.h5") as cap:
            assert validate(cap.path) == []
            np.testing.assert_allclose(cap.masses().values, alone.masses().values, atol=1e-5)


def test_every_family_of_the_suite_is_used_somewhere():
    """A checkpoint that no test loads would prove nothing."""
    from tests.capture.test_families import NAMES

    assert {*NAMES, "idefics3", "ernie4_5_vl"} == set(FAMILIES)
