"""MMSI: three questions about games of social deduction, with the players' key points.

A game is a text of lines `[Player0] (MM:SS): words`, in which names are already numbers, and a copy with the same lines
that holds the answers. What is asked follows the released code word by word:

- STI, speaking target identification: the line has a word `you` or `your` (not the first), and its labelled copy ends
  with a bracket that names exactly one player. `(To [MASK])` is put behind the line.
- PCR, pronoun coreference resolution: a word contains he, his, him, she or her, and the same word of the labelled copy
  holds the player. The pronoun becomes `[MASK]`, and the word is written in lower case.
- MPP, mentioned player prediction: a word begins with `[PlayerN`. The name becomes `[MASK]`.

The five lines before and after belong to the question. Key points are a .npy file with one list of people for each of
5 frames a second; the released code looks at 16 frames from a second before the line on, which is the window here.
The wording of the questions is ours, but for STI, whose wording Online-MMSI gives. So are the shuffled numbers of the
players (the code shuffles them in training alone) and the boxes around key points.

Held against: the released code. Not held against real files: all of them.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import exists, is_folder
from attnscope.scene.importers.datasets import boxes as drawing
from attnscope.scene.importers.datasets.keypoints import people as people_of
from attnscope.scene.importers.datasets.keypoints import read_keypoints
from attnscope.scene.importers.datasets.reading import IncompleteError, clock, members, notes
from attnscope.scene.importers.registry import importer
from attnscope.scene.problems import read_json, read_text
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

TASKS = ("STI", "PCR", "MPP")
MASK = "[MASK]"
_FPS = 5  # of the key points
_FRAMES = 16  # from a second before the line on
_CONTEXT = 5  # lines before and after
_LINE = re.compile(r"(?P<who>[^()]*?)\s*\((?P<time>\d{1,3}(?::\d{2}){1,2})\)\s*:(?P<said>.*)")
_PLAYER = re.compile(r"Player(\d+)")
_GAME = re.compile(r"(?P<video>.+)_(?P<game>Game\d+)(?:_\d+)?")
_SECOND = ("you", "your")
_THIRD = ("he", "his", "him", "she", "her")
_ASKED = {
    "STI": "Which player is the speaker talking to in the sentence with (To [MASK]) by {speaker}?",
    "PCR": "Which player does [MASK] stand for in the sentence with [MASK] by {speaker}?",
    "MPP": "Which player's name stands at [MASK] in the sentence with [MASK] by {speaker}?",
}


@dataclass(frozen=True)
class _Line:
    """A line of a game; `words` and `labels` are what is said, word by word, plain and labelled."""

    who: str | None
    player: int | None
    start: float
    words: list[str]
    labels: list[str]


@dataclass(frozen=True)
class _Masked:
    task: str
    place: int
    speaker: int
    words: list[str]
    answer: int


@importer(
    name="mmsi",
    yields=("samples",),
    summary="MMSI: a folder of anonymised transcripts, with labelled copies, game data and key points beside it",
    documentation="https://github.com/sangmin-git/MMSI",
    unverified="all files; what is known is the code that reads them",
)
def read_mmsi(
    path: Path,
    *,
    labelled: Path | None = None,
    meta: Path | None = None,
    keypoints: Path | None = None,
    split_file: Path | None = None,
    split: str = "test",
    tasks: str = "STI,PCR,MPP",
    shuffle: bool = True,
    seed: int = 0,
    confidence: float = 0.3,
    margin: float = 0.1,
    size: str = "",
) -> Iterator[Record | Note]:
    """Read the questions of MMSI; `labelled` and `meta` are needed.

    Args:
        path: Folder of the anonymised transcripts, `GAME.txt`.
        labelled: Folder of their labelled copies.
        meta: Folder of the games' data, `VIDEO.json` with `playerNames` for each game: they say how many players there
            are.
        keypoints: Folder of the key points, `GAME.npy`; without them nobody has a box.
        split_file: JSON with the games of each split; without it all games are read.
        split: Which of them.
        tasks: Which tasks, with commas.
        shuffle: Give the players other numbers in every question, by `seed`, so that no number is likelier.
        seed: Of the shuffled numbers.
        confidence: Least confidence of a key point that a box covers.
        margin: Added to a box on each side, as a share of the extent of the key points.
        size: Width and height of the picture of the key points, `640x360`: boxes are then fractions of it. If not
            given, boxes are in pixels, and the video must have the size that the key points were found in.
    """
    for name, folder in (("labelled", labelled), ("meta", meta)):
        if folder is None:
            raise SceneError(f"{path}: {name}: is missing; give the folder with {name}=FOLDER")
    assert labelled is not None and meta is not None
    wanted = [task.strip() for task in tasks.split(",") if task.strip()]
    wrong = next((task for task in wanted if task not in TASKS), None)
    if wrong is not None or not wanted:
        raise SceneError(f"{path}: tasks: {wrong or 'names none'}; choose from {', '.join(TASKS)}")
    picture = _size(path, size)
    counts: Counter[str] = Counter()
    for game in _games(path, split_file, split):
        try:
            lines = _lines(path / f"{game}.txt", labelled / f"{game}.txt")
            players = _players(meta, game)
            if keypoints is not None and not exists(keypoints / f"{game}.npy", SceneError):
                raise IncompleteError("has no key points")
        except IncompleteError as lack:
            yield LeftOut(where=f"{game}.txt", clip=_spaced(game), what="sample", reason=str(lack), name=game)
            continue
        frames = None if keypoints is None else read_keypoints(keypoints / f"{game}.npy")
        for at, line in enumerate(lines):
            for masked in _masked(line, wanted, players):
                where = f"{game}.txt: line {at + 1}: word {masked.place + 1}"
                if not masked.answer < players:
                    reason = "its answer is none of the game's players"
                    yield LeftOut(where=where, clip=_spaced(game), what="sample", reason=reason, name=masked.task)
                    continue
                numbers = list(range(players))
                if shuffle:
                    random.Random(f"{seed} {game} {at} {masked.place} {masked.task}").shuffle(numbers)
                scene = _boxes(frames, line.start, numbers, confidence, margin, picture, counts)
                yield _sample(where, game, lines, at, masked, numbers, scene)
    if keypoints is None:
        yield Note(text=f"{path.name}: without key points, so nobody has a box; give keypoints=FOLDER")
    yield from notes(path, counts)


def _spaced(game: str) -> str:
    """The name of a game's video: `#` stands for a space in names of transcripts, as in Werewolf Among Us."""
    return game.replace("#", " ")


