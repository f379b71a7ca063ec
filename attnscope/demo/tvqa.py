"""Round-table clips as a folder of TVQA+: the annotations, subtitles and videos that a user of the real one has."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from attnscope.demo.questions import SOCIAL
from attnscope.demo.scenes import Progress, write_scenes
from attnscope.errors import RequestError
from attnscope.files.folders import whole_folder

PEOPLE = 5  # TVQA+ has five answers, and the names of all people are the options
_SIZE = 480  # pixels of a frame of the clips
_WIDTH, _HEIGHT, _FPS, _EVERY = 640, 360, 3, 6  # of the annotations
_PARTS = ("videos", "tvqa_plus_val.json", "tvqa_plus_subtitles.json")


def write_tvqa(
    out: str | Path,
    *,
    count: int = 12,
    seed: int = 0,
    split: str = "test",
    tasks: Sequence[str] = SOCIAL,
    per_task: int | None = None,
    progress: Progress | None = None,
) -> Path:
    """Write clips of five people in the form of TVQA+; the same arguments write the same files.

    Args:
        out: Folder; must be new or empty.
        count: Clips, each with one question of every task that it allows.
        seed: Seed of the clips.
        split: Seat combinations, as in `write_scenes`.
        tasks: Which questions are written; only those that are answered by a name.
        per_task: Exactly this number of questions of each task, as in `write_scenes`.
        progress: Called with (what, done, total).

    Returns:
        The folder.

    Raises:
        BusyError: Another process is writing the folder.
        RequestError: An argument is out of range, or the folder is not empty or cannot be used.
        RunError: The disk is full, or a file cannot be written.
    """
    out = Path(out)
    wrong = next((task for task in tasks if task not in SOCIAL), None)
    if wrong is not None:
        raise RequestError(f'tasks="{wrong}": is not answered by one of five names; choose from {", ".join(SOCIAL)}')
    with whole_folder(out, _PARTS) as draft:
        made = draft / "made"
        how: dict[str, Any] = {"count": count, "seed": seed, "split": split, "per_task": per_task}
        manifest = write_scenes(made, people=(PEOPLE,), tasks=tasks, progress=progress, **how)
        (draft / "videos").mkdir()
        questions, subtitles, names = [], dict[str, Any](), dict[str, str]()
        for number, line in enumerate(manifest.read_text(encoding="utf-8").splitlines()):
            scene = json.loads((made / json.loads(line)["scene"]).read_text(encoding="utf-8"))
            film = made / "clips" / Path(scene["video"]).name
            if film.name not in names:
                names[film.name] = f"s01e01_seg01_clip_{len(names):02d}"
                shutil.move(film, draft / "videos" / f"{names[film.name]}.mp4")
                subtitles[names[film.name]] = _subtitles(scene["transcript"])
            questions.append(_question(number, names[film.name], scene))
        shutil.rmtree(made)
        for name, content in zip(_PARTS[1:], (questions, subtitles), strict=True):
            (draft / name).write_text(json.dumps(content) + "\n", encoding="utf-8")
    return out


def _question(number: int, clip: str, scene: dict[str, Any]) -> dict[str, Any]:
    """One item of tvqa_plus_val.json."""
    options = scene["options"]
    end = scene["speakers"][options[0]]["segments"][0]["end"]
    frames = range(1, round(end * _FPS) + 2, _EVERY)
    return {
        "qid": number,
        "q": scene["question"],
        **{f"a{place}": option for place, option in enumerate(options)},
        "answer_idx": str(options.index(scene["answer"])),
        "ts": [0.0, end],
        "vid_name": clip,
        "bbox": {str(frame): [_box(frame, name, scene["speakers"][name]) for name in options] for frame in frames},
    }


def _box(frame: int, name: str, speaker: dict[str, Any]) -> dict[str, Any]:
    """A person's box in pixels of 640 x 360; at the round table nobody moves."""
    x1, y1, x2, y2 = speaker["segments"][0]["keyframes"][0]["xyxy"]
    left, width = (round(value * _WIDTH / _SIZE) for value in (x1, x2 - x1))
    top, height = (round(value * _HEIGHT / _SIZE) for value in (y1, y2 - y1))
    return {"img_id": frame, "top": top, "left": left, "width": width, "height": height, "label": name}


def _subtitles(transcript: list[dict[str, Any]]) -> dict[str, Any]:
    """One member of tvqa_plus_subtitles.json."""
    lines = [f"{turn['speaker']} : {turn['text']}" if turn["speaker"] else turn["text"] for turn in transcript]
    return {"sub_text": " <eos> ".join(lines), "sub_time": [turn["start"] for turn in transcript]}
