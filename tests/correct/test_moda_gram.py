"""Gram matrices: the released formula, the paper's invariants, which keys are mapped by which; pseudo scores."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnscope.correct import make
from attnscope.correct.moda.gram import cosine, gram_of, mapped_keys, normalised, principal_angles, steps, unit
from attnscope.correct.moda.pseudo import log_weight
from attnscope.errors import RequestError

FEW = settings(max_examples=15, deadline=None)
SEEDS = st.integers(0, 10**6)


def draw(seed, heads=2, n=9, d=6):
    rng = torch.Generator().manual_seed(seed)
    scale = 10 ** torch.empty(1).uniform_(-2, 2, generator=rng)
    return torch.randn(heads, n, d, generator=rng) * scale, torch.randn(heads, n, d, generator=rng)


def released(key_v, key_t, value_t, ratio, fuser):
    """The released code's formula for one sample, restated: [tokens, heads, D] in and out."""
    a = key_v.permute(1, 0, 2) + 1e-6
    b = key_t.permute(1, 0, 2) + 1e-6
    a = a / a.norm(dim=-1, keepdim=True)
    b = b / b.norm(dim=-1, keepdim=True)
    g = b.transpose(-2, -1) @ value_t.permute(1, 0, 2)
    g = g / g.norm(dim=-1, keepdim=True)
    return (key_v + ratio * (a @ g).permute(1, 0, 2)) @ fuser.T


@FEW
@given(seed=SEEDS)
def test_code_is_the_released_formula(seed):
    key, value = draw(seed)
    rng = torch.Generator().manual_seed(seed + 1)
    visual = torch.rand(9, generator=rng) < 0.5
    visual[:2] = torch.tensor([True, False])
    ratio, fuser = torch.randn(6, generator=rng), torch.randn(6, 6, generator=rng)
    ((tokens, mapped),) = mapped_keys(key, value, steps(visual, ~visual, "prompt"), "code", "row")
    found = (key[:, tokens] + ratio * mapped) @ fuser.T
    expected = released(key[:, visual].permute(1, 0, 2), key[:, ~visual].permute(1, 0, 2),
                        value[:, ~visual].permute(1, 0, 2), ratio, fuser)  # fmt: skip
    torch.testing.assert_close(found, expected.permute(1, 0, 2), atol=1e-5 * float(key.abs().max() + 1), rtol=1e-5)
    assert tokens.tolist() == visual.nonzero()[:, 0].tolist()


@FEW
@given(seed=SEEDS)
def test_the_papers_gram_is_symmetric_positive_and_does_not_know_an_order(seed):
    key, value = draw(seed)
    g = gram_of(key, value, "paper")
    torch.testing.assert_close(g, g.mT)
    assert torch.linalg.eigvalsh(g).min() >= -1e-5 * float(g.abs().max())
    order = torch.randperm(9, generator=torch.Generator().manual_seed(seed))
    rounding = 1e-5 * float(g.abs().max())  # sums of large terms that cancel
    torch.testing.assert_close(gram_of(key[:, order], value[:, order], "paper"), g, rtol=1e-4, atol=rounding)
    torch.testing.assert_close(
        gram_of(key[:, order], value[:, order], "code"), gram_of(key, value, "code"), rtol=1e-3, atol=1e-4
    )


@FEW
@given(seed=SEEDS, norm=st.sampled_from(["spectral", "fro", "trace"]))
def test_mapped_keys_are_no_longer_than_the_keys(seed, norm):
    key, other = draw(seed)
    g = normalised(gram_of(other, other, "paper"), norm)
    for one, mapped in zip(key, key @ g, strict=True):
        assert mapped.norm() <= one.norm() * (1 + 1e-5)
    if norm == "spectral":  # and the bound is tight: the main direction keeps its length
        main = torch.linalg.eigh(g)[1][..., -1:].mT
        torch.testing.assert_close((main @ g).norm(dim=-1), torch.ones(2, 1), atol=1e-4, rtol=0)


@FEW
@given(seed=SEEDS)
def test_norms(seed):
    key, value = draw(seed)
    for gram in ("paper", "code"):
        g = gram_of(key, value, gram)
        torch.testing.assert_close(normalised(g, "row").norm(dim=-1), torch.ones(2, 6))
        torch.testing.assert_close(normalised(g, "fro").flatten(1).norm(dim=-1), torch.ones(2))
        torch.testing.assert_close(torch.linalg.svdvals(normalised(g, "spectral"))[:, 0], torch.ones(2))
    torch.testing.assert_close(normalised(gram_of(key, key, "paper"), "trace").diagonal(0, 1, 2).sum(-1), torch.ones(2))
    assert not normalised(torch.zeros(1, 3, 3), "row").isnan().any()
    torch.testing.assert_close(unit(key).norm(dim=-1), torch.ones(2, 9))


