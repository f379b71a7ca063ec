"""Hand frames to the processor with their true times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from attnscope.errors import ModelError
from attnscope.model.innermost import forward_name, stated_inputs, takes
from attnscope.model.layouts import LAYOUTS, Layout, NoLayout
from attnscope.model.positions import require_type_ids
from attnscope.transformers_names import (
    TYPE_IDS,
    ask_modalities,
    is_pixels,
    is_target,
    modalities_in,
    taken,
    video_metadata,
)
from attnscope.transformers_names import visual_ids as stated_ids

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames

# Times go to the processor as frame numbers of a clock with this many ticks a second: true with any frame
# rate.
_TICKS = 1000
_SAME_RATE = 1e-3  # of a rate: two videos that differ less are sampled at one


def media_parts(loaded: LoadedModel, frames: Frames) -> list[str]:
    """Return the types of the chat message's media parts: for each medium one video, one image, or one image a frame.

    A model without a video processor gets a clip as a row of images.
    """
    return [kind for part in frames.parts() for kind in _kinds(loaded, part)]


def _kinds(loaded: LoadedModel, part: Frames) -> list[str]:
    if part.kind == "image":
        return ["image"]
    if getattr(loaded.processor, "video_processor", None) is None:
        return ["image"] * len(part.images)
    return ["video"]


def process(loaded: LoadedModel, text: str, frames: Frames) -> dict[str, Any]:
    """Run the processor on the rendered prompt and the frames.

    Returns:
        Tensors with a batch of 1 on the CPU, as the processor gives them, `mm_token_type_ids` included.

    Raises:
        ModelError: The processor fails.
    """
    layout: Layout = LAYOUTS.get(loaded.family, NoLayout())
    videos = [part for part in frames.parts() if _kinds(loaded, part) == ["video"]]
    pictures = [part for part in frames.parts() if _kinds(loaded, part) != ["video"]]
    kwargs: dict[str, Any] = {}
    for kind, parts in (("image", pictures), ("video", videos)):
        if parts:
            kwargs |= layout.processor_kwargs(loaded.processor, kind)
    ways = [kwargs]
    if videos:
        shown = [_long_enough(loaded, layout, part) for part in videos]
        kwargs |= {
            "videos": [shown],  # nested: SmolVLM counts the videos of each prompt
            **taken(
                loaded.processor,
                {
                    "video_metadata": [_metadata(part, len(own)) for part, own in zip(videos, shown, strict=True)],
                    "do_sample_frames": False,
                },
            ),
        }
        if layout.states_rate:
            kwargs["fps"] = _one_rate(loaded, videos)
        # Muse Glimmer's drops the times it needs unless it is asked for them; MiniMax M3's resizes no frames by default
        ways = [kwargs, *(kwargs | {name: True} for name in ("return_metadata", "do_resize"))]
    if pictures:
        images = [Image.fromarray(image) for part in pictures for image in part.images]  # which every processor takes
        # Nested, because some count the images of each prompt; flat for those that know no prompts of several images
        ways = [way | {"images": form} for form in ([images], images) for way in ways]
    return _processed(loaded, text, ways)


def _long_enough(loaded: LoadedModel, layout: Layout, part: Frames) -> NDArray[np.uint8]:
    """The frames of a video, the last one repeated where the processor needs more."""
    missing = max(_least_frames(loaded, layout) - len(part.images), 0)
    return np.concatenate([part.images, np.repeat(part.images[-1:], missing, axis=0)]) if missing else part.images


def _one_rate(loaded: LoadedModel, videos: Sequence[Frames]) -> float:
    """The rate of sampling, for a processor that takes one for all videos.

    Raises:
        ModelError: They differ.
    """
    rates = [1 / _interval(part) for part in videos]
    if max(rates) - min(rates) > _SAME_RATE * max(rates):
        raise ModelError(
            f"{loaded.id}: {type(loaded.processor).__name__} takes one rate of frames for all videos, and these are"
            f" sampled at {', '.join(f'{rate:.3g}' for rate in rates)} a second; sample by `fps`"
        )
    return rates[0]


def _processed(loaded: LoadedModel, text: str, ways: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Run the processor; of several ways to hand it the frames, in the first that it takes.

    Raises:
        ModelError: It takes none; the message is about the first.
    """
    problems = []
    options = taken(loaded.processor, ask_modalities()) | text_kwargs(loaded, text)
    for way in ways:
        try:
            return dict(loaded.processor(text=[text], return_tensors="pt", **options, **way))
        except Exception as error:
            problems.append(" ".join(str(error).split())[:200] or type(error).__name__)
    raise ModelError(f"{loaded.id}: {type(loaded.processor).__name__} fails on the frames ({problems[0]})")


