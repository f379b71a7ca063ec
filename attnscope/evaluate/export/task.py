"""Questions as a task that lmms-eval runs: a folder with the task's YAML, its functions, and its questions.

`lmms_eval --include_path FOLDER` runs it. The prompt is the user's message of `attnscope eval`, and answers
are scored by the rule `generate`. What lmms-eval cannot show is refused: a part of a clip, a folder of frames, a
system message, earlier messages of a chat.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from attnscope.errors import Argument, RequestError
from attnscope.evaluate.export import utils
from attnscope.evaluate.export.logs import check_task
from attnscope.evaluate.manifest import Question, read_manifest
from attnscope.files.folders import whole_folder
from attnscope.model.render import DEFAULT_TEMPLATE, check_template, user_text
from attnscope.scene.walk import open_walk

QUESTIONS, FUNCTIONS = "questions.jsonl", "utils.py"
_UNSHOWN = {  # fields of a scene that a task has no place for
    "system": "a task of lmms-eval has one message, the user's",
    "history": "a task of lmms-eval has one message, the user's",
    "further": "a task shows one video; where others stand in the prompt is not known to lmms-eval",
}
_YAML = """\
# Questions of `attnscope export lmms-eval-task`. Run them with:
#   python -m lmms_eval --model MODEL --include_path THIS_FOLDER --tasks {task}
task: {task}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {questions}
test_split: test
output_type: generate_until
doc_to_visual: !function utils.doc_to_visual
doc_to_text: !function utils.doc_to_text
doc_to_target: !function utils.doc_to_target
process_results: !function utils.process_results
cluster_key: clip
generation_kwargs:
  max_new_tokens: {tokens}
  temperature: 0
  do_sample: false
metric_list:
  - metric: accuracy
    aggregation: !function utils.mean_score
    higher_is_better: true
lmms_eval_specific_kwargs:
  default:
    pre_prompt: ""
    post_prompt: ""
metadata:
  - version: 1.0
"""


def export_task(
    manifest: str | Path,
    out: str | Path,
    *,
    task: str = "attnscope",
    videos: str | Path | None = None,
    template: str = DEFAULT_TEMPLATE,
    max_new_tokens: int = 16,
    whole_clips: bool = False,
    force: bool = False,
) -> int:
    """Write the questions of a manifest as a task of lmms-eval.

    Args:
        manifest: The questions (docs/eval.md).
        out: Folder for the task; must be new or empty.
        task: What the task is called.
        videos: Folder in which videos are found by the names that scenes give.
        template: How a turn is written.
        max_new_tokens: Most tokens of an answer.
        whole_clips: Show the whole clip where a question asks about a part of it, as lmms-eval shows nothing else.
        force: Replace the task that `out` holds.

    Returns:
        How many questions it has.

    Raises:
        BusyError: If another process is writing the folder.
        RequestError: If the manifest or an argument is wrong, or lmms-eval cannot show what a question asks about.
        RunError: If a file cannot be written.

    Example:
        >>> attnscope.evaluate.export_task("manifest.jsonl", "tasks/talk", task="talk")
        2
    """
    check_task(task)
    check_template(template)
    if max_new_tokens < 1:
        raise RequestError.of("max_new_tokens", max_new_tokens, "must be at least 1")
    asked = read_manifest(manifest, videos)
    out = Path(out)
    kinds: dict[Path, str] = {}
    lines = []
    for question in asked.questions:
        where = f"{asked.path}: {asked.unit} {question.line}"
        if question.scene.window is not None and not whole_clips:
            part = ": window: lmms-eval shows whole clips, and the question is about a part; cut the clip, or pass "
            raise RequestError(where, part, Argument("whole_clips", True))
        for name, what in _UNSHOWN.items():
            if getattr(question.scene, name):
                raise RequestError(f"{where}: {name}: {what}")
        lines.append(_line(question, where, out, kinds, template))
    with whole_folder(out, (QUESTIONS, FUNCTIONS, f"{task}.yaml"), force=force) as draft:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (draft / QUESTIONS).write_text(text, encoding="utf-8", newline="\n")
        (draft / FUNCTIONS).write_bytes(Path(utils.__file__).read_bytes())
        yaml = _YAML.format(task=task, questions=QUESTIONS, tokens=max_new_tokens)
        (draft / f"{task}.yaml").write_text(yaml, encoding="utf-8", newline="\n")
    return len(lines)


def _line(question: Question, where: str, out: Path, kinds: dict[Path, str], template: str) -> dict[str, Any]:
    """A question; every line has the same keys with values of one type, as the library `datasets` wants them."""
    scene = question.scene
    if scene.video not in kinds:
        kinds[scene.video] = kind = open_walk(scene.video, scene.frame_rate).kind
        if kind not in ("video", "image"):
            what = "folder of frames" if kind == "folder" else "animated image"
            raise RequestError(f"{where}: video: lmms-eval shows no {what}: {scene.video}")
    full, base = Path(os.path.realpath(scene.video)), Path(os.path.realpath(out))
    near = full.is_relative_to(base.parent)
    return {
        "id": question.id,
        "video": Path(os.path.relpath(full, base)).as_posix() if near else str(full),
        "kind": kinds[scene.video],
        "prompt": user_text(scene, template),
        "question": scene.question,
        "options": scene.options,
        "answer": scene.answer,
        "fields": json.dumps(scene.fields, ensure_ascii=False),
    }
