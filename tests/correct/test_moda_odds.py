"""Log-odds of two groups of keys where a kernel rounds what many faint keys receive."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from attnscope.attention import AttentionCall, least_mass, masses
from attnscope.correct.moda.mask import log_odds
from tests.attention.test_channels import kernel_of

WIDTH = 16


def call_of(z: torch.Tensor, dtype: torch.dtype) -> AttentionCall:
    """A call of one head whose last row has the logits z [N]: keys along one axis, that row's query along it too."""
    n = len(z)
    query, key = torch.zeros(1, 1, n, WIDTH, dtype=dtype), torch.zeros(1, 1, n, WIDTH, dtype=dtype)
    query[..., -1, 0], key[0, 0, :, 0] = 1, z.to(dtype)
    call = AttentionCall(0, query, key, torch.randn(1, 1, n, WIDTH).to(dtype), None, 1.0, None, None, None, True, "")
    return replace(call, kernel=kernel_of(call))


# A sink, and many keys each of which receives less than a kernel can hold next to it, or hardly more
@pytest.mark.parametrize(
    ("dtype", "faint", "tolerance"),
    [
        (torch.float32, -87.0, 1e-4),
        (torch.float32, -80.0, 1e-4),
        (torch.float32, -10.0, 1e-4),
        (torch.bfloat16, -87.0, 1e-2),
        (torch.float16, -16.4, 1e-2),
        (torch.float16, -15.0, 1e-2),
        (torch.float16, -8.0, 1e-2),
    ],
)
def test_many_faint_keys_beside_a_sink(dtype, faint, tolerance):
    n = 600
    z = torch.full((n,), faint) + torch.linspace(-0.5, 0.5, n)
    z[0] = 0
    call = call_of(z, dtype)
    one = torch.ones(1, n, dtype=torch.bool)
    one[0, 0] = False
    exact = call.key[0, 0, :, 0].double()
    expected = exact[1:].logsumexp(0) - exact[0]
    both = torch.ones(1, n, dtype=torch.bool)  # not so few that all rows are read densely
    found = log_odds(call, one, ~one, both)[0, 0, -1]
    assert abs(float(found - expected)) < tolerance


def test_the_kernel_alone_would_be_wrong_there():
    n = 600
    z = torch.full((n,), -16.4)
    z[0] = 0
    call = call_of(z, torch.float16)
    member = (torch.arange(n) > 0).float()[None, :, None]
    read, true = float(masses(call, member)[0, 0, -1, 0]), float((n - 1) * z.half().float()[-1].exp())
    assert abs(read / true - 1) > 0.05
    assert true < least_mass(torch.float16, n - 1)
