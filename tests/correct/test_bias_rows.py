"""Which tokens are drawn to whose cells, on which heads and how strongly, against the dense reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import tapped
from attnscope.capture.run import capture_prompts
from attnscope.correct import SocialBias, bind
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.correct.by_hand import EVERYWHERE, longer, reference, run, targets, whole_map
from tests.families import by_speed

BOTH = "Does Ben answer what Ada's friend asked?"
ADA = "What does Ada hold?"
NOBODY = "Who has the tickets, an Adam?"
ALL = {"rows": "utterances,question,answer"}


@pytest.fixture(scope="module", params=by_speed(("qwen2_5_vl", "internvl"), quick=("qwen2_5_vl",)))
def loaded(request, checkpoint):
    return attnscope.load(str(checkpoint(request.param)), dtype="float32")


@pytest.fixture(scope="module")
def ask(loaded, drawn):
    """`ask(question)`: the prompt of the shared clip with that question, built once."""
    scene, built = Scene.read(drawn), {}

    def prompt(question):
        if question not in built:
            built[question] = make_prompt(loaded, scene.model_copy(update={"question": question}))
        return built[question]

    return prompt


CASES = {
    "names in the question": (BOTH, {"rows": "question"}, ()),
    "answer, asked": (ADA, {"rows": "answer"}, ["Ada"]),
    "answer, by name": (BOTH, {"rows": "answer", "toward": "Ben"}, ["Ben"]),
    "answer, other": (ADA, {"rows": "answer", "toward": "other"}, ["Ben"]),
    "answer, everyone": (NOBODY, {"rows": "answer", "toward": "everyone"}, ["Ada", "Ben"]),
    "answer, all visual": (NOBODY, {"rows": "answer", "toward": "visual"}, None),
    "all rows, gap": (ADA, ALL | {"negative": "gap"}, ["Ada"]),
    "all rows, clamp": (ADA, ALL | {"negative": "clamp", "toward": "other"}, ["Ben"]),
    "constant": (ADA, ALL | {"strength": "constant"}, ["Ada"]),
    "fixed heads": (ADA, ALL | {"heads": "0.1,2.3,2.0"}, ["Ada"]),
    "fixed heads, constant": (ADA, ALL | {"heads": "0.1,2.3", "strength": "constant"}, ["Ada"]),
}


@pytest.mark.parametrize("case", CASES)
def test_equals_an_explicit_edit_of_the_map_with_an_option_appended(loaded, ask, case):
    question, fields, names = CASES[case]
    prompt, settings = ask(question), SocialBias(alpha=0.7, **EVERYWHERE | fields)
    inputs = longer(prompt, [300, 301])
    running = bind(loaded, prompt, [settings])
    _, calls = run(loaded, inputs, running)
    changed = []
    for layer, call in calls.items():
        expected, active = reference(call, prompt, settings, names)
        torch.testing.assert_close(whole_map(call), expected, atol=1e-4, rtol=0)
        plain, _ = reference(call, prompt, SocialBias(alpha=0.0, **EVERYWHERE | fields), names)
        changed += [[layer, active.nonzero()[:, 0].tolist()]] if not torch.allclose(plain, expected, atol=1e-3) else []
    assert changed == running[0].record()["active"]
    assert changed and (case != "fixed heads" or changed == [[0, [1]], [2, [0, 3]]])


def test_the_reference_draws_what_it_should(ask):
    """Guards the other tests: tokens of the two names, the last position, and the right people's cells."""
    prompt = ask(BOTH)
    pairs, _ = targets(prompt, SocialBias(rows="question"))
    said = {"".join(prompt.tokens["text"][i] for i in pairs if pairs[i] == inside).strip() for inside in pairs.values()}
    assert said == {"Ada", "Ben"}
    drawn, _ = targets(prompt, SocialBias(rows="answer", toward="Ada"), ["Ada"])
    assert list(drawn) == [len(prompt.tokens) - 1]
    assert (prompt.tokens["covered:Ada"][drawn[len(prompt.tokens) - 1]] >= 0.5).all()


def test_a_constant_moves_the_log_odds_by_alpha(loaded, ask):
    prompt = ask(ADA)
    running = bind(loaded, prompt, [SocialBias(alpha=1.5, rows="answer", heads="0.2", strength="constant")])
    maps = [whole_map(run(loaded, prompt.inputs, edits)[1][0])[:, -1].double() for edits in ([], running)]
    inside = targets(prompt, SocialBias(rows="answer"), ["Ada"])[0][len(prompt.tokens) - 1]
    outside = sorted(set(range(len(prompt.tokens))) - set(inside))
    odds = [torch.log(row[:, inside].sum(-1) / row[:, outside].sum(-1)) for row in maps]
    expected = torch.tensor([0.0, 0.0, 1.5, 0.0], dtype=torch.float64)
    torch.testing.assert_close(odds[1] - odds[0], expected, atol=1e-4, rtol=0)


