"""Are the p-values of the speaker metrics right, and what do they find? Rewrites docs/data/nulls.csv and a figure.

`python -m benchmarks.nulls`: draws captures in the real file format. The attention of a word is random, but for a
strength that is added to the logit of every cell of its speaker: 0 is chance, and p should be uniform; with more, p
should be small. Three designs:

- dealt: three people change seats at random, and twelve turns are dealt to them at random.
- runs, drift: each of the three speaks four turns in a row, and the logit of every cell of a person has a slope along
  the transcript, drawn for each head and person (standard deviation 0.5 from the first turn to the last).
- seats kept: four people keep their seats, and heads like some seats more than others.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest, kstest

from attnscope import metrics
from attnscope.capture.read.capture import open as open_capture
from attnscope.report.figures.style import PAGE, new_figure, styled
from docs.measured import NULL_NAMES
from tests.metrics.sketch import causal, draw, room, softmax

DOCS = Path(__file__).parents[1] / "docs"
DEALT, RUNS, SEATS = "dealt", "runs, drift", "seats kept"
STRENGTHS = {
    DEALT: (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6),
    RUNS: (0.0, 0.1, 0.2, 0.3, 0.6),
    SEATS: (0.0, 0.1, 0.2, 0.3, 0.6),
}
NULLS = {
    "labels": "speaker_consistency_lift",
    "drift": "speaker_drift_lift",
    "time": "speaker_timing_lift",
    "seats": "speaker_seats_lift",
}
TESTED = {DEALT: ("labels", "drift", "time"), RUNS: ("labels", "drift"), SEATS: ("labels", "drift", "seats")}
NAMES = ("Ann", "Ben", "Cleo", "Dan")
FRAMES, TURNS, HEADS, DRAWS, DRIFT, LIKING = 40, 12, 20, 1999, 0.5, 0.5


def p_values(folder: Path, rng: np.random.Generator, strength: float, design: str = DEALT) -> pd.DataFrame:
    """p of every head of one capture: columns `null`, `frames`, `p`, and `u`, uniform where nothing is planted.

    A p-value has one of a few dozen or thousand values, j / N. Minus a random part of its step 1 / N it is u, whose
    distribution under the null is uniform exactly, so that a test for a continuous one applies.
    """
    names = NAMES if design == SEATS else NAMES[:3]
    times = [float(f) for f in range(FRAMES)]
    turns = _turns(rng, names, design)
    kept = rng.permutation(len(names) + 1)[: len(names)].tolist()
    seats = [kept if design == SEATS else rng.permutation(len(names) + 1)[: len(names)].tolist() for _ in times]
    sketch = room(names, turns, times=times, seats=seats, words=1, question=0)
    count = len(sketch.tokens)
    logits = rng.normal(0, 1, (1, HEADS, count, count))
    for name in names:
        cells = sketch.cells_of(name)
        logits[:, :, *np.ix_(sketch.where(speaker=name), cells)] += strength
        if design == RUNS:
            slope = rng.normal(0, DRIFT, HEADS)
            for turn in range(TURNS):
                words = sketch.where(turn=turn)
                logits[:, :, *np.ix_(words, cells)] += (slope * turn / (TURNS - 1))[:, None, None]
        if design == SEATS:
            logits[..., cells] += rng.normal(0, LIKING, HEADS)[:, None, None]
    path = draw(folder / "run.h5", sketch, softmax(logits, causal(count)), readings=("maps",))
    wanted = [NULLS[null] for null in TESTED[design]]
    with open_capture(path) as cap:
        table = metrics.compute(cap, wanted, draws=DRAWS, seed=int(rng.integers(1 << 31)))["speakers"]
    table = table[table["head"] >= 0]
    steps = {"time": 1 / FRAMES, "seats": 1 / factorial(len(names))}
    null = table["metric"].map({metric: null for null, metric in NULLS.items()})
    step = null.map(lambda name: steps.get(name, 1 / (DRAWS + 1)))
    return table[["frames", "p"]].assign(null=null, u=table["p"] - rng.random(len(table)) * step)


def _turns(rng: np.random.Generator, names: Sequence[str], design: str) -> list[tuple[str, float, float]]:
    """Who speaks when: dealt at random over the clip, or everybody in a run, one turn after another."""
    each = np.repeat(names, TURNS // len(names))
    if design == RUNS:
        starts = np.linspace(0, FRAMES - 10, TURNS)
        return [(str(who), float(at), float(at + 10)) for who, at in zip(each, starts, strict=True)]
    spans = rng.integers(0, FRAMES - 10, TURNS)
    return [(str(who), float(at), float(at + 10)) for who, at in zip(rng.permutation(each), spans, strict=True)]


def sample(strength: float, captures: int, seed: int = 0, design: str = DEALT) -> pd.DataFrame:
    """p-values of several captures."""
    rng = np.random.default_rng([seed, round(strength * 1000), list(STRENGTHS).index(design)])
    with tempfile.TemporaryDirectory() as folder:
        return pd.concat([p_values(Path(folder), rng, strength, design) for _ in range(captures)], ignore_index=True)


def row(strength: float, sampled: pd.DataFrame) -> dict[str, float]:
    """What becomes of one null at one strength; KS is against the uniform distribution."""
    ks = kstest(sampled["u"], "uniform")
    out = {"strength": strength, "n": len(sampled), "ks": ks.statistic, "ks_p": ks.pvalue}
    for level in (0.05, 0.01):
        out[f"share_{level}"] = float((sampled["p"] <= level).mean())
    ci = binomtest(int((sampled["p"] <= 0.05).sum()), len(sampled)).proportion_ci(method="wilson")
    return out | {"low": ci.low, "high": ci.high}


def table(samples: dict[float, pd.DataFrame], design: str = DEALT) -> pd.DataFrame:
    """One row for each null, choice of frames and strength."""
    rows = [
        {"design": design, "null": null, "frames": frames} | row(strength, part)
        for strength, sampled in samples.items()
        for (null, frames), part in sampled.groupby(["null", "frames"])
    ]
    return pd.DataFrame(rows).sort_values(["null", "frames", "strength"], ignore_index=True)


def picture(rows: pd.DataFrame, path: Path) -> None:
    """Share of heads with p at or below 0.05 by what is planted, one panel a design; at 0 it has to be 0.05."""
    colors = {"labels": "#0072B2", "drift": "#009E73", "time": "#D55E00", "seats": "#CC79A7"}
    with styled():
        figure = new_figure(PAGE, 2.6)
        for ax, (design, tested) in zip(figure.subplots(1, len(TESTED), sharey=True), TESTED.items(), strict=True):
            for null in tested:
                for frames, look in (("all", "-"), ("live", "--")):
                    curve = rows.query("design == @design and null == @null and frames == @frames")
                    style = {"color": colors[null], "linestyle": look, "label": f"{NULL_NAMES[null]}, {frames}"}
                    ax.plot(curve["strength"], curve["share_0.05"], **style)
                    ax.fill_between(curve["strength"], curve["low"], curve["high"], color=colors[null], alpha=0.15)
            ax.axhline(0.05, color="#999999", linewidth=0.8)
            ax.set(title=design, ylim=(0, 1.02), xlabel="added to the logit")
            ax.legend(loc="lower right", fontsize=5.5)
        figure.axes[0].set_ylabel("share of heads with p ≤ 0.05")
        figure.savefig(path)


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=60, help="at strength 0; a third of it at the others")
    parser.add_argument("--only", choices=list(STRENGTHS), help="measure one design again; the others stay as they are")
    args = parser.parse_args()
    out = DOCS / "data" / "nulls.csv"
    parts = []
    for design, strengths in STRENGTHS.items():
        if args.only not in (None, design):
            known = pd.read_csv(out)
            parts.append(known[known["design"] == design])
            continue
        fewer = max(1, args.captures // 3)
        samples = {s: sample(s, fewer if s else args.captures, design=design) for s in strengths}
        parts.append(table(samples, design))
    rows = pd.concat(parts, ignore_index=True)
    out.parent.mkdir(exist_ok=True)
    rows.to_csv(out, index=False, float_format="%.4g")
    picture(rows, DOCS / "images" / "nulls-power.png")
    print(rows.to_string(index=False))


if __name__ == "__main__":
    main()
