"""Speech: when somebody speaks, by silero-vad, whose network comes inside its package.

The network gives a probability of speech for every 32 ms; the package makes stretches of them. Singing and loud music
may count as speech, and whispers may not. Source: Silero Team, Silero VAD, 2021 to 2026 (MIT).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from attnscope.prepare.extra import named, needed, threads_of_torch
from attnscope.prepare.parts import Made, Shot, Stretch, counted
from attnscope.progress import Progress
from attnscope.scene.sound import Sound, read_sound
from attnscope.scene.walk import Walk

RATE = 16_000  # samples a second that the network hears
_WINDOW = 512  # samples of one probability
LEAST = 0.5  # probability from which a stretch begins; it ends 0.15 below that


def find_speech(walk: Walk, progress: Progress | None = None) -> tuple[list[Stretch], Made]:
    """Find stretches of speech.

    Args:
        walk: The clip.
        progress: Called with (what, done, total).

    Returns:
        Stretches in the order of time, and how they came about. None if the clip has no sound.

    Raises:
        InstallError: If silero-vad is not installed.
        MediaError: If the sound is damaged.
    """
    sound = read_sound(walk, RATE)
    if sound is None or not len(sound.samples):
        kind = "an image" if walk.kind == "image" else "a clip without sound"
        return [], Made("speech", "", f"there is none: this is {kind}")
    with threads_of_torch():
        stretches, probability = _stretches(sound.samples[: round(walk.end * RATE)], progress)
    doubtful = float(((probability > 0.2) & (probability < 0.8)).mean())
    return stretches, Made(
        "speech",
        named("silero-vad"),
        f"{counted(len(stretches), 'stretch', 'stretches')}, "
        f"{sum(stretch.seconds for stretch in stretches):.1f} of {walk.end:.1f} s; "
        f"{doubtful:.0%} of the time the probability of speech is between 0.2 and 0.8",
        {"least_probability": LEAST},
        [{"start": s.start, "end": s.end, "probability": s.score} for s in stretches],
        broken_sound(sound),
    )


def broken_sound(sound: Sound) -> list[str]:
    """A note about sound that does not decode, if there is any."""
    if not sound.broken:
        return []
    return [f"{counted(sound.broken, 'packet')} of sound cannot be decoded; silence is heard in their place"]


def _stretches(
    samples: npt.NDArray[np.float32], progress: Progress | None
) -> tuple[list[Stretch], npt.NDArray[np.float64]]:
    silero = needed("silero_vad", "silero-vad", "speech")
    import torch

    with warnings.catch_warnings():  # torch says that it will read such networks in another way some day
        warnings.simplefilter("ignore")
        listener = _Listener(silero.load_silero_vad(), -(-len(samples) // _WINDOW), progress)
        found = silero.get_speech_timestamps(
            torch.from_numpy(samples), listener, threshold=LEAST, sampling_rate=RATE, return_seconds=False
        )
    probability = np.array(listener.probability)
    stretches = []
    for one in found:
        first, last = one["start"] // _WINDOW, max(one["start"] // _WINDOW + 1, -(-one["end"] // _WINDOW))
        score = float(probability[first:last].mean())
        stretches.append(Stretch(round(one["start"] / RATE, 3), round(one["end"] / RATE, 3), round(score, 4)))
    return stretches, probability


class _Listener:
    """The network, which remembers what it said: the package gives stretches alone."""

    def __init__(self, network: Any, windows: int, progress: Progress | None) -> None:
        self._network, self._windows, self._progress = network, windows, progress
        self.probability: list[float] = []

    def __call__(self, window: Any, rate: int) -> Any:
        """Probability of speech in a window of samples."""
        answer = self._network(window, rate)
        self.probability.append(float(answer))
        if self._progress is not None:
            self._progress("speech", len(self.probability), self._windows)
        return answer

    def reset_states(self) -> None:
        """Forget what was heard."""
        self._network.reset_states()


def cut_at(stretches: Iterable[Stretch], shots: Sequence[Shot], least: float = 0.25) -> Iterator[Stretch]:
    """Stretches without words, cut where the shots are: who is seen changes there.

    Args:
        stretches: In the order of time.
        shots: Of the clip.
        least: Seconds of the shortest piece that is cut off.
    """
    for stretch in stretches:
        start, end = stretch.start, stretch.end
        if start is None or end is None or stretch.text is not None:
            yield stretch
            continue
        edges = [start, *(shot.start for shot in shots if start + least <= shot.start <= end - least), end]
        for begin, stop in pairwise(edges):
            yield replace(stretch, start=begin, end=stop)
