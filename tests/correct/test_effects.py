"""What the answer loses without a head: against runs one by one, on models where it is known, and beside a ranking."""

from __future__ import annotations

import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import attnscope
from attnscope.attention import decoder_layers
from attnscope.capture.record.generate import collate, generate
from attnscope.correct import Knockout, corrected
from attnscope.correct.knockout import cause
from attnscope.correct.knockout.cause import only, rank_correlation, with_effects
from attnscope.correct.knockout.effects import knock_out, knock_out_captures
from attnscope.errors import RequestError
from attnscope.evaluate import score
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.metrics.choosing.ranking import NOT_CAUSE
from attnscope.scene import Scene
from attnscope_cli.main import app
from tests.capture.eager import make_prompt
from tests.correct.by_hand import longer

HEADS = [(0, 1), (3, 0), (1, 2), (2, 2), (0, 3)]
OPTIONS = ["Ada", "Ben", "the tickets", "nobody"]


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def ask(loaded, drawn):
    """`ask(**fields)`: the prompt of Ada and Ben with other options."""
    scene = Scene.read(drawn)
    return lambda **fields: make_prompt(loaded, scene.model_copy(update={"options": OPTIONS, "answer": None} | fields))


def spread(values):
    """Log-probabilities of the options, as if there were no other answers."""
    top = math.log(sum(math.exp(value - max(values)) for value in values)) + max(values)
    return [value - top for value in values]


def against(values, which):
    """Log-odds of one option against the others."""
    shares = [math.exp(value) for value in values]
    return math.log(shares[which] / sum(share for i, share in enumerate(shares) if i != which))


@pytest.mark.parametrize(
    ("answer", "edges"), [("Ada", ""), ("the tickets", "utterances:own,answer:visual"), (None, "question:visual")]
)
def test_effects_are_those_of_one_run_a_head(loaded, ask, answer, edges):
    """By `attnscope.evaluate.score`, plain and under each knockout by itself; without a right answer, the likeliest."""
    prompt = ask(answer=answer)
    (plain,) = score(loaded, [prompt])
    which = OPTIONS.index(answer or plain.prediction)
    expected, odds = [], []
    for layer, head in HEADS:
        (cut,) = score(loaded, [prompt], [Knockout(heads=f"{layer}.{head}", edges=edges)])
        expected.append(spread(cut.logprobs)[which] - spread(plain.logprobs)[which])
        odds.append(against(cut.logprobs, which) - against(plain.logprobs, which))
    found = knock_out(loaded, prompt, HEADS, edges=edges, batch=4)
    np.testing.assert_allclose(found.odds, odds, atol=1e-4)
    assert (found.answer, found.right, found.options) == (OPTIONS[which], answer is not None, 4)
    assert found.before == pytest.approx(spread(plain.logprobs)[which], abs=1e-4)
    np.testing.assert_allclose(found.change, expected, atol=1e-4)
    assert answer is None or np.abs(found.change).max() > 1e-2


def test_without_options_it_is_the_answer_alone(loaded, ask):
    """The right one if the scene says it, or what the model says itself; each token counts."""
    for fields, right in (({"answer": "the tickets"}, True), ({}, False)):
        prompt = ask(options=[], **fields)
        (own,) = generate(loaded, collate([prompt], loaded)[0], 3)
        ids = attnscope.model.option_ids(loaded, prompt, "the tickets") if right else own.ids
        expected = []
        for cut in ([], [Knockout(heads="1.2")]):
            with torch.no_grad(), corrected(loaded, prompt, cut):
                out = torch.log_softmax(loaded.model(**longer(prompt, ids)).logits[0, -len(ids) - 1 : -1], -1)
            expected.append(sum(float(out[i, token]) for i, token in enumerate(ids)))
        found = knock_out(loaded, prompt, [(1, 2)], max_new_tokens=3)
        assert (found.right, found.options) == (right, 0)
        assert found.before == pytest.approx(expected[0], abs=1e-3)
        assert found.change[0] == pytest.approx(expected[1] - expected[0], abs=1e-3)


