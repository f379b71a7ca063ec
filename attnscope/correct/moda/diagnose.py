"""How far apart the keys of two modalities lie, from the queries and keys of a capture: no model is run (ours)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from attnscope.correct.moda.gram import NORMS, check_choices, cosine, gram_of, normalised, principal_angles
from attnscope.correct.what_if.stored import stored_call
from attnscope.errors import RequestError
from attnscope.vocabulary import TEXT, VISUAL, is_visual

if TYPE_CHECKING:
    from attnscope.capture import Capture


def diagnose(cap: Capture, *, norm: str = "row", k: int = 4) -> pd.DataFrame:
    """Cosine of keys with their mapped form, and angles between the main directions of two modalities' keys.

    Visual tokens against all others of the prompt, G = K^T K of each (the values of `code` are not in a capture), on
    the keys that the kernel received. Of a capture made under moda-align alone, these are the pulled keys.

    Args:
        cap: An open capture with the `qk` reading.
        norm: Norm of the Gram matrix; the cosine depends on it only for "row".
        k: How many eigenvectors of each Gram matrix span the subspaces that are compared; fewer where a head has fewer
            channels.

    Returns:
        One row a layer and key head: `layer`, `kv_head`; `cosine_visual`, the mean over visual keys k of
        cos(k, k G_n of the text), and `cosine_text`, the other way round; `angle_first`, `angle_mean`, `angle_last`,
        of the k principal angles the smallest, the mean and the largest, radians in [0, pi / 2] (0: same directions);
        `visual`, `text`, how many keys.

    Raises:
        RequestError: If `norm` or `k` is out of range, the capture has no queries and keys, or those of a correction
            that appends channels, or its prompt lacks one of the modalities.

    Example:
        >>> table = attnscope.correct.diagnose(cap)
        >>> table.columns.tolist()[:4], len(table)
        (['layer', 'kv_head', 'cosine_visual', 'cosine_text'], 24)
    """
    check_choices(("norm", norm, NORMS))
    if k < 1:
        raise RequestError(f"k {k}: must be at least 1")
    if not cap.has("qk"):
        raise RequestError(f"{cap.path}: has no queries and keys; capture again with qk in the plan")
    others = [done["method"] for done in cap.correction if done["method"] != "moda-align"]
    if others:
        raise RequestError(f"{cap.path}: was made under {others[0]}, and its keys may hold more than the model's")
    visual = is_visual(cap.tokens)[: cap.prompt_length]
    if visual.all() or not visual.any():
        raise RequestError(f"{cap.path}: its prompt has tokens of one modality only")
    chosen = torch.from_numpy(visual)
    tables = [_layer(int(layer), stored_call(cap, int(layer)).key[0].float(), chosen, norm, k) for layer in cap.layers]
    return pd.concat(tables, ignore_index=True)


def _layer(layer: int, key: Tensor, visual: Tensor, norm: str, k: int) -> pd.DataFrame:
    """The rows of one layer; `key` [Hkv, N, D], `visual` [N]."""
    own, other = key[:, visual], key[:, ~visual]
    gram_v, gram_t = (gram_of(one, one, "paper") for one in (own, other))
    cosines = [cosine(keys, keys @ normalised(gram, norm)).mean(1) for keys, gram in ((own, gram_t), (other, gram_v))]
    angles = principal_angles(gram_v, gram_t, min(k, key.shape[-1])).numpy()
    columns = {
        "layer": layer,
        "kv_head": np.arange(len(key)),
        "cosine_visual": cosines[0].numpy(),
        "cosine_text": cosines[1].numpy(),
        "angle_first": angles[:, 0],
        "angle_mean": angles.mean(1),
        "angle_last": angles[:, -1],
        VISUAL: int(visual.sum()),
        TEXT: int((~visual).sum()),
    }
    return pd.DataFrame(columns)
