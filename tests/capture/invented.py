"""An invented scene with its token table and its sets of positions, in the shapes of docs/format.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

WIDTH, HEIGHT, ROWS, COLUMNS = 96, 64, 2, 3  # the source, and the grid of visual tokens in a frame
NAMES = ("Ann", "Ben", "Cleo", "Dan", "Eve", "Fay")


# ---- the scene and its tokens


def scene(names: list[str], frames: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The speakers stand side by side; speaker s is out of sight in frame s."""
    boxes, each = {}, WIDTH / max(len(names), 1)
    for s, name in enumerate(names):
        box = [s * each - 2, 5, (s + 1) * each - 2, 60]
        box = [max(box[0], 0), *box[1:]]
        shown = [f for f in range(frames) if f != s]
        boxes[name] = {
            "segments": [
                {
                    "start": max(0.0, f * 0.5 - 0.1),
                    "end": f * 0.5 + 0.1,
                    "keyframes": [{"t": f * 0.5, "xyxy": box}],
                }
                for f in shown
            ]
        }
    turns = []
    for n in range(len(names) + 1):
        who = names[n % len(names)] if names else None
        turns.append({"speaker": who, "text": f"words of turn {n}", "start": 0.4 * n, "end": 0.4 * n + 0.4})
    scene = {
        "video": "/nowhere/clip.mp4",
        "speakers": boxes,
        "transcript": turns,
        "question": "Who speaks first ?",
        "options": names,
        "answer": names[0] if names else None,
        "box_units": "pixels",
    }
    return scene, turns


def tokens(
    prompt: int, generated: int, names: list[str], turns: list[dict[str, Any]], frames: int
) -> tuple[pd.DataFrame, str]:
    """The token table and the prompt's text, one word a token."""
    spans: list[tuple[str, str, str, int]] = []  # text, modality, role, turn
    spans += [
        ("<s>", "special", "template", -1),
        ("Be ", "text", "system", -1),
        ("fair.\n", "text", "system", -1),
    ]
    spans += [("<user>", "special", "template", -1)]
    media = len(spans)
    tail = [
        ("Who ", "text", "question", -1),
        ("speaks ", "text", "question", -1),
        ("first ", "text", "question", -1),
    ]
    tail += [
        ("?\n", "text", "question", -1),
        ("</s>", "special", "template", -1),
        ("<bot>", "special", "template", -1),
    ]
    room = prompt - media - len(tail) - ROWS * COLUMNS * frames
    for n, turn in enumerate(turns):
        count = room // len(turns) + (n < room % len(turns))
        words = [f"{turn['speaker']}: " if turn["speaker"] else "- ", *(f"w{i} " for i in range(count - 1))]
        spans += [(word, "text", "transcript", n) for word in words]
    spans += tail
    rows, text = [], ""
    for n, (word, modality, role, turn) in enumerate(spans):
        if n == media:
            placeholder = (len(text), len(text) + len("<video>"))
            text += "<video>"
            rows += [_visual(f, y, x, placeholder) for f in range(frames) for y in range(ROWS) for x in range(COLUMNS)]
        who = turns[turn]["speaker"] or "" if turn >= 0 else ""
        rows.append(_row(word, (len(text), len(text) + len(word)), modality, role, turn=turn, speaker=who))
        text += word
    rows += [_row(f"a{k}", (-1, -1), "text", "answer") for k in range(max(0, generated - 1))]
    table = pd.DataFrame(rows)
    table.insert(0, "position", np.arange(len(table), dtype=np.int32))
    table.insert(1, "token_id", (np.arange(len(table)) * 7 % 101).astype(np.int32))
    for s, name in enumerate(names):
        table[f"covered:{name}"] = _covered(table, s, len(names))
    whole = ["char_start", "char_end", "turn", "frame_first", "frame_last", "grid_y", "grid_x"]
    whole_numbers = dict.fromkeys(whole, np.int32)
    return table.astype(whole_numbers | dict.fromkeys(("x0", "y0", "x1", "y1"), np.float32)), text


