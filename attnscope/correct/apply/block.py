"""What stands between a model and its corrections while a block is open: which prompts a forward pass is about."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from attnscope.attention import AttentionCall, tapped
from attnscope.attention.forward import named
from attnscope.capture.record.generate import collate, generate
from attnscope.capture.run import DEFAULT_TEMPLATE, check_new_tokens
from attnscope.correct.apply.binding import bind, check_applies, refuse_shown, scouting
from attnscope.correct.apply.known import Captured
from attnscope.correct.apply.lookup import Pool, Row
from attnscope.correct.apply.padding import Realignment, is_aligned
from attnscope.correct.apply.pixels import Generating
from attnscope.correct.apply.prompts import prompted
from attnscope.correct.base import Correction, Running
from attnscope.correct.look import Known
from attnscope.correct.registry import listed
from attnscope.errors import RequestError
from attnscope.scene import Sampling, Scene
from attnscope.transformers_names import cache_in, cache_of, cached_tokens, split_logits

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt


@dataclass(eq=False)
class _Bound:
    """Corrections bound to the prompts of one prefill, or none where it runs plain.

    Attributes:
        turn: Number of the prefill.
        numbers: Numbers of the prompts in the pool, as they are bound.
        running: One a correction.
    """

    turn: int
    numbers: list[int]
    running: list[Running]


class InForce(Running):
    """One of the corrections of a block."""

    def __init__(self, block: Corrected, place: int) -> None:
        self._block, self._place = block, place

    def __call__(self, call: AttentionCall) -> AttentionCall:
        """Edit a call as the correction that is bound to the prompts at hand."""
        running = self._block._running()
        return running[self._place](call) if running else call

    def records(self) -> list[dict[str, Any]]:
        """What was done, one for each prompt that was run, as `Corrected.records`."""
        return [one["corrections"][self._place] for one in self._block.records()]


class Corrected(list[InForce]):
    """The corrections of a block, in order.

    Attributes:
        prompts: The prompts that they are about.
        plain: How many prompts were run plain because they are unknown (`unknown="plain"`).
        open: Whether the block is entered: corrections are in force.
        generating: What `generate` is given while the block is open.

    Example:
        >>> with attnscope.corrected(model, scene, social) as block:
        ...     block.answer(), len(block.prompts)
        ('Eva', 1)
        >>> block.open, block.records()[0]["corrections"][0]["active"]
        (False, [[2, [0, 1, 2, 3, 4, 5, 6, 7]]])
    """

    def __init__(
        self,
        model: LoadedModel,
        prompts: Sequence[Prompt],
        corrections: Sequence[Correction],
        unknown: str,
        known: Mapping[int, Known | None] = MappingProxyType({}),
    ) -> None:
        super().__init__(InForce(self, place) for place in range(len(corrections)))
        self.prompts, self.plain, self.open = list(prompts), 0, False
        self._model, self._corrections, self._unknown = model, corrections, unknown
        self._known = known  # what plain captures know, by number of the prompt
        self.generating = Generating(model.model)
        self._pool, self._thread = Pool(prompts), threading.get_ident()
        self._now: _Bound | None = None  # of the forward that is running
        self._last: _Bound | None = None
        self._realignment: Realignment | None = None
        self._of_cache: WeakKeyDictionary[Any, tuple[_Bound, int | None]] = WeakKeyDictionary()
        self._runs: dict[int, int] = {}
        self._done: dict[int, tuple[int, list[dict[str, Any]]]] = {}

    def answer(self, prompt: int = 0, *, max_new_tokens: int = 16) -> str:
        """The model's greedy answer to a prompt of the block, under its corrections.

        Args:
            prompt: Number of the prompt in `prompts`.
            max_new_tokens: Most tokens of the answer.

        Returns:
            The answer without special tokens, as the capture of a corrected run stores it.

        Raises:
            RequestError: If there is no such prompt, `max_new_tokens` is below 1, or the block has been left, where the
                model would answer without corrections.
            RunError: If the model fails while it runs.
        """
        check_new_tokens(max_new_tokens)
        if not self.open:
            raise RequestError("the block has been left: the model would answer without corrections")
        if not 0 <= prompt < len(self.prompts):
            raise RequestError(f"prompt={prompt}: the prompts of the block are 0-{len(self.prompts) - 1}")
        inputs, _ = collate([self.prompts[prompt]], self._model)
        (answer,) = generate(self._model, inputs, max_new_tokens)
        return str(self._model.tokenizer.decode(answer.ids, skip_special_tokens=True))

    def records(self) -> list[dict[str, Any]]:
        """What was done to each prompt that was run, in the order of `prompts`.

        Returns:
            `prompt` (its number), `runs` (prefills that held it) and `corrections`: of its last run, one record a
            correction, with `method`, `params`, `active` and `notes`.
        """
        self._collect()
        return [
            {"prompt": number, "runs": self._runs[number], "corrections": self._done[number][1]}
            for number in sorted(self._done)
        ]

    def _running(self) -> list[Running]:
        """The corrections bound to what is running; none where that is to run plain.

        Raises:
            RequestError: If no forward pass of the model was seen to begin.
        """
        if scouting.on:
            return []
        if self._now is None:
            raise RequestError(
                "a part of the model runs by itself, or a wrapper calls its forward past its hooks;"
                " corrections need calls of the model that was loaded"
            )
        return self._now.running

    def _before(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Forward pre-hook: bind to the prompts of the batch, or follow those whose cache is continued."""
        if scouting.on:
            return None
        if module is not self._model.model or threading.get_ident() != self._thread:
            raise RequestError(
                "corrections are in force in the thread that opened their block, and for the model itself,"
                " not for copies of it (as DataParallel makes)"
            )
        inputs = named(module, args, kwargs)
        ids = inputs.get("input_ids")
        if ids is None:
            if inputs.get("inputs_embeds") is not None:
                raise RequestError(
                    "corrections know prompts by their token ids, and the model is given inputs_embeds without them"
                )
            return None
        cache = cache_in(inputs)
        if cached_tokens(cache):
            self._now = self._follow(cache, ids)
            return None
        rows = self._rows(inputs)
        self._collect()
        self._now = self._last = self._bind(rows, inputs)
        if not rows or is_aligned(rows):
            return None
        prompts = [self.prompts[row.number] for row in rows]
        self._realignment = Realignment.aligned(rows, ids.shape[1], split_logits(inputs)[1])
        return (), self._realignment.move(inputs, int(self._model.tokenizer.pad_token_id or 0), prompts)

    def _after(self, _module: Any, _args: Any, _kwargs: dict[str, Any], out: Any) -> Any:
        """Forward hook, also after an exception: remember whose cache it is."""
        if scouting.on:
            return None
        (bound, self._now), (realignment, self._realignment) = (self._now, None), (self._realignment, None)
        if bound is None or out is None:
            return None
        cache = cache_of(out)
        if cache is not None:
            self._of_cache[cache] = bound, cached_tokens(cache)
        return None if realignment is None else realignment.restore(out)

    def _follow(self, cache: Any, ids: Any) -> _Bound:
        bound, held = self._of_cache.get(cache, (None, None))
        if bound is None:
            methods = ", ".join(one.method for one in self._corrections)
            said = f"{methods} was bound to {self._pool}"
            raise RequestError(f"{said}, and the model is given {_shape(ids)} after what was not run in this block")
        if ids.shape[1] > 1 and bound.running:
            raise RequestError(f"{self._others(ids)}: several tokens at once after a prompt")
        if bound.running and (cached_tokens(cache) or 0) < (held or 0):
            raise RequestError(
                f"{self._others(ids)}: their cache held {held} tokens, and has been cut to {cached_tokens(cache)}"
                " (as prompt lookup does)"
            )
        return bound

    def _rows(self, inputs: Mapping[str, Any]) -> list[Row]:
        """The prompts of a batch; none if all are unknown and are to run plain."""
        found = self._pool.find(inputs, self.generating.shown(inputs))
        rows = [row for row in found if row is not None]
        if rows and len(rows) < len(found) and self._unknown == "plain":
            raise RequestError(
                f"{len(found) - len(rows)} of {len(found)} prompts of a batch are unknown to the corrections;"
                " a batch runs corrected or plain as a whole"
            )
        if len(rows) < len(found) and self._unknown != "plain":
            said = ": the tokens of a prompt with other frames than its own" if self._pool.lookalikes else ""
            raise RequestError(f"{self._others(inputs['input_ids'])}{said}")
        self.plain += len(found) - len(rows)
        return rows

    def _bind(self, rows: Sequence[Row], inputs: Mapping[str, Any]) -> _Bound:
        turn = 0 if self._last is None else self._last.turn + 1
        if not rows:
            return _Bound(turn, [], [])
        layers = self._model.model.modules() if self._model.model.training else ()
        if any(getattr(layer, "gradient_checkpointing", False) for layer in layers):
            raise RequestError("corrections do not follow gradient checkpointing, which runs layers again later")
        numbers = _once(rows, inputs["input_ids"])
        known = self._known.get(numbers[0]) if len(numbers) == 1 else None
        running = bind(self._model, [self.prompts[number] for number in numbers], self._corrections, plain=known)
        longest = max(row.end - row.start for row in rows)
        if is_aligned(rows) and rows[0].end > longest:  # padded to a multiple of something
            for one in running:
                one.padded_to(rows[0].end)
        for number in {row.number for row in rows}:
            self._runs[number] = self._runs.get(number, 0) + 1
        return _Bound(turn, numbers, running)

    def _others(self, ids: Any) -> str:
        return f"the corrections were bound to {self._pool}, and the model is given {_shape(ids)} others"

    def _collect(self) -> None:
        """Take the records of what has run, of a prompt that has run several times those of the last."""
        live = {
            bound.turn: bound for bound in [*(b for b, _ in self._of_cache.values()), self._last] if bound is not None
        }
        for turn in sorted(live):
            bound = live[turn]
            each = [one.records() for one in bound.running]
            for place, number in enumerate(bound.numbers):
                if turn >= self._done.get(number, (turn, []))[0]:
                    self._done[number] = turn, [records[place] for records in each]


