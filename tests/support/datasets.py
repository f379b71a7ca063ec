"""Data sets of a thousand invented records, with the oddities of real ones, and what must come of each.

Each generator deals its records from kinds whose outcome is known, so that the expected counts owe nothing to the code
under test.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAMES = ("Ada", "Ben", "Cleo", "Dan", "Eva")
STRATEGIES = (
    "Identity Declaration",
    "Accusation",
    "Interrogation",
    "Call for Action",
    "Defense",
    "Evidence",
)


@dataclass
class Expected:
    """How many samples are imported, and what is left out for which reason."""

    samples: int = 0
    left: Counter[tuple[str, str]] = field(default_factory=Counter)


def tvqa_question(number: int, rng: random.Random, expected: Expected) -> Any:
    """A question of TVQA+ and what it adds to the counts."""
    record: dict[str, Any] = {
        "qid": 1000 + number,
        "q": f"Who holds the cup when {rng.choice(NAMES)} talks ?",
        **{f"a{i}": f"{name} holds it ." for i, name in enumerate(NAMES)},
        "answer_idx": rng.choice([str(rng.randrange(5)), rng.randrange(5)]),
        "ts": rng.choice([[1.0, 5.4], "1.0-5.4", [2.0, 2.0], ["nan", "nan"], None]),
        "vid_name": f"s01e01_seg01_clip_{number % 40:02d}",
        "bbox": {},
    }
    odd = ["q", "a3", "same", "idx", "test", "bbox", "frame", "clip", "lost", "text"]
    kind = rng.choice(["fine"] * 12 + odd) if number else "fine"
    broken = {
        "q": ({"q": " "}, "has no question"),
        "a3": ({"a3": None}, "has no answer a3"),
        "same": ({"a3": record["a4"]}, "two of its answers are the same"),
        "idx": ({"answer_idx": "7"}, "its answer_idx is none of 0 to 4"),
        "test": ({"answer_idx": None}, "has no right answer (the test set is published without)"),
        "bbox": ({"bbox": []}, "has no bbox"),
        "frame": ({"bbox": {"0": []}}, "a frame of its bbox is no number from 1, or no list of boxes"),
        "clip": ({"vid_name": "s09e09_seg09_clip_99"}, "the subtitles lack its clip"),
        "lost": ({"vid_name": ""}, "has no vid_name"),
    }
    if kind == "text":
        expected.left["sample", "the record is not an object"] += 1
        return "a line that is no question"
    if kind in broken:
        changes, reason = broken[kind]
        expected.left["sample", reason] += 1
        return record | changes
    frames = rng.sample(range(1, 200, 6), rng.randrange(6))
    rng.shuffle(frames)
    record["bbox"] = {str(frame): list(_tvqa_boxes(frame, rng, expected)) for frame in frames}
    expected.samples += 1
    return dict(sorted(record.items(), key=lambda _: rng.random()))


def _tvqa_boxes(frame: int, rng: random.Random, expected: Expected) -> Iterator[dict[str, Any]]:
    """The boxes of one frame; of two of a name the larger one is kept, whatever their order and letter case."""
    people = rng.sample(NAMES, rng.randrange(4))
    boxes: list[dict[str, Any]] = []

    def box(label: Any, **changes: Any) -> dict[str, Any]:
        shape = {"left": rng.randrange(300), "top": rng.randrange(100), "width": 100, "height": 200}
        return {"img_id": frame, "label": label} | shape | changes

    def leave_out(made: dict[str, Any], reason: str) -> None:
        boxes.append(made)
        expected.left["box", reason] += 1

    for name in people:
        boxes.append(box(rng.choice([name, name.upper(), f" {name}"])))
        if rng.random() < 0.2:
            again = "a larger box of the same name is in the same frame"
            leave_out(box(name.lower(), width=1, height=1), again)
    odd = rng.random()
    if odd < 0.1:
        leave_out(box("Fay", left=700), "the box lies outside the picture")
    elif odd < 0.2:
        leave_out(box("Fay", width=0), "the box has no area")
    elif odd < 0.3:
        leave_out(box("Fay", top=None), "the box has no top")
    elif odd < 0.4:
        leave_out(box("barstool"), "the label is a thing, not a person (things=true keeps it)")
    elif odd < 0.5:
        leave_out(box(["Fay"]), "the box has no label")
    elif odd < 0.6:
        boxes.append(box("Gus", left=-50, width=900))
    rng.shuffle(boxes)
    yield from boxes


def tvqa_subtitles(clips: int = 40) -> dict[str, Any]:
    """What is said in each clip of `tvqa_question`; everybody speaks somewhere."""
    lines = [f"{name} : This is what {name} says ." for name in NAMES]
    said = " <eos> ".join([*lines, "( Music plays . )"])
    return {
        f"s01e01_seg01_clip_{number:02d}": {"sub_text": said, "sub_time": [0.5, 2.0, 1.5, 4.0, 6.0, 8.0]}
        for number in range(clips)
    }


def write_list(path: Path, items: Iterator[Any]) -> Path:
    """Write a JSON list item by item."""
    with path.open("w", encoding="utf-8") as file:
        file.write("[")
        for number, item in enumerate(items):
            file.write(("" if number == 0 else ",\n") + json.dumps(item))
        file.write("]\n")
    return path


def tvqa(folder: Path, count: int, seed: int = 0) -> Expected:
    """Write a folder of TVQA+ with as many questions."""
    rng, expected = random.Random(seed), Expected()
    folder.mkdir(parents=True, exist_ok=True)
    write_list(folder / "tvqa_plus_val.json", (tvqa_question(number, rng, expected) for number in range(count)))
    (folder / "tvqa_plus_subtitles.json").write_text(json.dumps(tvqa_subtitles()), encoding="utf-8")
    return expected


def mmsi(folder: Path, games: int, lines: int, seed: int = 0, keypoints: bool = True) -> Expected:
    """Write transcripts, labelled copies, game data and key points of MMSI."""
    import numpy as np

    rng, expected = random.Random(seed), Expected()
    for name in ("plain", "labelled", "meta", "keypoints"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(games):
        game, players = f"Video {number}_Game1", rng.randrange(3, 7)
        plain, labelled = zip(*(_mmsi_line(i, players, rng, expected) for i in range(lines)), strict=True)
        (folder / "plain" / f"{game}.txt").write_text("\n".join(plain) + "\n\n", encoding="utf-8")
        (folder / "labelled" / f"{game}.txt").write_text("\n".join(labelled), encoding="utf-8")
        names = {"playerNames": [f"somebody {i}" for i in range(players)]}
        (folder / "meta" / f"Video {number}.json").write_text(json.dumps({"Game1": names}), encoding="utf-8")
        if keypoints:
            frames = np.empty(50, dtype=object)
            for at in range(50):
                frames[at] = [_mmsi_person(i, rng) for i in range(rng.randrange(players + 2))]
            np.save(folder / "keypoints" / f"{game}.npy", frames, allow_pickle=True)
    return expected


def _mmsi_line(number: int, players: int, rng: random.Random, expected: Expected) -> tuple[str, str]:
    speaker, other = rng.sample(range(players), 2)
    head = f"[Player{speaker}] ({number // 20:02d}:{number * 3 % 60:02d}): "
    kind = rng.choice(["target", "crowd", "pronoun", "named", "beyond", "narrator", "nothing"])
    if kind == "target":
        expected.samples += 1  # one target, though `you` is said twice
        plain = f"{head}I think you did it and you know."
        return plain, f"{plain} [Player{other}]"
    if kind == "crowd":
        plain = f"{head}Did you see that?"
        return plain, f"{plain} [Player{other} Player{speaker}]"
    if kind == "pronoun":
        expected.samples += 2
        return f"{head}He's lying, the card is his.", f"{head}[Player{other}] lying, the card is [Player{other}]."
    if kind == "named":
        expected.samples += 1
        plain = f"{head}Why does [Player{other}], of all, say the same?"
        return plain, plain
    if kind == "beyond":
        expected.left["sample", "its answer is none of the game's players"] += 1
        plain = f"{head}Ask [Player{players}] then."
        return plain, plain
    if kind == "narrator":
        plain = f"Audio ({number // 20:02d}:{number * 3 % 60:02d}): Did you open your eyes, [Player0]?"
        return plain, f"{plain} [Player{other}]"
    plain = f"{head}Nothing here."
    return plain, plain


def _mmsi_person(number: int, rng: random.Random) -> dict[str, Any]:
    points = []
    for _ in range(17):
        points += [rng.uniform(50, 150), rng.uniform(40, 240), rng.choice([0.0, 0.9])]
    return {"idx": number, "keypoints": points}


def online_mmsi(folder: Path, count: int, seed: int = 0) -> Expected:
    """Write test/metadata.csv of Online-MMSI."""
    import csv

    rng, expected = random.Random(seed), Expected()
    (folder / "test").mkdir(parents=True, exist_ok=True)
    with (folder / "test" / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["video_name", "user", "assistant"])
        for number in range(count):
            players = rng.randrange(2, 7)
            everybody = ", ".join(f"Player{i}" for i in range(players))
            user = (
                f"In the video, the red and other colors correspond to {everybody}, respectively. The subtiles are: "
                f'[Player1]: What, "now"? [Player0]: You there? (To [MASK])\n'
                "Identify which player the speaker is talking to in the sentence with (To [MASK]) by Player0? "
                "Predict the upcoming conversations."
            )
            row, reason = [f"game {number} 3.mp4", user, "Player1. The upcoming conversations: [Player1]: Yes."], ""
            kind = rng.choice(["fine"] * 5 + ["answer", "video", "subtitles", "stranger", "cells"])
            if kind == "answer":
                row[2], reason = "The player is Player1", "the first seven characters of assistant are no player"
            elif kind == "video":
                row[0], reason = "", "has no video_name"
            elif kind == "subtitles":
                row[1], reason = "Who is it?", "what user says has no subtitles with a question below them"
            elif kind == "stranger":
                row[2], reason = "Player9.", "its answer is none of the players that user names"
            elif kind == "cells":
                row, reason = [*row, "more"], "the row has more cells than the header"
            writer.writerow(row)
            if reason:
                expected.left["sample", reason] += 1
            else:
                expected.samples += 1
    return expected


def werewolf(folder: Path, count: int, seed: int = 0) -> Expected:
    """Write Youtube/split/test.json and Ego4D/split/test.json of Werewolf Among Us: games of ten lines."""
    rng, expected = random.Random(seed), Expected()
    for subset, key in (("Youtube", "video_name"), ("Ego4D", "EG_ID")):
        (folder / subset / "split").mkdir(parents=True, exist_ok=True)
        games = (_werewolf_game(number, key, rng, expected) for number in range(count // 2))
        write_list(folder / subset / "split" / "test.json", games)
    return expected


def _werewolf_game(number: int, key: str, rng: random.Random, expected: Expected) -> dict[str, Any]:
    game: dict[str, Any] = {key: f"{key} {number}", "Game_ID": "Game1", "playerNames": list(NAMES)}
    game |= {"startRoles": ["Villager"] * 4 + ["Moderator"], "Dialogue": [], "votingOutcome": []}
    broken = {
        "names": ({"playerNames": None}, "has no playerNames"),
        "twins": ({"playerNames": ["Ada", "Ada"]}, "two of its players have one name"),
        "silent": ({"Dialogue": "none"}, "has no Dialogue"),
    }
    kind = rng.choice(["fine"] * 9 + list(broken)) if number else "fine"
    if kind in broken:
        changes, reason = broken[kind]
        expected.left["sample", reason] += 1
        return game | changes
    several = "has several strategies, and a question has one answer"
    for line in range(10):
        entry: dict[str, Any] = {
            "Rec_Id": line + 1,
            "speaker": rng.choice(NAMES[:4]),
            "timestamp": rng.choice([f"00:{5 * line:02d}", f"0:00:{5 * line:02d}", "late", None]),
            "utterance": f"I say line {line}.",
            "annotation": rng.choice([["No Strategy"], [], [rng.choice(STRATEGIES)]]),
        }
        odd = rng.choice(["fine"] * 6 + ["two", "odd", "audio", "nobody", "empty"]) if line else "fine"
        if odd == "two":
            entry["annotation"] = ["Defense", "Evidence"]
            expected.left["sample", several] += 1
        elif odd == "odd":
            entry["annotation"] = ["Bluff"]
            expected.left["sample", "its annotation is none of the strategies"] += 1
        elif odd == "audio":
            entry["speaker"] = rng.choice(["Game Audio", "Eva"])
            expected.left["sample", "its speaker does not play"] += 1
        elif odd == "nobody":
            entry["speaker"] = None
            expected.left["sample", "nobody is named as its speaker"] += 1
        elif odd == "empty":
            entry["utterance"] = ""
        else:
            expected.samples += 1
        game["Dialogue"].append(entry)
    votes: list[Any] = []
    outcomes = {
        "NA": "the vote is not known, or for nobody",
        9: "the vote is none of the players' numbers",
        4: "the vote is for the player himself or for the moderator",
    }
    for player in range(4):
        vote = rng.choice([(player + 1) % 4, *outcomes])
        votes.append(vote)
        if vote in outcomes:
            expected.left["sample", outcomes[vote]] += 1
        else:
            expected.samples += 1
    expected.left["sample", "the player is the moderator, who does not vote"] += 1
    return game | {"votingOutcome": [*votes, "NA"]}


def friends_mmc(folder: Path, count: int, seed: int = 0) -> Expected:
    """Write test-metadata.json of Friends-MMC: conversations of five turns."""
    rng, expected = random.Random(seed), Expected()
    folder.mkdir(parents=True, exist_ok=True)

    def conversation(number: int) -> list[Any]:
        people = rng.sample(NAMES, 3)
        turns: list[Any] = []
        for place in range(5):
            turn: dict[str, Any] = {
                "frame": f"s03e{number % 20:02d}-{number * 100 + place:06d}",
                "speaker": people[place % 3],
                "content": f"This is turn {place}.",
                "faces": [[[100 * i, 50, 100 * i + 80, 150], name] for i, name in enumerate(people)],
            }
            kind = (
                rng.choice(["fine"] * 6 + ["absent", "content", "twice", "outside", "pair", "edge"])
                if place
                else "fine"
            )
            left = ""
            if kind == "absent":
                turn["speaker"], left = "Gunther", "its speaker's face is nowhere in the conversation"
            elif kind == "content":
                turn["content"], left = None, "has no content"
            elif kind == "twice":
                turn["faces"].insert(0, [[0, 0, 5, 5], people[0].upper()])
                expected.left["box", "a larger box of the same name is in the same frame"] += 1
            elif kind == "outside":
                turn["faces"].append([[1300, 50, 1400, 150], people[1]])
                expected.left["box", "the box lies outside the picture"] += 1
            elif kind == "pair":
                turn["faces"].append([[1, 2, 3], people[1]])
                expected.left["box", "the face is no pair of a box and a name"] += 1
            elif kind == "edge":
                turn["faces"][0][0] = [-20, -10, 60, 150]
            if left:
                expected.left["sample", left] += 1
            else:
                expected.samples += 1
            turns.append(turn)
        return turns

    write_list(folder / "test-metadata.json", (conversation(number) for number in range(count // 5)))
    return expected


def av_speakerbench(path: Path, count: int, seed: int = 0) -> Expected:
    """Write the table of AV-SpeakerBench, in the format of the path's suffix."""
    rng, expected = random.Random(seed), Expected()
    rows = []
    for number in range(count):
        row: dict[str, Any] = {
            "question_id": f"q{number}",
            "task_id": rng.choice(["speaker_detection", "speech_rate"]),
            "category": "Speaker-centric",
            "question": "Who speaks the most quietly?",
            "choices": str([f"{letter}. {name}" for letter, name in zip("ABCD", NAMES, strict=False)]),
            "answer": rng.choice("ABCD"),
            "audio_visual_path": f"clips/{number % 50}.mp4",
            "visual_path": f"silent/{number % 50}.mp4",
        }
        broken = {
            "letter": ({"answer": "E"}, "its answer is none of the letters of its choices"),
            "code": ({"choices": "__import__('os').getcwd()"}, "its choices are no list of two or more"),
            "same": ({"choices": "['A. Ada', 'B. Ada']", "answer": "A"}, "two of its choices are the same"),
            "path": ({"audio_visual_path": None}, "has no audio_visual_path"),
            "task": ({"task_id": None}, "has no task_id"),
        }
        kind = rng.choice(["fine"] * 8 + list(broken)) if number else "fine"
        if kind in broken:
            changes, reason = broken[kind]
            row |= changes
            expected.left["sample", reason] += 1
        else:
            expected.samples += 1
        rows.append(row)
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        import pandas as pd

        frame = pd.DataFrame(rows)
        frame.to_parquet(path) if path.suffix == ".parquet" else frame.to_csv(path, index=False)
    return expected
