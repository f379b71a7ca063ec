"""Draws the figures and measures the numbers of docs/guide.md: `python -m docs.figures` (or `make guide`), offline.

The embedded model `roundtable` is captured once on the demo's scene, and once on each of some drawn clips. Figures go
to docs/images/guide-*.png, small; numbers to docs/data/guide.csv, from which `python -m docs.generate` writes tables.
"""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from PIL import Image

import attnscope
from attnscope import metrics
from attnscope.capture import Capture
from attnscope.correct.knockout.cause import rank_correlation
from attnscope.correct.knockout.effects import EFFECT, ODDS, knock_out_captures
from attnscope.demo import walkthrough as demo
from attnscope.demo.scenes import write_scenes
from attnscope.metrics.answer import ASKED
from attnscope.metrics.choosing.criteria import criteria
from attnscope.metrics.choosing.ranking import choose
from attnscope.metrics.people.cells import best_head, cell_lift
from attnscope.model import load
from attnscope.report import figures
from attnscope.report.figures.style import lay_out

DOCS = Path(__file__).parent
# The model has no sinks as the plan defines them unasked; a lower bar shows what the numbers look like with some.
FULL = attnscope.Plan(qk=True, hidden=True, sink_mass=0.02, sink_ratio=4.0)
CLIPS, PEOPLE, SEED = 54, (1, 3, 5), 4  # the drawn clips: 18 of each number of people
TASKS = ("pointing", "cup")  # the question asked about a clip: the first of these that it has
CUT = 5  # heads are cut in the clips of so many people
JITTER = (0.05, 0.1, 0.2, 0.4)  # noise on each edge of a box, as a share of its size
DPI, COLORS = 160, 256  # of a PNG

Tables = dict[str, pd.DataFrame]
Drawings = Iterator[tuple[str, Any]]


def main() -> None:
    """Capture, measure, draw, write."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, model = Path(name), load(demo.MODEL)
        cap = stack.enter_context(capture_demo(folder, model))
        tables = metrics.compute(cap)
        caps = [stack.enter_context(one) for one in capture_many(folder / "many", model)]
        names = [one.path.stem for one in caps]
        about, many = metrics.clips.labels(caps, names), measure(caps, names)
        for title, drawn in [*of_one(cap, tables), *of_heads(cap, tables), *of_many(many, about)]:
            save(figures.figure_of(drawn), DOCS / "images" / f"guide-{title}.png")
        crowd = [one for one in caps if one.scene.fields["people"] == CUT]
        found = [contrasts(many, about), jittered(cap), causes(crowd, model)]
    numbers = pd.concat(found, ignore_index=True)
    numbers.to_csv(DOCS / "data" / "guide.csv", index=False, float_format="%.4g")


def capture_demo(folder: Path, model: Any) -> Capture:
    """The demo's scene, with every reading that a metric needs."""
    write_scenes(folder / "scenes", count=1, seed=demo.SEED, people=(demo.PEOPLE,))
    (scene,) = (folder / "scenes" / "scenes").glob(f"*-{demo.TASK}.json")
    return attnscope.capture(model, scene, folder / "run.h5", plan=FULL, max_new_tokens=4)


def capture_many(folder: Path, model: Any) -> Iterator[Capture]:
    """One question about each of the drawn clips."""
    manifest = write_scenes(folder, count=CLIPS, seed=SEED, people=PEOPLE)
    asked: dict[str, dict[str, Path]] = {}
    for line in manifest.read_text(encoding="utf-8").splitlines():
        scene = folder / str(json.loads(line)["scene"])
        split, seed, number, task = scene.stem.split("-", 3)
        clip = f"{split}-{seed}-{number}"
        asked.setdefault(clip, {})[task] = scene
    for clip, scenes in asked.items():
        scene = next(scenes[task] for task in TASKS if task in scenes)
        yield attnscope.capture(model, scene, folder / f"{clip}.h5", max_new_tokens=4)


