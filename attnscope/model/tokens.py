"""The token table: one row a position, with its text, its role and its place in the video."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from attnscope.model.align import Alignment
from attnscope.model.layouts import LabelStyle, Places
from attnscope.model.place import coverage, label_frames, mean_times
from attnscope.model.render import Rendered, Span
from attnscope.vocabulary import (
    COVERED,
    SPECIAL,
    STRINGS,
    TEMPLATE,
    TEXT,
    TOKEN_COLUMNS,
    TRANSCRIPT,
    VISUAL,
    group_name,
)

if TYPE_CHECKING:
    from attnscope.scene import Boxes, Frames, Scene


def token_table(
    tokenizer: Any,
    rendered: Rendered,
    scene: Scene,
    frames: Frames,
    input_ids: Sequence[int],
    alignment: Alignment,
    visual: NDArray[np.bool_],
    places: Places | None,
    boxes: Boxes,
    *,
    labels: LabelStyle | None = None,
) -> pd.DataFrame:
    """Build the table of the prompt's positions, with the columns of the file format's `/tokens`.

    Args:
        tokenizer: The model's tokenizer.
        rendered: The prompt before expansion.
        scene: The scene.
        frames: What was shown.
        input_ids: Tokens of the expanded prompt; N of them.
        alignment: Their characters.
        visual: Positions that the model fills with visual features; [N].
        places: Places of the visual positions in order, None if unknown.
        boxes: Speaker boxes in the frames.
        labels: Where the text of each frame stands, None if frames have none.

    Returns:
        N rows; the columns of `TOKEN_COLUMNS`, then `covered:<name>` (float32) for each speaker of `boxes`.
    """
    count = len(input_ids)
    owner = [_owner(rendered, int(a), int(b)) for a, b in alignment.spans]
    in_block = np.zeros(count, bool)
    in_block[slice(*alignment.media)] = True
    special = np.isin(input_ids, [i for i, token in tokenizer.added_tokens_decoder.items() if token.special])
    role = np.array([span.role if span else TEMPLATE for span in owner], object)
    role[in_block] = TEMPLATE
    role[visual] = VISUAL
    turn = np.array([span.turn if span else -1 for span in owner], np.int32)
    turn[in_block] = -1
    modality = np.where(special | (role == TEMPLATE), SPECIAL, TEXT).astype(object)
    modality[visual] = VISUAL
    speakers = [turn.speaker or "" for turn in scene.transcript]
    texts = _texts(tokenizer, rendered.text, input_ids, alignment, in_block | special)
    covered, grid, box, note = _places(visual, places)
    if labels is not None:
        label_frames(covered, visual, alignment.media, texts, labels)
    columns: dict[str, Any] = {
        "position": np.arange(count),
        "token_id": np.asarray(input_ids),
        "text": np.array(texts, object),
        "char_start": alignment.spans[:, 0],
        "char_end": alignment.spans[:, 1],
        "modality": modality,
        "role": role,
        "turn": turn,
        "speaker": np.array([speakers[t] if t >= 0 else "" for t in turn], object),
        "frame_first": covered[:, 0],
        "frame_last": covered[:, 1],
        "time": mean_times(covered, frames.times),
        "grid_y": grid[:, 0],
        "grid_x": grid[:, 1],
        **{name: box[:, side] for side, name in enumerate(("x0", "y0", "x1", "y1"))},
        "note": note,
    }
    for name, xyxy in zip(boxes.speakers, boxes.xyxy, strict=True):
        columns[group_name(COVERED, name)] = coverage(box, covered, xyxy)
    return pd.DataFrame(columns).astype(
        {c.name: object if c.dtype == STRINGS else c.dtype for c in TOKEN_COLUMNS.values()}
    )


def _owner(rendered: Rendered, start: int, end: int) -> Span | None:
    """Return the span that a token belongs to: a turn or the question if it touches one."""
    touched = [span for span in rendered.spans if max(start, span.start) < min(end, span.end)]
    separators = [span for span in touched if span.role == TRANSCRIPT and span.turn < 0]
    return next((span for span in touched if span not in separators), touched[0] if touched else None)


def _texts(
    tokenizer: Any, text: str, input_ids: Sequence[int], alignment: Alignment, decode: NDArray[np.bool_]
) -> list[str]:
    """Return what each token stands for: its characters in the prompt, else its decoded id.

    The bytes of one character that takes several tokens (an emoji) all show that character.
    """
    known: dict[int, str] = {}
    texts = []
    for position, token in enumerate(input_ids):
        start, end = alignment.spans[position]
        if not decode[position] and end > start:
            texts.append(text[start:end])
            continue
        if token not in known:
            known[token] = tokenizer.decode([token], clean_up_tokenization_spaces=False)
        texts.append(known[token])
    return texts


def _places(
    visual: NDArray[np.bool_], places: Places | None
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32], NDArray[np.object_]]:
    """Spread the places of the visual positions over all positions: frames, grid, cells, notes."""
    count = len(visual)
    covered, grid = np.full((count, 2), -1, np.int32), np.full((count, 2), -1, np.int32)
    box, note = np.full((count, 4), np.nan, np.float32), np.full(count, "", object)
    if places is not None:
        covered[visual], grid[visual], box[visual] = places.frames, places.grid, places.box
        note[visual] = "" if places.note is None else list(places.note)
    return covered, grid, box, note