def _row(text: str, span: tuple[int, int], modality: str, role: str, **more: Any) -> dict[str, Any]:
    row = {
        "text": text,
        "char_start": span[0],
        "char_end": span[1],
        "modality": modality,
        "role": role,
        "turn": -1,
        "speaker": "",
        "frame_first": -1,
        "frame_last": -1,
        "time": np.nan,
        "grid_y": -1,
        "grid_x": -1,
        "x0": np.nan,
        "y0": np.nan,
        "x1": np.nan,
        "y1": np.nan,
    }
    return row | more


def _visual(frame: int, y: int, x: int, span: tuple[int, int]) -> dict[str, Any]:
    h, w = HEIGHT / ROWS, WIDTH / COLUMNS
    box = {"x0": x * w, "y0": y * h, "x1": (x + 1) * w, "y1": (y + 1) * h}
    place = {"frame_first": frame, "frame_last": frame, "time": frame * 0.5, "grid_y": y, "grid_x": x}
    return _row("<v>", span, "visual", "visual", **place, **box)


def _covered(table: pd.DataFrame, s: int, speakers: int) -> np.ndarray:
    """The fraction of each cell inside the box of speaker s."""
    each = WIDTH / speakers
    left, top, right, bottom = max(s * each - 2, 0), 5, (s + 1) * each - 2, 60
    wide = np.clip(np.minimum(table["x1"], right) - np.maximum(table["x0"], left), 0, None)
    high = np.clip(np.minimum(table["y1"], bottom) - np.maximum(table["y0"], top), 0, None)
    inside = wide * high / (WIDTH / COLUMNS * HEIGHT / ROWS)
    inside = np.where(table["frame_first"] == s, 0.0, inside)
    return np.where(table["modality"] == "visual", inside, np.nan).astype(np.float32)


# ---- sets of positions


def key_groups(tokens: pd.DataFrame, names: list[str]) -> tuple[pd.DataFrame, np.ndarray]:
    groups: list[tuple[str, str, Any]] = []
    groups += [(m, "modality", tokens["modality"] == m) for m in ("text", "visual", "special")]
    groups += [
        (r, "role", tokens["role"] == r) for r in ("system", "template", "visual", "transcript", "question", "answer")
    ]
    groups += [(f"text:{s}", "speaker_text", tokens["speaker"] == s) for s in names]
    groups += [(f"visual:{s}", "speaker_visual", tokens[f"covered:{s}"] >= 0.5) for s in names]
    for f in range(int(tokens["frame_first"].max()) + 1):
        groups.append((f"frame:{f}-{f}", "frame", tokens["frame_first"] == f))
    groups += [(f"sink:{m}", "sink", tokens["modality"] == m) for m in ("text", "visual", "special")]
    member = np.stack([np.asarray(g[2], bool) for g in groups])
    return pd.DataFrame([g[:2] for g in groups], columns=["name", "family"]), member


def query_groups(
    tokens: pd.DataFrame, names: list[str], turns: list[dict[str, Any]], prompt: int
) -> tuple[pd.DataFrame, np.ndarray]:
    groups: list[tuple[str, str, str, Any]] = []
    groups += [(f"turn:{n}", "turn", str(n), tokens["turn"] == n) for n in range(len(turns))]
    groups += [(f"speaker:{s}", "speaker", s, tokens["speaker"] == s) for s in names]
    groups += [("question", "question", "", tokens["role"] == "question")]
    groups += [("answer_position", "answer_position", "", tokens["position"] == prompt - 1)]
    for k in range(len(tokens) - prompt):
        groups.append((f"generated:{k}", "generated", str(k), tokens["position"] == prompt + k))
    member = np.stack([np.asarray(g[3], bool) for g in groups])
    return pd.DataFrame([g[:3] for g in groups], columns=["name", "kind", "ref"]), member
