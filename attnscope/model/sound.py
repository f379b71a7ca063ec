"""A clip's sound, which a model may hear: attnscope shows a model frames and text only, and says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.errors import ModelError
from attnscope.transformers_names import hears, modalities_in, sound_ids

if TYPE_CHECKING:
    from collections.abc import Mapping

    from attnscope.model.load import LoadedModel

_SOUND = 3  # the modality of a token of sound


def sound_note(loaded: LoadedModel, video: Path) -> list[str]:
    """The caution that a clip's sound is left out, for a model that hears and a clip that has sound."""
    if not hears(loaded.model) or not _has_sound(video):
        return []
    return [
        f"{video}: its sound is left out; {type(loaded.model).__name__} could hear it, and is shown frames and text"
    ]


def refuse_sound(loaded: LoadedModel, processed: Mapping[str, Any]) -> None:
    """Refuse a prompt that holds tokens of sound: they would be counted as words of the chat template.

    Raises:
        ModelError: Naming their number.
    """
    import torch

    ids, kinds = processed["input_ids"], modalities_in(processed)
    sound = torch.isin(ids, torch.tensor(sound_ids(loaded.model), dtype=ids.dtype))
    if kinds is not None:
        sound |= kinds == _SOUND
    if count := int(sound.sum()):
        raise ModelError(f"{loaded.id}: {count} tokens of the prompt are sound, which attnscope cannot place yet")


def _has_sound(video: Path) -> bool:
    import av

    if not video.is_file():
        return False
    try:
        with av.open(str(video)) as container:
            return bool(container.streams.audio)
    except (OSError, av.error.FFmpegError):  # a picture, say
        return False
