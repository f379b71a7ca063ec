"""Where the answer looks: by hand, on attention that is even or renamed, and against the dense map."""

from __future__ import annotations

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.file import encode
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.answer import answer_group
from attnscope.metrics.headline import headline
from attnscope.metrics.people.cells import best_answer_head
from attnscope.scene import Scene
from attnscope.scene.mentions import asked_speakers
from tests.metrics.sketch import Sketch, causal, draw, room, softmax

NAMES = ("Ann", "Ben", "Cleo")


def asking(question: str | None = "What does Ben hold?", names=NAMES, **options) -> Sketch:
    """A room in which nobody speaks, with a question."""
    sketch = room(names, (), question=1, **options)
    sketch.scene["question"] = question
    return sketch


def noise(sketch: Sketch, seed: int, layers: int = 2, heads: int = 2, allowed=None) -> np.ndarray:
    n = len(sketch.tokens)
    logits = np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n))
    return softmax(logits, causal(n) if allowed is None else allowed)


def values(cap, metric: str, layer: int = -1, head: int = -1, **options) -> dict[str, float]:
    """Value by speaker."""
    table = metrics.compute(cap, [metric], **options)["answer"]
    rows = table[(table["layer"] == layer) & (table["head"] == head)]
    return dict(zip(rows["speaker"], rows["value"], strict=True))


# ---- by hand


def test_mass_lift_and_share_by_hand(drawn):
    """Two cells of Ann, one of Ben (away in frame 1), two layers of one head; the last of 10 positions looks."""
    sketch = asking(names=("Ann", "Ben"), hidden=[("Ben", 1)])
    n = len(sketch.tokens)
    assert n == 10  # <s>, system, 2 frames of 3 cells, the question, and the end, where the answer begins
    ann, ben = np.flatnonzero(sketch.cells_of("Ann")), np.flatnonzero(sketch.cells_of("Ben"))
    assert (ann.tolist(), ben.tolist()) == ([2, 5], [3])
    a = softmax(np.zeros((2, 1, n, n)), causal(n))
    a[:, 0, -1] = 0
    a[0, 0, -1, [0, *ann, *ben]] = [0.4, 0.1, 0.3, 0.2]
    a[1, 0, -1, [0, *ann, *ben]] = [0.3, 0.1, 0.0, 0.6]
    cap = drawn(sketch, a, numbers=[0, 7])

    assert values(cap, "answer_mass", 0, 0) == pytest.approx({"Ann": 0.1 + 0.3, "Ben": 0.2})
    assert values(cap, "answer_mass", 7, 0) == pytest.approx({"Ann": 0.1 + 0.0, "Ben": 0.6})
    assert values(cap, "answer_mass") == pytest.approx({"Ann": (0.4 + 0.1) / 2, "Ben": (0.2 + 0.6) / 2})
    # mean attention of a cell over 1/10, what each of the 10 keys would get
    assert values(cap, "answer_lift", 0, 0) == pytest.approx({"Ann": 0.4 / 2 * 10, "Ben": 0.2 / 1 * 10})
    assert values(cap, "answer_lift", 7, 0) == pytest.approx({"Ann": 0.1 / 2 * 10, "Ben": 0.6 / 1 * 10})
    assert values(cap, "answer_lift") == pytest.approx({"Ann": (2.0 + 0.5) / 2, "Ben": (2.0 + 6.0) / 2})
    # densities 0.2 and 0.2, then 0.05 and 0.6
    assert values(cap, "answer_share", 0, 0) == pytest.approx({"Ann": 0.2 / 0.4, "Ben": 0.2 / 0.4})
    assert values(cap, "answer_share", 7, 0) == pytest.approx({"Ann": 0.05 / 0.65, "Ben": 0.6 / 0.65})
    assert values(cap, "answer_share") == pytest.approx({"Ann": 1.25 / 5.25, "Ben": 4.0 / 5.25})

    table = metrics.compute(cap)["answer"]
    assert set(table.loc[table["speaker"] == "Ann", "n"]) == {2} and set(table.loc[table["speaker"] == "Ben", "n"]) == {
        1
    }
    assert table.groupby("speaker")["asked"].first().to_dict() == {"Ann": False, "Ben": True}
    assert set(table["named"]) == {1}
    assert best_answer_head(table) == (7, 0)
    numbers = headline({"answer": table.assign(capture="run")}).set_index("number")
    mean, highest = "Answer's lift on the asked speaker", "Answer's lift on the asked speaker, highest head"
    assert numbers["value"].to_dict() == pytest.approx({mean: 4.0, highest: 6.0})
    assert numbers.loc[mean, "chance"] == 1 and np.isnan(numbers.loc[highest, "chance"])
    assert numbers["n"].tolist() == [1, 1]