def _known(
    model: LoadedModel,
    prompts: Sequence[Prompt],
    corrections: Sequence[Correction],
    plain: str | Path | Sequence[str | Path],
) -> dict[int, Known | None]:
    """What plain captures know, by number of the prompt.

    Raises:
        RequestError: If one is of none of the prompts, or they are not what the plain model is shown.
    """
    found = dict[int, Known | None]()
    for path in [plain] if isinstance(plain, (str, Path)) else plain:
        refuse_shown(path, corrections)
        number, known = Captured.read(path, model, prompts)
        found[number] = known
    return found


def _once(rows: Sequence[Row], ids: Any) -> list[int]:
    """Numbers of the prompts to bind: where each stands several times in a row, the same to the last token, once."""
    numbers = [row.number for row in rows]
    for copies in range(len(rows), 1, -1):
        if len(rows) % copies == 0:
            parts = ids.unflatten(0, (-1, copies))
            if bool((parts == parts[:, :1]).all()) and numbers == [n for n in numbers[::copies] for _ in range(copies)]:
                return numbers[::copies]
    return numbers


def _shape(ids: Any) -> str:
    return " x ".join(str(n) for n in ids.shape)


# Corrections in force around any code that calls the model.


UNKNOWN = ("refuse", "plain")


@contextmanager
def corrected(
    model: LoadedModel,
    scene_or_prompts: Prompt | Scene | str | Path | Sequence[Prompt | Scene | str | Path],
    corrections: Correction | Sequence[Correction],
    *,
    sampling: Sampling | None = None,
    template: str = DEFAULT_TEMPLATE,
    unknown: str = "refuse",
    plain: str | Path | Sequence[str | Path] = (),
) -> Iterator[Corrected]:
    """Run the model under corrections; leaving the block restores it exactly.

    Any code may call the model in the block: `model.model(**batch)`, `generate` (with a cache, beams, several returned
    sequences), a `transformers.Trainer`, an evaluation harness. Each row of a batch is known by its token ids: it is
    one of the prompts, perhaps with more tokens after it, in any order, number and padding that the attention mask
    states. Whoever built the prompt, it is the one of a scene if its ids are those that attnscope builds
    (`attnscope.correct.prompted`); pixels, or else the order, distinguish prompts with the same ids.

    Corrections are applied in their order: what the model is shown, then queries and keys, then rows of logits, then
    factors on outputs. A correction that looks at the plain model first costs up to one more prefill a batch, but for a
    prompt that is run by itself and of which there is a plain capture that holds what it looks at.

    Args:
        model: A loaded model.
        scene_or_prompts: The prompts that may be met: a scene, the path of a scene.json, a prompt, or several of them.
            Of a scene the prompt is built as the corrections show it. All are kept in memory, with their pixels: of a
            large set, open a block for each part.
        corrections: One or several, applied in order.
        sampling: Which frames of a scene are shown; 8 uniform frames by default.
        template: How a turn of a scene is written, with {speaker} and {text}.
        unknown: What a batch of other prompts is: "refuse", an error, or "plain", run plain and counted.
        plain: Plain captures of prompts, one or several.

    Yields:
        The corrections; their `records()` say what was done to each prompt that was run, and `prompts` are those that
        were built.

    Raises:
        RequestError: If a correction does not apply to a scene or the model, or the model is given other prompts in
            the block, or embeddings in place of token ids, or a plain capture is of none of the prompts.

    Example:
        >>> with attnscope.corrected(model, "scene.json", social) as block:
        ...     block.answer()
        'Eva'
    """
    if unknown not in UNKNOWN:
        raise RequestError(f'unknown "{unknown}": choose from {", ".join(UNKNOWN)}')
    from attnscope.model import LoadedModel

    if not isinstance(model, LoadedModel):
        own = "a model of attnscope.load, or other code's in attnscope.model.around"
        raise RequestError(f"corrected needs {own}, not {type(model).__name__}")
    corrections = listed(corrections)
    given: Sequence[Prompt | Scene | str | Path] = (
        scene_or_prompts
        if isinstance(scene_or_prompts, Sequence) and not isinstance(scene_or_prompts, str)
        else [scene_or_prompts]
    )
    if not given:
        raise RequestError("corrections need at least one prompt to be bound to")
    prompts = [
        prompted(model, one, corrections, sampling, template) if isinstance(one, (Scene, str, Path)) else one
        for one in given
    ]
    check_applies(model, prompts, corrections)
    block = Corrected(model, prompts, corrections, unknown, _known(model, prompts, corrections, plain))
    hooks = [
        model.model.register_forward_pre_hook(block._before, with_kwargs=True),
        model.model.register_forward_hook(block._after, with_kwargs=True, always_call=True),
    ]
    try:
        with tapped(model.model, edits=block), block.generating.watched():
            block.open = True
            yield block
    finally:
        block.open = False
        for hook in hooks:
            hook.remove()
