"""An evaluation as lmms-eval logs one: DATE_results.json, and DATE_samples_TASK.jsonl of each condition.

The shape is that of `EvaluationTracker` of lmms-eval 0.7.3, which writes numbers of responses as text. What it holds:

- Each condition is a task: `TASK` is the plain model, `TASK_corrected` the correction, `TASK_control_NAME` a control.
- Scored options are `multiple_choice`: `filtered_resps` has [loss, greedy] of each option. The loss is the negative sum
  of the log-probabilities of the option's tokens, so that the smallest, which lmms-eval takes, is our prediction; where
  lmms-eval's own models return the mean loss of the tokens. Whether an option is greedy is not known: "None".
- Generated answers are `generate_until`: `filtered_resps` is the text, and `resps` is left out, being the same.
- `doc` stands in the lines (lm-evaluation-harness and early lmms-eval write it, lmms-eval 0.7.3 does not), and
  `attnscope` is the whole of what samples.jsonl says of the condition.
- `input` is the question: an evaluation does not keep its prompts. There are no standard errors: intervals over clips
  stand in accuracy.csv.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attnscope.errors import RequestError
from attnscope.evaluate.folder import SAMPLES, read_run, read_samples
from attnscope.files.folders import whole_folder
from attnscope.scene.problems import show

_PLAIN = "plain"
_METRIC = "acc"
_NOT_KNOWN = "N/A"


def export_logs(evaluation: str | Path, out: str | Path, *, task: str = "attnscope", force: bool = False) -> list[Path]:
    """Write an evaluation as lmms-eval logs one.

    Args:
        evaluation: The folder that `evaluate` wrote.
        out: Folder for a folder of the model with the logs; must be new or empty.
        task: What the task is called.
        force: Replace the logs of this model in `out`.

    Returns:
        The files: the results, then the samples of each condition.

    Raises:
        BusyError: If another process is writing the folder.
        RequestError: If there is no evaluation, or an argument is wrong.
        RunError: If a file cannot be written.

    Example:
        >>> result = attnscope.evaluate.evaluate(model, "manifest.jsonl", "logged", [social])
        >>> files = attnscope.evaluate.export_logs("logged", "logs", task="talk")
        >>> [path.name.split("_", 2)[2] for path in files]
        ['results.json', 'samples_talk.jsonl', 'samples_talk_corrected.jsonl']
    """
    folder, out = Path(evaluation), Path(out)
    check_task(task)
    run, samples = read_run(folder), read_samples(folder)
    if not samples:
        raise RequestError(f"{folder}: holds an evaluation that has not scored any question yet")
    written = datetime.fromtimestamp((folder / SAMPLES).stat().st_mtime, UTC)
    date, model = f"{written:%Y%m%d_%H%M%S}", str(run["model"]["id"])
    name = _file_name(model)
    tasks = {_task(task, condition): _lines(samples, condition) for condition in _conditions(samples[0])}
    results = _results(run, model, name, date, tasks)
    with whole_folder(out, (name,), force=force) as draft:
        (draft / name).mkdir()
        files = [f"{date}_results.json"]
        _write(draft / name / files[0], json.dumps(results, indent=2, ensure_ascii=False))
        for title, lines in tasks.items():
            files.append(f"{date}_samples_{title}.jsonl")
            text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
            _write(draft / name / files[-1], text)
    return [out / name / file for file in files]


def check_task(task: str) -> None:
    """Refuse a name that is no word.

    Raises:
        RequestError: If it is none.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]{1,100}", task):
        raise RequestError.of("task", task, "is not made of letters, digits and _ alone")


def _conditions(sample: dict[str, Any]) -> list[str]:
    return [
        name for name, value in sample.items() if isinstance(value, dict) and "correct" in value and name != "fields"
    ]


def _task(task: str, condition: str) -> str:
    return task if condition == _PLAIN else f"{task}_{re.sub(r'[^a-z0-9]+', '_', condition.lower())}"


def _lines(samples: Sequence[dict[str, Any]], condition: str) -> list[dict[str, Any]]:
    return [_line(sample, sample[condition]) for sample in samples]


def _line(sample: dict[str, Any], scored: dict[str, Any]) -> dict[str, Any]:
    """A question under one condition."""
    doc = {name: sample[name] for name in ("id", "clip", "fields", "question", "options", "answer")}
    line: dict[str, Any] = {"doc_id": sample["doc_id"], "doc": doc, "target": str(sample["answer"])}
    if "logprobs" in scored:
        losses = [[str(-value), "None"] for value in scored["logprobs"]]
        line |= {"resps": [[loss] for loss in losses], "filtered_resps": losses, "token_counts": [None] * len(losses)}
    else:
        line |= {"filtered_resps": scored["text"], "token_counts": [None]}
    line["doc_hash"] = _hash(json.dumps(doc, indent=2, ensure_ascii=False))
    return line | {_METRIC: float(scored["correct"]), "input": sample["question"], "attnscope": scored}


def _results(
    run: dict[str, Any], model: str, name: str, date: str, tasks: dict[str, list[dict[str, Any]]]
) -> dict[str, Any]:
    """The document of all tasks."""
    rule = run["score"]["rule"]
    output = "multiple_choice" if rule == "logprob" else "generate_until"
    return {
        "results": {task: _scores(task, lines) for task, lines in tasks.items()},
        "group_subtasks": {task: [] for task in tasks},
        "configs": {
            task: {"task": task, "output_type": output, "metric_list": [{"metric": _METRIC, "higher_is_better": True}]}
            for task in tasks
        },
        "versions": dict.fromkeys(tasks, _NOT_KNOWN),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {task: {_METRIC: True} for task in tasks},
        "n-samples": {
            task: {"original": run["manifest"]["questions"], "effective": len(lines)} for task, lines in tasks.items()
        },
        "config": {"model": "attnscope", "model_args": f"pretrained={model}", "attnscope": run},
        "git_hash": None,
        "date": date,
        "task_hashes": {
            task: _hash("".join(f"sample_{n}{line['doc_hash']}" for n, line in enumerate(lines)))
            for task, lines in tasks.items()
        },
        "model_source": "attnscope",
        "model_name": model,
        "model_name_sanitized": name,
    }


def _scores(task: str, lines: list[dict[str, Any]]) -> dict[str, Any]:
    mean = sum(line[_METRIC] for line in lines) / len(lines)
    return {"alias": task, f"{_METRIC},none": mean, f"{_METRIC}_stderr,none": _NOT_KNOWN}


def _file_name(model: str) -> str:
    """The folder of a model: the last two parts of its name."""
    parts = [part for part in re.split(r"[/\\]+", model) if part]
    name = re.sub(r'["<>:|?*\[\]]+', "__", "__".join(parts[-2:])).strip(".")
    if not name:
        raise RequestError(f"run.json: model: {show(model)} cannot be the name of a folder")
    return name


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")
