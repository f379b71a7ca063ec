"""Friends-MMC: who says each turn of a conversation, from one picture a turn with the faces in it.

`train-metadata.json`, `test-metadata.json` and `test-noisy-metadata.json` are lists of conversations, each a list of
turns `{frame, speaker, content, faces}`; `faces` holds pairs of `[left, top, right, bottom]` in pixels of 1280 x 720
and a name. The picture of a turn is `images/FRAME.jpg`. Every turn is one question: its picture is shown, the
conversation stands in the transcript without names, and the options are all whose faces are seen in the conversation,
as in the released code. The wording is ours.

The published accuracy counts a turn whose speaker's face is nowhere in the conversation as wrong. Such a turn has no
right option and is left out here; their number is said, so that the two can be compared.

Held against: the released code. Not held against real files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import is_folder
from attnscope.scene.importers.datasets import boxes as drawing
from attnscope.scene.importers.datasets.reading import IncompleteError, json_entries, members, notes, number, words
from attnscope.scene.importers.registry import importer
from attnscope.scene.names import clean_name, equal_but_for_case
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

_WIDTH, _HEIGHT = 1280, 720
_ABSENT = "its speaker's face is nowhere in the conversation"
_AS_WRONG = "turns are left out that the published accuracy counts as wrong, since the speaker's face is nowhere"


@importer(
    name="friends-mmc",
    yields=("samples",),
    summary="Friends-MMC: test-metadata.json, or the folder 5_turns or 8_turns that holds it",
    documentation="https://huggingface.co/datasets/wangyueqian/friends_mmc",
    unverified="all files; what is known is the code that reads them",
)
def read_friends_mmc(path: Path, *, split: str = "test") -> Iterator[Record | Note]:
    """Read the questions of Friends-MMC.

    Args:
        path: The metadata of a split, or the folder that holds it.
        split: Which split of a folder: train, test, test-noisy.
    """
    file = path / f"{split}-metadata.json" if is_folder(path, SceneError) else path
    entries = json_entries(file)
    first = next(entries, None)
    if first is None:
        raise SceneError(f"{file}: holds no record")
    turns = first[1] if isinstance(first[1], list) else [first[1]]
    if not turns or not isinstance(turns[0], dict) or not {"frame", "speaker", "faces", "content"} & turns[0].keys():
        raise SceneError(f"{file}: [0]: is no list of turns with frame, speaker, content and faces: not of Friends-MMC")
    counts: Counter[str] = Counter()
    yield from _conversation(*first, counts)
    for entry in entries:
        yield from _conversation(*entry, counts)
    yield from notes(file, counts)


def _conversation(where: str, turns: Any, counts: Counter[str]) -> Iterator[Record]:
    """A question for each turn, and the boxes that cannot be used."""
    if not isinstance(turns, list) or not turns:
        yield LeftOut(where=where, what="sample", reason="the conversation is no list of turns")
        return
    faces: list[dict[str, drawing.Box]] = []
    said: list[dict[str, Any]] = []
    everybody: list[str] = []
    for place, turn in enumerate(turns):
        boxes, unused = _faces(f"{where}[{place}]", turn, everybody, counts)
        yield from unused
        faces.append(boxes)
        if isinstance(turn, dict) and isinstance(turn.get("content"), str) and turn["content"].strip():
            said.append({"speaker": None, "text": turn["content"]})
    for place, (turn, boxes) in enumerate(zip(turns, faces, strict=True)):
        at = f"{where}[{place}]"
        clip = name = f"{turn.get('frame') or ''}" if isinstance(turn, dict) else ""
        try:
            fields = members(turn)
            clip = words(fields, "frame", "has no frame")
            speaker = clean_name(words(fields, "speaker", "has no speaker"))
            content = " ".join(words(fields, "content", "has no content").split())
            right = next((other for other in everybody if equal_but_for_case(other, speaker)), None)
            if right is None:
                counts[_AS_WRONG] += 1
                raise IncompleteError(_ABSENT)
            if len(everybody) < 2:
                raise IncompleteError("only one face is seen in the conversation")
        except IncompleteError as lack:
            yield LeftOut(where=at, clip=clip, what="sample", reason=str(lack), name=name)
            continue
        yield SampleRecord(
            where=at,
            clip=f"{clip}.jpg",
            id=f"{where.strip('[]')}-{place}-{clip}",
            question=f'Who says "{content}"?',
            options=tuple(everybody),
            answer=right,
            fields={
                "dataset": "Friends-MMC",
                "task": "speaker identification",
                "people": len(boxes),
                "turns": len(turns),
                "season": clip[:3],
                "speaker is seen": right in boxes,
            },
            scene_name=f"{where.strip('[]')}-{place}-{clip}",
            scene={"speakers": drawing.still(boxes), "box_units": "fraction", "transcript": said},
        )


def _faces(
    where: str, turn: Any, everybody: list[str], counts: Counter[str]
) -> tuple[dict[str, drawing.Box], list[LeftOut]]:
    """The faces of one picture by name; new names are added to `everybody`."""
    boxes: dict[str, drawing.Box] = {}
    unused: list[LeftOut] = []
    clip = str(turn.get("frame") or "") if isinstance(turn, dict) else ""
    faces = turn.get("faces") if isinstance(turn, dict) else None
    for place, face in enumerate(faces if isinstance(faces, list) else []):
        at = f"{where}.faces[{place}]"
        label = ""
        try:
            if not isinstance(face, list) or len(face) != 2 or not isinstance(face[0], list) or len(face[0]) != 4:
                raise IncompleteError("the face is no pair of a box and a name")
            label = clean_name(face[1]) if isinstance(face[1], str) else ""
            if not label:
                raise IncompleteError("the face has no name")
            xyxy = [number(value, "a number of the box is missing") for value in face[0]]
            box, cut = drawing.fraction(xyxy, _WIDTH, _HEIGHT)
            name = next((other for other in everybody if equal_but_for_case(other, label)), label)
            smaller = "a larger box of the same name is in the same frame"
            if name in boxes and drawing.area(box) <= drawing.area(boxes[name]):
                raise IncompleteError(smaller)
        except IncompleteError as lack:
            unused.append(LeftOut(where=at, clip=clip, what="box", reason=str(lack), name=label))
            continue
        if name in boxes:
            unused.append(LeftOut(where=at, clip=clip, what="box", reason=smaller, name=label))
        if name not in everybody:
            everybody.append(name)
        boxes[name] = box
        counts["boxes reach out of the picture and are cut off at its edge"] += cut
    return boxes, unused
