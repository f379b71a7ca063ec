"""MDI and AEI: by hand on one query, on uniform attention, and against the dense map."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.balance import indices
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax

NAMES = ("mdi", "aei_text", "aei_visual")
# the answer position is the end, a special token; the first token is the only sink
#          sys  vis  vis  que  end  gen
LAST = [0.3, 0.1, 0.2, 0.1, 0.3, 0.0]
FED = [0.4, 0.1, 0.1, 0.1, 0.1, 0.2]


def asked() -> Sketch:
    visual = [Token("visual", "visual", frames=(0, 0), cell=c) for c in range(2)]
    end = [Token("text", "question"), Token("special", "template"), Token("text", "answer")]
    return Sketch([Token("text", "system"), *visual, *end], room((), ()).scene, generated=1)


def attention(*rows: list[float]) -> np.ndarray:
    """Even attention but for the last rows."""
    a = causal(6) / causal(6).sum(1, keepdims=True)
    a[6 - len(rows) :] = rows
    return a


def values(table: pd.DataFrame, **where: object) -> dict[str, float]:
    """Value by metric of the rows with these keys: layer 0, head 0, the answer position, with sinks if not said."""
    keys = {"layer": 0, "head": 0, "query": "answer_position", "sinks": "with"} | where
    rows = table[np.logical_and.reduce([table[column] == wanted for column, wanted in keys.items()])]
    assert sorted(rows["metric"]) == sorted(NAMES)
    return dict(zip(rows["metric"], rows["value"], strict=True))


def test_indices_by_hand(drawn):
    table = metrics.compute(drawn(asked(), attention(LAST, FED)[None, None]), NAMES)["balance"]
    # the answer position: 0.4 on 2 text tokens, 0.3 on 2 visual ones
    last = {"mdi": (0.4 / 2) / (0.3 / 2), "aei_text": (0.4 / 0.7) / (2 / 4), "aei_visual": (0.3 / 0.7) / (2 / 4)}
    assert values(table) == pytest.approx(last)
    # the generated token: 0.7 on 3 text tokens (itself included), 0.2 on 2 visual ones
    fed = {"mdi": (0.7 / 3) / (0.2 / 2), "aei_text": (0.7 / 0.9) / (3 / 5), "aei_visual": (0.2 / 0.9) / (2 / 5)}
    assert values(table, query="generated") == pytest.approx(fed)
    # both: 1.1 on 5 (query, text) pairs, 0.5 on 4 visual ones
    both = {"mdi": (1.1 / 5) / (0.5 / 4), "aei_text": (1.1 / 1.6) / (5 / 9), "aei_visual": (0.5 / 1.6) / (4 / 9)}
    assert values(table, query="answer") == pytest.approx(both)
    # without the sink, a text token: 0.1 on 1 text token
    free = {"mdi": (0.1 / 1) / (0.3 / 2), "aei_text": (0.1 / 0.4) / (1 / 3), "aei_visual": (0.3 / 0.4) / (2 / 3)}
    assert values(table, sinks="without") == pytest.approx(free)
    assert set(table.loc[table["query"] == "answer", "n"]) == {2}
    assert set(table.loc[table["query"] == "generated", "n"]) == {1}


def score(table: pd.DataFrame, **where: object) -> dict[str, float]:
    """Attention per token by the modality of the keys: layer 0, head 0, the answer position, with sinks if not said."""
    keys = {"metric": "attention_score", "layer": 0, "head": 0, "query": "answer_position", "sinks": "with"} | where
    rows = table[np.logical_and.reduce([table[column] == wanted for column, wanted in keys.items()])]
    assert sorted(rows["key"]) == ["text", "visual"]
    return dict(zip(rows["key"], rows["value"], strict=True))


def test_attention_per_token_by_hand(drawn):
    other = [0.1, 0.3, 0.3, 0.1, 0.2, 0.0]
    cap = drawn(asked(), np.stack([attention(LAST, FED), attention(other, FED)])[:, None])
    table = metrics.attention_score(cap)
    assert score(table) == pytest.approx({"text": (0.3 + 0.1) / 2, "visual": (0.1 + 0.2) / 2})
    assert score(table, query="generated") == pytest.approx({"text": 0.7 / 3, "visual": 0.2 / 2})
    assert score(table, query="answer") == pytest.approx({"text": 1.1 / 5, "visual": 0.5 / 4})
    assert score(table, sinks="without") == pytest.approx({"text": 0.1 / 1, "visual": 0.3 / 2})
    # over layers: text gets 0.4 and 0.2 on two tokens, the video 0.3 and 0.6
    over = {"layer": -1, "head": -1}
    assert score(table, **over) == pytest.approx({"text": (0.2 + 0.1) / 2, "visual": (0.15 + 0.3) / 2})
    # of the prompt: rows 1 | 1/2 1/2 | 1/3 1/3 1/3 | 1/4 1/4 1/4 1/4 | the last; 7 pairs each
    text, visual = 1 + 1 / 2 + 1 / 3 + 2 / 4 + 0.4, 1 / 2 + 2 / 3 + 2 / 4 + 0.3
    assert score(table, query="prompt") == pytest.approx({"text": text / 7, "visual": visual / 7})
    assert set(table.loc[table["query"] == "prompt", "n"]) == {5}


def test_every_generated_token_has_its_own(drawn):
    cap = drawn(asked(), np.stack([attention(LAST, FED), attention(LAST, [0.2] * 5 + [0.0])])[None])
    table = metrics.compute(cap, NAMES)["balance"]
    assert set(table.loc[table["query"] == "generated:0", "head"]) == {-1}
    # the mean of both heads: 0.55 on 3 text tokens, 0.3 on 2 visual ones
    for layer in (0, -1):
        found = values(table, layer=layer, head=-1, query="generated:0")
        assert found["mdi"] == pytest.approx((0.55 / 3) / (0.3 / 2))
    table = metrics.compute(cap, [*NAMES, "attention_score"], token_heads=True)["balance"]
    assert values(table[table["key"] == ""], head=1, query="generated:0")["mdi"] == pytest.approx((0.4 / 3) / (0.4 / 2))
    assert score(table, head=1, query="generated:0") == pytest.approx({"text": 0.4 / 3, "visual": 0.4 / 2})


def test_attention_is_averaged_before_the_ratio(drawn):
    """One head or layer gives the text 0.4 and the video 0.3, the other 0.2 and 0.6: 0.3 over 0.45."""
    other = [0.1, 0.3, 0.3, 0.1, 0.2, 0.0]
    one, two = attention(LAST, FED), attention(other, FED)
    for a, place in ((np.stack([one, two])[None], {"head": -1}), (np.stack([one, two])[:, None], {"layer": -1})):
        table = metrics.compute(drawn(asked(), a, name=f"{len(a)}.h5"), NAMES)["balance"]
        assert values(table, **{"head": -1} | place)["mdi"] == pytest.approx(0.3 / 0.45)


def test_no_visual_key_is_nan_not_infinity(drawn):
    sketch = asked()
    sketch.tokens = [t for t in sketch.tokens if t.modality != "visual"]
    table = metrics.compute(drawn(sketch), NAMES)["balance"]
    assert table["value"].isna().all()
    assert np.isnan(indices(np.array([0.5, 0.0]), np.array([2.0, 0.0]))["aei_text"])


def test_nothing_generated_has_no_generated_queries(drawn):
    table = metrics.compute(drawn(room()), NAMES)["balance"]
    rows = table[table["query"] == "generated"]
    assert rows["value"].isna().all() and not rows["n"].any()
    assert values(table, query="answer") == values(table)


@settings(max_examples=6, deadline=None)
@given(generated=st.integers(0, 3), frames=st.integers(1, 3), sinks=st.sets(st.integers(0, 5), max_size=2))
def test_uniform_attention_is_in_balance(tmp_path_factory, generated, frames, sinks):
    sketch = room(times=[float(f) for f in range(frames)], generated=generated)
    path = draw(tmp_path_factory.mktemp("even") / "run.h5", sketch, sinks=sorted(sinks))
    with open_capture(path) as cap:
        table, scores = metrics.compute(cap, NAMES)["balance"], metrics.attention_score(cap)
        for layer, head in ((0, 0), (0, -1), (-1, -1)):
            keys = 1 / cap.prompt_length
            assert score(scores, layer=layer, head=head) == pytest.approx({"text": keys, "visual": keys}, rel=1e-5)
            ones = values(table, layer=layer, head=head)
            assert list(ones.values()) == pytest.approx([1, 1, 1], rel=1e-5)
            if generated == 0:  # of several queries, later ones have lighter pairs and more keys of text
                found = values(table, layer=layer, head=head, query="answer", sinks="without")
                assert list(found.values()) == pytest.approx([1, 1, 1], rel=1e-5)


def drawn_at_random(folder: Path, seed: int, order: list[int]) -> tuple[Path, np.ndarray, np.ndarray]:
    sketch = room(generated=2)
    n = len(sketch.tokens)
    allowed = causal(n)
    allowed[-3:, 2 + seed % 4] = False  # a visual key that the answer may not see
    a = softmax(np.random.default_rng(seed).normal(0, 2, (2, 3, n, n)), allowed)[:, order]
    return draw(folder / "run.h5", sketch, a, allowed=allowed, sinks=(0, 5), numbers=[1, 4]), a, allowed


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 999), order=st.permutations(range(3)))
def test_indices_equal_sums_of_the_dense_map(tmp_path_factory, seed, order):
    """The second computation, and two identities: AEI_T / AEI_V = MDI, and shares of the tokens weigh the AEI to 1."""
    path, _, allowed = drawn_at_random(tmp_path_factory.mktemp("dense"), seed, list(order))
    with open_capture(path) as cap:
        table, n, scores = metrics.compute(cap, NAMES)["balance"], cap.prompt_length, metrics.attention_score(cap)
        modality, dense = cap.tokens["modality"].to_numpy(), cap.attention(4, 1)
        each = ((values, table), (score, scores))
        for query, rows in (("answer_position", [n - 1]), ("generated", [n, n + 1]), ("answer", [n - 1, n, n + 1])):
            for sinks, keys in (("with", np.ones(n + 2, bool)), ("without", ~cap.sinks[0])):
                mass, count = {}, {}
                for m in ("text", "visual"):
                    mass[m], count[m] = 0.0, 0
                    for q in rows:
                        for k in range(q + 1):
                            if modality[k] == m and keys[k] and allowed[q, k]:
                                mass[m] += float(dense[q, k])
                                count[m] += 1
                found, per = (f(t, layer=4, head=1, query=query, sinks=sinks) for f, t in each)
                assert per == pytest.approx({m: mass[m] / count[m] for m in mass})
                share = {m: count[m] / sum(count.values()) for m in mass}
                assert found["mdi"] == pytest.approx(mass["text"] / count["text"] * count["visual"] / mass["visual"])
                assert found["aei_text"] == pytest.approx(mass["text"] / sum(mass.values()) / share["text"])
                assert found["mdi"] == pytest.approx(found["aei_text"] / found["aei_visual"])
                weighed = share["text"] * found["aei_text"] + share["visual"] * found["aei_visual"]
                assert weighed == pytest.approx(1)


def test_the_order_of_heads_changes_single_heads_only(tmp_path):
    tables = []
    for name, order in (("a", [0, 1, 2]), ("b", [2, 0, 1])):
        (tmp_path / name).mkdir()
        path, *_ = drawn_at_random(tmp_path / name, 7, order)
        with open_capture(path) as cap:
            tables.append(metrics.compute(cap, NAMES)["balance"])
    over = [table[table["head"] == -1].reset_index(drop=True) for table in tables]
    pd.testing.assert_frame_equal(*over)
    assert values(tables[1], layer=1, head=0) == pytest.approx(values(tables[0], layer=1, head=2))