def _size(path: Path, size: str) -> tuple[int, int] | None:
    if not size:
        return None
    match = re.fullmatch(r"([1-9]\d{1,4})x([1-9]\d{1,4})", size)
    if match is None:
        raise SceneError(f"{path}: size: {size!r} is no width and height, such as 640x360")
    return int(match[1]), int(match[2])


def _games(path: Path, split_file: Path | None, split: str) -> list[str]:
    if not is_folder(path, SceneError):
        raise SceneError(f"{path}: is no folder of transcripts")
    if split_file is None:
        games = sorted(file.stem for file in path.glob("*.txt"))
    else:
        splits = read_json(split_file)
        found = splits.get(split) if isinstance(splits, dict) else None
        if not isinstance(found, list) or not all(isinstance(game, str) for game in found):
            raise SceneError(f"{split_file}: {split}: is no list of games")
        games = found
    if not games:
        raise SceneError(f"{path}: holds no transcript (.txt)")
    return games


def _lines(path: Path, labelled: Path) -> list[_Line]:
    """The lines of a game beside their labelled copies."""
    texts = []
    for file, what in ((path, "its transcript"), (labelled, "its labelled copy")):
        try:
            texts.append([line for line in read_text(file).split("\n") if line.strip()])
        except SceneError:
            raise IncompleteError(f"{what} is missing or cannot be read") from None
    if len(texts[0]) != len(texts[1]):
        raise IncompleteError("its transcript and its labelled copy have another number of lines")
    lines = []
    for plain, label in zip(*texts, strict=True):
        match, labels = _LINE.fullmatch(plain.strip()), _LINE.fullmatch(label.strip())
        if match is None or labels is None:
            raise IncompleteError("a line is none of the form [Player0] (MM:SS): words")
        who = match["who"].strip("[] ") or None
        player = _PLAYER.fullmatch(who or "")
        start = clock(match["time"], "a time is none of the form MM:SS")
        words = (match["said"].split(), labels["said"].split())
        lines.append(_Line(who, int(player[1]) if player else None, start, *words))
    return lines


def _players(meta: Path, game: str) -> int:
    """How many players a game has."""
    match = _GAME.fullmatch(game)
    if match is None:
        raise IncompleteError("its name is none of the form VIDEO_Game1")
    files = [meta / f"{name}.json" for name in (match["video"], _spaced(match["video"]))]
    try:
        data = read_json(next(filter(exists, files), files[0]))
    except SceneError:
        raise IncompleteError("its game data is missing or cannot be read") from None
    names = members(members(data).get(match["game"])).get("playerNames")
    if not isinstance(names, list) or len(names) < 2:
        raise IncompleteError("its game data has fewer than two playerNames")
    return len(names)


