"""Are the p-values of the speaker metrics right, and what do they find? Rewrites docs/data/nulls.csv and a figure.

`python -m benchmarks.nulls`: draws captures in the real file format, in which three people change seats at random and
twelve turns are dealt to them at random. The attention of a word is random too, but for a strength that is added to the
logit of every cell of its speaker: 0 is chance, and p should be uniform; with more, p should be small.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest, kstest

from attnscope import metrics
from attnscope.capture.reader import open as open_capture
from attnscope.report.style import PAGE, new_figure, styled
from tests.metrics.sketch import causal, draw, room, softmax

DOCS = Path(__file__).parents[1] / "docs"
STRENGTHS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
NULLS = {"labels": "speaker_consistency_lift", "time": "speaker_timing_lift"}
NAMES = ("Ann", "Ben", "Cleo")
FRAMES, TURNS, HEADS, DRAWS = 40, 12, 20, 1999


def p_values(folder: Path, rng: np.random.Generator, strength: float) -> pd.DataFrame:
    """p of every head of one capture: columns `null`, `frames`, `p`, and `u`, uniform where nothing is planted.

    A p-value has one of a few hundred or thousand values, j / N. Minus a random part of its step 1 / N it is u, whose
    distribution under the null is uniform exactly, so that a test for a continuous one applies.
    """
    times = [float(f) for f in range(FRAMES)]
    spans = rng.integers(0, FRAMES - 10, TURNS)
    turns = [(str(who), float(at), float(at + 10)) for who, at in zip(_dealt(rng), spans, strict=True)]
    seats = [rng.permutation(len(NAMES) + 1)[: len(NAMES)].tolist() for _ in times]
    sketch = room(NAMES, turns, times=times, seats=seats, words=1, question=0)
    count = len(sketch.tokens)
    logits = rng.normal(0, 1, (1, HEADS, count, count))
    for name in NAMES:
        logits[:, :, *np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += strength
    path = draw(folder / "run.h5", sketch, softmax(logits, causal(count)), readings=("maps",))
    with open_capture(path) as cap:
        table = metrics.compute(cap, NULLS.values(), draws=DRAWS, seed=int(rng.integers(1 << 31)))["speakers"]
    table = table[table["head"] >= 0]
    step = np.where(table["metric"] == NULLS["time"], 1 / FRAMES, 1 / (DRAWS + 1))
    null = table["metric"].map({metric: null for null, metric in NULLS.items()})
    return table[["frames", "p"]].assign(null=null, u=table["p"] - rng.random(len(table)) * step)


def _dealt(rng: np.random.Generator) -> NDArray[np.str_]:
    return rng.permutation(np.repeat(NAMES, TURNS // len(NAMES)))


def sample(strength: float, captures: int, seed: int = 0) -> pd.DataFrame:
    """p-values of several captures."""
    rng = np.random.default_rng([seed, round(strength * 1000)])
    with tempfile.TemporaryDirectory() as folder:
        return pd.concat([p_values(Path(folder), rng, strength) for _ in range(captures)], ignore_index=True)


def row(strength: float, found: pd.DataFrame) -> dict[str, float]:
    """What becomes of one null at one strength; KS is against the uniform distribution."""
    ks = kstest(found["u"], "uniform")
    out = {"strength": strength, "n": len(found), "ks": ks.statistic, "ks_p": ks.pvalue}
    for level in (0.05, 0.01):
        out[f"share_{level}"] = float((found["p"] <= level).mean())
    ci = binomtest(int((found["p"] <= 0.05).sum()), len(found)).proportion_ci(method="wilson")
    return out | {"low": ci.low, "high": ci.high}


def table(samples: dict[float, pd.DataFrame]) -> pd.DataFrame:
    """One row for each null, choice of frames and strength."""
    rows = [
        {"null": null, "frames": frames} | row(strength, found)
        for strength, sampled in samples.items()
        for (null, frames), found in sampled.groupby(["null", "frames"])
    ]
    return pd.DataFrame(rows).sort_values(["null", "frames", "strength"], ignore_index=True)


def picture(samples: dict[float, pd.DataFrame], rows: pd.DataFrame, path: Path) -> None:
    """Left: p where nothing is planted, as a cumulative share; right: power."""
    looks = {("labels", "all"): "-", ("labels", "live"): "--", ("time", "all"): "-", ("time", "live"): "--"}
    colors = {"labels": "#0072B2", "time": "#D55E00"}
    said = {"labels": "permuted labels", "time": "boxes of other times"}
    with styled():
        figure = new_figure(PAGE, 2.6)
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color="#999999", linewidth=0.8)
        for (null, frames), look in looks.items():
            found = samples[0.0].query("null == @null and frames == @frames")
            style = {"color": colors[null], "linestyle": look, "label": f"{said[null]}, {frames} frames"}
            left.plot(np.sort(found["p"]), np.arange(1, len(found) + 1) / len(found), **style)
            curve = rows.query("null == @null and frames == @frames")
            right.plot(curve["strength"], curve["share_0.05"], **style)
            right.fill_between(curve["strength"], curve["low"], curve["high"], color=colors[null], alpha=0.15)
        right.axhline(0.05, color="#999999", linewidth=0.8)
        right.text(curve["strength"].max(), 0.06, "nothing there: 0.05", ha="right", color="#666666", fontsize="small")
        left.set(title=f"Nothing planted (n = {len(found)} each)", xlabel="p", ylabel="share of heads")
        right.set(title=f"Planted alignment (n ≥ {int(rows['n'].min())} each)", ylim=(0, 1.02))
        right.set(xlabel="added to the logit of the speaker's cells", ylabel="share of heads with p ≤ 0.05")
        left.legend(loc="lower right", fontsize="small")
        figure.savefig(path)


def main() -> None:
    """Draw, measure, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--captures", type=int, default=60, help="at strength 0; a third of it at the others")
    args = parser.parse_args()
    samples = {s: sample(s, args.captures if s == 0 else max(1, args.captures // 3)) for s in STRENGTHS}
    rows = table(samples)
    (DOCS / "data").mkdir(exist_ok=True)
    rows.to_csv(DOCS / "data" / "nulls.csv", index=False, float_format="%.4g")
    picture(samples, rows, DOCS / "images" / "nulls-power.png")
    print(rows.to_string(index=False))


if __name__ == "__main__":
    main()
