"""Self and cross attention, by hand on four tokens and by brute force on drawn captures."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.metrics.modality import gap_of
from tests.metrics.sketch import Sketch, Token, causal, draw, room, softmax

NAMES = ("pair_mean", "mass_share", "gap", "lift", "gap_uniform")

# two visual tokens, then two text tokens; the first token is the only sink
#            v0   v1   t0   t1
HAND = [
    [1.0, 0.0, 0.0, 0.0],
    [0.5, 0.5, 0.0, 0.0],
    [0.2, 0.3, 0.5, 0.0],
    [0.1, 0.2, 0.3, 0.4],
]


def hand() -> Sketch:
    visual = [Token("visual", "visual", frames=(0, 0), cell=c) for c in range(2)]
    scene = room((), ()).scene
    return Sketch([*visual, Token("text", "question"), Token("text", "question")], scene)


def value(table: pd.DataFrame, metric: str, **where: object) -> float:
    rows = table[table["metric"] == metric]
    for column, wanted in where.items():
        rows = rows[rows[column] == wanted]
    assert len(rows) == 1, rows
    return float(rows["value"].iloc[0])


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    path = draw(tmp_path_factory.mktemp("hand") / "run.h5", hand(), np.array(HAND)[None, None])
    with open_capture(path) as cap:
        return metrics.compute(cap, NAMES)["modality"]


def test_mean_per_pair_by_hand(table):
    means = {
        (q, k): value(table, "pair_mean", head=0, query=q, key=k, sinks="with")
        for q in ("text", "visual")
        for k in ("text", "visual")
    }
    assert means["text", "text"] == pytest.approx((0.5 + 0.3 + 0.4) / 3)
    assert means["text", "visual"] == pytest.approx((0.2 + 0.3 + 0.1 + 0.2) / 4)
    assert means["visual", "visual"] == pytest.approx((1.0 + 0.5 + 0.5) / 3)
    assert np.isnan(means["visual", "text"])  # the text comes later: no pair is allowed, which is not a zero


def test_mean_per_pair_without_sinks_by_hand(table):
    free = {"head": 0, "sinks": "without"}
    assert value(table, "pair_mean", query="text", key="visual", **free) == pytest.approx((0.3 + 0.2) / 2)
    assert value(table, "pair_mean", query="visual", key="visual", **free) == pytest.approx(0.5 / 1)
    assert value(table, "pair_mean", query="text", key="text", **free) == pytest.approx(1.2 / 3)  # no text sink


def test_n_counts_pairs_and_queries(table):
    rows = table[(table["query"] == "text") & (table["key"] == "visual") & (table["head"] == 0)]
    assert dict(
        zip(
            rows[rows["metric"] == "pair_mean"]["sinks"],
            rows[rows["metric"] == "pair_mean"]["n"],
            strict=True,
        )
    ) == {"with": 4, "without": 2}
    assert set(rows[rows["metric"] == "mass_share"]["n"]) == {2}


def test_mass_share_and_lift_by_hand(table):
    share = value(table, "mass_share", head=0, query="text", key="visual", sinks="with")
    assert share == pytest.approx(((0.2 + 0.3) + (0.1 + 0.2)) / 2)
    even = (2 / 3 + 2 / 4) / 2  # what an even spread over 3 and over 4 allowed keys would put on two visual tokens
    assert value(table, "lift", head=0, query="text", key="visual", sinks="with") == pytest.approx(share / even)
    free, even_free = (0.3 + 0.2) / 2, (1 / 3 + 1 / 4) / 2
    assert value(table, "lift", head=0, query="text", key="visual", sinks="without") == pytest.approx(free / even_free)


@pytest.mark.parametrize(("denominator", "expected"), [("max", 0.2 / 0.4), ("sum", 0.2 / 0.6), ("self", 0.2 / 0.4)])
def test_gap_by_hand(table, denominator, expected):
    """s = 0.4 and c = 0.2, so |s - c| = 0.2."""
    for layer in (0, metrics.OVER):
        found = value(table, "gap", layer=layer, head=metrics.OVER, query="text", sinks="with", denominator=denominator)
        assert found == pytest.approx(expected)


def test_gap_is_not_defined_where_no_pair_is(table):
    rows = table[(table["metric"] == "gap") & (table["query"] == "visual")]
    assert rows["value"].isna().all()
    assert set(rows["n"]) == {0}


def test_gap_of_uniform_attention_by_hand(table):
    s = (1 / 3 + 1 / 4 + 1 / 4) / 3
    c = (2 / 3 + 2 / 4) / 4
    found = value(table, "gap_uniform", layer=0, query="text", sinks="with", denominator="max")
    assert found == pytest.approx(abs(s - c) / max(s, c))


def test_gap_denominators():
    s, c = np.array([0.4, 0.0, np.nan]), np.array([0.1, 0.0, 0.1])
    assert gap_of(s, c, "max") == pytest.approx([0.75, np.nan, np.nan], nan_ok=True)
    assert gap_of(s, c, "sum") == pytest.approx([0.6, np.nan, np.nan], nan_ok=True)
    assert gap_of(c, s, "self")[0] == pytest.approx(3.0)


def test_layer_gap_is_of_the_mean_over_heads_and_model_gap_the_mean_over_layers(drawn):
    sketch = hand()
    rng = np.random.default_rng(3)
    a = softmax(rng.normal(size=(3, 2, 4, 4)), causal(4))
    table = metrics.compute(drawn(sketch, a), NAMES)["modality"]
    by_layer = []
    for layer in range(3):
        mean = a[layer].mean(0)
        s, c = (mean[2, 2] + mean[3, 2] + mean[3, 3]) / 3, mean[2:, :2].mean()
        by_layer.append(abs(s - c) / max(s, c))
        keys = {"head": -1, "query": "text", "sinks": "with", "denominator": "max"}
        assert value(table, "gap", layer=layer, **keys) == pytest.approx(by_layer[-1], rel=1e-5)
    assert value(table, "gap", layer=-1, **keys) == pytest.approx(np.mean(by_layer), rel=1e-5)


def band(n: int, window: int | None) -> np.ndarray:
    """A causal mask [n, n], within a window if there is one."""
    return causal(n) if window is None else causal(n) & ~np.tril(np.ones((n, n), bool), -window)


def brute(a: np.ndarray, allowed: np.ndarray, query: np.ndarray, key: np.ndarray) -> tuple[float, int, float]:
    """Sum of a dense map over pairs, number of allowed pairs, and the sum that even rows would give."""
    pick = query[:, None] & key[None, :] & allowed
    even = allowed / allowed.sum(1, keepdims=True)
    return float(a[pick].sum()), int(pick.sum()), float(even[pick].sum())


def queries_of(cap) -> dict[str, np.ndarray]:
    """The queries that the column `query` names, from the token table."""
    tokens, n = cap.tokens, cap.prompt_length
    prompt = tokens["position"] < n
    sets = {m: ((tokens["modality"] == m) & prompt).to_numpy() for m in ("text", "visual", "special")}
    roles = ("system", "template", "transcript", "question")
    sets |= {f"role:{r}": ((tokens["role"] == r) & prompt).to_numpy() for r in roles}
    sets |= {"role:answer": (~prompt).to_numpy(), "answer_position": (tokens["position"] == n - 1).to_numpy()}
    sets |= {f"generated:{k}": (tokens["position"] == n + k).to_numpy() for k in range(len(tokens) - n)}
    return {name: rows for name, rows in sets.items() if rows.any()}


@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 10_000), generated=st.integers(0, 3), window=st.sampled_from([None, 5]))
def test_tables_equal_sums_of_the_dense_map(tmp_path_factory, seed, generated, window):
    """The second computation: every number again from `cap.attention`."""
    sketch = room(generated=generated)
    n = len(sketch.tokens)
    allowed = band(n, window)
    rng = np.random.default_rng(seed)
    sinks = rng.choice(n, 3, replace=False)
    a = softmax(rng.normal(0, 2, (2, 2, n, n)), allowed)
    path = draw(tmp_path_factory.mktemp("dense") / "run.h5", sketch, a, allowed=allowed, sinks=sinks, numbers=[3, 7])
    with open_capture(path) as cap:
        table = metrics.compute(cap, NAMES, token_heads=True)["modality"]
        modality, asked = cap.tokens["modality"].to_numpy(), queries_of(cap)
        assert set(table["query"]) == set(asked)
        gaps, table = (table[table["metric"].isin(some)] for some in (["gap"], ["pair_mean", "mass_share", "lift"]))
        maps = {layer: cap.attention(layer) for layer in (3, 7)}
        for row in gaps[gaps["layer"] >= 0].sample(30, random_state=seed).itertuples():
            a = maps[row.layer].mean(0) if row.head < 0 else maps[row.layer][row.head]
            own, other = ("visual", "text") if row.query == "visual" else ("text", "visual")
            free = np.ones(n, bool) if row.sinks == "with" else ~cap.sinks[0]
            sums = [brute(a, cap.allowed(row.layer), asked[row.query], free & (modality == m)) for m in (own, other)]
            s, c = (total / pairs if pairs else np.nan for total, pairs, _ in sums)
            below = {"max": max(s, c), "sum": s + c, "self": s}[row.denominator]
            assert row.value == pytest.approx(abs(s - c) / below if below else np.nan, rel=1e-3, abs=1e-5, nan_ok=True)
        assert not {"special", "role:template"} & set(gaps["query"])
        wide = table.pivot_table(
            index=["layer", "head", "query", "key", "sinks"], columns="metric", values="value", dropna=False, sort=False
        )
        n = table[table["metric"] == "pair_mean"].set_index(wide.index.names)["n"]
        for place, found in wide.sample(60, random_state=seed).iterrows():
            layer, head, query, key, sinks = place
            keys = (modality == key) & (True if sinks == "with" else ~cap.sinks[0])
            a = maps[layer].mean(0) if head < 0 else maps[layer][head]
            total, pairs, even = brute(a, cap.allowed(layer), asked[query], keys)
            assert n[place] == pairs
            wanted = [total / pairs, total / asked[query].sum(), total / even] if pairs else [np.nan] * 3
            assert found[["pair_mean", "mass_share", "lift"]].tolist() == pytest.approx(wanted, abs=2e-5, nan_ok=True)
        shares = table[(table["metric"] == "mass_share") & (table["head"] >= 0) & (table["sinks"] == "with")]
        whole = shares.groupby(["layer", "head", "query"])["value"].sum(min_count=1)
        assert np.allclose(whole, 1.0, atol=1e-5)  # splitting the keys into groups adds up


# roles and tokens of the answer: system, a visual token, the question (whose last position is the answer's), one
# generated token; the first token is the only sink
#            sys  vis  que  gen
TURN = [
    [1.0, 0.0, 0.0, 0.0],
    [0.5, 0.5, 0.0, 0.0],
    [0.5, 0.3, 0.2, 0.0],
    [0.4, 0.1, 0.2, 0.3],
]


def answered() -> Sketch:
    scene = room((), ()).scene
    seen = Token("visual", "visual", frames=(0, 0), cell=0)
    return Sketch(
        [Token("text", "system"), seen, Token("text", "question"), Token("text", "answer")], scene, generated=1
    )


def test_roles_and_generated_tokens_by_hand(drawn):
    """The first head attends as above, the second evenly: 1/3 and 1/4 to each key."""
    even = causal(4) / causal(4).sum(1, keepdims=True)
    table = metrics.compute(drawn(answered(), np.stack([TURN, even])[None]), NAMES)["modality"]
    asks = {"head": 0, "query": "role:question", "key": "visual", "sinks": "with"}
    assert value(table, "mass_share", **asks) == pytest.approx(0.3)
    assert value(table, "pair_mean", **asks) == pytest.approx(0.3 / 1)
    assert value(table, "lift", **asks) == pytest.approx(0.3 / (1 / 3))
    assert value(table, "mass_share", **asks | {"query": "answer_position"}) == pytest.approx(0.3)
    first = {"head": 0, "query": "role:system", "key": "visual", "sinks": "with"}
    assert np.isnan(value(table, "mass_share", **first))  # the system prompt stands before the video

    fed = {"head": 0, "query": "role:answer", "key": "text"}
    assert value(table, "mass_share", sinks="with", **fed) == pytest.approx(0.4 + 0.2 + 0.3)
    assert value(table, "lift", sinks="with", **fed) == pytest.approx(0.9 / (3 / 4))
    assert value(table, "pair_mean", sinks="without", **fed) == pytest.approx((0.2 + 0.3) / 2)
    assert value(table, "lift", sinks="without", **fed) == pytest.approx(0.5 / (2 / 4))

    token = table[table["query"] == "generated:0"]
    assert set(token["head"]) == {-1}  # over heads only, unless asked for
    # the question gives 0.5 and 0.2 to text, 0.3 to the video; the token, mean of both heads, 0.9 and 0.75 to three
    # text tokens, 0.1 and 0.25 to a visual one; a system prompt before the video has nothing to cross to
    shape = {"layer": 0, "sinks": "with", "denominator": "max"}
    assert value(table, "gap", head=0, query="role:question", **shape) == pytest.approx((0.35 - 0.3) / 0.35)
    assert value(token, "gap", **shape) == pytest.approx((0.275 - 0.175) / 0.275)
    assert value(token, "gap", **shape | {"layer": -1}) == pytest.approx((0.275 - 0.175) / 0.275)
    assert value(token, "gap_uniform", **shape) == 0
    assert np.isnan(value(table, "gap", head=0, query="role:system", **shape))
    assert value(token, "mass_share", key="visual", sinks="with") == pytest.approx((0.1 + 1 / 4) / 2)
    links = table.set_index(["query", "key"])["link"]
    for query in ("role:question", "generated:0", "answer_position", "text"):
        assert set(links[query, "visual"]) == {"cross"} and set(links[query, "text"]) == {"self"}
    assert set(links["role:question", "special"]) == {"special"}


def test_every_head_of_a_generated_token_on_request(drawn):
    cap = drawn(answered(), np.stack([TURN, TURN])[None])
    table = metrics.mass_share(cap, token_heads=True)
    gaps = metrics.gap(cap, token_heads=True)
    for each in (table, gaps[gaps["layer"] >= 0]):
        assert set(each.loc[each["query"] == "generated:0", "head"]) == {0, 1, -1}
    assert value(table, "mass_share", head=1, query="generated:0", key="visual", sinks="with") == pytest.approx(0.1)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 999), generated=st.integers(1, 3))
def test_roles_merge_into_their_modality_and_tokens_into_their_role(tmp_path_factory, seed, generated):
    """Means weighted by their number of queries: text = system + transcript + question, template = special."""
    sketch = room(generated=generated, words=1 + seed % 3)
    n = len(sketch.tokens)
    a = softmax(np.random.default_rng(seed).normal(0, 2, (1, 2, n, n)), causal(n))
    with open_capture(draw(tmp_path_factory.mktemp("merge") / "run.h5", sketch, a, sinks=(0, 3))) as cap:
        table = metrics.mass_share(cap, token_heads=True)
    wide = table.set_index(["query", "head", "sinks", "key"])[["value", "n"]].sort_index()
    for whole, parts in (
        ("text", ["role:system", "role:transcript", "role:question"]),
        ("special", ["role:template"]),
        ("role:answer", [f"generated:{k}" for k in range(generated)]),
    ):
        weighted = sum((wide.loc[part, "value"].fillna(0) * wide.loc[part, "n"] for part in parts), start=0.0)
        together = weighted / sum(wide.loc[part, "n"] for part in parts)
        assert np.allclose(wide.loc[whole, "value"].fillna(0), together, atol=1e-6)


@settings(max_examples=6, deadline=None)
@given(
    words=st.integers(1, 4),
    question=st.integers(0, 3),
    frames=st.integers(1, 4),
    generated=st.integers(0, 2),
    sinks=st.sets(st.integers(0, 5), max_size=3),
    window=st.sampled_from([None, 4]),
)
def test_uniform_attention_has_lift_one(tmp_path_factory, words, question, frames, generated, sinks, window):
    sketch = room(times=[float(f) for f in range(frames)], words=words, question=question, generated=generated)
    path = tmp_path_factory.mktemp("even") / "run.h5"
    allowed = band(len(sketch.tokens), window)
    with open_capture(draw(path, sketch, allowed=allowed, sinks=sorted(sinks))) as cap:
        table = metrics.compute(cap, ["lift", "gap", "gap_uniform"])["modality"]
    lifts = table[table["metric"] == "lift"]["value"].dropna()
    assert len(lifts)
    assert np.allclose(lifts, 1.0, atol=1e-4)
    keys = ["layer", "query", "sinks", "denominator"]
    wide = table[(table["metric"] != "lift") & (table["head"] == -1)].pivot_table(
        index=keys, columns="metric", values="value"
    )
    assert np.allclose(wide["gap"], wide["gap_uniform"], atol=1e-4)


def test_no_visual_tokens_gives_no_cross_attention(drawn):
    sketch = room((), (("Ann", None, None),), times=(0.0,))
    sketch.tokens = [t for t in sketch.tokens if t.modality != "visual"]
    cap = drawn(sketch)
    table = metrics.compute(cap, NAMES)["modality"]
    cross = table[(table["query"] == "text") & (table["key"] == "visual")]
    assert cross["value"].isna().all()
    assert "text → visual is not defined: the prompt has no visual tokens." in metrics.explain(cap)


def test_a_capture_without_masses_has_no_modality_table_and_says_so(drawn):
    cap = drawn(room(), readings=("maps",))
    assert not {"modality", "balance", "decay"} & set(metrics.compute(cap))
    assert (
        metrics.explain(cap)[0]
        == "No attention between modalities, no balance of the answer (MDI, AEI) and no decay: the "
        "capture has no 'masses' reading."
    )
