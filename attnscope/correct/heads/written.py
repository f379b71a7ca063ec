"""Fixed heads of a correction: "2.3,4.0" (layer.head), or a heads file, checked against the model."""

from __future__ import annotations

import re

from attnscope.correct.base import Decoder
from attnscope.errors import RequestError
from attnscope.metrics.headlist import SUFFIX, HeadList, read


def opened(heads: str | HeadList) -> str | HeadList:
    """The heads file that a text names, or what was given.

    Raises:
        RequestError: If there is no such file, a field of it is wrong, or the text is not layer.head.
    """
    found = read(heads) if isinstance(heads, str) and heads.endswith(SUFFIX) else heads
    parse(found)
    return found


def text(heads: str | HeadList) -> str:
    """The heads as they are stored in a capture; of a heads file, those in it."""
    return heads if isinstance(heads, str) else heads.text


def parse(heads: str | HeadList) -> dict[int, list[int]]:
    """Heads by layer, both increasing; empty for an empty text.

    Raises:
        RequestError: If they are not written as layer.head.
    """
    found, written = set(), text(heads)
    for part in written.split(",") if written else []:
        match = re.fullmatch(r"([0-9]+)\.([0-9]+)", part.strip())
        if match is None:
            raise RequestError(f'--heads {written}: "{part.strip()}" is not a layer and a head, like 12.3')
        found.add((int(match[1]), int(match[2])))
    return {layer: sorted(h for other, h in found if other == layer) for layer in sorted({at for at, _ in found})}


def heads_of(heads: str | HeadList, decoder: Decoder) -> dict[int, list[int]]:
    """As `parse`, for a model.

    Raises:
        RequestError: If the model has no such layer or head, or is not that of the heads file.
    """
    if isinstance(heads, HeadList):
        heads.check_model(decoder.id, decoder.config_sha256)
    chosen = parse(heads)
    for layer, several in chosen.items():
        if layer not in decoder.layers:
            known = f"{min(decoder.layers)}-{max(decoder.layers)}"
            raise RequestError(
                f"--heads {layer}.{several[0]}: layer {layer} is not one of the layers with attention, {known}"
            )
        if several[-1] >= decoder.heads:
            raise RequestError(
                f"--heads {layer}.{several[-1]}: the model has heads 0-{decoder.heads - 1} in each layer"
            )
    return chosen
