"""Evaluations from end to end: what is written, going on after a stop, what is refused, tables of groups."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import attnscope
from attnscope import Sampling, SocialBias
from attnscope.correct import read_corrections, write_corrections
from attnscope.correct.recipe import HeadsOf
from attnscope.errors import MediaError, RequestError
from attnscope.evaluate import Evaluation, evaluate, lines, result, score
from attnscope.evaluate.result import to_frame
from attnscope.model import LoadedModel
from tests.evaluate.conftest import make

ANSWER = SocialBias(alpha=2.0, rows="answer", layers="0-3")
HOW: dict[str, Any] = {"batch": 3, "sampling": Sampling(frames=2)}


@pytest.fixture(scope="module")
def whole(model: LoadedModel, questions: Path, tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """All eight questions, plain and corrected, without a stop."""
    return evaluate(model, questions, tmp_path_factory.mktemp("whole") / "a/out", [ANSWER], **HOW)


def test_what_is_written(whole: Evaluation, model: LoadedModel, questions: Path) -> None:
    names = ["accuracy.csv", "comparison.csv", "report.json", "run.json", "samples.jsonl"]
    assert sorted(path.name for path in whole.folder.iterdir()) == names
    found = [json.loads(line) for line in (whole.folder / "samples.jsonl").read_text().splitlines()]
    assert [line["doc_id"] for line in found] == list(range(8))
    plain = score(model, make(model, questions, frames=2), batch=3)
    for line, one in zip(found, plain, strict=True):
        keys = ["doc_id", "id", "clip", "fields", "question", "options", "answer", "plain", "corrected"]
        assert list(line) == keys
        for condition in ("plain", "corrected"):
            said = line[condition]
            best = max(range(len(line["options"])), key=said["logprobs"].__getitem__)
            assert said["prediction"] == line["options"][best]
            assert said["correct"] == (said["prediction"] == line["answer"])
        assert line["plain"]["logprobs"] == pytest.approx(one.logprobs, abs=1e-4)
        assert line["plain"]["logprobs_per_token"] == pytest.approx(one.per_token, abs=1e-5)
        assert sum(line["plain"]["probabilities"]) == pytest.approx(1, abs=1e-5)
    assert found[3]["fields"] == {"task": "where", "people": 3, "seats": ["left", 2]}
    assert found[3]["clip"] == "clip1.mp4"
    run = json.loads((whole.folder / "run.json").read_text())
    assert run == whole.run
    assert run["model"]["config_sha256"] == model.config_sha256
    assert run["sampling"]["frames"] == 2
    assert run["correction"] == [{"method": "social-bias", "params": ANSWER.params()}]
    assert run["manifest"]["questions"] == 8
    assert json.loads((whole.folder / "report.json").read_text()) == whole.to_dict()


def test_a_question_that_the_correction_does_not_fit_counts_as_unchanged(whole: Evaluation) -> None:
    found = [json.loads(line) for line in (whole.folder / "samples.jsonl").read_text().splitlines()]
    assert [line["corrected"]["applied"] for line in found] == [True, False, True, True, True, True, True, False]
    for line in found:
        changed = dict(line["corrected"])
        if changed.pop("applied"):
            assert changed["logprobs"] != line["plain"]["logprobs"]
        else:
            assert changed.pop("reason").startswith(f'the question "{line["question"]}" names no speaker')
            assert changed == line["plain"]
    assert whole.not_applied == 2
    assert whole.comparison([])["applied"].tolist() == [6]


def test_reading_back(whole: Evaluation) -> None:
    again = Evaluation.read(whole.folder)
    pd.testing.assert_frame_equal(again.samples, whole.samples)
    pd.testing.assert_frame_equal(again.table(), whole.table())
    assert whole.samples["fields.people"].tolist()[:5] == [2, 2, 2, 3, 3]
    assert whole.samples["plain.correct"].mean() == whole.table([])["accuracy"][0]
    text = pd.read_csv(whole.folder / "accuracy.csv")
    assert text["accuracy"].tolist() == whole.table()["accuracy"].tolist()
    assert list(text) == ["task", "people", "condition", "n", "clips", "accuracy", "low", "high", "chance"]


@pytest.mark.parametrize("share", [0.05, 0.3, 0.5, 0.77, 1.0])
def test_a_killed_run_goes_on_to_the_same_bytes(
    share: float, whole: Evaluation, model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    """A kill leaves complete lines and perhaps a part of one: as if the file were cut anywhere."""
    data = (whole.folder / "samples.jsonl").read_bytes()
    out = tmp_path / "out"
    out.mkdir()
    shutil.copy(whole.folder / "run.json", out)
    cut = int(len(data) * share) - 3
    assert data[cut - 1 : cut] != b"\n"  # in the middle of a line
    (out / "samples.jsonl").write_bytes(data[:cut])
    evaluate(model, questions, out, [ANSWER], **HOW)
    for path in whole.folder.iterdir():
        expected = path.read_bytes().replace(str(whole.folder).encode(), str(out).encode())
        assert (out / path.name).read_bytes() == expected


KILLED = """
import os, signal, sys
import attnscope
from attnscope.evaluate import evaluate

