"""Words by a recogniser that the user names: a speech recognition model of transformers that gives times (Whisper).

None comes with attnscope, and none is chosen for the user. Transcripts of other recognisers are read from files.
"""

from __future__ import annotations

import warnings
from typing import Any

from attnscope.errors import ModelError
from attnscope.prepare.extra import named
from attnscope.prepare.parts import Made, Stretch, counted
from attnscope.prepare.speech import broken_sound
from attnscope.progress import Progress
from attnscope.scene.sound import read_sound
from attnscope.scene.walk import Walk


def recognise(walk: Walk, model: str, progress: Progress | None = None) -> tuple[list[Stretch], Made]:
    """Write down what is said.

    Args:
        walk: The clip.
        model: Folder of a checkpoint, or its name on the model hub.
        progress: Called with (what, done, total).

    Returns:
        Stretches with words, and how they came about.

    Raises:
        ModelError: If the model cannot be loaded, or gives no times.
        MediaError: If the sound is damaged.
    """
    pipe = _loaded(model)
    rate = int(pipe.feature_extractor.sampling_rate)
    sound = read_sound(walk, rate)
    if sound is None or not len(sound.samples):
        return [], Made("words", "", "there are none: the clip has no sound")
    if progress is not None:
        progress("words", 0, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        heard = pipe({"raw": sound.samples[: round(walk.end * rate)], "sampling_rate": rate}, return_timestamps=True)
    stretches, untimed, late = [], 0, 0
    for chunk in heard.get("chunks", []):
        start, end = chunk["timestamp"]
        text = " ".join(str(chunk["text"]).split())
        if not text:
            continue
        if start is None:
            untimed += 1
            continue
        if start >= walk.end:  # Whisper hears 30 s, the rest of which is silence
            late += 1
            continue
        end = walk.end if end is None else min(float(end), walk.end)
        stretches.append(Stretch(float(start), max(float(start), end), None, None, text))
    notes = broken_sound(sound)
    notes += [f"{counted(untimed, 'piece')} of text without a time left out"] if untimed else []
    notes += [f"{counted(late, 'piece')} of text after the end of the clip left out"] if late else []
    return stretches, Made(
        "words",
        f"{model} through {named('transformers')}",
        "the model does not say how sure it is",
        {},
        [{"start": s.start, "end": s.end, "text": s.text} for s in stretches],
        notes,
    )


def _loaded(model: str) -> Any:
    from transformers import pipeline

    try:
        pipe: Any = pipeline("automatic-speech-recognition", model=model)
    except (OSError, ValueError, KeyError, ImportError, TypeError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelError(f"{model}: cannot be loaded as a speech recogniser: {reason}") from None
    if getattr(pipe.model.generation_config, "no_timestamps_token_id", None) is None:
        raise ModelError(f"{model}: gives words without times; a Whisper checkpoint is needed")
    return pipe
