"""What TAB offers where a list of values is closed. Written out: a shell does not wait for torch to be imported.

A test compares each list with the library's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from attnscope import vocabulary

METHODS = (
    "adaptvis",
    "boxes-drawn",
    "boxes-told",
    "knockout",
    "moda-align",
    "moda-calibrate",
    "moda-mask",
    "moda-pseudo",
    "pai",
    "social-bias",
    "temperature",
    "vaf",
    "var",
)
ROWS = ("utterances", vocabulary.QUESTION, vocabulary.ANSWER, vocabulary.TEXT, vocabulary.VISUAL, "all")
TOWARD = ("asked", "other", "everyone", vocabulary.VISUAL, "random")
NEGATIVE = ("paper", "clamp", "gap")
STRENGTHS = ("logit", "constant")
CONTROLS = ("wrong-speaker", "all-boxes", "all-visual-tokens", "random-box", "lowest-g-heads")
CUT_QUERIES = (vocabulary.ANSWER, vocabulary.QUESTION, "utterances", vocabulary.TEXT, vocabulary.VISUAL)
CUT_KEYS = (vocabulary.VISUAL, vocabulary.TEXT, vocabulary.QUESTION, "utterances", "speakers", "asked")
EDGES = (*(f"{query}:{key}" for query in CUT_QUERIES for key in CUT_KEYS), "utterances:own")

READINGS = tuple(vocabulary.READINGS)
MAPS_DTYPES = ("float32", "float16")
CRITERIA = ("speaker-lift", "grounding-auc", "cross-mass", "answer-lift", "active", "localization")
DENOMINATORS = ("max", "sum", "self")
STYLES = ("paper", "slides")
EXPORTS = ("lmms-eval", "lmms-eval-task")
SCORES = ("logprob", "generate")

EMBEDDED = ("roundtable", "roundtable-full")
DTYPES = ("auto", "float32", "float16", "bfloat16")
DEVICES = ("cpu", "cuda", "mps")
DEVICE_MAPS = ("auto", "balanced", "balanced_low_0", "sequential")  # those of accelerate
ATTENTION = ("sdpa", "flash_attention_2", "flash_attention_3", "flex_attention", "eager")
QUANTIZED = ("int8",)

IMPORTERS = (
    "av-speakerbench",
    "ava",
    "coco",
    "cvat",
    "elan",
    "friends-mmc",
    "label-studio",
    "mmsi",
    "mot",
    "online-mmsi",
    "rttm",
    "subtitles",
    "table",
    "talknet",
    "textgrid",
    "tvqa",
    "werewolf",
    "whisperx",
)
PARTS = ("shots", "people", "words", "speech", "speaking")  # of prepare
PERSON_BOXES = ("person", "face")

SPLITS = ("train", "calibration", "test")
LAYOUTS = ("scenes", "tvqa")
TASKS = (
    "target",
    "target-hidden",
    "pronoun",
    "mention",
    "speaks",
    "pointing",
    "cup",
    "count",
    "colour",
    "thing",
)
FIELDS = ("task", "people", "seats", "turns", "named", "about", "split")  # of the scenes that demo-scenes writes
CAPTURE_FIELDS = ("speakers", "correction", *FIELDS)

Complete = Callable[[str], list[str]]


def one_of(values: Sequence[str]) -> Complete:
    """Complete one of some values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def list_of(values: Sequence[str]) -> Complete:
    """Complete the last of several values with commas between them; each is offered once."""

    def complete(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        given = before.split(",")
        return [f"{before}{comma}{value}" for value in values if value.startswith(last) and value not in given]

    return complete


def model(incomplete: str) -> list[str]:
    """Complete an embedded model or a folder."""
    folder, slash, begin = incomplete.rpartition("/")
    try:
        inside = sorted(path.name for path in Path(f"{folder}{slash}" or ".").iterdir() if path.is_dir())
    except (OSError, ValueError):
        inside = []
    folders = [name for name in inside if name.startswith(begin) and (begin or not name.startswith("."))]
    return one_of(EMBEDDED)(incomplete) + [f"{folder}{slash}{name}/" for name in folders]
