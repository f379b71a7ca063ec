"""The benchmark of all corrections: what is tried, its arithmetic on examples worked by hand, and a small run."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from attnscope.correct import BoxesDrawn, ModaAlign, ModaMask, SocialBias, corrections, prompted
from attnscope.evaluate import score
from attnscope.model import load
from attnscope.scene import Scene
from benchmarks.studies import worker
from benchmarks.studies.conditions import Condition
from benchmarks.studies.corrections import measure, sentences, tables
from benchmarks.studies.corrections.methods import FIRST, Method, at_best, at_default, at_doses, methods
from benchmarks.studies.corrections.settings import HARM, Chosen, Settings, chosen
from benchmarks.studies.scenes import Part, choose, write_part
from benchmarks.studies.settings import NAMED, Model

FOUND = Chosen(8.0, ((2, 0), (2, 1)), ((0, 4), (0, 5)))


def row(number: int, condition: str, correct: bool, **other: Any) -> dict[str, Any]:
    """A score at four people, of a question of its own clip, if not said otherwise."""
    asked = {"id": f"q{number}", "clip": f"c{number}", "options": ("Ada", "Ben"), "role": "limited"}
    labels = {"fields.task": "target", "fields.people": 4}
    return asked | labels | {"condition": condition, "reason": None, "correct": correct} | other


# ---- what is tried


def test_every_correction_is_tried_and_every_row_has_a_name_of_its_own() -> None:
    tried = methods(FOUND)
    assert {c.method for one in tried for c in one.corrections} == set(corrections())
    assert len({one.name for one in tried}) == len(tried)
    assert tried[0].name == FIRST
    assert tried[0].corrections == (SocialBias(alpha=8.0, rows="answer", heads="2.0,2.1", strength="constant"),)
    controls = [one for one in tried if one.family == "controls"]
    assert {one.name for one in controls} >= {
        "control: wrong speaker",
        "control: lowest-g heads",
        "control: random box",
    }
    assert all(one.corrections != tried[0].corrections for one in controls)


def test_doses_hold_the_default_and_change_one_parameter() -> None:
    for one in methods(FOUND):
        if one.doses:
            assert one.default in one.doses
            assert one.at(one.default) == one.corrections
            for dose in one.doses:
                changed = one.at(dose)[0].params() | {one.dose: one.default}
                assert changed == one.corrections[0].params()
                assert one.at(dose)[1:] == one.corrections[1:]
    names = [c.name for c in at_doses(methods(FOUND))]
    assert len(set(names)) == len(names)


def test_only_a_best_dose_that_is_not_the_default_is_asked_again() -> None:
    tried = methods(FOUND)
    again = at_best(tried, {FIRST: 4.0, "moda-align, code": 1.0})
    assert [c.name for c in again] == [f"{FIRST}, alpha = 4"]
    assert again[0].corrections[0].params()["alpha"] == 4.0
    assert set(again[0].tasks) == {*NAMED, *HARM} == set(at_default(tried)[0].tasks)


def test_heads_and_strength_are_read_from_the_tables_of_the_round_table(tmp_path: Path) -> None:
    ranked = pd.DataFrame({"rank": [1, 2, 3, 4], "layer": [2, 2, 0, 1], "head": [3, 1, 0, 2]})
    ranked.to_csv(tmp_path / "roundtable-heads.csv", index=False)
    tried = pd.DataFrame({"heads": [0, 2, 2], "alpha": [0.0, 1.0, 4.0], "n": 100, "right": [50, 60, 90]})
    tried.assign(accuracy=tried["right"] / 100).to_csv(tmp_path / "roundtable-calibration.csv", index=False)
    assert chosen(tmp_path) == Chosen(4.0, ((2, 3), (2, 1)), ((0, 0), (1, 2)))
    assert chosen().alpha == 8.0  # docs/roundtable.md


# ---- tables


def test_the_best_dose_is_the_first_of_those_that_are_most_often_right() -> None:
    one = Method("m", "moda", "ours", (ModaAlign(),), "strength", (0.3, 1.0, 3.0))
    right = {"plain": 1, "m, strength = 0.3": 0, "m, strength = 1": 2, "m, strength = 3": 2}
    scores = pd.DataFrame([row(n, name, n < count) for name, count in right.items() for n in range(3)])
    table = measure.doses(scores, [one])
    assert table[["method", "right", "n", "applied"]].to_numpy().tolist() == [
        ["plain", 1, 3, 0],
        *(["m", count, 3, 3] for count in (0, 2, 2)),
    ]
    assert table["default"].tolist() == [False, False, True, False]
    assert measure.best(table) == {"m": 1.0}
    found = pd.DataFrame([{"method": "m", "parameter": "strength", "default": 1.0, "best": 3.0}])
    said = sentences.doses(table, found)
    assert said[0] == "Plain, 33.3 % of the calibration questions are right."
    assert said[1] == "Best at the last dose that was tried, so that a stronger one may be better: m (strength = 3)."


def scores() -> pd.DataFrame:
    """Ten questions at four people that a correction answers rightly but for one where it does not apply; at three
    people it breaks one of two; of six questions about cups it breaks all."""
    rows = []
    for n in range(10):
        rows += [row(n, "plain", n < 2), row(n, "c", n != 9, reason="names nobody" if n == 9 else None)]
    for n in (10, 11):
        rows += [row(n, name, n == 10 or name == "plain", **{"fields.people": 3}) for name in ("plain", "c")]
    for n in range(12, 18):
        rows += [row(n, name, name == "plain", **{"fields.task": "cup"}) for name in ("plain", "c")]
    return pd.DataFrame(rows)


def test_a_row_has_gains_where_the_model_fails_and_harm_beside_them() -> None:
    found = measure.rows_of(scores(), {"c": {"family": "moda", "source": "ours"}}).iloc[0]
    assert (found["more_n"], found["more_applied"]) == (10, 9)
    assert found["more_plain"] == 0.2 and found["more_accuracy"] == 0.9
    assert found["more_difference"] == pytest.approx(0.7)
    assert (found["more_n01"], found["more_n10"]) == (7, 0)
    assert found["more_p"] == pytest.approx(2 * 0.5**7)
    assert found["more_verdict"] == "helps"
    assert found["fewest_difference"] == -0.5 and found["fewest_n"] == 2
    assert found["harm_difference"] == -1.0 and found["harm_verdict"] == "hurts"


def test_cells_and_the_compact_table_are_of_the_same_questions() -> None:
    cells = measure.cells(scores(), ["c"]).set_index(["task", "people"])
    assert list(cells.index) == [("target", 3), ("target", 4), ("cup", 4)]
    assert cells.loc[("target", 4), "difference"] == pytest.approx(0.7)
    full = pd.concat([scores(), *(other_tasks(n, task) for n, task in enumerate((*NAMED[1:], *HARM[1:]), 20))])
    text = tables.compact(measure.by_task_and_people(full, ["c"]))
    assert "| plain, percent right | 20.0 |" in text
    assert "| c | **+70.0** |" in text


def other_tasks(number: int, task: str) -> pd.DataFrame:
    """One question of a task at every number of people, right under both conditions."""
    asked = ((people, name) for people in (3, 4, 5, 6) for name in ("plain", "c"))
    return pd.DataFrame(
        [row(100 * number + p, name, True, **{"fields.task": task, "fields.people": p}) for p, name in asked]
    )


def test_sentences_say_what_the_intervals_say() -> None:
    main = measure.rows_of(scores(), {"c": {"family": "moda", "source": "ours"}})
    best = main.assign(method="c", parameter="gate", default=0.5, best=0.5)
    said = sentences.summary(main, best)
    assert said[0].startswith(
        "Plain, the model is right in 20.0 % of the questions that name a person at 4 to 6 people"
    )
    assert said[1].startswith("1 of 1 corrections help there at the settings of the first table: c (+70.0 [")
    assert len(said) == 2
    assert sentences.nothing(main, best) == []
    assert "1 of 1 corrections hurt on questions about cups and things: c (−100.0" in " ".join(sentences.harm(main))


def test_settings_are_written_with_what_is_no_default() -> None:
    text = tables.settings([Method("m", "moda", "ours", (ModaAlign(strength=0.5), ModaMask()), "strength", (0.5, 1.0))])
    assert text.splitlines()[-1] == "| m | `moda-align strength=0.5` then `moda-mask` | strength = 0.5, 1 |"


# ---- runs


def test_a_job_answers_several_corrections_together_and_those_that_change_what_is_shown(
    work: Path, models: tuple[Model, Model]
) -> None:
    clip = Part("test", 4, 0, 1, work / "part")
    write_part(clip)
    items = [item for item in choose([clip], 1, 1)[clip] if item.task in ("cup", "thing")]
    pair, drawn = (ModaAlign(strength=3.0), ModaMask(gate=0.9)), (BoxesDrawn(line=0.1),)
    answer = (SocialBias(rows="answer", heads="2.0", strength="constant"),)
    conditions = [
        Condition(name, corrections=several, tasks=(), people=())
        for name, several in {"plain": (), "pair": pair, "drawn": drawn, "answer": answer}.items()
    ]
    worker.start(models[:1])
    result = worker.run(worker.Job(items, conditions, False, work / "result.json"))
    found = {(one["id"], one["condition"]): one for one in json.loads(result.read_text(encoding="utf-8"))["scores"]}
    assert len(found) == len(items) * len(conditions)
    loaded = load(models[0].folder, device="cpu")
    for item in items:
        for condition in conditions:
            one = found[item.id, condition.name]
            if condition.name == "answer" and item.task == "thing":
                assert "names no speaker" in one["reason"] and one["prediction"] is None
                continue
            prompt = prompted(loaded, Scene.read(item.scene), condition.corrections)
            assert one["prediction"] == score(loaded, [prompt], condition.corrections)[0].prediction


@pytest.mark.slow
@pytest.mark.timeout(1800)  # some minutes on an idle machine
def test_a_whole_run_writes_its_page_and_a_second_one_finds_the_results(
    tmp_path: Path, work: Path, models: tuple[Model, Model]
) -> None:
    from benchmarks.studies.corrections.run import run

    settings = Settings(models[:1], 0.02, work, tmp_path / "docs", 1)
    text = run(settings).read_text(encoding="utf-8")
    assert "Made with `--scale 0.02`" in text
    assert "nan" not in text
    for name in ("changes", "doses"):
        assert 0 < (tmp_path / "docs" / "images" / f"corrections-{name}.png").stat().st_size < 200_000
    kept = {path.name: path.read_bytes() for path in (tmp_path / "docs" / "data").glob("*.csv")}
    assert set(kept) == {f"corrections-{name}.csv" for name in ("results", "best", "doses", "cells", "short", "gaps")}
    next((work / "results").glob("corrections-*")).unlink()  # as if it had been stopped
    assert "in part from an earlier run" in run(settings).read_text(encoding="utf-8")
    assert {path.name: path.read_bytes() for path in (tmp_path / "docs" / "data").glob("*.csv")} == kept
    results = pd.read_csv(tmp_path / "docs" / "data" / "corrections-results.csv")
    assert not any(math.isnan(value) for value in results["more_difference"])
