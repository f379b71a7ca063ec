"""Online-MMSI: MMSI's questions on what was said before alone, with a clip each, as folders for fine-tuning.

A folder `{train,test}/` holds clips and `metadata.csv` with the columns `video_name`, `user` and `assistant`. `user`
says which colour is which player (boxes are drawn into the clips), then what was said, then what is asked; the right
player is the first seven characters of `assistant`, and the last `PlayerN` of `user` is the speaker, as in the released
code. After the question `user` may also ask for what comes next; that is left out here unless `forecast` is set.

Held against: the released code and one published row. Not held against real files: the other tasks' wording.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import is_folder
from attnscope.scene.importers.datasets.reading import IncompleteError, checked, members, table_entries, words
from attnscope.scene.importers.registry import importer
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

_PLAYER = re.compile(r"Player\d+")
_ANSWER = 7  # characters: `Player0`
_KEYS = ("video_name", "user", "assistant")
_SAID = re.compile(r"(?P<before>.*?)The subtit?les? are:\s*(?P<said>.*?)\n\s*(?P<asked>.*)", re.DOTALL | re.IGNORECASE)
_TURN = re.compile(r"\[(?P<who>[^\]]+)\]:\s*(?P<said>.*?)(?=\s*\[[^\]]+\]:\s|\Z)", re.DOTALL)
_SENTENCE = re.compile(r".*?\?", re.DOTALL)
_TASKS = {"STI": "STI", "PCR": "PCR", "MPP": "MPP"}


@importer(
    name="online-mmsi",
    yields=("samples",),
    summary="Online-MMSI: a folder with metadata.csv and clips, or the folder above test/ and train/",
    documentation="https://huggingface.co/datasets/XinpengLi007/Online_MMSI",
    unverified="all rows but one",
)
def read_online_mmsi(
    path: Path, *, split: str = "test", task: str = "", forecast: bool = False
) -> Iterator[Record | Note]:
    """Read the questions of Online-MMSI.

    Args:
        path: The file metadata.csv, the folder that holds it, or the folder above the splits.
        split: Which split, if the folder holds several.
        task: STI, PCR or MPP. If not given, the name of the folder above begins with it, or the column `subset` does.
        forecast: Also ask what is said next, as `user` does.
    """
    file = _file(path, split)
    task = task or _task(str(file.absolute().parent.parent.name)) or _task(str(file.absolute().parent.name))
    for where, record in checked(file, table_entries(file), _KEYS, "Online-MMSI"):
        try:
            yield _sample(where, members(record), file, task, forecast)
        except IncompleteError as lack:
            clip = str(record.get("video_name") or "") if isinstance(record, dict) else ""
            yield LeftOut(where=where, clip=clip, what="sample", reason=str(lack), name=clip)


def _file(path: Path, split: str) -> Path:
    if not is_folder(path, SceneError):
        return path
    for folder in (path / split, path):
        if (folder / "metadata.csv").exists():
            return folder / "metadata.csv"
    raise SceneError(f"{path}: holds no metadata.csv, nor does {split}/ in it")


def _task(name: str) -> str:
    return _TASKS.get(name[:3].upper(), "")


def _sample(where: str, record: dict[str, Any], file: Path, task: str, forecast: bool) -> SampleRecord:
    clip = words(record, "video_name", "has no video_name")
    user = words(record, "user", "has no user")
    right = words(record, "assistant", "has no assistant")[:_ANSWER]
    if not _PLAYER.fullmatch(right):
        raise IncompleteError("the first seven characters of assistant are no player")
    match = _SAID.fullmatch(user)
    if match is None:
        raise IncompleteError("what user says has no subtitles with a question below them")
    before, asked = " ".join(match["before"].split()), " ".join(match["asked"].split())
    speaker = _PLAYER.findall(user)[-1]
    players = list(dict.fromkeys(_PLAYER.findall(before))) or sorted(
        {*_PLAYER.findall(user), right}, key=lambda name: (len(name), name)
    )
    if right not in players:
        raise IncompleteError("its answer is none of the players that user names")
    if len(players) < 2:
        raise IncompleteError("user names fewer than two players")
    question = asked if forecast else (_SENTENCE.match(asked) or re.match(".*", asked, re.DOTALL))
    text = question if isinstance(question, str) else question[0] if question else asked
    turns = [
        {"speaker": turn["who"], "text": " ".join(turn["said"].split())}
        for turn in _TURN.finditer(match["said"])
        if turn["said"].strip()
    ]
    if not turns:
        raise IncompleteError("what user says has no turns of the form [Player0]: words")
    kind = task or _task(str(record.get("subset") or ""))
    if not kind:
        raise IncompleteError("its task is not known (task=STI, PCR or MPP says it)")
    return SampleRecord(
        where=where,
        clip=clip,
        id=Path(clip).stem,
        question=f"{before} {text}".strip(),
        options=tuple(players),
        answer=right,
        fields={"dataset": "OnlineMMSI", "task": kind, "people": len(players), "speaker": speaker},
        scene_name=f"{kind}-{file.parent.name}-{Path(clip).stem}",
        scene={"transcript": turns},
    )
