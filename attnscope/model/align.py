"""Give every token of the expanded prompt its characters in the prompt before expansion."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.errors import ModelError
from attnscope.model.media import text_kwargs

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel
    from attnscope.model.render import Rendered


@dataclass(frozen=True)
class Alignment:
    """Character spans of the tokens.

    Attributes:
        spans: First and one past the last character in `text`; int32 [N, 2].
        media: First and one past the last position of the expanded media block.
        text: The rendered prompt, with what the processor put after it.
    """

    spans: NDArray[np.int32]
    media: tuple[int, int]
    text: str


def align(loaded: LoadedModel, rendered: Rendered, input_ids: Sequence[int], visual_ids: Collection[int]) -> Alignment:
    """Match the processor's tokens with those of the rendered prompt, whose character offsets are known.

    Both are the same but for the media placeholder, which the processor expands: what is left between the
    longest common beginning and the longest common end is the expanded block, and gets the placeholder's
    characters. A token that the processor itself puts before the prompt (Molmo2) has none, and a line break that it
    puts after it (PaliGemma) is more text.

    Raises:
        ModelError: The two do not fit together this way.
    """
    media, problem = {*visual_ids}, ""
    for text in (rendered.text, f"{rendered.text}\n"):
        plain, offsets = _tokens(loaded, text)
        if input_ids[0] not in {*media, plain[0]} and input_ids[1] == plain[0]:
            plain, offsets = [input_ids[0], *plain], np.concatenate([np.zeros((1, 2), np.int32), offsets])
        head = _common(plain, input_ids, media)
        tail = _common(plain[head:][::-1], input_ids[head:][::-1], media)
        left = offsets[head : len(plain) - tail]  # the placeholder, perhaps with white space merged to it
        start, end = (int(left[:, 0].min()), int(left[:, 1].max())) if len(left) else (0, 0)
        inside = text[start:end]
        start, end = start + len(inside) - len(inside.lstrip()), end - len(inside) + len(inside.rstrip())
        first, last = head, len(input_ids) - tail
        outside = media.intersection([*input_ids[:first], *input_ids[last:]])
        if (
            start < end
            and first < last
            and not outside
            and not any(_overlap((start, end), block) for block in rendered.blocks)
        ):
            middle = np.tile(np.array([[start, end]], np.int32), (last - first, 1))
            spans = np.concatenate([offsets[:head], middle, offsets[len(plain) - tail :]])
            return Alignment(spans, (first, last), text)
        problem = problem or (
            f"{loaded.id}: the processor's {len(input_ids)} tokens do not fit the {len(plain)} tokens of the "
            f"rendered prompt around its media placeholder (first difference at token {head})"
        )
    raise ModelError(problem)


def _tokens(loaded: LoadedModel, text: str) -> tuple[list[int], NDArray[np.int32]]:
    """Tokens of a text and their characters, [N, 2]."""
    encoding = loaded.tokenizer(text, return_offsets_mapping=True, **text_kwargs(loaded, text))
    offsets = np.array(encoding["offset_mapping"], np.int32).reshape(-1, 2)
    _close_gaps(offsets, text)
    return list(encoding["input_ids"]), offsets


def _close_gaps(offsets: NDArray[np.int32], text: str) -> None:
    """Give a character that no token covers to the token before it, in place; white space stays uncovered.

    A tokenizer that composes "e" and a combining accent into one character reports the "e" alone.
    """
    for token in range(len(offsets) - 1):
        gap = text[offsets[token, 1] : offsets[token + 1, 0]]
        if gap and not any(character.isspace() for character in gap):
            offsets[token, 1] = offsets[token + 1, 0]


def _common(left: Sequence[int], right: Sequence[int], stop: set[int]) -> int:
    """Length of the longest common beginning that holds no media token."""
    count = 0
    for a, b in zip(left, right, strict=False):
        if a != b or a in stop:
            break
        count += 1
    return count


def _overlap(left: tuple[int, int], right: tuple[int, int]) -> bool:
    return max(left[0], right[0]) < min(left[1], right[1])