@pytest.fixture(scope="module")
def first(loaded, ask):
    return knock_out(loaded, ask(answer="Ada"), HEADS, batch=6)


@settings(max_examples=3, deadline=None)
@given(order=st.permutations(range(len(HEADS))), batch=st.integers(1, 7))
def test_neither_order_nor_batch_matters(loaded, ask, first, order, batch):
    prompt = ask(answer="Ada")
    told = []
    found = knock_out(
        loaded, prompt, [HEADS[i] for i in order], batch=batch, progress=lambda *what: told.append(what[1:])
    )
    np.testing.assert_allclose(found.change, first.change[list(order)], atol=1e-4)
    assert told[0] == (0, 6) and told[-1] == (6, 6)


def test_heads_that_reach_nothing_have_no_effect(checkpoint, ask):
    """Only head 1.2 still writes into the stream: it alone has an effect, whatever the others attend to."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    with torch.no_grad():
        for layer, module in decoder_layers(loaded.model).items():
            parts = module.o_proj.weight.unflatten(1, (4, -1))  # [hidden, H, D]
            for head in range(4):
                if (layer, head) != (1, 2):
                    parts[:, head] = 0
    places = [(layer, head) for layer in range(4) for head in range(4)]
    found = knock_out(loaded, ask(answer="Ada"), places)
    assert [place for place, change in zip(places, found.change, strict=True) if abs(change) > 1e-5] == [(1, 2)]


def test_what_cannot_be_run_is_refused(loaded, ask):
    with pytest.raises(RequestError, match="batch=0: must be at least 1"):
        knock_out(loaded, ask(), HEADS, batch=0)
    with pytest.raises(RequestError, match=r"heads=.7\.1.: layer 7 is not one of the layers"):
        knock_out(loaded, ask(), [(7, 1)])


# ---- captures, and beside a ranking


@pytest.fixture(scope="module")
def captures(loaded, ask, tmp_path_factory):
    """Two questions about one clip, and a capture under a correction."""
    folder = tmp_path_factory.mktemp("captures")
    how = {"sampling": attnscope.Sampling(frames=4), "max_new_tokens": 2}
    for name, fields in {"one": {"answer": "Ada"}, "two": {"options": [], "question": "And now?"}}.items():
        attnscope.capture(loaded, ask(**fields).scene, folder / f"{name}.h5", **how).close()
    attnscope.correct.rerun(folder / "one.h5", [Knockout(heads="0.0")], folder / "cut.h5", model=loaded).close()
    return folder


def test_captures_are_run_again_as_they_were(loaded, ask, captures):
    paths = [captures / "one.h5", captures / "two.h5"]
    table, answers = knock_out_captures(paths, ["one", "two"], HEADS, model=loaded)
    expected = [knock_out(loaded, ask(**f), HEADS, max_new_tokens=2) for f in ({"answer": "Ada"},)]
    np.testing.assert_allclose(table["value"][: len(HEADS)], expected[0].change, atol=1e-5)
    np.testing.assert_allclose(table["value"][len(HEADS) : 2 * len(HEADS)], expected[0].odds, atol=1e-4)
    assert list(zip(table["layer"], table["head"], strict=True)) == HEADS * 4
    assert answers["right"].tolist() == [True, False]
    assert answers["options"].tolist() == [4, 0]
    assert answers["clip"].nunique() == 1
    with pytest.raises(
        RequestError, match=r"cut.h5: was itself made under knockout; knock heads out on a plain capture"
    ):
        knock_out_captures([captures / "cut.h5"], ["cut"], HEADS, model=loaded)


def ranking(values, *, lowest=False, captures=("a.h5", "b.h5")):
    """A ranking of heads 0.0, 0.1, ... with these values."""
    heads = [{"rank": i + 1, "layer": 0, "head": i, "value": value, "n": 2} for i, value in enumerate(values)]
    by = {"name": "cross-mass", "metric": "mass_share/1", "definition": "", "lowest": lowest, "frames": ""}
    by |= {"threshold": 0.5, "gate": None, "least": None, "top": len(heads), "layers": None}
    return HeadList(
        model={"id": "m", "config_sha256": "0", "layers": 1, "heads": 4},
        criterion=by,
        captures=list(captures),
        clips=2,
        heads=heads,
        stability={},
        agreement=[],
        notes=["At live frames.", NOT_CAUSE],
    )


def test_the_correlation_with_a_ranking_by_hand(monkeypatch):
    """Values 0.9, 0.5, 0.4, 0.1 have ranks 4, 3, 2, 1.

    Effects: a mean of two clips, and of the two captures of the first clip before. (-3 - 1) / 2 = -2 and -4 make -3
    for the first head; 0 and 2 make 1; -1 and -1 make -1; 0 and 0 make 0. Ranks 1, 4, 2, 3.
    Spearman: 1 - 6 (3^2 + 1^2 + 0 + 2^2) / (4 * 15) = -0.4. Log-odds 4, 3, -6, 5 in every capture: ranks 3, 2, 1, 4,
    1 - 6 (1 + 1 + 1 + 3^2) / 60 = -0.2; sizes 4, 3, 6, 5 have ranks 2, 1, 4, 3, 1 - 6 (4 * 2^2) / 60 = -0.6.
    """
    effects = {"a": [-3, 0, -1, 0], "a2": [-1, 0, -1, 0], "b": [-4, 2, -1, 0]}
    rows = [
        {"metric": metric, "layer": 0, "head": head, "value": float(value), "n": 1, "capture": name}
        for name, several in effects.items()
        for metric, values in (("knockout_effect", several), ("knockout_log_odds", [4, 3, -6, 5]))
        for head, value in enumerate(values)
    ]
    said = {"answer": "Ada", "right": True, "likeliest": True, "options": 2, "before": -0.5, "alone": 0}
    answers = pd.DataFrame([{"capture": name, "clip": name[0], **said} for name in effects])
    monkeypatch.setattr(cause, "knock_out_captures", lambda *_, **__: (pd.DataFrame(rows), answers))
    found, parts = with_effects(ranking([0.9, 0.5, 0.4, 0.1], captures="xyz"), list(effects))
    assert [head.effect for head in found.heads] == [-3, 1, -1, 0]
    rhos = {
        "spearman": pytest.approx(-0.4),
        "spearman_p": 0.75,  # of the 24 orders, 9 have a correlation of -0.4 or less, and as many of 0.4 or more
        "spearman_log_odds": pytest.approx(-0.2),
        "spearman_size": pytest.approx(-0.6),
    }
    assert found.cause == {"cut": "output", **rhos, "n": 4, "before": -0.5}
    assert [(row["value"], row["n"]) for row in parts["effects"]][:4] == [(-3, 2), (1, 2), (-1, 2), (0, 2)]
    assert parts["effects"][0]["low"] is None and parts["effects"][0]["high"] is None  # two clips: too few
    assert NOT_CAUSE not in found.notes and found.notes[0] == "At live frames."
    assert "the right answer among the options" in found.notes[1] and found.notes[1].endswith("is -0.5.")
    assert "cross-mass (best first) and effect over these 4 heads: -0.40 (p = 0.75; so few heads" in found.notes[2]
    answers["likeliest"] = [True, False, False]
    wrong, _ = with_effects(ranking([0.9, 0.5, 0.4, 0.1], captures="xyz"), list(effects))
    assert wrong.notes[2].startswith("In 2 of 3 captures the model prefers another answer than the right one")
    found, _ = with_effects(ranking([0.1, 0.4, 0.5, 0.9], lowest=True, captures="xyz"), list(effects))
    assert found.cause["spearman"] == pytest.approx(-0.4)
    json.dumps([found.model_dump(), parts])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(-5, 5), min_size=3, max_size=9), st.randoms())
def test_a_correlation_is_that_of_ranks(values, random):
    """Against Pearson's of mean ranks; the same in any order of heads, turned by a sign, 1 with itself."""
    other = [random.randint(-5, 5) for _ in values]
    if min(len(set(values)), len(set(other))) < 2:
        assert math.isnan(rank_correlation(values, other))
        return
    ranks = [[sum(x < y for x in v) + sum(x == y for x in v) / 2 for y in v] for v in (values, other)]
    expected = np.corrcoef(ranks)[0, 1]
    assert rank_correlation(values, other) == pytest.approx(expected)
    order = random.sample(range(len(values)), len(values))
    assert rank_correlation([values[i] for i in order], [other[i] for i in order]) == pytest.approx(expected)
    assert rank_correlation(values, [-x for x in other]) == pytest.approx(-expected)
    assert rank_correlation(values, values) == pytest.approx(1)