def _masked(line: _Line, tasks: list[str], players: int) -> Iterator[_Masked]:
    """What is asked about a line: the words with a mask, and the number of the right player."""
    if line.player is None:
        return
    asked = False  # a line has one target, however often it says you
    for place, word in enumerate(line.words):
        label = line.labels[place] if place < len(line.labels) else ""
        if "STI" in tasks and not asked and word.lower() in _SECOND:
            target = _target(" ".join(line.labels), players)
            if target is not None:
                asked = True
                yield _Masked("STI", place, line.player, [*line.words, f"(To {MASK})"], target)
        pronouns = [pronoun for pronoun in _THIRD if pronoun in word.lower()]
        meant = _PLAYER.search(label)
        if "PCR" in tasks and pronouns and meant:
            yield _Masked(
                "PCR", place, line.player, _replaced(line.words, place, pronouns[-1], word.lower()), int(meant[1])
            )
        named = re.match(r"\[Player(\d+)\]", word)
        if "MPP" in tasks and named:
            yield _Masked(
                "MPP", place, line.player, _replaced(line.words, place, r"\[Player\d+\]", word), int(named[1])
            )


def _target(labelled: str, players: int) -> int | None:
    """The player in the last bracket of a labelled line, if it ends the line and names exactly one."""
    brackets = re.findall(r"\[(.*?)\]", labelled)
    if not labelled.endswith("]") or not brackets:
        return None
    known = [name for name in brackets[-1].split() if name in {f"Player{i}" for i in range(players)}]
    return int(known[0].removeprefix("Player")) if len(known) == 1 else None


def _replaced(words: list[str], place: int, pattern: str, word: str) -> list[str]:
    return [*words[:place], re.sub(pattern, MASK, word), *words[place + 1 :]]


def _sample(
    where: str,
    game: str,
    lines: list[_Line],
    at: int,
    masked: _Masked,
    numbers: list[int],
    scene: Mapping[str, Any],
) -> SampleRecord:
    """A question with the lines around its own; `numbers` are the new numbers of the players."""
    own = lines[at]
    late = max(0, _CONTEXT - (len(lines) - at) + 1)  # at the end of a game, more lines before
    first = max(0, at - _CONTEXT - late)
    transcript = []
    for number, line in enumerate(lines[first : first + 2 * _CONTEXT + 1], first):
        said = masked.words if number == at else line.words
        if not said:
            continue
        who = line.who if line.player is None else _name(line.player, numbers)
        turn: dict[str, Any] = {"speaker": who, "text": _renumbered(" ".join(said), numbers), "start": line.start}
        later = lines[number + 1].start if number + 1 < len(lines) else None
        if later is not None and later >= line.start:
            turn["end"] = later
        transcript.append(turn)
    speaker = _name(masked.speaker, numbers)
    name = f"{game}-{at + 1}-{masked.place + 1}-{masked.task}"
    return SampleRecord(
        where=where,
        clip=_spaced(game),
        id=name,
        question=_ASKED[masked.task].format(speaker=speaker),
        options=tuple(f"Player{i}" for i in range(len(numbers))),
        answer=_name(masked.answer, numbers),
        window=(max(0.0, own.start - 1), round(own.start - 1 + _FRAMES / _FPS, 3)),
        fields={"dataset": "MMSI", "task": masked.task, "people": len(numbers), "speaker": speaker},
        scene_name=name,
        scene={**scene, "transcript": transcript},
    )


def _name(number: int, numbers: list[int]) -> str:
    return f"Player{numbers[number] if number < len(numbers) else number}"


def _renumbered(text: str, numbers: list[int]) -> str:
    return re.sub(r"(?<=\[)Player(\d+)(?=\])", lambda match: _name(int(match[1]), numbers), text)


def _boxes(
    frames: list[Any] | None,
    start: float,
    numbers: list[int],
    confidence: float,
    margin: float,
    picture: tuple[int, int] | None,
    counts: Counter[str],
) -> dict[str, Any]:
    """`speakers` of the scene in the window of a line, in the order of their new numbers."""
    if not frames:
        return {"speakers": {}}
    begin = int(_FPS * (start - 1))
    steps = sorted({min(max(0, begin + i), len(frames) - 1) for i in range(_FRAMES)})
    found: dict[str, dict[float, drawing.Box]] = {f"Player{i}": {} for i in range(len(numbers))}
    for step in steps:
        try:
            seen = list(people_of(frames[step], confidence, margin))
        except IncompleteError as lack:
            counts[f"frames of key points are not used, because {lack}"] += 1
            continue
        for number, xyxy in seen:
            if not 0 <= number < len(numbers):
                counts["boxes around key points are of people who do not play, and are not used"] += 1
                continue
            try:
                box = drawing.fraction(xyxy, *picture)[0] if picture else drawing.pixels(xyxy)
            except IncompleteError as lack:
                counts[f"boxes around key points are not used, because {lack}"] += 1
                continue
            found[_name(number, numbers)][step / _FPS] = box
    speakers = drawing.held([step / _FPS for step in steps], found, 0.5 / _FPS)
    return {"speakers": speakers, "box_units": "fraction" if picture else "pixels"}
