"""Names of transformers around processors: modalities of tokens, metadata of a clip, canvases of images."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from importlib import import_module
from inspect import Parameter, signature
from typing import Any

TYPE_IDS = "mm_token_type_ids"


def ask_modalities() -> dict[str, Any]:
    """The argument of a processor that asks for the modality of every token.

    Known: `return_mm_token_type_ids`, transformers 5.10 to 5.24.
    """
    return {f"return_{TYPE_IDS}": True}


def taken(processor: Any, options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of some arguments that a processor's call takes; all of them if it names none that it refuses.

    Known: `VideoLlavaProcessor` of transformers 5.10 takes neither metadata of a clip nor a request for modalities; all
    other processors, and this one in 5.24, take any argument by name.

    Args:
        processor: The processor.
        options: Arguments by name that change nothing of a call that cannot take them.
    """
    parameters = signature(type(processor).__call__).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return dict(options)
    return {name: value for name, value in options.items() if name in parameters}


def modalities_in(inputs: Mapping[str, Any]) -> Any:
    """[B, N] modality of every token among a model's or a processor's inputs, None if they do not say.

    Known: `mm_token_type_ids`, transformers 5.10 to 5.24: 0 text, 1 image, 2 video, 3 audio.
    """
    return inputs.get(TYPE_IDS)


def is_pixels(name: str) -> bool:
    """Whether an input holds the pixels of images or video, normalised.

    Known: `pixel_values`, `pixel_values_images`, `pixel_values_videos`, and `image_pixel_values` of Phi-4-multimodal,
    transformers 5.10 to 5.24.

    Args:
        name: Name of an input of a model.
    """
    return "pixel_values" in name


def is_target(name: str) -> bool:
    """Whether an input is what training compares the model's answer with.

    Known: `labels`, which PaliGemma's processor makes of every prompt, transformers 5.10 to 5.24.

    Args:
        name: Name of an input of a model.
    """
    return name == "labels"


def counted_over(name: str) -> str:
    """The pixels whose patches an input counts over all media of a batch, "" if it counts none.

    Known: `image_token_pooling` and `video_token_pooling` of Molmo2: [T, K] numbers of patches of `pixel_values` or
    `pixel_values_videos` [F, P, C], negative for none; transformers 5.17 to 5.24.

    Args:
        name: Name of an input of a model.
    """
    return {"image_token_pooling": "pixel_values", "video_token_pooling": "pixel_values_videos"}.get(name, "")


def sound_ids(model: Any) -> list[int]:
    """Ids of the tokens that stand for sound in a prompt.

    Known: `audio_token_id` or `audio_token_index` of the configuration, or of its part for sound (Phi-4-multimodal),
    transformers 5.10 to 5.24.
    """
    parts = (model.config, getattr(model.config, "audio_config", None))
    ids = {getattr(part, name, None) for part in parts for name in ("audio_token_id", "audio_token_index")}
    return sorted(value for value in ids if isinstance(value, int))


def hears(model: Any) -> bool:
    """Whether a model has a part that hears.

    Known: `audio_config`, None where a checkpoint comes without that part (Gemma 4), transformers 5.10 to 5.24.
    """
    return getattr(model.config, "audio_config", None) is not None


def visual_ids(config: Any) -> set[int]:
    """Ids of the tokens whose embeddings a model replaces by visual features; none if its configuration names none.

    Known: `image_token_id`, `image_token_index` and the same of video, in the configuration or in its part for images
    (Phi-4-multimodal), transformers 5.10 to 5.24.
    """
    names = [f"{kind}_token_{end}" for kind in ("image", "video") for end in ("id", "index")]
    parts = (config, getattr(config, "vision_config", None))
    ids = {getattr(part, name, None) for part in parts for name in names}
    return {value for value in ids if isinstance(value, int)}


def video_metadata(**fields: Any) -> Any:
    """What a video processor receives about a clip.

    Known: `transformers.video_utils.VideoMetadata` with `total_num_frames`, `fps`, `width`, `height`, `duration` and
    `frames_indices`, transformers 5.10 to 5.24.
    """
    from transformers.video_utils import VideoMetadata

    return VideoMetadata(**fields)


def drawn_time(video_processor: Any, seconds: float, width: int, height: int) -> tuple[int, int]:
    """Right and bottom edge of the time that a processor draws into the top left corner of a frame; 0, 0 for none.

    Known: `draw_on_frames`, `_convert_timestamp` and `_render_image_with_timestamp` of ERNIE 4.5 VL, transformers 5.10
    to 5.24.

    Args:
        video_processor: The processor of videos.
        seconds: When the frame is shown.
        width: Pixels of the frame.
        height: Pixels of the frame.
    """
    import torch

    if not video_processor.draw_on_frames:
        return 0, 0
    plain = torch.full((3, height, width), 128, dtype=torch.uint8)
    stamp = video_processor._convert_timestamp(seconds)
    drawn = (video_processor._render_image_with_timestamp(plain, stamp) != plain).any(0).nonzero()
    bottom, right = (drawn.max(dim=0).values + 1).tolist() if len(drawn) else (0, 0)
    return int(right), int(bottom)


def best_canvas(size: list[int], canvases: Any) -> tuple[int, int]:
    """Height and width of the canvas that LLaVA's processors choose for an image.

    Known: `transformers.image_processing_utils.select_best_resolution`, transformers 5.10 to 5.24.

    Args:
        size: Height and width of the image.
        canvases: Those to choose from.
    """
    from transformers.image_processing_utils import select_best_resolution

    height, width = select_best_resolution(size, canvases)
    return int(height), int(width)


def padded_canvas(part: Any, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width to which Kimi K2.5's processors scale an image, and those to which they pad it.

    Known: `navit_resize` in the file of the processor, with its `patch_size`, `merge_size`, `max_patches` and
    `max_height` of its `size`; transformers 5.24.

    Args:
        part: The image or the video processor.
        height: Of the image.
        width: Of the image.
    """
    rule = inspect.getmodule(type(part)).navit_resize  # type: ignore[union-attr]
    shown, padded = rule(
        height,
        width,
        patch_size=part.patch_size,
        merge_kernel_size=part.merge_size,
        max_patches=part.max_patches,
        max_size_per_side=part.size["max_height"],
    )
    return (int(shown[0]), int(shown[1])), (int(padded[0]), int(padded[1]))


def tiled_canvas(
    image_processor: Any, size: tuple[int, int], tile: tuple[int, int], least: int, most: int
) -> tuple[int, int]:
    """Columns and rows of tiles that an image processor cuts an image into.

    Known: `get_optimal_tiled_canvas` in the module of the processor's class or of a class that it extends: GOT-OCR2's,
    which InternVL and Aya Vision take, and Cohere2-Vision's, transformers 5.10 to 5.24.

    Args:
        image_processor: The image processor.
        size: Height and width of the image.
        tile: Height and width of a tile.
        least: Fewest tiles.
        most: Most tiles.

    Raises:
        LookupError: If no class of the image processor comes with that function.
    """
    for cls in type(image_processor).__mro__:
        choose = getattr(import_module(cls.__module__), "get_optimal_tiled_canvas", None)
        if choose is not None:
            columns, rows = choose(size, tile, least, most)
            return int(columns), int(rows)
    raise LookupError(f"{type(image_processor).__name__} does not say how it cuts an image into tiles")