def test_the_prompt_alone_decides_which_heads_are_active(loaded, ask):
    """An option appended is drawn by the heads of its prompt, even where its own attention would choose others."""
    prompt = ask(ADA)
    length, inputs = len(prompt.tokens), longer(prompt, [300, 301])
    _, visual = targets(prompt, SocialBias(rows="answer"), ["Ada"])
    seen = whole_map(run(loaded, inputs, [])[1][0])[:, length - 1 :][..., visual].mean(-1)  # [H, 3]
    own, pooled = seen[:, 0], seen.mean(1)
    head = int((own - pooled).abs().argmax())
    threshold = float(own[head] + pooled[head]) / 2
    running = bind(loaded, prompt, [SocialBias(rows="answer", threshold=threshold, layers="0")])
    run(loaded, inputs, running)
    expected = (own > threshold).nonzero()[:, 0].tolist()
    assert running[0].record()["active"] == [[0, expected]]
    assert expected != (pooled > threshold).nonzero()[:, 0].tolist()


def test_fixed_heads_and_a_constant_measure_nothing(loaded, ask, monkeypatch):
    def refuse(*_):
        raise AssertionError("rows were computed densely")

    prompt = ask(ADA)
    monkeypatch.setattr("attnscope.correct.heads.scores.dense_rows", refuse)
    run(loaded, prompt.inputs, bind(loaded, prompt, [SocialBias(heads="0.0,3.1", strength="constant", **ALL)]))
    for fields in ({"heads": "0.0,3.1"}, {"strength": "constant"}):  # each alone needs them
        with pytest.raises(AssertionError, match="rows were computed densely"):
            run(loaded, prompt.inputs, bind(loaded, prompt, [SocialBias(**ALL | fields)]))


@pytest.mark.parametrize("fields", [{}, {"heads": "0.0,3.1"}, {"strength": "constant"}])
def test_zero_strength_is_the_plain_run(loaded, ask, fields):
    prompt = ask(ADA)
    plain, _ = run(loaded, prompt.inputs, [])
    out, _ = run(loaded, prompt.inputs, bind(loaded, prompt, [SocialBias(alpha=0.0, **EVERYWHERE | ALL | fields)]))
    assert torch.equal(plain, out)


def test_a_capture_holds_the_bias_of_generated_tokens_too(loaded, ask, tmp_path):
    prompt, settings = ask(ADA), SocialBias(alpha=0.7, **EVERYWHERE | ALL)
    plan = attnscope.Plan(qk=True, full=True)
    running = bind(loaded, prompt, [settings])
    (cap,) = capture_prompts(loaded, [prompt], [tmp_path / "a.h5"], plan=plan, max_new_tokens=5, corrections=running)
    with cap:
        ids = cap.tokens["token_id"][cap.prompt_length :]
        assert len(ids) == 4
        _, calls = run(loaded, longer(prompt, ids), bind(loaded, prompt, [settings]))
        for layer in map(int, cap.layers):
            expected = whole_map(calls[layer])
            unbiased, _ = reference(calls[layer], prompt, SocialBias(alpha=0.0, rows="answer"), ["Ada"])
            assert not np.allclose(expected[:, -1], unbiased[:, -1], atol=1e-3)
            np.testing.assert_allclose(cap.attention(layer), expected, atol=1e-4)
            np.testing.assert_allclose(cap.maps(layer=layer).values[:, -1], expected[:, -1], atol=1e-4)
        assert cap.check["passed"]
        scored = {o["text"]: (o["tokens"], o["logprob"]) for o in cap.answer["options"]}
    for tokens, logprob in scored.values():
        with torch.no_grad(), tapped(loaded.model, edits=bind(loaded, prompt, [settings])):
            out = loaded.model(**longer(prompt, tokens)).logits[0, -len(tokens) - 1 : -1]
        expected = torch.log_softmax(out.float(), -1)[range(len(tokens)), tokens].sum()
        assert logprob == pytest.approx(float(expected), abs=1e-3)


def test_the_record_says_what_was_drawn_where(loaded, ask):
    prompt = ask(ADA)
    running = bind(loaded, prompt, [SocialBias(heads="0.1,2.3", **ALL)])
    run(loaded, prompt.inputs, running)
    names = len(targets(prompt, SocialBias(rows="question"))[0])
    assert running[0].record()["notes"][:2] == [
        "2 fixed heads in 2 layers",
        f"acts on the prompt's utterance tokens, {names} tokens of names in the question, the answer (drawn to Ada)",
    ]
    running = bind(loaded, prompt, [SocialBias(rows="answer", toward="visual")])
    assert running[0].record()["notes"][1] == "acts on the answer (drawn to all visual tokens)"