def test_heads_are_averaged_before_shares_are_taken(drawn):
    """One head gives Ann 0.4 and Ben nothing, the other Ann 0.1 and Ben 0.1: 0.5 to 0.1, not the mean of 1 and 1/2."""
    sketch = asking(names=("Ann", "Ben"), times=[0.0])
    n = len(sketch.tokens)
    a = softmax(np.zeros((1, 2, n, n)), causal(n))
    a[0, :, -1] = 0
    a[0, 0, -1, [0, 2, 3]] = [0.6, 0.4, 0.0]
    a[0, 1, -1, [0, 2, 3]] = [0.8, 0.1, 0.1]
    assert values(drawn(sketch, a), "answer_share", 0) == pytest.approx({"Ann": 0.5 / 0.6, "Ben": 0.1 / 0.6})


# ---- limits and symmetries


@settings(max_examples=5, deadline=None)
@given(size=st.integers(2, 4), frames=st.integers(1, 3), window=st.integers(4, 40), seed=st.integers(0, 99))
def test_even_attention_has_lift_one_and_equal_shares(tmp_path_factory, size, frames, window, seed):
    """Whatever the row may see: a window of keys, with some of the cells outside it."""
    sketch = asking(names=("Ann", "Ben", "Cleo", "Dan")[:size], times=[float(f) for f in range(frames)])
    n = len(sketch.tokens)
    allowed = causal(n)
    allowed[-1, np.random.default_rng(seed).permutation(n - 1)[window:]] = False
    path = draw(tmp_path_factory.mktemp("even") / "run.h5", sketch, allowed=allowed)
    seen = {name for name in sketch.scene["speakers"] if (sketch.cells_of(name) & allowed[-1]).any()}
    with open_capture(path) as cap:
        lifts, parts = values(cap, "answer_lift", 0, 0), values(cap, "answer_share", 0, 0)
        assert {name for name, lift in lifts.items() if np.isfinite(lift)} == seen
        assert [lifts[name] for name in seen] == pytest.approx([1.0] * len(seen), rel=1e-5)
        assert all(parts[name] == pytest.approx(1 / len(seen), rel=1e-5) for name in seen if len(seen) > 1)
        assert values(cap, "answer_lift") == pytest.approx(lifts, nan_ok=True)


@settings(max_examples=5, deadline=None)
@given(order=st.permutations(range(3)), seed=st.integers(0, 1000))
def test_renaming_speakers_permutes_the_rows(tmp_path_factory, order, seed):
    sketch, renamed = asking(hidden=[("Ben", 1)]), asking(hidden=[("Ben", 1)])
    new = {name: NAMES[order[i]] for i, name in enumerate(NAMES)}
    for token in renamed.tokens:
        token.covered = [new[name] for name in token.covered]
    renamed.scene["question"] = f"What does {new['Ben']} hold?"
    a, folder = noise(sketch, seed), tmp_path_factory.mktemp("rename")
    with open_capture(draw(folder / "a.h5", sketch, a)) as one, open_capture(draw(folder / "b.h5", renamed, a)) as two:
        tables = [metrics.compute(cap)["answer"] for cap in (one, two)]
        tables[0]["speaker"] = tables[0]["speaker"].map(new)
        keys = ["metric", "layer", "head", "speaker"]
        left, right = (table.sort_values(keys).reset_index(drop=True) for table in tables)
        pd.testing.assert_frame_equal(left, right)
        assert best_answer_head(tables[0]) == best_answer_head(tables[1])


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 1000), generated=st.integers(0, 2))
def test_numbers_equal_sums_of_the_dense_map(tmp_path_factory, seed, generated):
    """The second computation, key by key from `cap.attention`, with tokens generated after the answer position."""
    sketch = asking(hidden=[("Ann", 0)], generated=generated)
    n = len(sketch.tokens)
    allowed = causal(n)
    allowed[:, 1 + seed % 5] = False  # a key that no query may see
    allowed[np.arange(n), np.arange(n)] = True
    a = noise(sketch, seed, allowed=allowed)
    path = draw(tmp_path_factory.mktemp("dense") / "run.h5", sketch, a, allowed=allowed, numbers=[1, 4])
    with open_capture(path) as cap:
        row = cap.prompt_length - 1
        density: dict[str, float] = {}
        for layer, head in ((1, 0), (4, 1)):
            dense = cap.attention(layer, head, row)[0]
            for name in NAMES:
                cells = [p for p in range(row) if cap.tokens[f"covered:{name}"][p] >= 0.5 and allowed[row, p]]
                mass = sum(float(dense[p]) for p in cells)
                density[name] = mass / len(cells)
                assert values(cap, "answer_mass", layer, head)[name] == pytest.approx(mass, abs=1e-6)
                lift = density[name] / (1 / allowed[row].sum())
                assert values(cap, "answer_lift", layer, head)[name] == pytest.approx(lift, rel=1e-4, abs=1e-5)
            expected = {name: density[name] / sum(density.values()) for name in NAMES}
            assert values(cap, "answer_share", layer, head) == pytest.approx(expected, rel=1e-4, abs=1e-5)


