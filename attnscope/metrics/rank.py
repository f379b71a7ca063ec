"""Rank collapse and massive activations: how alike the tokens' hidden states have become, layer by layer.

These numbers are not about attention but about what the layers receive (the reading `hidden`), so they have no heads:
the column `head` is -1. Layer l is the input of layer l; one more, whose number is the model's number of layers, is
what leaves the last layer. The column `tokens` says of which tokens of the prompt: `all`, or a modality. X [n, D] is
uncentred.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.families import family
from attnscope.metrics.registry import Metric
from attnscope.metrics.tables import Part, divide

if TYPE_CHECKING:
    from attnscope.capture import Capture

MASSIVE = 20.0  # VisAttnSink's threshold

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@family(
    Metric(
        "effective_rank",
        "Effective rank",
        "exp of the entropy of the singular values of the token matrix X, each divided by their sum (Roy and "
        "Vetterli 2007), per layer input; X is not centred. 1 if all tokens point the same way, min(tokens, channels) "
        "if all directions are equally strong.",
        source="paper",
        range=(1, None),
    ),
    Metric(
        "effective_rank_share",
        "Effective rank of what is possible",
        "The effective rank divided by the largest that this number of tokens and channels allows, "
        "min(tokens, channels).",
    ),
    Metric(
        "rank_one_residual",
        "Residual of rank one",
        "What is left of the token matrix X when the part in which all rows are equal, its mean row, is taken "
        "away: ||X - 1 x^T|| / ||X|| in the Frobenius norm, per layer input (Dong et al. 2021, whose norm is another "
        "one). 0 if all tokens are equal: rank collapse.",
        source="paper",
    ),
    keys=("tokens",),
    needs=("hidden",),
)
def from_spectra(cap: Capture) -> list[Part]:
    """Effective rank, its share, and the rank-one residual; n = tokens. NaN for no tokens, or nothing but zeros.

    Raises:
        FormatError: If the capture has no `hidden` reading.
    """
    residual = cap.hidden("residual")
    values = np.asarray(cap.hidden("singular_values").values, np.float64)  # [L + 1, G, K]
    groups = [str(name) for name in residual["group"].values]
    tokens = np.array([_members(cap)[name].sum() for name in groups])
    rank = effective_rank(values)
    most = np.minimum(tokens, values.shape[-1])  # K is min(N, D), and n is at most N
    axes = {"layer": residual["layer"].values, "tokens": groups}
    numbers = {
        "effective_rank": rank,
        "effective_rank_share": divide(rank, most),
        "rank_one_residual": np.asarray(residual.values, np.float64),
    }
    return [Part(name, value, tokens, axes) for name, value in numbers.items()]


@family(
    Metric(
        "massive_tokens",
        "Massive tokens",
        "How many tokens of the prompt have a massive activation: max_d |x_d| / RMS(x) of the layer input above "
        "20 (VisAttnSink). NaN in models of 400 channels or fewer, where no token can: the ratio is at most the root "
        "of their number.",
        source="code",
        unit="tokens",
        range=(0, None),
    ),
    Metric(
        "massive_share",
        "Share of massive tokens",
        "Massive tokens (max_d |x_d| / RMS(x) of the layer input above 20) of a modality, divided by the tokens "
        "of that modality in the prompt.",
        source="code",
    ),
    keys=("tokens",),
    needs=("hidden",),
)
def from_massive(cap: Capture, *, massive: float = MASSIVE) -> list[Part]:
    """Number and share of massive tokens by modality; n = tokens of it.

    Args:
        cap: An open capture.
        massive: The ratio above which a token is massive.

    Raises:
        FormatError: If the capture has no `hidden` reading.
    """
    sets = _members(cap)
    member = np.stack(list(sets.values()))  # [M, N]
    count = _massive(cap, massive) @ member.T.astype(np.float64)  # [L + 1, M]
    axes = {"layer": cap.hidden("residual")["layer"].values, "tokens": list(sets)}
    tokens = member.sum(1)
    share = divide(count, tokens)
    numbers = {"massive_tokens": np.where(tokens > 0, count, np.nan), "massive_share": share}
    return [Part(name, value, tokens, axes) for name, value in numbers.items()]


@family(
    Metric(
        "massive_sinks",
        "Massive sinks",
        "Share of the sink keys of a layer that are massive tokens: max_d |x_d| / RMS(x) of the layer input "
        "above 20. NaN where the layer has no such sink, and in models of 400 channels or fewer.",
        chance="massive_share of the same tokens",
    ),
    keys=("tokens",),
    needs=("hidden", "masses"),
)
def massive_sinks(cap: Capture, *, massive: float = MASSIVE) -> list[Part]:
    """Share of sinks that are massive, by modality; n = sinks of the layer. What leaves the last layer has no sinks.

    Args:
        cap: An open capture.
        massive: The ratio above which a token is massive.

    Raises:
        FormatError: If the capture has no `hidden` reading, or no sinks.
    """
    sets = _members(cap)
    member = np.stack(list(sets.values())).T.astype(np.float64)  # [N, M]
    sinks = np.asarray(cap.sinks)[:, : cap.prompt_length].astype(np.float64)  # [L, N]
    count = (sinks @ member).round()
    both = np.where(sinks > 0, _massive(cap, massive)[:-1], 0.0) @ member
    return [Part("massive_sinks", divide(both, count), count, {"layer": cap.layers, "tokens": list(sets)})]


def effective_rank(values: Floats) -> Floats:
    """exp(entropy of s / sum s) of singular values [..., K], NaN among them left out; NaN where they sum to 0."""
    known = np.nan_to_num(values)
    part = divide(known, known.sum(-1, keepdims=True))
    entropy = -(part * np.log(np.where(part > 0, part, 1.0))).sum(-1)
    rank: Floats = np.exp(np.maximum(entropy, 0.0))  # rounding puts rank 1 a hair below
    return rank


def _massive(cap: Capture, massive: float) -> Floats:
    """1 where a token is massive, [L + 1, N]; NaN everywhere if none can be.

    A token without a ratio (of zeros, or not finite) is not massive.
    """
    ratios = np.asarray(cap.hidden("massive").values, np.float64)
    possible = np.sqrt(cap.hidden_width) > massive
    return np.where(possible, (ratios > massive).astype(np.float64), np.nan)


def _members(cap: Capture) -> dict[str, Bools]:
    """Tokens of the prompt, all and by modality, each bool [N]."""
    modality = cap.tokens["modality"].to_numpy()[: cap.prompt_length]
    return {"all": np.ones(len(modality), bool)} | {name: modality == name for name in cap.modalities}