def measure(caps: list[Capture], names: list[str]) -> Tables:
    """Every metric of every capture, by family."""
    parts: dict[str, list[pd.DataFrame]] = {}
    for name, cap in zip(names, caps, strict=True):
        for family, table in metrics.compute(cap).items():
            parts.setdefault(family, []).append(table.assign(capture=name))
    return {family: pd.concat(several, ignore_index=True) for family, several in parts.items()}


# ---- figures


def of_one(cap: Capture, tables: Tables) -> Drawings:
    """What one capture shows, layer by layer and speaker by speaker."""
    modality, speakers = tables["modality"], tables["speakers"]
    yield "scores", figures.scores_by_layer(metrics.clips.attention_scores(modality))
    yield "flow", figures.flow_by_layer(modality)
    yield "links", figures.links_by_layer(modality)
    yield "gap", figures.gap_by_layer(modality)
    queries = {"answer_position": "answer position", "generated": "generated tokens"}
    yield "balance", figures.layer_curves(tables["balance"], "mdi", "query", where={"sinks": "with"}, labels=queries)
    yield "decay", figures.decay_fits(modality, metrics.clips.fit_means(tables["decay"]))
    yield "sinks", figures.sinks_by_layer(tables["sinks"])
    groups = {name: name for name in ("all", "text", "visual")}
    yield "rank", figures.layer_curves(tables["rank"], "rank_one_residual", "tokens", labels=groups)
    keys = {name: name for name in ("text", "visual", "special")}
    yield "rollout", figures.layer_curves(tables["rollout"], "rollout_lift", "key", labels=keys)
    yield "matrix", figures.speaker_matrix(speakers)
    yield "matrix-depth", figures.speaker_matrices(speakers)
    yield "own-share", figures.own_share_over_time(speakers, cap.scene)
    yield "grounding", figures.grounding_maps(tables["grounding"])
    pairs, match = {"frames": "live", "heads": "mean"}, {"matched": "the speaker", "mismatched": "the others, each"}
    yield "pairs", figures.layer_curves(tables["pairs"], "speaker_pair_mean", "match", where=pairs, labels=match)
    yield "answer", figures.speaker_shares(metrics.clips.answer_shares(tables["answer"]))


def of_heads(cap: Capture, tables: Tables) -> Drawings:
    """Single heads of one capture: maps of layer by head, and what one of them looks at."""
    lifts = figures.rows_of(tables["speakers"], "speaker_consistency_lift", frames="live")
    found = figures.grid(lifts)
    unit = "lift over chance (1 = chance)"
    yield "consistency", figures.heads_map(found, title="Speaker consistency, live frames", unit=unit, center=1.0)
    yield "swarm", figures.heads_by_layer(tables["speakers"], "speaker_consistency_lift", where={"frames": "live"})
    rows = figures.rows_of(tables["modality"], "mass_share", query="text", key="visual", sinks="with")
    yield "cross-mass", figures.heads_map(figures.grid(rows), title="Attention mass, text → visual", unit="share")
    asked = figures.rows_of(tables["answer"], "answer_lift", **ASKED)
    title = f"Answer's lift on {asked['speaker'].iloc[0]}"
    unit = "lift over uniform (1 = uniform)"
    yield "answer-lift", figures.heads_map(figures.grid(asked), title=title, unit=unit, center=1.0)
    yield "active", figures.heads_by_layer(tables["heads"], "cross_attention")
    entropy = figures.rows_of(tables["heads"], "spatial_entropy", sinks="without")
    yield "entropy", figures.heads_map(figures.grid(entropy), title="Spatial entropy of the answer's look", unit="nat")
    best = best_head(tables["speakers"])
    assert best is not None
    speaker = next(turn.speaker for turn in cap.scene.transcript if turn.speaker in cap.scene.speakers)
    title = f"Attention of the words of {speaker}\nlayer {best[0]}, head {best[1]}, highest speaker consistency"
    values = cell_lift(cap, f"speaker:{speaker}", best[0], best[1])
    on = figures.read_backdrop(cap, speaker)
    yield "overlay", figures.overlay_frames(on, values, title=title, speaker=speaker, most=4)