def _least_frames(loaded: LoadedModel, layout: Layout) -> int:
    """Fewest frames that the processor takes: as the layout says, and of a family without one, a temporal patch."""
    if loaded.family in LAYOUTS:
        return layout.min_frames
    return int(getattr(loaded.processor.video_processor, "temporal_patch_size", None) or 1)


def text_kwargs(loaded: LoadedModel, text: str) -> dict[str, Any]:
    """Return how the prompt is tokenised: no second BOS where the template wrote one, as in transformers."""
    bos = loaded.tokenizer.bos_token
    return {"add_special_tokens": False} if bos and text.startswith(bos) else {}


def visual_ids(loaded: LoadedModel, processed: Mapping[str, Any]) -> set[int]:
    """Ids of the tokens whose embeddings the model replaces by visual features.

    Args:
        loaded: The model.
        processed: What its processor made of a prompt.

    Raises:
        ModelError: There are none in this prompt.
    """
    present = set(processed["input_ids"][0].tolist())
    ids = stated_ids(loaded.model.config) & present
    if not ids and (kinds := modalities_in(processed)) is not None:
        ids = set(processed["input_ids"][0][(kinds[0] == 1) | (kinds[0] == 2)].tolist())
    if not ids:
        raise ModelError(
            f"{loaded.id}: {type(loaded.processor).__name__} put no visual token into the prompt; "
            "attnscope needs a model that reads images or video as tokens of its prompt"
        )
    return ids


def model_inputs(loaded: LoadedModel, processed: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the processor made, on the model's device, pixels in its dtype: what the model takes, and the rest.

    The rest is what no code of the family names, such as token types of a model whose positions are those of text.
    What only training needs is in neither.

    Raises:
        ModelError: If code that replaced the model's forward cannot take an input of its family, or the processor has
            not made one that the family needs.
    """
    import torch

    model = loaded.model
    stated = stated_inputs(model)
    inputs: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    for name, value in processed.items():
        if not isinstance(value, torch.Tensor) or is_target(name):
            continue
        dtype = model.dtype if is_pixels(name) else None
        wanted = name in stated or (name != TYPE_IDS and takes(model, name))
        (inputs if wanted else rest)[name] = value.to(device=model.device, dtype=dtype)
    for name in inputs:
        if not takes(model, name):
            raise ModelError(
                f"{loaded.id}: {forward_name(model)} stands in for the forward of {type(model).__name__} and does not"
                f" take {name}, which this family needs; let it take **kwargs and pass them on, or take it away"
            )
    for name in rest:
        if name != TYPE_IDS:
            raise ModelError(
                f"{loaded.id}: {type(loaded.processor).__name__} makes {name}, which {type(model).__name__} does not"
                " take; give the processor that belongs to the model"
            )
    require_type_ids(model, inputs)
    return inputs, rest


def _metadata(frames: Frames, count: int) -> Any:
    """Describe the frames so that time stamps and the rate of sampling come out true.

    transformers computes time stamps as frames_indices / fps, and the rate of sampling as
    len(frames_indices) / total_num_frames * fps.
    """
    times, interval = frames.times, _interval(frames)
    indices = [round(float(time) * _TICKS) for time in times]
    indices += indices[-1:] * (count - len(indices))
    return video_metadata(
        total_num_frames=max(round(count * interval * _TICKS), 1),
        fps=float(_TICKS),
        width=frames.width,
        height=frames.height,
        duration=frames.duration if frames.duration is not None else float(times[-1]),
        frames_indices=indices,
    )


def _interval(frames: Frames) -> float:
    """Mean seconds from one frame to the next; 1 for a single frame, which has no rate."""
    count, span = len(frames.times), float(frames.times[-1] - frames.times[0])
    return span / (count - 1) if count > 1 and span > 0 else 1.0