def test_fewer_than_three_heads_have_no_correlation():
    assert math.isnan(rank_correlation([1, 2], [2, 1]))


def test_only_the_heads_that_are_named():
    found, every = ranking([0.9]), ranking([0.9, 0.5, 0.4])
    named = only(found, every, "0.2,0.0")
    assert [(head.rank, head.head) for head in named.heads] == [(1, 0), (3, 2)]
    assert named.criterion == found.criterion
    with pytest.raises(RequestError, match=r"heads=.0\.3.: has no value of cross-mass in these captures"):
        only(found, every, "0.3")


# ---- the command


def heads_of(*words):
    done = CliRunner().invoke(app, ["heads", *map(str, words), "-q"])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_shows_effects_in_place_of_the_warning(captures):
    named = ("--knockout", "--heads", "3.0,0.1,1.2")
    code, out, err = heads_of(captures / "one.h5", captures / "two.h5", "--by", "cross-mass", *named)
    assert (code, err) == (0, "") and NOT_CAUSE not in out
    lines = [line.split() for line in out.splitlines() if line.strip()]
    assert lines[1] == ["head", "value", "effect"]
    assert {line[0] for line in lines[3:6]} == {"3.0", "0.1", "1.2"}
    assert all(float(line[-1].replace("\N{MINUS SIGN}", "-")) for line in lines[3:6])
    assert "rank correlation of cross-mass (best first) and effect over these 3 heads: " in out


