"""What probing and verifying say of one model and frames of one size and number, kept on the disk for the next time.

Neither depends on what the frames show, so both are done once for a model, the settings of its processor, and the size
and number of the frames. What is kept lies in the user's cache folder, and can be deleted at any time.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from attnscope._version import __version__
from attnscope.errors import AttnscopeError, ModelError
from attnscope.files.reading import read_bytes
from attnscope.files.writing import write_whole
from attnscope.model.layouts import LAYOUTS, Places
from attnscope.model.pretrained import config_sha256
from attnscope.model.probe.locate import locate
from attnscope.model.probe.trial import Trial
from attnscope.model.probe.verify import agreement
from attnscope.model.several import media_places
from attnscope.placing import percent

if TYPE_CHECKING:
    from attnscope.model.load import LoadedModel
    from attnscope.scene import Frames

logger = logging.getLogger("attnscope")

LEAST = 0.9  # share of tokens that have to answer to their cell; below it, places are refused


def probed_places(loaded: LoadedModel, frames: Frames) -> tuple[Places, float]:
    """Find the places of a model's visual tokens by probing, and prove them.

    Args:
        loaded: The model.
        frames: Their size, number and kind count; their pixels do not.

    Returns:
        The places, and the share of tokens that answered to their cell.

    Raises:
        ModelError: If tokens have no places, or too few of them answer to those that were found.
    """

    def probe() -> dict[str, Any]:
        logger.info("%s: the places of its visual tokens are probed: its vision tower runs 40 to 70 times", loaded.id)
        trial = Trial(loaded, frames)
        places = locate(trial)
        arrays = {"frames": places.frames.tolist(), "grid": places.grid.tolist(), "box": places.box.tolist()}
        return arrays | {"share": float(agreement(trial, places).mean())}

    kept = _kept(_identity(loaded, frames), probe)
    share = float(kept["share"])
    if share < LEAST:
        raise ModelError(
            f"{loaded.id}: its visual tokens could not be placed by probing: {percent(share)} of them answer to the"
            f" cell that was found, and {percent(LEAST)} have to"
        )
    frame, grid = (np.array(kept[name], np.int32).reshape(-1, 2) for name in ("frames", "grid"))
    return Places(frames=frame, grid=grid, box=np.array(kept["box"], np.float32).reshape(-1, 4)), share


def verified_share(loaded: LoadedModel, frames: Frames) -> float:
    """Put the layout of a family to the test on made-up frames.

    Args:
        loaded: A model whose family has a layout.
        frames: Their size, number and kind count; their pixels do not.

    Returns:
        The share of tokens that answer to their cell.

    Raises:
        ModelError: If the tower cannot be tried.
    """

    def verify() -> dict[str, Any]:
        trial = Trial(loaded, frames)
        places = media_places(loaded, trial.processed, trial.frames, len(trial))
        return {"share": float(agreement(trial, places).mean())}

    stated = {"layout": _code(Path(inspect.getfile(type(LAYOUTS[loaded.family]))))}
    return float(_kept(_identity(loaded, frames) | stated, verify)["share"])


def _identity(loaded: LoadedModel, frames: Frames) -> dict[str, Any]:
    """All that places depend on, as JSON has it."""
    import transformers

    parts = {name: getattr(loaded.processor, name, None) for name in ("image_processor", "video_processor")}
    own = {name: value for name, value in vars(loaded.processor).items() if isinstance(value, int | float | str)}
    several = [[medium.kind == "image", medium.first, medium.end] for medium in frames.media]
    return {
        **({"media": several} if several else {}),
        "code": _code(),
        "attnscope": __version__,
        "transformers": transformers.__version__,
        "class": type(loaded.model).__name__,
        "config": config_sha256(loaded.model.config),
        "processor": own | {name: part.to_dict() for name, part in parts.items() if part is not None},
        "frames": [frames.kind == "image", *frames.images.shape[:3]],
    }


@cache
def _code(more: Path | None = None) -> str:
    """Hash of the code that places follow from: what other code has found is not taken.

    Args:
        more: A file besides that of probing and of layouts.
    """
    package = Path(__file__).parent
    files = sorted([*package.glob("*.py"), *package.parent.glob("layouts/*.py"), *([more] if more else [])])
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def _kept(identity: dict[str, Any], compute: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is kept of an earlier time, else computed, and kept if the places passed.

    Without a folder to write to, nothing is kept.
    """
    text = json.dumps(identity, sort_keys=True, default=str)
    path = _folder() / f"{hashlib.sha256(text.encode()).hexdigest()}.json"
    try:
        kept = json.loads(read_bytes(path))
        if isinstance(kept, dict) and kept.get("identity") == text:
            return kept
    except (AttnscopeError, OSError, ValueError) as error:
        logger.debug("%s: %s", path, error)
    computed = compute()
    if computed["share"] < LEAST:
        return computed
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(computed | {"identity": text}))
    except (AttnscopeError, OSError) as error:
        logger.debug("%s: %s", path, error)
    return computed


def _folder() -> Path:
    """Where results are kept: the folder that ATTNSCOPE_CACHE names, or one in the user's cache folder (XDG)."""
    own = os.environ.get("ATTNSCOPE_CACHE")
    base = Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "attnscope"
    return base.expanduser() / "places"
