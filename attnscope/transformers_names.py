"""The one module that knows names inside transformers.

transformers renames things within a major version (5.24 made `cache` of `past_key_values`). Whatever attnscope assumes
about its names stands here: each assumption is a small function whose docstring says which versions it knows, and the
rest of attnscope asks these functions. `ASSUMPTIONS` lists them, each with a check that runs a real model;
`attnscope doctor` and the tests go through that list, so a release of transformers that breaks one says which.

The module lies at the top of the package so that `attention`, `model`, `capture` and `correct` may all import it
without an import that runs upward (docs/decisions/0015). Importing it imports neither torch nor transformers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

# ---- the attention registry


def registry_of(module: Any) -> Any:
    """The attention registry that a module's forward looks its function up in, or None.

    It is taken from the globals of the function itself: a subclass in another file still runs its parent's forward.

    Known: the global `ALL_ATTENTION_FUNCTIONS` of modelling files, transformers 5.10 to 5.24.

    Args:
        module: An attention module.
    """
    return _globals(module).get("ALL_ATTENTION_FUNCTIONS")


def local_entry(registry: Any, name: str) -> Any:
    """What an instance of the registry has put over the entry that all instances share, None for nothing.

    Known: `AttentionInterface._local_mapping`, a dict; setting an item writes to it and deleting one removes it from
    it alone, transformers 5.10 to 5.24.

    Args:
        registry: As `registry_of` gives it.
        name: Of an attention implementation.
    """
    return registry._local_mapping.get(name)


def eager_function(module: Any) -> Any:
    """The eager attention function of a module's own modelling file; the registry has no entry for it.

    Known: the global `eager_attention_forward` of modelling files, transformers 5.10 to 5.24.

    Args:
        module: An attention module.
    """
    return _globals(module)["eager_attention_forward"]


def implementation_of(part: Any) -> str | None:
    """Name of the attention implementation that a module or a configuration uses, None if it has none.

    Known: `config._attn_implementation`, transformers 5.10 to 5.24.

    Args:
        part: A module with a configuration, or a configuration.
    """
    name = getattr(getattr(part, "config", part), "_attn_implementation", None)
    return None if name is None else str(name)


def implementations() -> list[str]:
    """Names of all attention implementations, eager included, without those of paged attention.

    Known: the keys of `ALL_ATTENTION_FUNCTIONS`, transformers 5.10 to 5.24; "eager" has no entry.
    """
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    return sorted({"eager", *(name for name in ALL_ATTENTION_FUNCTIONS if "|" not in name)})


def _globals(module: Any) -> dict[str, Any]:
    forward: Any = inspect.unwrap(type(module).forward)
    found: dict[str, Any] = getattr(forward, "__globals__", {})
    return found


# ---- configuration and decoder


def text_config(model: Any) -> Any:
    """Configuration of the text decoder.

    Known: `config.get_text_config(decoder=True)`, transformers 5.10 to 5.24.

    Args:
        model: A transformers model, or its configuration.
    """
    return getattr(model, "config", model).get_text_config(decoder=True)


def text_decoder(model: Any) -> Any:
    """The module whose forward pass runs the layers of the text decoder; the model itself if it names none.

    Known: `get_decoder`, transformers 5.10 to 5.24.
    """
    return getattr(model, "get_decoder", lambda: model)()


# ---- the cache

# Of the argument and of the output: 5.24 and later; 5.10 to 5.23 (deprecated until 5.40).
_CACHE_NAMES = ("cache", "past_key_values")


def cache_in(inputs: Mapping[str, Any]) -> Any:
    """The cache among the named inputs of a forward pass, None if there is none.

    Known: transformers 5.10 to 5.23 name it `past_key_values`, 5.24 and later `cache`; these still take the old name.

    Args:
        inputs: What a model's `forward` is called with, by name.
    """
    return next((inputs[name] for name in _CACHE_NAMES if inputs.get(name) is not None), None)


def cache_of(output: Any) -> Any:
    """The cache that a model hands back, None if it hands back none.

    Known: as `cache_in`, as a field of a named output. In a plain tuple it is the element that counts its tokens.

    Args:
        output: What `forward` returns.
    """
    if isinstance(output, tuple):
        return next((one for one in output if hasattr(one, "get_seq_length")), None)
    fields = dict(output) if isinstance(output, Mapping) else {}  # a copy: 5.24 warns when asked for the old name
    return cache_in(fields)


def cached_tokens(cache: Any) -> int | None:
    """How many tokens a cache has taken in, None if it does not say.

    A sliding layer counts the tokens that it has dropped, and a static one does not count its empty places.

    Known: `Cache.get_seq_length`, transformers 5.10 to 5.24.
    """
    return int(cache.get_seq_length()) if hasattr(cache, "get_seq_length") else None


# ---- rows that are computed

_KEEP = "logits_to_keep"


def last_logits(count: int) -> dict[str, Any]:
    """The argument of `forward` that asks for the logits of the last tokens only.

    Known: `logits_to_keep`, transformers 5.10 to 5.24.

    Args:
        count: How many tokens.
    """
    return {_KEEP: count}


def all_rows(kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a decoder is called with, changed so that each of its layers computes the rows of all tokens.

    Known: with shared keys (Gemma 4 of transformers 5.24) the decoder is told a number `logits_to_keep`, and its last
    layers compute that many rows. Told none, it computes all of them, and the model takes the last ones itself.

    Args:
        kwargs: Named arguments of the decoder's forward pass.
    """
    return {name: value for name, value in kwargs.items() if name != _KEEP or not isinstance(value, int)}


