"""Each family measured: read as eager attention has it, its places put to the test, corrections tried on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

import attnscope
from attnscope.attention import decoder_layers, tapped
from attnscope.capture.run import capture_prompts
from attnscope.correct import Correction, bind, make
from attnscope.errors import AttnscopeError
from attnscope.model import LoadedModel, Prompt, build_prompt
from attnscope.model.layouts import Places
from attnscope.model.probe import LEAST, Trial, agreement
from attnscope.placing import Placing
from attnscope.scene import Frames, Scene
from attnscope.vocabulary import NOWHERE, is_visual
from tests.capture.eager import eager_maps, make_prompt

# Width, height, frames and kind of what places are proven on: landscape, portrait and odd; 1, 2 and 5 frames; an image.
SHOWN = ((320, 180, 5, "video"), (180, 320, 1, "video"), (237, 301, 2, "video"), (333, 211, 1, "image"))
WORST = 1e-4  # difference to eager attention that still counts as exact: float32 and another order of sums
AGREE = {True: 0.99, False: LEAST}  # share of tokens that have to answer: to a layout; to what probing itself accepts

_ALL = {"layers": "0.0-1.0"}
# Settings under which each correction acts on any model; `{}` stands for a layer that has attention.
TRIED: dict[str, tuple[str, dict[str, Any]]] = {
    "social-bias": ("social-bias", {"rows": "answer", "toward": "Ada", "threshold": 0.0, "coverage": 0.02, **_ALL}),
    "knockout of heads": ("knockout", {"heads": "{}.0"}),
    "knockout of visual tokens": ("knockout", {"edges": "answer:visual"}),
    "knockout of a speaker": ("knockout", {"edges": "answer:Ada", "coverage": 0.02}),
    "moda-align": ("moda-align", {"strength": 2.0, "direction": "both", "gram": "paper", "norm": "fro"}),
    "moda-mask": ("moda-mask", {"gate": 0.3}),
    "moda-calibrate": ("moda-calibrate", {"target": 0.2, "change": "both"}),
    "moda-pseudo": ("moda-pseudo", {"p_base": 2.0}),
    "pai": ("pai", {"alpha": 0.5, **_ALL}),
    "vaf": ("vaf", _ALL),
    "adaptvis": ("adaptvis", _ALL),
    "var": ("var", {"image_mass": 0.0, "sink_share": 1.0, "sink_mass": 0.0, "sink_ratio": 1.0, **_ALL}),
    "temperature": ("temperature", _ALL),
}


@dataclass(frozen=True)
class Tested:
    """Places that were put to the test.

    Attributes:
        placing: How the tokens were placed, as the prompt says.
        tokens: How many visual tokens were tried.
        cells: How many of them have a cell.
        answered: How many answered as their place says: to their cell, or to nothing where they have none.
    """

    placing: Placing
    tokens: int
    cells: int
    answered: int


def frames(width: int, height: int, count: int, kind: str) -> Frames:
    """Coarse noise with the times of a clip."""
    rng = np.random.default_rng(width)
    images = rng.integers(40, 216, (count, height, width, 3), dtype=np.uint8)
    times = np.arange(count) * 0.7 + 0.3
    return Frames(images, times, np.arange(count, dtype=np.int32), width, height, kind, 10.0, 20.0, 200)


def worst_difference(folder: Path, loaded: LoadedModel, scene: Path, out: Path) -> float:
    """Largest difference of a captured attention weight to transformers' own eager attention, of all layers.

    Args:
        folder: The checkpoint.
        loaded: The same, in float32.
        scene: A scene file with a clip, of which two frames are shown, and then an image.
        out: Folder for the captures and the image.
    """
    clip, picture = Scene.read(scene), out / "picture.png"
    Image.fromarray(frames(320, 180, 1, "image").images[0]).save(picture)
    worst = 0.0
    for kind, shown in (("clip", clip), ("image", clip.model_copy(update={"video": picture}))):
        prompt = make_prompt(loaded, shown, frames=2)
        plan = attnscope.Plan(full=True)
        (cap,) = capture_prompts(loaded, [prompt], [out / f"{kind}.h5"], plan=plan, max_new_tokens=1)
        with cap:
            if not cap.check["passed"]:
                raise AssertionError(f"{kind}: the self-check did not pass: {cap.check}")
            own = [cap.attention(int(layer)) for layer in cap.layers]
        both = zip(own, eager_maps(folder, prompt), strict=True)
        worst = max(worst, *(float(np.abs(a - b).max()) for a, b in both))
    return worst


def tested_places(loaded: LoadedModel, shown: Frames) -> Tested:
    """The places of a prompt's token table, each token of it put to the test by repainted pixels."""
    prompt = build_prompt(loaded, Scene(video=Path("clip.mp4")), shown)
    table = prompt.tokens[is_visual(prompt.tokens)]
    places = Places(
        frames=table[["frame_first", "frame_last"]].to_numpy(np.int32),
        grid=table[["grid_y", "grid_x"]].to_numpy(np.int32),
        box=table[["x0", "y0", "x1", "y1"]].to_numpy(np.float32),
        note=table["note"].tolist(),
    )
    cells = int(np.isfinite(places.box[:, 0]).sum())
    answered = 0 if prompt.placing.how == NOWHERE else int(agreement(Trial(loaded, shown), places).sum())
    return Tested(prompt.placing, len(table), cells, answered)


