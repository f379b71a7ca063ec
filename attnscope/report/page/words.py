"""What is said and asked, word by word, each coloured by how much it looks at the video; and the prompt as text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attnscope.report.figures.turns import speaker_colors
from attnscope.report.page.numbers import percents
from attnscope.report.page.scenery import GREY, frames_of, of_capture, time_line
from attnscope.scene.problems import seconds
from attnscope.vocabulary import ANSWER, MASSES, VISUAL

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.capture import Capture

STEPS = 5  # shades of a word
MOST_FRAMES, PIXELS = 12, 1_600_000  # on a page that has much else
QUESTION = "question"


def stage_page(cap: Capture) -> dict[str, Any]:
    """What a page shows of the scene of a capture without script: time line, frames, and the words.

    `words` has a line for each turn, then the question and the answer: `speaker`, `color`, `time`, and `words`, each
    with its `text`, its `share` of attention on the video (mean of all layers and heads; None where it is not known)
    and its shade `step`. `legend` says from where to where each shade goes; it is empty where no share is known.
    """
    scene, colors = of_capture(cap), speaker_colors(cap.scene)
    lines = _lines(cap, on_video(cap), colors)
    edges = _shade([word for line in lines for word in line["words"]])
    frames = frames_of(scene, colors, most=MOST_FRAMES, pixels=PIXELS)
    return {
        "people": [{"name": name, "color": color} for name, color in colors.items()],
        "line": time_line(scene, colors),
        "frames": frames,
        "left_out": len(scene.frames.times) - len(frames),
        "words": lines,
        "legend": [f"{low} to {high}" for low, high in pairwise(percents(edges))],
        "prompt": cap.prompt_text,
    }


def on_video(cap: Capture) -> NDArray[np.float64]:
    """The share of each position's attention that falls on visual tokens, mean of all layers and heads.

    Returns:
        [P]; NaN where it was not read.
    """
    shares = np.full(len(cap.tokens), np.nan)
    if not cap.has(MASSES):
        return shares
    total: NDArray[np.float64] | None = None
    positions: NDArray[np.int64] = np.empty(0, np.int64)
    for layer in cap.layers:  # one at a time: all together take much memory
        masses = cap.masses(layer=int(layer))
        if f"modality:{VISUAL}" not in masses.coords["key_group"].to_numpy().tolist():
            return shares
        own = masses.sel(key_group=f"modality:{VISUAL}").mean("head")
        positions = own.coords["query"].to_numpy().astype(np.int64)
        values = own.to_numpy().astype(np.float64)
        total = values if total is None else total + values
    if total is not None:
        shares[positions] = total / len(cap.layers)
    return shares


def _lines(cap: Capture, shares: NDArray[np.float64], colors: Mapping[str, str]) -> list[dict[str, Any]]:
    tokens = cap.tokens
    lines: list[dict[str, Any]] = []
    for number, turn in enumerate(cap.scene.transcript):
        own = tokens[(tokens["turn"] == number) & (tokens["modality"] != VISUAL)]
        times = [seconds(time) for time in (turn.start, turn.end) if time is not None]
        words = _words(own, shares) or [{"text": turn.text, "share": None, "step": None}]
        lines.append(
            {
                "speaker": turn.speaker or "no speaker",
                "color": colors.get(turn.speaker or "", GREY),
                "time": " to ".join(times) + (" s" if times else ""),
                "words": words,
            }
        )
    for role, title in ((QUESTION, "Question"), (ANSWER, "Answer")):
        words = _words(tokens[tokens["role"] == role], shares)
        if words:
            lines.append({"speaker": title, "color": None, "time": "", "words": words})
    return lines


def _words(own: pd.DataFrame, shares: NDArray[np.float64]) -> list[dict[str, Any]]:
    """Tokens joined to words; the share of a word is the mean of its tokens'."""
    groups: list[list[int]] = []
    texts = own["text"].astype(str).tolist()
    for place, text in enumerate(texts):
        begins = not groups or text[:1].isspace() or texts[place - 1][-1:].isspace()
        groups.append([place]) if begins else groups[-1].append(place)
    words = []
    for group in groups:
        values = shares[own.index[group].to_numpy()]
        share = float(np.mean(values)) if len(values) and np.isfinite(values).all() else None
        text = "".join(texts[place] for place in group).strip()
        if text:
            words.append({"text": text, "share": share, "step": None})
    return words


def _shade(words: Sequence[dict[str, Any]]) -> list[float]:
    """Give each word its shade, from 1 on, and return where the shades begin and end; [] where all words are alike."""
    known = [word["share"] for word in words if word["share"] is not None]
    if not known or min(known) == max(known):
        return []
    low, width = min(known), (max(known) - min(known)) / STEPS
    for word in words:
        if word["share"] is not None:
            word["step"] = min(math.floor((word["share"] - low) / width) + 1, STEPS)
    return [low + width * number for number in range(STEPS + 1)]