def split_logits(inputs: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
    """The inputs of a model without the argument of `last_logits`, and that argument, None if it is not given.

    Known: as `last_logits`; a number, or a tensor of positions.
    """
    rest = {name: value for name, value in inputs.items() if name != _KEEP}
    return rest, inputs.get(_KEEP)


# ---- modalities of tokens

TYPE_IDS = "mm_token_type_ids"


def ask_modalities() -> dict[str, Any]:
    """The argument of a processor that asks for the modality of every token.

    Known: `return_mm_token_type_ids`, transformers 5.10 to 5.24.
    """
    return {f"return_{TYPE_IDS}": True}


def modalities_in(inputs: Mapping[str, Any]) -> Any:
    """[B, N] modality of every token among a model's or a processor's inputs, None if they do not say.

    Known: `mm_token_type_ids`, transformers 5.10 to 5.24: 0 text, 1 image, 2 video, 3 audio.
    """
    return inputs.get(TYPE_IDS)


def position_rule(model: Any) -> Callable[..., Any] | None:
    """The function of a family that gives visual tokens their positions in time, height and width; None without one.

    Known: `get_rope_index` of the model's core, transformers 5.10 to 5.24; it returns positions [3, B, N] first.

    Args:
        model: A transformers model.
    """
    core = getattr(model, "base_model", model)
    rule: Callable[..., Any] | None = next(
        (found for owner in (core, model) if callable(found := getattr(owner, "get_rope_index", None))), None
    )
    return rule


@contextmanager
def unvalidated_generate(model: Any) -> Iterator[None]:
    """Let `generate` hand on inputs that the signature of `forward` does not name.

    Known: `_validate_model_kwargs`, transformers 5.10 to 5.24.

    Args:
        model: A transformers model.
    """
    own = model.__dict__.get("_validate_model_kwargs")
    model.__dict__["_validate_model_kwargs"] = lambda _given: None
    try:
        yield
    finally:
        del model.__dict__["_validate_model_kwargs"]
        if own is not None:
            model.__dict__["_validate_model_kwargs"] = own


def sound_ids(model: Any) -> list[int]:
    """Ids of the tokens that stand for sound in a prompt.

    Known: `audio_token_id` or `audio_token_index` of the configuration, or of its part for sound (Phi-4-multimodal),
    transformers 5.10 to 5.24.
    """
    parts = (model.config, getattr(model.config, "audio_config", None))
    found = {getattr(part, name, None) for part in parts for name in ("audio_token_id", "audio_token_index")}
    return sorted(value for value in found if isinstance(value, int))


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
    found = {getattr(part, name, None) for part in parts for name in names}
    return {value for value in found if isinstance(value, int)}


# ---- what processors take, and what they do with it


def video_metadata(**fields: Any) -> Any:
    """What a video processor is told of a clip.

    Known: `transformers.video_utils.VideoMetadata` with `total_num_frames`, `fps`, `width`, `height`, `duration` and
    `frames_indices`, transformers 5.10 to 5.24.
    """
    from transformers.video_utils import VideoMetadata

    return VideoMetadata(**fields)


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


def tiled_canvas(size: tuple[int, int], tile: tuple[int, int], least: int, most: int) -> tuple[int, int]:
    """Columns and rows of tiles that InternVL's processor cuts an image into.

    Known: `get_optimal_tiled_canvas` of GOT-OCR2's image processor, which InternVL takes, transformers 5.10 to 5.24.

    Args:
        size: Height and width of the image.
        tile: Height and width of a tile.
        least: Fewest tiles.
        most: Most tiles.
    """
    from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

    columns, rows = get_optimal_tiled_canvas(size, tile, least, most)
    return int(columns), int(rows)


# ---- classes of models

# Of model types by task, and the class that loads them; the first that has a type is taken.
_MAPPINGS = (
    ("MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", "AutoModelForImageTextToText"),
    ("MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", "AutoModelForMultimodalLM"),
)


def loader_of(config: Any) -> Any:
    """The Auto class that loads a model of images or video with text, None if no mapping has its type.

    Known: `AutoModelForImageTextToText`, transformers 5.10 to 5.24; `AutoModelForMultimodalLM`, transformers 5.24,
    which has Phi-4-multimodal and models of speech besides. A version without a mapping does without it.

    Args:
        config: The model's configuration.
    """
    import transformers
    from transformers.models.auto import modeling_auto

    for mapping, loader in _MAPPINGS:
        if config.model_type in getattr(modeling_auto, mapping, {}):
            return getattr(transformers, loader)
    return None


def reading_part(config: Any) -> Any:
    """The configuration of the part of a model that reads its prompt: all of it, if it has no other part.

    Known: Qwen2.5-Omni and Qwen3-Omni state it as `thinker_config`, and its class loads its own weights from the
    whole checkpoint, transformers 5.10 to 5.24.

    Args:
        config: The configuration of the whole model.
    """
    return getattr(config, "thinker_config", None) or config


def loader_of_code() -> Any:
    """The Auto class that loads a model whose code comes with its checkpoint.

    Known: as `loader_of`.
    """
    from transformers import AutoModelForImageTextToText

    return AutoModelForImageTextToText


# ---- what a module attends to

_OTHERS = ("cross_attention_states", "encoder_hidden_states", "key_value_states")


def attends_to_others(module: Any) -> bool:
    """Whether an attention module takes its keys from something else than its own stream.

    Known: the class says "Cross", or forward cannot do without the other states, transformers 5.10 to 5.24. What
    `is_causal` says is no sign: it is False as well where a prefix sees itself in both directions (PaliGemma).

    Args:
        module: An attention module.
    """
    if "Cross" in type(module).__name__:
        return True
    parameters = inspect.signature(type(module).forward).parameters
    return any(name in parameters and parameters[name].default is inspect.Parameter.empty for name in _OTHERS)


# ---- messages of transformers


@contextmanager
def without_bar(hidden: bool = True) -> Iterator[None]:
    """Hide transformers' progress bars in the block.

    Known: `transformers.utils.logging`, transformers 5.10 to 5.24.

    Args:
        hidden: Whether to hide them at all.
    """
    from transformers.utils import logging

    was = logging.is_progress_bar_enabled()
    if hidden:
        logging.disable_progress_bar()
    try:
        yield
    finally:
        if was:
            logging.enable_progress_bar()


def only_errors() -> None:
    """Hide transformers' progress bars and advice from here on.

    Known: as `without_bar`.
    """
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


# ---- the list of assumptions


@dataclass(frozen=True)
class Assumption:
    """Something that attnscope relies on.

    Attributes:
        name: A few words.
        claim: One sentence.
        versions: Versions of transformers for which it was seen to hold.
        check: Given a transformers model and the inputs of one prompt as its processor gives them, returns a few words
            on what was seen. It may run the model, and raises an exception whose message says what does not hold.
    """

    name: str
    claim: str
    versions: str
    check: Callable[[Any, Mapping[str, Any]], str]


def _check_registry(model: Any, inputs: Mapping[str, Any]) -> str:
    """Put a function over the entry of the model's own backend, and count its calls."""
    import torch

    decoder, calls = text_decoder(model), set[int]()
    modules = {id(part): part for part in decoder.modules() if hasattr(part, "layer_idx") and registry_of(part)}
    if not modules:
        raise LookupError("no module of the decoder looks its attention function up in a registry")
    part = next(iter(modules.values()))
    registry, name = registry_of(part), implementation_of(part)
    if name is None:
        raise LookupError("its configuration does not name an attention implementation")
    before, original = local_entry(registry, name), registry.get(name) or eager_function(part)

    def counting(module: Any, *args: Any, **kwargs: Any) -> Any:
        calls.add(id(module))
        return original(module, *args, **kwargs)

    registry[name] = counting
    try:
        with torch.no_grad():
            model(**inputs, **last_logits(1))
    finally:
        del registry[name]
        if before is not None:
            registry[name] = before
    if local_entry(registry, name) is not before:
        raise LookupError(f"the entry {name!r} was not put back")
    reached = len(calls & set(modules))
    if not reached:
        raise LookupError(f"no attention module of the decoder called the entry {name!r}")
    return f"{name}, {reached} layers"


def _check_eager(model: Any, _inputs: Mapping[str, Any]) -> str:
    part = next(part for part in text_decoder(model).modules() if hasattr(part, "layer_idx") and registry_of(part))
    return f"{eager_function(part).__module__.rpartition('.')[2]}"


def _check_implementations(_model: Any, _inputs: Mapping[str, Any]) -> str:
    known = implementations()
    if "sdpa" not in known:
        raise LookupError("sdpa is not among the attention implementations")
    return f"{len(known)} implementations"


def _check_configuration(model: Any, _inputs: Mapping[str, Any]) -> str:
    config = text_config(model)
    return f"{int(config.num_hidden_layers)} layers of {int(config.num_attention_heads)} heads"


def _check_cache(model: Any, inputs: Mapping[str, Any]) -> str:
    """The cache is handed back, counts its tokens, and comes with the inputs of the next pass."""
    import torch

    seen: list[tuple[str, int | None]] = []

    def look(_model: Any, _args: Any, kwargs: dict[str, Any]) -> None:
        name = next((name for name in _CACHE_NAMES if kwargs.get(name) is not None), "none")
        seen.append((name, cached_tokens(cache_in(kwargs))))

    prompt = int(inputs["input_ids"].shape[1])
    with torch.no_grad():
        held = cached_tokens(cache_of(model(**inputs, use_cache=True, **last_logits(1))))
    if held != prompt:
        raise LookupError(f"the cache that a prompt of {prompt} tokens leaves counts {held}")
    handle = model.register_forward_pre_hook(look, with_kwargs=True)
    try:
        with torch.no_grad():
            model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False)
    finally:
        handle.remove()
    if [count for _, count in seen] != [0, prompt]:
        raise LookupError(f"generate's two passes held {[count for _, count in seen]} tokens, not {[0, prompt]}")
    return seen[-1][0]