def placing_measured(loaded: LoadedModel) -> dict[str, Any]:
    """The places of a family over everything of `SHOWN`.

    Returns:
        `how` (the placings, of which most families have one: "layout", "none/probed"); `tokens`, `cells` and `answered`
        of what was placed, added up; `reason` (why something was not placed, the first).
    """
    tested = [tested_places(loaded, frames(*shown)) for shown in SHOWN]
    placed = [one for one in tested if one.placing.how != NOWHERE]
    return {
        "how": "/".join(sorted({one.placing.how for one in tested})),
        "tokens": sum(one.tokens for one in placed),
        "cells": sum(one.cells for one in placed),
        "answered": sum(one.answered for one in placed),
        "reason": next((one.placing.reason for one in tested if one.placing.reason), ""),
    }


def tried_corrections(loaded: LoadedModel, scene: Path) -> dict[str, str]:
    """What each correction of `TRIED` does to one forward pass: "" where it acts, else why not.

    Args:
        loaded: The model.
        scene: The scene file of Ada and Ben.
    """
    asked = Scene.read(scene).model_copy(update={"question": "Where is Ada?"})
    prompt = make_prompt(loaded, asked, frames=2)
    with torch.no_grad():
        plain = loaded.model(**prompt.inputs, use_cache=False).logits
    layer = str(next(iter(decoder_layers(loaded.model))))
    outcomes = {}
    for name, (method, settings) in TRIED.items():
        given = {
            key: value.replace("{}", layer) if isinstance(value, str) else value for key, value in settings.items()
        }
        try:
            outcomes[name] = _outcome(loaded, prompt, make(method, **given), plain)
        except AttnscopeError as error:
            message = str(error).replace(f"{loaded.id}: ", "").replace(f"{asked.video}: ", "")
            outcomes[name] = " ".join(message.split())
    return outcomes


def _outcome(loaded: LoadedModel, prompt: Prompt, correction: Correction, plain: torch.Tensor) -> str:
    with torch.no_grad(), tapped(loaded.model, edits=bind(loaded, prompt, [correction])):
        logits = loaded.model(**prompt.inputs, use_cache=False).logits
    if not bool(torch.isfinite(logits).all()):
        return "logits are not finite"
    return "" if bool((logits != plain).any()) else "changes nothing"


def versions() -> str:
    """The version of transformers that was measured."""
    return str(transformers.__version__)