def of_many(tables: Tables, about: pd.DataFrame) -> Drawings:
    """Several clips: curves with intervals over them."""
    means = partial(metrics.clips.layer_means, about=about)
    frames = {"live": "live frames", "all": "all frames"}
    yield (
        "many-consistency",
        figures.layer_curves(means(tables["speakers"]), "speaker_consistency_lift", "frames", labels=frames),
    )
    yield "many-shares", figures.shares_by_layer(means(tables["modality"]))


def save(figure: Figure, path: Path) -> None:
    """Write a PNG of few colours, which is a third as large."""
    lay_out(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    image = Image.open(buffer).convert("RGB").quantize(COLORS, dither=Image.Dither.NONE)
    image.save(path, optimize=True)


# ---- numbers: columns `table`, `what`, `item`, `value`, `low`, `high`, `n`, `p`


def contrasts(tables: Tables, about: pd.DataFrame) -> pd.DataFrame:
    """P1's central contrast: attention of words on the cells of their speaker, by the number of people."""
    keep = {"frames": "live", "heads": "mean", "layer": metrics.OVER, "head": metrics.OVER}
    shared = metrics.clips.shared(tables["pairs"])
    shared = shared[(shared["turn"] == "") & (shared["time"] == "")]
    groups = metrics.clips.pooled(shared, about, "people")
    apart = metrics.clips.contrast(shared, about, "people")
    parts = []
    for name in ("speaker_pair_mean", "speaker_pair_max"):
        for match in ("matched", "mismatched"):
            what = f"{name}, {match}"
            rows = figures.rows_of(groups, name, match=match, **keep)
            parts.append(rows.assign(table="people", what=what, item=rows["label"]))
            rows = figures.rows_of(apart, name, match=match, **keep)
            parts.append(rows.assign(table="contrast", what=what, item=rows["base"] + " to " + rows["other"]))
    return columns(pd.concat(parts, ignore_index=True).dropna(subset="value"))


def jittered(cap: Capture) -> pd.DataFrame:
    """The grounding AUC of the mean map of all heads, with boxes that are worse and worse."""
    where = {"layer": metrics.OVER, "head": metrics.OVER, "frames": "live", "speaker": "", "turn": metrics.OVER}
    parts = []
    for amount in JITTER:
        table = metrics.jitter(cap, ["grounding_auc"], amount=amount)["grounding"]
        rows = figures.rows_of(table, "grounding_auc", **where)
        parts.append(rows.assign(table="jitter", what="grounding_auc", item=f"{amount:.0%}"))
    return columns(pd.concat(parts, ignore_index=True))


def causes(caps: list[Capture], model: Any) -> pd.DataFrame:
    """Whether the order of heads by a number tells what cutting each of them does to the answer."""
    names = [cap.path.stem for cap in caps]
    tables, rows = measure(caps, names), list[dict[str, object]]()
    every = [(int(layer), head) for layer in caps[0].layers for head in range(caps[0].heads)]
    cut, answers = knock_out_captures([cap.path for cap in caps], names, every, model=model)
    effects = metrics.clips.pooled(cut, answers).set_index(["metric", "layer", "head"])["value"]
    for by in criteria():
        found = choose(caps, names, by, top="100%", tables=tables)
        value = [head.value * (-1 if found.criterion.lowest else 1) for head in found.heads]
        change, odds = (
            effects.loc[[(name, head.layer, head.head) for head in found.heads]].to_numpy() for name in (EFFECT, ODDS)
        )
        for item, other in (("effect", change), ("size", abs(odds))):
            rows.append({"what": by, "item": item, "value": rank_correlation(value, other), "n": len(value)})
    rows.append({"what": "answers", "item": "log-probability", "value": answers["before"].mean(), "n": len(answers)})
    return columns(pd.DataFrame(rows).assign(table="knockout"))


def columns(rows: pd.DataFrame) -> pd.DataFrame:
    """Only the columns of docs/data/guide.csv."""
    return rows.reindex(columns=["table", "what", "item", "value", "low", "high", "n", "p"])


if __name__ == "__main__":
    main()