def _check_last_logits(model: Any, inputs: Mapping[str, Any]) -> str:
    import torch

    with torch.no_grad():
        every, two = model(**inputs).logits, model(**inputs, **last_logits(2)).logits
    if two.shape[1] != 2 or not torch.allclose(every[:, -2:], two, atol=1e-2, rtol=1e-2):
        raise LookupError(f"asked for the last 2 of {every.shape[1]} logits, the model gave {two.shape[1]}")
    return "last 2 logits"


def _check_modalities(_model: Any, inputs: Mapping[str, Any]) -> str:
    kinds = modalities_in(inputs)
    if kinds is None:
        return "not stated by this family"
    if kinds.shape != inputs["input_ids"].shape:
        raise LookupError(f"the processor gives {tuple(kinds.shape)} modalities, not one for every token")
    return ", ".join(f"{int((kinds == kind).sum())} of kind {kind}" for kind in sorted(set(kinds.flatten().tolist())))


def _check_loader(model: Any, _inputs: Mapping[str, Any]) -> str:
    loader = loader_of(model.config)
    if loader is None:
        raise LookupError(f"no mapping has the model type {model.config.model_type!r}")
    return str(loader.__name__)


def _check_messages(_model: Any, _inputs: Mapping[str, Any]) -> str:
    from transformers.utils import logging

    was = logging.is_progress_bar_enabled()
    with without_bar():
        if logging.is_progress_bar_enabled():
            raise LookupError("the progress bar cannot be hidden")
    if logging.is_progress_bar_enabled() != was:
        raise LookupError("the progress bar is not as it was")
    return "can be hidden"