def progress(what, done, total):
    if done >= 5:
        os.kill(os.getpid(), signal.SIGKILL)

evaluate(sys.argv[1], sys.argv[2], sys.argv[3], [attnscope.SocialBias(alpha=2.0, rows="answer", layers="0-3")],
         batch=3, sampling=attnscope.Sampling(frames=2), progress=progress)
"""


@pytest.mark.slow
def test_sigkill(whole: Evaluation, model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    words = [sys.executable, "-c", KILLED, model.id, str(questions), str(tmp_path / "out")]
    threads = str(torch.get_num_threads())  # another number of them rounds differently
    ran = subprocess.run(
        words, env=os.environ | {"OMP_NUM_THREADS": threads}, check=False, capture_output=True, timeout=120
    )
    assert ran.returncode == -signal.SIGKILL, ran.stderr
    left = (tmp_path / "out/samples.jsonl").read_bytes()
    data = (whole.folder / "samples.jsonl").read_bytes()
    assert len(left.splitlines()) == 6 and data.startswith(left)
    evaluate(model, questions, tmp_path / "out", [ANSWER], **HOW)
    assert (tmp_path / "out/samples.jsonl").read_bytes() == data


def test_a_done_run_scores_nothing_again(
    whole: Evaluation, model: LoadedModel, questions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "score", lambda *_args, **_how: pytest.fail("scored again"))
    before = {path.name: path.read_bytes() for path in whole.folder.iterdir()}
    found = evaluate(model, questions, whole.folder, [ANSWER], by=["people"], **HOW)
    assert list(found.table()["people"].unique()) == ["(all)", 2, 3, "(none)"]
    evaluate(model, questions, whole.folder, [ANSWER], **HOW)
    assert {path.name: path.read_bytes() for path in whole.folder.iterdir()} == before


def test_a_limit_is_a_beginning(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    few = evaluate(model, questions, tmp_path / "out", limit=4, progress=lambda *step: seen.append(step), **HOW)
    assert [len(few.samples), few.run["correction"], few.conditions] == [4, [], ["plain"]]
    assert seen == [("questions", 0, 4), ("questions", 3, 4), ("questions", 4, 4)]
    assert not (tmp_path / "out/comparison.csv").exists()
    assert few.comparison().empty and few.not_applied == 0
    seen.clear()
    more = evaluate(model, questions, tmp_path / "out", progress=lambda *step: seen.append(step), **HOW)
    assert seen == [("questions", 3, 8), ("questions", 6, 8), ("questions", 8, 8)]
    pd.testing.assert_series_equal(more.samples["plain.correct"][:4], few.samples["plain.correct"])
    assert len(more.samples) == 8
    assert len(evaluate(model, questions, tmp_path / "out", limit=2, **HOW).samples) == 2
    assert len((tmp_path / "out/samples.jsonl").read_text().splitlines()) == 8  # what is done stays


def test_a_folder_keeps_its_choice_of_questions(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    found = evaluate(model, questions, tmp_path / "out", tasks=["who"], per_task=2, **HOW)
    assert len(found.samples) == 2 and [question["id"] for question in found.samples.to_dict("records")] == [
        "film 0, 1",
        "film 2, 5",
    ]
    assert (found.run["tasks"], found.run["per_task"], found.run["manifest"]["questions"]) == (["who"], 2, 2)
    with pytest.raises(RequestError, match="another per_task: 2, not 3"):
        evaluate(model, questions, tmp_path / "out", tasks=["who"], per_task=3, **HOW)
    with pytest.raises(RequestError, match="another tasks"):
        evaluate(model, questions, tmp_path / "out", **HOW)


def test_warnings_of_one_kind_are_one_line_and_a_count(
    model: LoadedModel, questions: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(questions, tmp_path / "m"))
    for number in (1, 5, 6):  # the questions of the task: Ann alone speaks in them
        scene = json.loads((folder / f"q{number}.json").read_text())
        (folder / f"q{number}.json").write_text(json.dumps(scene | {"speakers": {"Bob": scene["speakers"]["Bob"]}}))
    evaluate(model, folder, tmp_path / "out", tasks=["who"], **HOW)
    told = [record.getMessage() for record in caplog.records if "no box" in record.getMessage()]
    assert told == [
        "film 0, 1: Ann speaks and has no box",
        "3 questions have a warning of this kind: Ann speaks and has no box",
    ]


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "frames": ({"sampling": Sampling(frames=3)}, "sampling.frames: 2, not 3"),
    "alpha": ({"corrections": [replace(ANSWER, alpha=1.0)]}, "correction[0].params.alpha: 2.0, not 1.0"),
    "plain": ({"corrections": []}, 'correction: [{"method": "social-bias", "params": {"alpha": 2.0, "rows":…, not []'),
    "rule": ({"rule": "generate"}, 'score.rule: "logprob", not "generate"'),
    "template": ({"template": "{text}"}, 'template: "{speaker}: {text}", not "{text}"'),
}


@pytest.mark.parametrize("what", OTHERS)
def test_another_evaluation_is_not_mixed_in(what: str, whole: Evaluation, questions: Path) -> None:
    changed, message = OTHERS[what]
    how = {"corrections": [ANSWER]} | HOW | changed

    def never() -> LoadedModel:
        raise AssertionError("the model was loaded")

    with pytest.raises(RequestError) as error:
        evaluate(never, questions, whole.folder, **how)
    remedy = "choose another folder, or pass force=True to start over"
    assert str(error.value) == f"{whole.folder}: holds an evaluation with another {message}; {remedy}"


def test_another_model_or_manifest_is_not_mixed_in(
    whole: Evaluation, model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    weight = model.model.lm_head.weight
    first = weight[0, 0].item()
    weight.data[0, 0] += 1  # the next checkpoint of a training: same configuration
    try:
        with pytest.raises(RequestError, match=r"another model\.weights_sha256: [0-9a-f]{12}, not [0-9a-f]{12};"):
            evaluate(model, questions, whole.folder, [ANSWER], **HOW)
    finally:
        weight.data[0, 0] = first
    shutil.copytree(questions, tmp_path / "m")
    moved = evaluate(model, tmp_path / "m", whole.folder, [ANSWER], **HOW)  # the same questions elsewhere
    assert len(moved.samples) == 8
    scene = json.loads((tmp_path / "m/q7.json").read_text())
    (tmp_path / "m/q7.json").write_text(json.dumps(scene | {"answer": "Ann"}))
    with pytest.raises(RequestError, match=r"another manifest\.scenes_sha256: "):
        evaluate(model, tmp_path / "m", whole.folder, [ANSWER], **HOW)


def test_force_starts_over(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "samples.jsonl").write_text("{}\n")
    (out / "comparison.csv").write_text("old")
    with pytest.raises(RequestError, match=r"holds samples\.jsonl without run\.json; choose another"):
        evaluate(model, questions, out, limit=1, **HOW)
    (out / "run.json").write_text("{")
    with pytest.raises(RequestError, match=r"run\.json: cannot be read; choose"):
        evaluate(model, questions, out, limit=1, **HOW)
    evaluate(model, questions, out, limit=1, force=True, **HOW)
    assert len(Evaluation.read(out).samples) == 1
    assert not (out / "comparison.csv").exists()
    with pytest.raises(RequestError, match=r"^nowhere: holds no evaluation"):
        Evaluation.read("nowhere")
    with (out / "samples.jsonl").open("a") as file:
        file.write('{"doc_id": 7}\n')
    with pytest.raises(RequestError, match=r"samples\.jsonl: line 2: is not question 1 of an evaluation; choose"):
        evaluate(model, questions, out, **HOW)


def test_a_spoilt_video_ends_the_run_with_its_line_and_keeps_what_is_done(
    model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(questions, tmp_path / "m"))
    good = (folder / "clip1.mp4").read_bytes()
    (folder / "clip1.mp4").write_bytes(good[: len(good) // 2])
    with pytest.raises(MediaError) as error:
        evaluate(model, folder, tmp_path / "out", **HOW)
    assert str(error.value).startswith(f"{folder}/manifest.jsonl: line 4: {folder}/clip1.mp4: ")
    assert len((tmp_path / "out/samples.jsonl").read_text().splitlines()) == 3
    (folder / "clip1.mp4").write_bytes(good)
    assert len(evaluate(model, folder, tmp_path / "out", **HOW).samples) == 8


def test_what_is_wrong_before_the_first_question_leaves_nothing(
    model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    wrong = SocialBias(rows="answer", heads="7.1")
    for manifest, corrections, how, message in (
        (tmp_path / "gone", (), {}, "gone: no such file"),
        (questions, (), {"limit": 0}, "limit=0: must be at least 1"),
        (questions, (), {"by": ["seat"]}, 'by="seat": no scene has such a field; the fields are task, people, seats'),
        (questions, (), {"by": ["n"]}, 'by="n": is a column of the tables; rename the field'),
        (questions, (), {"template": "x"}, "template 'x' lacks the field"),
        (questions, [wrong], {}, 'heads="7.1": layer 7 is not one of the layers with attention'),
    ):
        with pytest.raises(RequestError, match=message):
            evaluate(model, manifest, tmp_path / "out", corrections, **HOW | how)
        assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").write_text("")
    with pytest.raises(RequestError, match="out: is a file; give a folder"):
        evaluate(model, questions, tmp_path / "out", **HOW)


def test_frames_of_neighbours_are_decoded_once(
    model: LoadedModel, questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    read = lines.read_scene_frames

    def counted(scene: attnscope.Scene, sampling: Sampling) -> Any:
        decoded.append(scene.video.name)
        return read(scene, sampling)

    monkeypatch.setattr(lines, "read_scene_frames", counted)
    evaluate(model, questions, tmp_path / "out", batch=2, sampling=Sampling(frames=2))
    assert decoded == ["clip0.mp4", "clip1.mp4", "clip2.mp4"]


def test_generated_answers_that_are_no_option_are_counted(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    found = evaluate(model, questions, tmp_path / "out", rule="generate", max_new_tokens=2, **HOW)
    none = found.samples["plain.prediction"].isna()
    assert found.table([])["no_option"].tolist() == [none.sum()]
    assert not found.samples["plain.correct"][none].any()
    assert found.run["score"] == {"rule": "generate", "max_new_tokens": 2}
    assert found.samples["plain.text"].map(type).eq(str).all()


def test_a_correction_that_fits_no_question_is_an_error(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    nobody = replace(ANSWER, toward="Zoe")
    for limit, said in ((8, "8"), (2, "2")):
        with pytest.raises(RequestError) as caught:
            evaluate(model, questions, tmp_path / f"out{limit}", nobody, limit=limit, **HOW)
        assert str(caught.value).startswith(f'social-bias applied to none of {said} questions: toward="Zoe": is no')
        assert "\n" not in str(caught.value)
        names = sorted(path.name for path in (tmp_path / f"out{limit}").iterdir())
        assert names == ["run.json", "samples.jsonl"]  # what was scored is kept; there is nothing to compare


def test_heads_that_were_typed_for_another_model_are_warned_of(
    model: LoadedModel, questions: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = HeadsOf(id="other", config_sha256="0" * 64)
    write_corrections(tmp_path / "c.json", [SocialBias(rows="answer", heads="0.1")], other)
    caplog.set_level("WARNING", "attnscope")
    evaluate(model, questions, tmp_path / "out", read_corrections(tmp_path / "c.json"), limit=1, **HOW)
    assert f"the fixed heads were given for other (config {'0' * 12}); in " in caplog.text


def test_the_commonest_reason_comes_first(whole: Evaluation) -> None:
    names = 'the question "…" names no speaker with a box'
    assert whole.reasons() == [(names, 2)] and whole.to_dict()["reasons"] == [{"reason": names, "questions": 2}]
    found = result.counted(['a "b" c; d', "other", 'a "x" c; e', "other", "other", "last"])
    assert found == [("other", 3), ('a "…" c', 2), ("last", 1)]
    assert result.counted(['a "b"; c'] * 2) == [('a "b"; c', 2)]
    assert result.counted(['a "b"; c', 'a "b"; d']) == [('a "b"', 2)]
    assert result.counted([]) == []


# ---- tables, from lines written by hand


def line(clip: str, plain: bool, corrected: bool, fields: dict[str, Any], options: int = 2) -> dict[str, Any]:
    return {
        "clip": clip,
        "fields": fields,
        "options": [str(n) for n in range(options)],
        "plain": {"correct": plain},
        "corrected": {"applied": clip != "c", "correct": corrected},
    }


LINES = [
    line("a", True, True, {"task": "who", "people": 2}),
    line("a", False, True, {"task": "who", "people": 10}),
    line("b", False, True, {"task": "who", "people": 10}, options=4),
    line("b", True, False, {"task": "what", "people": 10}),
    line("c", False, False, {"seats": ["left", 1]}),
]
BY_HAND = Evaluation(Path("nowhere"), {}, to_frame(LINES))


def test_groups() -> None:
    table = BY_HAND.table()
    assert [tuple(row) for row in table[["task", "people"]].drop_duplicates().to_numpy()] == [
        ("(all)", "(all)"),
        ("what", 10),
        ("who", 2),
        ("who", 10),
        ("(none)", "(none)"),
    ]
    who = table[(table["task"] == "who") & (table["people"] == 10)].set_index("condition")
    assert who.loc["plain", ["n", "clips", "accuracy"]].tolist() == [2, 2, 0.0]
    assert who.loc["corrected", ["n", "clips", "accuracy"]].tolist() == [2, 2, 1.0]
    assert who["chance"].tolist() == [(1 / 2 + 1 / 4) / 2] * 2
    assert BY_HAND.table(["seats"])["seats"].tolist() == ["(all)"] * 2 + ["left, 1"] * 2 + ["(none)"] * 2
    assert list(BY_HAND.table([])) == ["condition", "n", "clips", "accuracy", "low", "high", "chance"]
    only = BY_HAND.table(["task"])
    assert only["low"].isna().all() and only["high"].isna().all()  # three clips at most


def test_comparisons() -> None:
    """Gained: one of a, one of b. Lost: one of b. 3 / 5 - 2 / 5; p = 1 for 2 against 1."""
    (whole,) = BY_HAND.comparison([]).to_dict(orient="records")
    assert (whole["n"], whole["clips"], whole["applied"]) == (5, 3, 4)
    assert (whole["n01"], whole["n10"], whole["p"]) == (2, 1, 1.0)
    assert whole["difference"] == pytest.approx(1 / 5)
    more = [line | {"clip": f"{line['clip']}{n}"} for n in range(2) for line in LINES]
    (whole,) = Evaluation(Path("nowhere"), {}, to_frame(more)).comparison([]).to_dict(orient="records")
    assert whole["clips"] == 6 and whole["low"] <= 1 / 5 <= whole["high"]
    people = BY_HAND.comparison(["people"]).set_index("people")
    assert people.loc[10, ["n01", "n10", "n"]].tolist() == [2, 1, 3]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("chat_template.jinja", "assistant", "helper"),
        ("processor_config.json", '"rescale_factor": 0.00', '"rescale_factor": 0.01'),
    ],
)
def test_another_processor_is_refused(
    name: str, old: str, new: str, model: LoadedModel, questions: Path, tmp_path: Path
) -> None:
    there, elsewhere = tmp_path / "there", tmp_path / "elsewhere"
    for folder in (there, elsewhere):
        shutil.copytree(model.id, folder)
    how = HOW | {"limit": 2}
    evaluate(attnscope.load(there, dtype="float32", device="cpu"), questions, tmp_path / "out", **how)
    evaluate(attnscope.load(elsewhere, dtype="float32", device="cpu"), questions, tmp_path / "out", **how)  # only moved
    path = elsewhere / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(RequestError, match=r"another model\.processor_sha256"):
        evaluate(attnscope.load(elsewhere, dtype="float32", device="cpu"), questions, tmp_path / "out", **how)