def test_the_command_cuts_edges_and_writes_json(loaded, ask, captures):
    cut = ("--knockout", "--edges", "answer:visual", "--top", 4, "--json", "-o", captures / "heads.json")
    code, out, err = heads_of(captures / "one.h5", *cut)
    assert (code, err) == (0, "")
    found = json.loads(out)
    places = [(head["layer"], head["head"]) for head in found["heads"]]
    expected = knock_out(loaded, ask(answer="Ada"), places, edges="answer:visual").change
    np.testing.assert_allclose([head["effect"] for head in found["heads"]], expected, atol=1e-4)
    assert found["cause"]["spearman"] == pytest.approx(rank_correlation([h["value"] for h in found["heads"]], expected))
    assert (found["cause"]["cut"], found["cause"]["n"], len(found["effects"])) == ("answer:visual", 4, 8)
    assert [(answer["answer"], answer["right"]) for answer in found["answers"]] == [("Ada", True)]
    written = json.loads((captures / "heads.json").read_text(encoding="utf-8"))
    assert written == {name: found[name] for name in written}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--edges answer:visual", "--edges answer:visual: is for --knockout"),
        ("--knockout --edges visual", 'knockout.edges="visual": "visual" is not QUERIES:KEYS, like answer:visual'),
        ("--knockout --edges answer:Zed", '"Zed": choose from visual, text, '),
        ("--knockout --batch 0", "--batch 0: must be at least 1"),
        ("--knockout --heads 9.9", "--heads 9.9: has no value of speaker-lift in these captures"),
        ("--knockout --model gone", "gone"),
    ],
)
def test_bad_words_are_one_line(captures, words, message):
    code, out, err = heads_of(captures / "one.h5", *words.split())
    assert (code, out) == (2, "")
    assert err.startswith("attnscope: ") and message in err and err.count("\n") == 1
