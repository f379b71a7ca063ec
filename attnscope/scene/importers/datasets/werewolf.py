"""Werewolf Among Us: games of One Night Ultimate Werewolf, and a few of Avalon, from YouTube and Ego4D.

Each split is a JSON list of games, `{video_name or EG_ID, Game_ID, playerNames, startRoles, endRoles, votingOutcome,
Dialogue}`; `Dialogue` is a list of `{Rec_Id, speaker, timestamp, utterance, annotation}`. The video of a game is
`VIDEO_GAME.mp4`. The two published tasks are asked as questions with options (the wording is ours):

- strategy: which persuasion strategy a line has, of six and "No Strategy", with the lines before it. The published task
  asks of each strategy whether a line has it; a line with several is therefore left out.
- vote: for whom a player votes at the end, after the whole game. Moderators do not vote and are not voted for.

Held against: the released code and other programs that read the files. Not held against real files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from attnscope.errors import SceneError
from attnscope.files import is_folder
from attnscope.scene.importers.datasets.reading import (
    IncompleteError,
    checked,
    clock,
    json_entries,
    members,
    notes,
    words,
)
from attnscope.scene.importers.registry import importer
from attnscope.scene.names import name_key
from attnscope.scene.records import LeftOut, Note, Record, SampleRecord

STRATEGIES = (
    "Identity Declaration",
    "Accusation",
    "Interrogation",
    "Call for Action",
    "Defense",
    "Evidence",
    "No Strategy",
)
TASKS = ("strategy", "vote")
_SUBSETS = ("Youtube", "Ego4D")
_KEYS = ("Dialogue", "Game_ID", "video_name", "EG_ID")
_NOBODY = ("NA", "N/A")


@dataclass(frozen=True)
class _Game:
    clip: str
    subset: str
    players: list[str]
    moderators: set[str]
    votes: list[Any]
    turns: list[dict[str, Any]]
    lines: list[Any]  # the records of the turns


@importer(
    name="werewolf",
    yields=("samples",),
    summary="Werewolf Among Us: the folder with Youtube/ and Ego4D/, one of these, or a split (.json)",
    documentation="https://huggingface.co/datasets/bolinlai/Werewolf-Among-Us",
    unverified="all files; what is known is the code that reads them",
)
def read_werewolf(
    path: Path, *, split: str = "test", tasks: str = "strategy,vote", context: int = 5
) -> Iterator[Record | Note]:
    """Read questions about games of Werewolf Among Us.

    Args:
        path: The folder as it is published, the folder of one subset, or the JSON of a split.
        split: Which split: train, val or test.
        tasks: Which tasks: strategy, vote, or both with a comma.
        context: Lines before the one whose strategy is asked for. Votes have the whole game.
    """
    wanted = [task.strip() for task in tasks.split(",") if task.strip()]
    wrong = next((task for task in wanted if task not in TASKS), None)
    if wrong is not None or not wanted:
        raise SceneError(f"{path}: tasks: {wrong or 'names none'}; choose from {', '.join(TASKS)}")
    if context < 0:
        raise SceneError(f"{path}: context: {context} is less than 0")
    counts: Counter[str] = Counter()
    for file in _files(path, split):
        for where, record in checked(file, json_entries(file), _KEYS, "Werewolf Among Us"):
            at = f"{file.parent.parent.name}/{file.name}{where}" if is_folder(path) else where
            try:
                game = _game(members(record), counts)
            except IncompleteError as lack:
                yield LeftOut(where=at, what="sample", reason=str(lack))
                continue
            if "strategy" in wanted:
                yield from _strategies(at, game, context)
            if "vote" in wanted:
                yield from _votes(at, game)
    yield from notes(path, counts)


def _files(path: Path, split: str) -> list[Path]:
    if not is_folder(path, SceneError):
        return [path]
    folders = [path / subset / "split" for subset in _SUBSETS] + [path / "split", path]
    found = [folder / f"{split}.json" for folder in folders if (folder / f"{split}.json").exists()]
    if not found:
        raise SceneError(f"{path}: holds no split/{split}.json, nor do {' and '.join(_SUBSETS)} in it")
    return found


def _game(record: dict[str, Any], counts: Counter[str]) -> _Game:
    """A game; each line lasts until the next one begins, the last one has no end (ours)."""
    subset = "YouTube" if record.get("video_name") else "Ego4D"
    video = words(record, "video_name" if subset == "YouTube" else "EG_ID", "has neither video_name nor EG_ID")
    clip = f"{video}_{words(record, 'Game_ID', 'has no Game_ID')}"
    names, dialogue = record.get("playerNames"), record.get("Dialogue")
    if not isinstance(names, list) or not all(isinstance(name, str) and name.strip() for name in names):
        raise IncompleteError("has no playerNames")
    if len({name_key(name) for name in names}) < len(names):
        raise IncompleteError("two of its players have one name")
    if not isinstance(dialogue, list):
        raise IncompleteError("has no Dialogue")
    roles = record.get("startRoles")
    roles = roles if isinstance(roles, list) and len(roles) == len(names) else [""] * len(names)
    moderators = {name.strip() for name, role in zip(names, roles, strict=True) if str(role).strip() == "Moderator"}
    turns: list[dict[str, Any]] = []
    lines: list[Any] = []
    for line in dialogue:
        try:
            entry = members(line)
            text = words(entry, "utterance", "lines have no words, and are no turns")
        except IncompleteError as lack:
            counts[str(lack)] += 1
            continue
        turn: dict[str, Any] = {"speaker": str(entry.get("speaker") or "").strip() or None, "text": text}
        try:
            turn["start"] = clock(entry.get("timestamp"), "lines have no time of the form MM:SS")
        except IncompleteError as lack:
            counts[str(lack)] += 1
        turns.append(turn)
        lines.append(entry)
    for turn, later in pairwise(turns):
        if "start" in turn and later.get("start", -1) >= turn["start"]:
            turn["end"] = later["start"]
    votes = record.get("votingOutcome")
    return _Game(
        clip,
        subset,
        [name.strip() for name in names],
        moderators,
        votes if isinstance(votes, list) else [],
        turns,
        lines,
    )


def _strategies(where: str, game: _Game, context: int) -> Iterator[Record]:
    """One question a line: which strategy it has."""
    for number, (turn, line) in enumerate(zip(game.turns, game.lines, strict=True)):
        at, name = f"{where}: Rec_Id {line.get('Rec_Id', number + 1)}", f"{game.clip}-{number + 1}-strategy"
        try:
            right = _strategy(line.get("annotation"))
            if turn["speaker"] is None:
                raise IncompleteError("nobody is named as its speaker")
            if turn["speaker"] not in game.players or turn["speaker"] in game.moderators:
                raise IncompleteError("its speaker does not play")
        except IncompleteError as lack:
            yield LeftOut(where=at, clip=game.clip, what="sample", reason=str(lack), name=name)
            continue
        start = turn.get("start")
        yield SampleRecord(
            where=at,
            clip=game.clip,
            id=name,
            question=f"Which persuasion strategy does {turn['speaker']} use in the last turn?",
            options=STRATEGIES,
            answer=right,
            window=None if start is None or turn.get("end", start) <= start else (start, turn["end"]),
            fields=_fields(game, "strategy"),
            scene_name=name,
            scene={"transcript": game.turns[max(0, number - context) : number + 1]},
        )


def _strategy(annotation: Any) -> str:
    found = annotation if isinstance(annotation, list) else [annotation]
    if not found:
        found = ["No Strategy"]
    if any(strategy not in STRATEGIES for strategy in found):
        raise IncompleteError("its annotation is none of the strategies")
    if len(set(found)) > 1:
        raise IncompleteError("has several strategies, and a question has one answer")
    return str(found[0])


def _votes(where: str, game: _Game) -> Iterator[Record]:
    """One question a player: for whom he votes."""
    for number, player in enumerate(game.players):
        at, name = f"{where}: votingOutcome[{number}]", f"{game.clip}-{number}-vote"
        options = tuple(other for other in game.players if other != player and other not in game.moderators)
        try:
            if player in game.moderators:
                raise IncompleteError("the player is the moderator, who does not vote")
            if len(game.votes) != len(game.players):
                raise IncompleteError("the game has another number of votes than of players")
            right = _vote(game, number)
            if right not in options:
                raise IncompleteError("the vote is for the player himself or for the moderator")
            if len(options) < 2 or not game.turns:
                raise IncompleteError("the game has fewer than two others, or no turns")
        except IncompleteError as lack:
            yield LeftOut(where=at, clip=game.clip, what="sample", reason=str(lack), name=name)
            continue
        yield SampleRecord(
            where=at,
            clip=game.clip,
            id=name,
            question=f"For whom does {player} vote at the end of the game?",
            options=options,
            answer=right,
            fields=_fields(game, "vote"),
            scene_name=f"{game.clip}-vote",
            scene={"transcript": game.turns},
        )


def _vote(game: _Game, number: int) -> str:
    vote = game.votes[number]
    if isinstance(vote, str) and vote.strip().upper() in _NOBODY:
        raise IncompleteError("the vote is not known, or for nobody")
    if isinstance(vote, bool) or not isinstance(vote, int) or not 0 <= vote < len(game.players):
        raise IncompleteError("the vote is none of the players' numbers")
    return game.players[vote]


def _fields(game: _Game, task: str) -> dict[str, Any]:
    people = len(game.players) - len(game.moderators)
    return {"dataset": "Werewolf Among Us", "task": task, "people": people, "subset": game.subset}