ASSUMPTIONS: tuple[Assumption, ...] = (
    Assumption(
        "attention registry",
        "Attention modules look their function up in a registry whose entries an instance can override.",
        "5.10 to 5.24",
        _check_registry,
    ),
    Assumption(
        "eager attention",
        "A modelling file brings its own eager attention function.",
        "5.10 to 5.24",
        _check_eager,
    ),
    Assumption(
        "attention implementations",
        "The registry lists the attention implementations that can be asked for.",
        "5.10 to 5.24",
        _check_implementations,
    ),
    Assumption(
        "text configuration",
        "The configuration of the text decoder can be asked for, and names its layers and heads.",
        "5.10 to 5.24",
        _check_configuration,
    ),
    Assumption(
        "cache",
        "The cache is an argument and an output of forward and counts its tokens.",
        "5.10 to 5.23 as past_key_values, 5.24 as cache",
        _check_cache,
    ),
    Assumption(
        "last logits",
        "A model can be asked for the logits of the last tokens only.",
        "5.10 to 5.24",
        _check_last_logits,
    ),
    Assumption(
        "modalities",
        "The processor gives the modality of every token.",
        "5.10 to 5.24",
        _check_modalities,
    ),
    Assumption(
        "model classes",
        "A mapping of model types says which class loads a model of images or video with text.",
        "5.10 to 5.24",
        _check_loader,
    ),
    Assumption(
        "progress bars",
        "The progress bars of transformers can be hidden for a while.",
        "5.10 to 5.24",
        _check_messages,
    ),
)