# ---- not defined, and why


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("What does Ben hold?", ["Ben"]),
        ("What does ben hold, or Bens?", []),
        ("Do Cleo and Ann know Cleo?", ["Cleo", "Ann"]),
        ("Is that Zoe?", []),  # who speaks, but has no box
        (None, []),
    ],
)
def test_whom_the_question_names(drawn, question, named):
    sketch = room(NAMES, [("Zoe", 0.0, 1.0)])
    sketch.scene["question"] = question
    cap = drawn(sketch)
    assert asked_speakers(Scene.from_dict(cap.scene_dict)) == named
    table = metrics.compute(cap)["answer"]
    assert set(table.loc[table["asked"], "speaker"]) == set(named)
    assert set(table["named"]) == {len(named)}
    assert (best_answer_head(table) is None) == (len(named) != 1)
    shown = list(headline({"answer": table.assign(capture="run")})["number"])
    assert len(shown) == (2 if len(named) == 1 else 0)


CASES = {
    "nobody asked": (asking("Who is there?"), "The question names no speaker with a box: "),
    "two asked": (asking("Do Ann and Ben talk?"), "The question names Ann and Ben: "),
    "no question": (asking(None), "The scene has no question: "),
}


@pytest.mark.parametrize("case", CASES)
def test_no_lift_on_an_asked_speaker_is_explained(drawn, case):
    sketch, begin = CASES[case]
    cap = drawn(sketch)
    assert f"{begin}there is no answer's lift on the asked speaker." in metrics.explain(cap)
    assert np.isfinite(list(values(cap, "answer_share").values())).all()  # speakers can be compared all the same


def test_a_speaker_without_a_cell_is_nan_and_explained(drawn):
    sketch = asking(names=("Ann", "Ben"))
    for token in sketch.tokens:
        token.covered = [name for name in token.covered if name != "Ben"]
    cap = drawn(sketch)
    notes = metrics.explain(cap)
    assert "Where the answer looks is not defined for 'Ben': the box covers no visual token by 0.5 or more." in notes
    assert "The answer's share of a speaker is not defined: only one speaker has a visible box." in notes
    assert values(cap, "answer_lift") == pytest.approx({"Ann": 1.0, "Ben": np.nan}, nan_ok=True, rel=1e-5)
    assert np.isnan([*values(cap, "answer_share").values(), values(cap, "answer_mass")["Ben"]]).all()
    assert best_answer_head(metrics.compute(cap)["answer"]) is None


def test_a_threshold_that_no_cell_reaches(drawn):
    cap = drawn(asking())
    assert np.isnan(list(values(cap, "answer_mass", threshold=1.01).values())).all()


def test_a_capture_without_an_answer_position(tmp_path):
    path = draw(tmp_path / "run.h5", asking())
    with h5py.File(path, "r+") as file:
        kinds = [kind.decode() for kind in file["query_groups/kind"][()]]
        del file["query_groups/kind"]
        other = ["question" if kind == "answer_position" else kind for kind in kinds]
        encode.write_strings(file["query_groups"], "kind", other)
    with open_capture(path) as cap:
        assert answer_group(cap) is None
        note = "Answer metrics are not defined: the capture has no query group of the answer position."
        assert note in metrics.explain(cap)
        table = metrics.compute(cap)["answer"]
        assert len(table) == 3 * 3 * (1 + 1 + 1) and table["value"].isna().all() and not table["n"].any()


def test_a_scene_without_boxes_has_no_rows(drawn):
    cap = drawn(room((), ((None, 0.0, 1.0),)))
    assert metrics.compute(cap)["answer"].empty
    assert (
        "Speaker, grounding, pair and answer metrics are not defined: the scene names no speaker boxes."
        in metrics.explain(cap)
    )
