"""Gram matrices of one modality's keys, and the other modality's keys mapped by them (MODA, Eq. 5 and 6).

Per key head, on the keys that the kernel receives (after the position embedding):

- `paper`: G = K^T K [D, D] of the tokens of one modality, the other's keys become K G / ||G||. Which norm is not said.
- `code`: G = K^T V with every key L2-normalised (1e-6 is added to it first), each row of G divided by its L2 norm; the
  mapped keys are the normalised keys times G.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from attnscope.correct.params import wrong
from attnscope.vocabulary import TEXT, VISUAL

GRAMS = ("paper", "code")
NORMS = ("row", "fro", "spectral", "trace")
SCOPES = ("prefix", "prompt")
DIRECTIONS = (VISUAL, TEXT, "both")

# Added by the released code to every key before it is normalised.
SHIFT = 1e-6

# Which keys are mapped [M], and which tokens [S] the Gram matrix takes in before they are.
Step = tuple[Tensor, Tensor]


def unit(key: Tensor) -> Tensor:
    """Keys [..., D] L2-normalised as the released code does (code)."""
    shifted = key + SHIFT
    normal: Tensor = shifted / torch.linalg.vector_norm(shifted, dim=-1, keepdim=True)
    return normal


def gram_of(key: Tensor, value: Tensor, gram: str) -> Tensor:
    """The Gram matrix of some tokens.

    Args:
        key: [Hkv, S, D] float32.
        value: [Hkv, S, D] float32; only "code" reads it.
        gram: "paper" (K^T K: symmetric, positive semidefinite) or "code" (normalised keys, K^T V).

    Returns:
        [Hkv, D, D].
    """
    return key.mT @ key if gram == "paper" else unit(key).mT @ value


def normalised(matrix: Tensor, norm: str) -> Tensor:
    """A Gram matrix over its norm.

    Args:
        matrix: [Hkv, D, D].
        norm: "row" (each row over its L2 norm; code), "fro" (Frobenius), "spectral" (largest singular value: mapped
            keys are then no longer than the keys) or "trace" (ours; the sum of the eigenvalues of K^T K).

    Returns:
        [Hkv, D, D]; what is 0 stays 0.
    """
    if norm == "row":
        size = matrix.norm(dim=-1, keepdim=True)
    elif norm == "trace":
        size = matrix.diagonal(dim1=-2, dim2=-1).sum(-1)[..., None, None]
    else:
        order = 2 if norm == "spectral" else "fro"
        size = torch.linalg.matrix_norm(matrix, ord=order, keepdim=True)
    return matrix / torch.where(size == 0, 1.0, size)


def steps(aligned: Tensor, other: Tensor, scope: str) -> list[Step]:
    """In which order keys are mapped, by the Gram matrix of which tokens.

    Args:
        aligned: Boolean [N], the tokens whose keys are mapped.
        other: Boolean [N], those of the other modality.
        scope: "prompt": one step, all tokens of the other modality (code; not causal). "prefix": each run of aligned
            tokens by those that stand before it (ours; causal); a run with none before it is in no step.

    Returns:
        Steps, each of one token or more, over a Gram matrix that grows from step to step; none if nothing can be
        mapped.
    """
    mapped, given = aligned.nonzero()[:, 0], other.nonzero()[:, 0]
    if not len(mapped) or not len(given):
        return []
    if scope == "prompt":
        return [(mapped, given)]
    before = other.long().cumsum(0)[mapped]  # tokens of the other modality in front of each aligned one
    found, taken = list[Step](), 0
    for count in before.unique().tolist():
        if count:
            found.append((mapped[before == count], given[taken:count]))
            taken = count
    return found


def mapped_keys(
    key: Tensor, value: Tensor, order: Sequence[Step], gram: str, norm: str
) -> Iterator[tuple[Tensor, Tensor]]:
    """The mapped keys of one sample, step by step.

    Args:
        key: [Hkv, N, D] float32.
        value: [Hkv, N, D] float32.
        order: As from `steps`.
        gram: As in `gram_of`.
        norm: As in `normalised`.

    Yields:
        Tokens [M] and their mapped keys [Hkv, M, D]: K G_n ("paper") or the normalised keys times G_n ("code").
    """
    total: Tensor | None = None
    for tokens, given in order:
        part = gram_of(key[:, given], value[:, given], gram)
        total = part if total is None else total + part
        own = key[:, tokens]
        yield tokens, (own if gram == "paper" else unit(own)) @ normalised(total, norm)


def cosine(key: Tensor, other: Tensor) -> Tensor:
    """Cosine of keys with their mapped form, [Hkv, M, D] both -> [Hkv, M]; 0 where one of them is 0."""
    return torch.nn.functional.cosine_similarity(key, other, dim=-1)


def principal_angles(one: Tensor, two: Tensor, k: int) -> Tensor:
    """Angles between the subspaces of the top-k eigenvectors of two symmetric matrices.

    Args:
        one: [Hkv, D, D].
        two: [Hkv, D, D].
        k: How many eigenvectors, 1 to D.

    Returns:
        [Hkv, k] radians, increasing: 0 for shared directions, pi / 2 for orthogonal ones.
    """
    bases = [torch.linalg.eigh(matrix.double())[1][..., -k:] for matrix in (one, two)]
    cosines = torch.linalg.svdvals(bases[0].mT @ bases[1])
    return torch.arccos(cosines.clamp(0, 1))


def check_alignment(gram: str, norm: str, direction: str, scope: str, method: str = "") -> None:
    """Refuse options that are out of range, or do not go together.

    Raises:
        RequestError: Naming the option.
    """
    check_choices(("gram", gram, GRAMS), ("norm", norm, NORMS), method=method)
    check_choices(("direction", direction, DIRECTIONS), ("scope", scope, SCOPES), method=method)
    if (gram, norm) == ("code", "trace"):
        why = 'the trace of gram="code" may be 0 or negative; take gram="paper", or another norm'
        raise wrong(method, "norm", norm, why)


def check_choices(*named: tuple[str, str, Sequence[str]], method: str = "") -> None:
    """Refuse a parameter whose value is none of its choices; (name, value, choices) each.

    Raises:
        RequestError: Naming the first one.
    """
    for name, value, choices in named:
        if value not in choices:
            raise wrong(method, name, value, f"choose from {', '.join(choices)}")
