"""Exports for lmms-eval: logs that give back the evaluation, and a task that says what `eval` says.

lmms-eval itself runs the task in the last test where it is installed; its 0.7.3 was, when this was written.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from attnscope import Sampling, SocialBias
from attnscope.errors import RequestError
from attnscope.evaluate import Evaluation, evaluate, export_logs, export_task, read_manifest
from attnscope.model import LoadedModel
from tests.evaluate.conftest import make

ANSWER = SocialBias(alpha=2.0, rows="answer", layers="0-3")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def functions(folder: Path) -> ModuleType:
    """utils.py of a folder, loaded as lmms-eval loads it."""
    spec = importlib.util.spec_from_file_location("utils", folder / "utils.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("rule", ["logprob", "generate"])
def test_logs_give_back_the_evaluation(model: LoadedModel, questions: Path, tmp_path: Path, rule: str) -> None:
    corrections = [ANSWER] if rule == "logprob" else []
    evaluate(model, questions, tmp_path / "out", corrections, rule=rule, sampling=Sampling(frames=2), max_new_tokens=3)
    found = Evaluation.read(tmp_path / "out")
    files = export_logs(tmp_path / "out", tmp_path / "logs", task="talk")
    results = json.loads(files[0].read_text())
    names = ["talk", "talk_corrected"] if corrections else ["talk"]
    date = files[0].name.removesuffix("_results.json")
    assert [path.name for path in files[1:]] == [f"{date}_samples_{name}.jsonl" for name in names]
    for name, condition, path in zip(names, ("plain", "corrected"), files[1:], strict=False):
        logged = lines(path)
        accuracy = found.table(by=[]).set_index("condition").loc[condition, "accuracy"]
        assert results["results"][name]["acc,none"] == pytest.approx(accuracy)
        assert sum(line["acc"] for line in logged) / 8 == pytest.approx(accuracy)
        samples = lines(tmp_path / "out" / "samples.jsonl")
        for line, sample in zip(logged, samples, strict=True):
            assert line["attnscope"] == sample[condition]
            assert {"doc_id": line["doc_id"], **line["doc"]} == {key: sample[key] for key in ("doc_id", *line["doc"])}
            assert line["target"] == sample["answer"] and "arguments" not in line
            document = json.dumps(line["doc"], indent=2, ensure_ascii=False)
            assert line["doc_hash"] == hashlib.sha256(document.encode()).hexdigest()
            if rule == "logprob":  # the smallest loss is what lmms-eval takes
                losses = [float(loss) for loss, greedy in line["filtered_resps"]]
                chosen = line["doc"]["options"][losses.index(min(losses))]
                assert line["resps"] == [[response] for response in line["filtered_resps"]]
            else:
                chosen = line["attnscope"]["prediction"]
                assert line["filtered_resps"] == sample["plain"]["text"] and "resps" not in line
            assert line["acc"] == float(chosen == line["target"])
        joined = "".join(f"sample_{number}{line['doc_hash']}" for number, line in enumerate(logged))
        assert results["task_hashes"][name] == hashlib.sha256(joined.encode()).hexdigest()
        assert results["n-samples"][name] == {"original": 8, "effective": 8}
    with pytest.raises(RequestError, match="is not an empty folder"):
        export_logs(tmp_path / "out", tmp_path / "logs")
    with pytest.raises(RequestError, match=r"task=my task: is not made of|task.*is not made of letters"):
        export_logs(tmp_path / "out", tmp_path / "other", task="my task")
    with pytest.raises(RequestError, match="holds no evaluation"):
        export_logs(questions, tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_task_shows_what_eval_shows(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    folder = tmp_path / "tasks"
    assert export_task(questions, folder, task="talk") == 8
    assert sorted(path.name for path in folder.iterdir()) == ["questions.jsonl", "talk.yaml", "utils.py"]
    docs, utils = lines(folder / "questions.jsonl"), functions(folder)
    asked = read_manifest(questions).questions
    for doc, question, prompt in zip(docs, asked, make(model, questions, frames=2), strict=True):
        assert utils.doc_to_visual(doc) == [str(question.scene.video)]
        assert utils.doc_to_text(doc, {"pre_prompt": "", "post_prompt": ""}) in prompt.text
        assert utils.doc_to_text(doc, {"pre_prompt": "<", "post_prompt": ">"}) == f"<{doc['prompt']}>"
        assert utils.doc_to_target(doc) == question.scene.answer
        assert json.loads(doc["fields"]) == question.scene.fields
        for said, score in ((question.scene.answer, 1.0), (f" {question.scene.answer.upper()}\n", 1.0), ("None", 0.0)):
            scored = utils.process_results(doc, [said])["accuracy"]
            assert (scored["score"], scored["clip"]) == (score, doc["video"])
    scores = [utils.process_results(doc, ["Ann"])["accuracy"] for doc in docs]
    assert utils.mean_score(scores) == 1 / 8

    class Loader(yaml.SafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: loader.construct_scalar(node))
    task = yaml.load((folder / "talk.yaml").read_text(), Loader)
    assert task["task"] == "talk" and (folder / task["dataset_kwargs"]["data_files"]["test"]).exists()
    for key in ("doc_to_visual", "doc_to_text", "doc_to_target", "process_results"):
        assert callable(getattr(utils, task[key].removeprefix("utils.")))


def test_what_lmms_eval_cannot_show_is_refused(questions: Path, tmp_path: Path) -> None:
    scene = {"video": "clip0.mp4", "question": "Who?", "options": ["Ann", "Bob"], "answer": "Ann"}
    manifest = questions / "part.jsonl"
    for extra, message in (
        ({"window": [0.5, 1]}, "line 1: window: lmms-eval shows whole clips"),
        ({"system": "Be brief."}, "line 1: system: a task of lmms-eval has one message"),
    ):
        manifest.write_text(json.dumps({"id": "a", "scene": scene | extra}) + "\n")
        with pytest.raises(RequestError, match=message):
            export_task(manifest, tmp_path / "tasks")
        assert not (tmp_path / "tasks").exists()
    manifest.write_text(json.dumps({"id": "a", "scene": scene | {"window": [0.5, 1]}}) + "\n")
    assert export_task(manifest, tmp_path / "tasks", whole_clips=True) == 1
    manifest.unlink()


def test_lmms_eval_runs_the_task(model: LoadedModel, questions: Path, tmp_path: Path) -> None:
    """Its own loader, data set, requests, scoring and logging, with a model that always says Ann."""
    pytest.importorskip("lmms_eval")
    from lmms_eval import evaluator
    from lmms_eval.api.model import lmms
    from lmms_eval.tasks import TaskManager

    class Ann(lmms):  # type: ignore[misc]
        def generate_until(self, requests: list[Any]) -> list[str]:
            for request in requests:
                context, _, to_visual, number, task, split = request.args
                (video,) = to_visual(self.task_dict[task][split][number])
                assert Path(video).exists() and "Answer with one of the options." in context
            return ["Ann"] * len(requests)

        def loglikelihood(self, requests: list[Any]) -> Any:
            raise AssertionError(requests)

        generate_until_multi_round = loglikelihood

    export_task(questions, tmp_path / "tasks", task="talk")
    tasks = TaskManager(include_path=str(tmp_path / "tasks"), include_defaults=False)
    found = evaluator.simple_evaluate(Ann(), tasks=["talk"], task_manager=tasks, bootstrap_iters=0)
    assert found["results"]["talk"]["accuracy,none"] == 1 / 8
    assert found["n-samples"]["talk"] == {"original": 8, "effective": 8}
    assert not math.isnan(found["results"]["talk"]["accuracy_stderr_clustered,none"])
    assert [sample["target"] for sample in found["samples"]["talk"]] == [
        question.scene.answer for question in read_manifest(questions).questions
    ]
    # what its own log has, an exported one has, too; the metric of this task is called otherwise
    from lmms_eval.loggers import EvaluationTracker

    tracker = EvaluationTracker(output_path=str(tmp_path / "theirs"))
    tracker.general_config_tracker.log_experiment_args("ann", "pretrained=some/ann", "", "", False)
    tracker.save_results_aggregated(results=found, samples=found["samples"], datetime_str="20260101_000000")
    tracker.save_results_samples(task_name="talk", samples=found["samples"]["talk"])
    (theirs,) = (tmp_path / "theirs").glob("*/*_samples_talk.jsonl")
    evaluate(model, questions, tmp_path / "out", rule="generate", sampling=Sampling(frames=2), max_new_tokens=3)
    ours = export_logs(tmp_path / "out", tmp_path / "ours", task="talk")
    assert set(lines(theirs)[0]) - {"accuracy", "input_media"} <= set(lines(ours[1])[0])
    assert type(lines(theirs)[0]["filtered_resps"]) is type(lines(ours[1])[0]["filtered_resps"]) is str
    (results,) = theirs.parent.glob("*_results.json")
    wanted, had = (json.loads(path.read_text()) for path in (results, ours[0]))
    assert {"results", "configs", "n-samples", "task_hashes", "model_name", "date"} <= set(wanted) & set(had)
    assert set(wanted["n-samples"]["talk"]) == set(had["n-samples"]["talk"])
