"""What layers receive, summed up while the prefill runs: massive activations, and how alike the tokens have become.

Hidden states are large (28 layers x 8192 tokens x 3584 channels), so none is kept: of a layer's input X [n, D] there
remain a ratio for each token, and for each group of tokens one residual and the singular values. All are of the prompt.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from attnscope.attention.dense import CHUNK_BYTES
from attnscope.capture.record.groups import KeyGroups
from attnscope.capture.record.recorder import SampleRecorder
from attnscope.errors import ModelError
from attnscope.vocabulary import ALL, hidden_groups


class HiddenRecorder:
    """Looks at the residual stream: the `look` of `attnscope.attention.streamed`.

    Args:
        samples: The recorders, one a sample.
        padded: Padded length of the prefill.

    Attributes:
        seen: Numbers that it was called with, for prompts.
    """

    def __init__(self, samples: Sequence[SampleRecorder], padded: int) -> None:
        self.samples, self.padded = samples, padded
        self.groups = [_groups(recorder.keys) for recorder in samples]
        self.seen: set[int] = set()

    def __call__(self, layer: int, stream: Tensor) -> None:
        """Record a layer's input [B, N, D]; that of a generated token is left out."""
        if layer in self.seen:  # the prompt comes first, in one pass, as the recorder of attention makes sure
            return
        if stream.shape[1] != self.padded:
            raise ModelError(
                f"layer {layer}: the model was run on {stream.shape[1]} of the {self.padded} tokens of the prompt; its"
                " hidden states cannot be recorded"
            )
        self.seen.add(layer)
        for recorder, groups in zip(self.samples, self.groups, strict=True):
            rows = stream[recorder.sample, recorder.index.to(stream.device)]  # [N, D], without the padding
            recorder.width = rows.shape[1]
            self._record(recorder, layer, rows, groups)

    def _record(self, recorder: SampleRecorder, layer: int, rows: Tensor, groups: list[Tensor]) -> None:
        residuals = rows.new_full((len(groups),), torch.nan, dtype=torch.float32)
        spectra = rows.new_full((len(groups), min(rows.shape)), torch.nan, dtype=torch.float32)
        for row, group in enumerate(groups):
            index = group.to(rows.device)
            residuals[row], norm = residual_of(rows, index)
            values = singular_values(rows, index)
            spectra[row, : len(values)] = values
            if norm > 0 and bool(values.isfinite().all()):
                off = abs(float(values.square().sum()) / norm - 1)
                recorder.checks.norm = max(recorder.checks.norm, off)
        recorder.datasets.put("hidden/massive", layer, massive_ratio(rows))
        recorder.datasets.put("hidden/residual", layer, residuals)
        recorder.datasets.put("hidden/singular_values", layer, spectra)


def massive_ratio(rows: Tensor) -> Tensor:
    """Largest channel of every token over its root mean square, max_d |x_d| / RMS(x) (VisAttnSink, code).

    Args:
        rows: [N, D].

    Returns:
        [N] float32, between 1 and sqrt(D); NaN for a token of zeros.
    """
    ratios = []
    for part in rows.split(_step(rows)):
        single = part.float()
        # Divided by the peak first: the squares of large activations would overflow.
        ratios.append((single / single.abs().amax(-1, keepdim=True)).square().mean(-1).rsqrt())
    return torch.cat(ratios)


def residual_of(rows: Tensor, index: Tensor) -> tuple[float, float]:
    """Part of the tokens that is left when their mean is taken from each, ||X - 1 x^T|| / ||X|| (Dong et al. 2021).

    The mean is the best x in the Frobenius norm (the norm is ours: their bound is in a composite one).

    Args:
        rows: [N, D].
        index: [n] which of them are X.

    Returns:
        The residual, NaN if X is empty or 0; and ||X||^2. Both are summed up in float64.
    """
    if not len(index):
        return torch.nan, 0.0
    mean = torch.stack([part.sum(0) for part in _parts(rows, index)]).sum(0) / len(index)
    whole = sum(float(part.square().sum()) for part in _parts(rows, index))
    rest = sum(float((part - mean).square().sum()) for part in _parts(rows, index))
    return (rest / whole) ** 0.5 if whole > 0 else torch.nan, whole


def singular_values(rows: Tensor, index: Tensor) -> Tensor:
    """Singular values of some tokens as they are (uncentred), from their Gram matrix in float64.

    Of its two Gram matrices the smaller is taken, so no more than D x D numbers are held. A square root loses half of
    the digits: what lies below sqrt(k * 2e-16) of the largest value is rounding, and returned as 0.

    Args:
        rows: [N, D].
        index: [n] which of them are X.

    Returns:
        [k = min(n, D)] float64, decreasing; NaN if X is not finite.
    """
    if len(index) <= rows.shape[1]:
        chosen = _exact(rows[index])
        gram = chosen @ chosen.T
    else:
        gram = _exact(rows[:0]).new_zeros(rows.shape[1], rows.shape[1])
        for part in _parts(rows, index):
            gram.addmm_(part.T, part)
    if not bool(gram.isfinite().all()):
        return gram.new_full((len(gram),), torch.nan)
    squares = torch.linalg.eigvalsh(gram).flip(0)
    least = len(gram) * torch.finfo(gram.dtype).eps * squares[:1]
    return torch.where(squares > least, squares, 0.0).sqrt()


def _groups(keys: KeyGroups) -> list[Tensor]:
    """Positions of the tokens of each of `attnscope.vocabulary.hidden_groups`."""
    members = {ALL: np.ones(keys.member.shape[1], bool)} | keys.modalities
    return [torch.from_numpy(members[name]).nonzero()[:, 0] for name in hidden_groups(keys.modalities)]


def _parts(rows: Tensor, index: Tensor) -> Iterator[Tensor]:
    """The chosen rows in float64, some at a time."""
    return (_exact(rows[part]) for part in index.split(_step(rows)))


def _exact(values: Tensor) -> Tensor:
    """In float64, which Apple's GPUs do not have."""
    return (values.cpu() if values.device.type == "mps" else values).double()


def _step(rows: Tensor) -> int:
    """Rows of which a float64 copy is one chunk."""
    return max(1, CHUNK_BYTES // (8 * rows.shape[1]))
