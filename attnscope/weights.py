"""Whether two models have the same weights, told from the fingerprints that captures and files keep of them.

The fingerprints are made by `attnscope.model.fingerprint`; comparing them needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, NamedTuple

_SHORT = 12  # characters of a hash that a message shows


class Match(Enum):
    """What two fingerprints say."""

    SAME = "same"
    ROUNDED = "the same in another precision"
    OTHER = "other"
    UNKNOWN = "unknown"


class ModelId(NamedTuple):
    """What tells models apart.

    Attributes:
        id: Name or folder.
        config_sha256: Hash of the configuration.
        weights_sha256: SHA-256 of the weights rounded to bfloat16, so that every precision has the same; None if not
            known.
    """

    id: str
    config_sha256: str
    weights_sha256: str | None = None

    def __str__(self) -> str:
        weights = f", weights {self.weights_sha256[:_SHORT]}" if self.weights_sha256 else ""
        return f"{self.id} (config {self.config_sha256[:_SHORT]}{weights})"


def same_model(first: ModelId, second: ModelId) -> bool:
    """Whether two models may be one.

    Their configurations must be equal. Where both weights are known these decide; otherwise the names must be equal,
    unless one is a folder, which may have moved.
    """
    if first.config_sha256 != second.config_sha256:
        return False
    if first.weights_sha256 and second.weights_sha256:
        return first.weights_sha256 == second.weights_sha256
    return first.id == second.id or any(Path(model.id).is_absolute() for model in (first, second))


def rounded(model: Mapping[str, Any]) -> str | None:
    """The hash of the rounded weights in a capture's `/model`, None if it has none."""
    weights = model.get("weights")
    digest = weights.get("rounded_sha256") if isinstance(weights, Mapping) else None
    return str(digest) if digest else None


def match(first: Mapping[str, Any], second: Mapping[str, Any]) -> Match:
    """Compare the weights of two models.

    Args:
        first: `/model` of a capture, or `LoadedModel.describe()`.
        second: As `first`.

    Returns:
        `UNKNOWN` where one of the two has no fingerprint, or not all of its weights could be read, or a float16 model
        is compared with another precision: float16 cannot hold what bfloat16 rounds.
    """
    a, b = first.get("weights"), second.get("weights")
    if not isinstance(a, Mapping) or not isinstance(b, Mapping) or a.get("method") != b.get("method"):
        return Match.UNKNOWN
    if a.get("unread") or b.get("unread"):
        return Match.UNKNOWN
    if a.get("sha256") == b.get("sha256"):
        return Match.SAME
    precisions = {first.get("dtype"), second.get("dtype")}
    if len(precisions) == 1:
        return Match.OTHER
    if a.get("rounded_sha256") == b.get("rounded_sha256"):
        return Match.ROUNDED
    return Match.UNKNOWN if "float16" in precisions else Match.OTHER


def where(first: Mapping[str, Any], second: Mapping[str, Any]) -> str:
    """In which parts two models of one precision differ, as the end of a sentence ("in lm_head"); "" if not known."""
    if first.get("dtype") != second.get("dtype"):
        return ""
    a, b = (model.get("weights", {}).get("parts", {}) for model in (first, second))
    names = [name for name in [*a, *(n for n in b if n not in a)] if a.get(name) != b.get(name)]
    if not names:
        return ""
    parts = names[0] if len(names) == 1 else f"{len(names)} of {len({*a, *b})} parts, first {names[0]}"
    return f" in {parts}"