@FEW
@given(kinds=st.lists(st.sampled_from("vt."), min_size=1, max_size=12))
def test_steps_map_every_key_once_by_what_they_say(kinds):
    visual, text = (torch.tensor([kind == name for kind in kinds]) for name in "vt")
    for scope in ("prefix", "prompt"):
        seen, by = set(), []
        for tokens, given_now in steps(visual, text, scope):
            by += given_now.tolist()
            for token in tokens.tolist():
                expected = [i for i, kind in enumerate(kinds) if kind == "t" and (scope == "prompt" or i < token)]
                assert by == expected and token not in seen
                seen.add(token)
        able = [i for i in visual.nonzero()[:, 0].tolist() if "t" in (kinds if scope == "prompt" else kinds[:i])]
        assert sorted(seen) == able


@FEW
@given(seed=SEEDS)
def test_a_prefix_does_not_see_what_comes_later(seed):
    key, value = draw(seed, n=8)
    visual = torch.tensor([False, True, True, False, True, False, False, True])
    order = steps(visual, ~visual, "prefix")
    later = key.clone()
    later[:, 5:] *= -3
    for (tokens, one), (_, two) in zip(
        mapped_keys(key, value, order, "paper", "fro"), mapped_keys(later, value, order, "paper", "fro"), strict=True
    ):
        early = tokens < 5
        torch.testing.assert_close(one[:, early], two[:, early], atol=0, rtol=0)


def test_angles_and_cosines_by_hand():
    """The plane of x and y against that of x and z share one direction and miss the other."""
    one, two = torch.diag(torch.tensor([3.0, 2.0, 0.1])), torch.diag(torch.tensor([3.0, 0.1, 2.0]))
    angles = principal_angles(one[None], two[None], 2)
    torch.testing.assert_close(angles, torch.tensor([[0.0, math.pi / 2]], dtype=torch.float64), atol=1e-6, rtol=0)
    assert cosine(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[1.0, 1.0]]])).item() == pytest.approx(0.5**0.5)


@FEW
@given(m=st.integers(0, 40), p=st.floats(-50, 50), beta=st.sampled_from([0.0, 1e-9, 0.01, 0.7, 5.0, 900.0]))
def test_the_series_is_the_sum_of_its_scores(m, p, beta):
    found = float(log_weight(torch.tensor([m]), p, beta))
    if not m:
        assert found == -math.inf
        return
    scores = torch.tensor([p - j * beta for j in range(m)], dtype=torch.float64)
    assert found == pytest.approx(float(torch.logsumexp(scores, 0)), abs=1e-6)


def test_the_series_does_not_overflow():
    assert float(log_weight(torch.tensor([10**6]), 5000.0, 0.0)) == pytest.approx(5000 + math.log(10**6))
    assert float(log_weight(torch.tensor([10**6]), 5000.0, 1.0)) == pytest.approx(5000 - math.log(1 - math.exp(-1)))


@pytest.mark.parametrize(
    ("method", "fields", "message"),
    [
        (
            "moda-align",
            {"strength": float("nan")},
            "moda-align.strength=nan: must be a number between -1e+30 and 1e+30",
        ),
        ("moda-align", {"gram": "kv"}, 'moda-align.gram="kv": choose from paper, code'),
        ("moda-align", {"norm": "l1"}, 'moda-align.norm="l1": choose from row, fro, spectral, trace'),
        ("moda-align", {"direction": "audio"}, 'moda-align.direction="audio": choose from visual, text, both'),
        ("moda-align", {"scope": "all"}, 'moda-align.scope="all": choose from prefix, prompt'),
        (
            "moda-align",
            {"norm": "trace"},
            'moda-align.norm="trace": the trace of gram="code" may be 0 or negative',
        ),
        ("moda-mask", {"gate": 1.5}, "moda-mask.gate=1.5: must be in [0, 1]"),
        ("moda-mask", {"combine": "sum"}, 'moda-mask.combine="sum": choose from fixed, natural'),
        ("moda-mask", {"queries": "answer"}, 'moda-mask.queries="answer": choose from visual, text, both'),
        ("moda-pseudo", {"beta": -1.0}, "moda-pseudo.beta=-1.0: must be a number of at least 0"),
        ("moda-pseudo", {"p_base": float("inf")}, "moda-pseudo.p_base=inf: must be a number between -1e+30 and 1e+30"),
        ("moda-pseudo", {"level": "mean"}, 'moda-pseudo.level="mean": choose from logit, row'),
        ("moda-calibrate", {"target": 1.2}, "moda-calibrate.target=1.2: must be in [0, 1]"),
        (
            "moda-calibrate",
            {"target": -1.0, "denominator": "self"},
            "moda-calibrate.target=-1.0: must be a number of at least 0",
        ),
        ("moda-calibrate", {"denominator": "min"}, 'moda-calibrate.denominator="min": choose from max, sum, self'),
        ("moda-calibrate", {"limit": 0.0}, "moda-calibrate.limit=0.0: must be in (0, 100]"),
        (
            "moda-calibrate",
            {"layers": "x"},
            'moda-calibrate.layers="x": "x" is neither numbers like 0-9,20 nor a range of depth',
        ),
    ],
)
def test_parameters_out_of_range(method, fields, message):
    with pytest.raises(RequestError) as caught:
        make(method, **fields)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)
