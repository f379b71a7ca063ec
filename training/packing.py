"""Several questions about one clip in one sequence: the clip is read once, the questions do not see each other.

The tokens and positions are those of the prompts that users send (`attnscope.model.build_prompt`); a test compares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnscope.demo.cast import FPS, SLOT, THINGS
from attnscope.demo.questions import SOCIAL, Question
from attnscope.demo.script import Clip
from training.attention import PackedMask
from training.pixels import SLOTS, TOKENS, grid

IGNORED = -100
WAYS = 3  # places on the way to an answer


@dataclass(frozen=True)
class Packed:
    """A batch of clips with questions: P tokens of each clip, then K questions of S tokens.

    Attributes:
        ids: [B, P + K * S] token ids.
        positions: [3, B, P + K * S] time, row and column positions.
        targets: [B, P + K * S] id to be predicted at a position, IGNORED nearly everywhere.
        places: [B, P + K * S, WAYS] where an answer begins: seat of the one who is asked about; for questions that lead
            on to another, that one's seat; spot of the thing asked about; else IGNORED.
        layout: P, K, S, and which tokens of the prefix are real.
    """

    ids: Tensor
    positions: Tensor
    targets: Tensor
    places: Tensor
    layout: PackedMask

    def to(self, device: Any) -> Packed:
        """On another device."""
        layout = replace(self.layout, real=self.layout.real.to(device))
        ids, positions, targets, places = (x.to(device) for x in (self.ids, self.positions, self.targets, self.places))
        return Packed(ids, positions, targets, places, layout)


class Packer:
    """Writes prompts as token ids.

    Args:
        model: For its position rule.
        processor: For its tokenizer and chat template.
        slots: How many slots of a clip are shown.
    """

    def __init__(self, model: Any, processor: Any, slots: int = SLOTS) -> None:
        self.slots = slots
        self.tokenizer = processor.tokenizer
        content = [{"type": "video"}, {"type": "text", "text": "\ue000"}]
        text = processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
        before, after = text.split("\ue000")
        head = self._ids(before)
        video = model.config.video_token_id
        at = head.index(video)
        self.head = [*head[:at], *[video] * (slots * TOKENS), *head[at + 1 :]]
        self.tail = self._ids(after)
        self.end = self.tokenizer.convert_tokens_to_ids("<|im_end|>")
        self.video = video
        self.positions = self._positions(model)
        self.piece = lru_cache(maxsize=None)(self._ids)

    def _ids(self, text: str) -> list[int]:
        return list(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def _positions(self, model: Any) -> Tensor:
        """Positions of the head by the model's own rule, [3, head]."""
        ids = torch.tensor([self.head])
        kinds = (ids == self.video).long() * 2
        seconds = torch.tensor([SLOT / FPS])
        grids = grid(self.slots)
        positions, _ = model.model.get_rope_index(ids, kinds, video_grid_thw=grids, second_per_grid_ts=seconds)
        return torch.as_tensor(positions)[:, 0]

    def transcript(self, clip: Clip) -> list[int]:
        """The lines before the question."""
        newline = self.piece("\n")
        out: list[int] = []
        for turn in clip.turns:
            if out:
                out += newline
            name = f"{clip.people[turn.speaker].name}: " if clip.named else ""
            out += self.piece(name + turn.text)
        return [*out, *newline, *newline] if out else out

    def question(self, question: Question, options: Sequence[str]) -> tuple[list[int], int]:
        """Question, options, end of the message, answer; and the answer's length in tokens."""
        text = list(self.piece(question.text))
        if options:
            text += self.piece("\nOptions:")
            for option in options:
                text += self.piece(f"\n- {option}")
            text += self.piece("\nAnswer with one of the options.")
        answer = self.piece(question.answer)
        return [*text, *self.tail, *answer], len(answer)

    def pack(self, clips: Sequence[Clip], asked: Sequence[Sequence[tuple[Question, Sequence[str]]]]) -> Packed:
        """A batch; `asked` holds questions with the options as shown (none: not shown)."""
        prefixes = [[*self.head, *self.transcript(clip)] for clip in clips]
        written = [[self.question(*pair) for pair in some] for some in asked]
        p, k = max(map(len, prefixes)), max(map(len, written))
        s = max(len(text) for some in written for text, _ in some)
        ids = np.zeros((len(clips), p + k * s), dtype=np.int64)
        targets = np.full_like(ids, IGNORED)
        places = np.full((*ids.shape, WAYS), IGNORED)
        text_position = np.zeros_like(ids)
        for row, (prefix, some) in enumerate(zip(prefixes, written, strict=True)):
            ids[row, : len(prefix)] = prefix
            start = int(self.positions.max()) + 1 - len(self.head)
            text_position[row, :p] = np.arange(p) + start
            for number in range(k):
                at = p + number * s
                text_position[row, at : at + s] = np.arange(s) + start + len(prefix)
                if number < len(some):
                    text, answer = some[number]
                    ids[row, at : at + len(text)] = text
                    first = at + len(text) - answer - 1
                    targets[row, first : at + len(text)] = [*text[-answer:], self.end]
                    places[row, first] = _places(clips[row], asked[row][number][0])
        positions = torch.from_numpy(text_position).expand(3, -1, -1).clone()
        positions[:, :, : len(self.head)] = self.positions[:, None]
        real = torch.arange(p) < torch.tensor([len(prefix) for prefix in prefixes])[:, None]
        layout = PackedMask(p, k, s, real)
        return Packed(torch.from_numpy(ids), positions, torch.from_numpy(targets), torch.from_numpy(places), layout)


def _places(clip: Clip, question: Question) -> tuple[int, int, int]:
    """On the way to the answer: seat of the one who is asked about, of the one who is pointed at, spot of the thing."""
    at = {person.name: person.seat for person in clip.people}
    spots = {THINGS[thing.kind]: thing.spot for thing in clip.picture.things}
    leads_on = question.task in SOCIAL and question.task != "speaks"
    second = at[question.answer] if leads_on else IGNORED
    return at.get(question.about, IGNORED), second, spots.get(question.about, IGNORED)
