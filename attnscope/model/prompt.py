"""Build the prompt of a scene: what the model is given, and where every token of it comes from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope.errors import ModelError, RequestError
from attnscope.families import NO_PLACES
from attnscope.model.align import align
from attnscope.model.layouts import LAYOUTS, LabelStyle, Places
from attnscope.model.media import media_parts, model_inputs, process, text_kwargs, visual_ids
from attnscope.model.per_token import token_inputs
from attnscope.model.positions import context_note
from attnscope.model.render import DEFAULT_TEMPLATE, render
from attnscope.model.several import media_places
from attnscope.model.sound import refuse_sound, sound_note
from attnscope.model.tokens import token_table
from attnscope.placing import Placing, no_layout, percent
from attnscope.scene import scene_boxes
from attnscope.scene.mentions import question_notes
from attnscope.scene.speaking import speaker_notes
from attnscope.vocabulary import LAYOUT, NOWHERE, PROBED, has_cell, is_visual

if TYPE_CHECKING:
    import pandas as pd
    import torch

    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames, Scene


@dataclass
class Prompt:
    """What the model is given for one scene.

    Attributes:
        text: The prompt as the chat template renders it, with what the processor puts after it, before media
            placeholders are expanded.
        inputs: Tensors with a batch of 1, on the model's device, ready for `model(**inputs)` and
            `model.generate`.
        tokens: One row for each of the N positions, with the columns of the file format's `/tokens`.
        frames: What was shown.
        scene: The scene.
        warnings: What a user should know, one sentence each.
        rest: What else the processor made, which no code of the family names; `inputs` and these are all of it.
        token_inputs: Names of the inputs that hold one value for each token; by their shapes if not given.
        placing: How the visual tokens got their places, or why they have none.

    Example:
        >>> prompt = attnscope.model.build_prompt(model, scene, frames)
        >>> prompt.inputs["input_ids"].shape[1] == len(prompt.tokens), prompt.warnings
        (True, [])
    """

    text: str
    inputs: dict[str, torch.Tensor]
    tokens: pd.DataFrame
    frames: Frames
    scene: Scene
    warnings: list[str] = field(default_factory=list)
    rest: dict[str, torch.Tensor] = field(default_factory=dict)
    token_inputs: tuple[str, ...] = ()
    placing: Placing = field(default_factory=lambda: Placing(LAYOUT))

    def __post_init__(self) -> None:
        """Find the inputs that hold one value for each token.

        Raises:
            ValueError: If the token table has places and `placing` says that it has none, or the other way round.
        """
        self.token_inputs = self.token_inputs or token_inputs(self.inputs | self.rest)
        cells = int(has_cell(self.tokens).sum())
        if is_visual(self.tokens).any() and (self.placing.how == NOWHERE) == bool(cells):
            raise ValueError(f"{cells} visual tokens have a cell, but placing is {self.placing}")

    @property
    def unplaced(self) -> str:
        """Why the places of the visual tokens are unknown; "" where they are known."""
        return self.placing.reason


def build_prompt(loaded: LoadedModel, scene: Scene, frames: Frames, *, template: str = DEFAULT_TEMPLATE) -> Prompt:
    """Build the prompt of a scene with the model's own chat template and processor.

    The first message holds the media first, then one block of text: the transcript, one turn a line, a blank line, the
    question, the options. With a history its first message stands in place of the question, the others follow, and the
    question with its options is the last message.

    Args:
        loaded: The model.
        scene: Transcript, question, options, speakers with their boxes.
        frames: Frames of the scene's video.
        template: How a turn is written; fields {speaker}, {text}, {start}, {end}, {number}.

    Returns:
        The prompt with its token table. A family without a layout has modalities but no places, and one
        warning.

    Raises:
        RequestError: `template` is wrong.
        SceneError: The scene's text holds a special token of this model.
        ModelError: The chat template or the processor cannot be used, or do not fit the family's layout.

    Example:
        >>> prompt = attnscope.model.build_prompt(model, scene, frames, template="{speaker} says: {text}")
        >>> "Dan says: you are right." in prompt.text
        True
    """
    scene = scene.asking()
    written = write_prompt(loaded, scene, frames, template=template)
    inputs, rest = model_inputs(loaded, written.processed)
    per_token = token_inputs(inputs | rest, lambda: process(loaded, f"{written.rendered} and so on", frames))
    beyond = context_note(loaded, inputs)
    warnings = written.warnings if beyond is None else [*written.warnings, beyond]
    prompt = Prompt(written.text, inputs, written.tokens, frames, scene, warnings, rest, per_token, written.placing)
    return verify_places(loaded, prompt) if frames.media else prompt


@dataclass(frozen=True)
class WrittenPrompt:
    """A prompt before its tensors go to the model; making it runs nothing of the model but a probe of places.

    Attributes:
        text: As in `Prompt`.
        rendered: What the chat template alone wrote.
        processed: What the processor made.
        tokens: The token table.
        warnings: What a user should know, one sentence each.
        placing: How the visual tokens got their places, or why they have none.
    """

    text: str
    rendered: str
    processed: dict[str, Any]
    tokens: pd.DataFrame
    warnings: list[str]
    placing: Placing


def write_prompt(
    loaded: LoadedModel, scene: Scene, frames: Frames, *, template: str = DEFAULT_TEMPLATE, probe: bool = True
) -> WrittenPrompt:
    """Write the prompt of a scene, and place its tokens.

    Args:
        loaded: The model; without `probe` its weights are not needed.
        scene: As `build_prompt`.
        frames: As `build_prompt`.
        template: As `build_prompt`.
        probe: Find the places of a family without a layout by running the model.

    Raises:
        RequestError: As `build_prompt`, as the others.
        SceneError: If the scene's text holds a special token.
        ModelError: If the template, the processor or the layout does not fit.
    """
    rendered = render(loaded, scene, media_parts(loaded, frames), template)
    processed = process(loaded, rendered.text, frames)
    refuse_sound(loaded, processed)
    input_ids = processed["input_ids"][0].tolist()
    ids = visual_ids(loaded, processed)
    visual = np.isin(input_ids, list(ids))
    boxes = scene_boxes(scene, frames)
    warnings = [*frames.warnings, *boxes.warnings, *scene.notes, *speaker_notes(scene), *question_notes(scene)]
    for video in (scene.video, *(item.video for item in scene.further)):
        warnings += sound_note(loaded, video)
    places, placing = _places(loaded, processed, frames, int(visual.sum()), probe=probe)
    if placing.how == NOWHERE:
        warnings.append(f"{placing.reason}: {NO_PLACES}")
    alignment = align(loaded, rendered, input_ids, ids)
    aligned = replace(rendered, text=alignment.text)
    tokens = token_table(
        loaded.tokenizer,
        aligned,
        scene,
        frames,
        input_ids,
        alignment,
        visual,
        places,
        boxes,
        labels=_label_style(loaded) if placing.how == LAYOUT else None,
    )
    return WrittenPrompt(aligned.text, rendered.text, processed, tokens, warnings, placing)


def option_ids(loaded: LoadedModel, prompt: Prompt, option: str) -> list[int]:
    """Return the tokens of an answer option where it continues the prompt.

    A prompt that ends in a word ("Assistant:") is continued after a space, one that ends in white space or a
    special token at once.

    Raises:
        RequestError: `option` is empty.

    Example:
        >>> [model.tokenizer.decode(attnscope.model.option_ids(model, prompt, option)) for option in scene.options]
        ['Ada', 'Cleo', 'Dan', 'Ben', 'Eva']
    """
    if not option.strip():
        raise RequestError("option: is empty, so its probability has no meaning")
    tokenizer, text = loaded.tokenizer, prompt.text
    kwargs = text_kwargs(loaded, text)
    glue = "" if text[-1:].isspace() or text.endswith(tuple(tokenizer.all_special_tokens)) else " "
    before = tokenizer(text, **kwargs)["input_ids"]
    joined = tokenizer(text + glue + option, **kwargs)["input_ids"]
    if joined[: len(before)] == before:
        return list(joined[len(before) :])
    return list(tokenizer(glue + option, add_special_tokens=False)["input_ids"])


def _label_style(loaded: LoadedModel) -> LabelStyle | None:
    """Where the text of a frame stands, None if frames have none."""
    layout = LAYOUTS[loaded.family]
    return layout.label_style if layout.labelled else None


def _places(
    loaded: LoadedModel, processed: dict[str, Any], frames: Frames, count: int, *, probe: bool
) -> tuple[Places | None, Placing]:
    """Place the visual tokens, by the family's layout or else by probing, and say how.

    Raises:
        ModelError: The layout does not give as many tokens as the processor made, or gives none a cell.
    """
    if loaded.family not in LAYOUTS:
        if not probe:
            reason = f"{no_layout(str(loaded.model.config.model_type))}, and places are found by running the model"
            return None, Placing(NOWHERE, reason=reason)
        return _probed(loaded, frames, count)
    places = media_places(loaded, processed, frames, count)
    if np.isnan(places.box).any(axis=1).all():
        raise ModelError(f"{loaded.id}: the layout of family {loaded.family} gives none of {count} tokens a cell")
    return places, Placing(LAYOUT)


def _probed(loaded: LoadedModel, frames: Frames, count: int) -> tuple[Places | None, Placing]:
    """Place the visual tokens of a family without a layout; no places, and the reason, where probing finds none."""
    from attnscope.model.probe import probed_places  # imports torch, which reading a capture must not need

    without = no_layout(str(loaded.model.config.model_type))
    try:
        places, share = probed_places(loaded, frames)
    except ModelError as error:
        return None, Placing(NOWHERE, reason=f"{without}, and {str(error).removeprefix(f'{loaded.id}: ')}")
    if len(places) != count:
        reason = f"its processor makes {count} tokens of these frames and {len(places)} of others of their size"
        return None, Placing(NOWHERE, reason=f"{without}, and {reason}")
    return places, Placing(PROBED, verified=share)


def verify_places(loaded: LoadedModel, prompt: Prompt) -> Prompt:
    """The prompt, with its places put to the test on made-up frames of the same size and number.

    What was measured before, and is kept, is not measured again. Places that were probed have passed the test already.

    Raises:
        ModelError: Too few of the visual tokens answer to the cell that the family's layout gives them.
    """
    from attnscope.model.probe import LEAST, verified_share  # imports torch

    if prompt.placing.how != LAYOUT:
        return prompt
    family = f"the layout of family {loaded.family}"
    try:
        share = verified_share(loaded, prompt.frames)
    except ModelError as error:
        why = str(error).removeprefix(f"{loaded.id}: ")
        if prompt.frames.media:  # a model that cannot take them together would fail on the prompt too
            raise ModelError(f"{loaded.id}: cannot take these videos and images in one prompt: {why}") from None
        note = f"{family} could not be verified: {why}"
        return replace(prompt, warnings=[*prompt.warnings, note])
    if share < LEAST:
        raise ModelError(
            f"{loaded.id}: {family} does not fit this model: {percent(share)} of its visual tokens answer to the"
            f" cell that they are said to have, and {percent(LEAST)} have to"
        )
    return replace(prompt, placing=Placing(LAYOUT, share))
