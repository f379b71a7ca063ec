"""Ways to read attention on groups of keys beyond the width that a fused kernel is fast at, side by side.

Heads of 128 channels fill the width at which flash kernels are fastest. Every further value channel widens queries,
keys and values alike, because these kernels want one width. The table says what each way costs on the device at hand.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import torch
from torch import Tensor
from torch.nn.functional import pad, scaled_dot_product_attention

from benchmarks.gpu_meter import Meter

GROUPS = 16
SAMPLED = 256  # queries, evenly spread
MULTIPLE = 8


@dataclass(frozen=True)
class Heads:
    """Queries, keys and values of one layer, and the groups of keys.

    Attributes:
        query: [1, H, N, D].
        key: [1, Hkv, N, D].
        value: [1, Hkv, N, D].
        member: [N, GROUPS] 0/1: consecutive stretches of equal length.
        rows: [SAMPLED] queries whose masses are held against float32 rows.
    """

    query: Tensor
    key: Tensor
    value: Tensor
    member: Tensor
    rows: Tensor

    @classmethod
    def random(cls, heads: int, kv_heads: int, tokens: int, width: int, device: str, dtype: torch.dtype) -> Heads:
        """Normal numbers, with logits of variance 1."""
        generator = torch.Generator(device).manual_seed(0)

        def normal(count: int) -> Tensor:
            return torch.randn(1, count, tokens, width, generator=generator, device=device, dtype=dtype)

        places = torch.arange(tokens, device=device)
        member = torch.nn.functional.one_hot(places * GROUPS // tokens, GROUPS).to(dtype)
        rows = torch.linspace(0, tokens - 1, min(SAMPLED, tokens), device=device).long()
        return cls(normal(heads), normal(kv_heads), normal(kv_heads), member, rows)

    @property
    def channels(self) -> Tensor:
        """[1, Hkv, N, GROUPS] the groups as value channels."""
        return self.member.expand(1, self.key.shape[1], -1, -1)

    def exact(self) -> Tensor:
        """[H, SAMPLED, GROUPS] masses of the sampled queries, from float32 rows."""
        heads, kv_heads = self.query.shape[1], self.key.shape[1]
        query = self.query[0, :, self.rows].float().reshape(kv_heads, -1, self.query.shape[-1])
        z = (query @ self.key[0].float().transpose(1, 2)).mul_(self.query.shape[-1] ** -0.5)
        z = z.reshape(heads, len(self.rows), -1)
        future = torch.arange(z.shape[-1], device=z.device) > self.rows[:, None]
        return z.masked_fill_(future, float("-inf")).softmax(-1) @ self.member.float()


def fused(heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The kernel that torch chooses, causal."""
    scale = heads.query.shape[-1] ** -0.5
    return scaled_dot_product_attention(query, key, value, is_causal=True, scale=scale, enable_gqa=True)


def plain(heads: Heads) -> None:
    """The layer's output alone."""
    fused(heads, heads.query, heads.key, heads.value)


def padded(heads: Heads) -> Tensor:
    """Channels beside the values in the same call, everything padded to one width."""
    width = heads.value.shape[-1]
    common = -(-(width + GROUPS) // MULTIPLE) * MULTIPLE
    value = torch.cat([heads.value, heads.channels], -1)
    out = fused(heads, *(pad(x, (0, common - x.shape[-1])) for x in (heads.query, heads.key, value)))
    return out[..., width : width + GROUPS]


def second(heads: Heads) -> Tensor:
    """The layer's output, then a second call whose values are the channels, padded to the width of a head."""
    plain(heads)
    value = pad(heads.channels, (0, heads.value.shape[-1] - GROUPS))
    return fused(heads, heads.query, heads.key, value)[..., :GROUPS]


def flex(heads: Heads, *, together: bool) -> Tensor:
    """FlexAttention with the channels as values, beside the layer's own kernel or in its place."""
    attention, mask = _flex(heads.query.device.type, heads.query.shape[2])
    if together:
        value = torch.cat([heads.value, heads.channels], -1)
    else:
        plain(heads)
        value = heads.channels.contiguous()
    scale = heads.query.shape[-1] ** -0.5
    out: Tensor = attention(heads.query, heads.key, value, block_mask=mask, scale=scale, enable_gqa=True)
    return out[..., -GROUPS:]


@cache
def _flex(device: str, tokens: int) -> tuple[Callable[..., Tensor], object]:
    """FlexAttention, compiled on a GPU, and the causal mask. Uncompiled it is dense."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    mask = create_block_mask(lambda _b, _h, q, k: q >= k, None, None, tokens, tokens, device=device)
    return torch.compile(flex_attention) if device == "cuda" else flex_attention, mask


def sampled(heads: Heads) -> Tensor:
    """The layer's output, and float32 rows of evenly spread queries alone."""
    plain(heads)
    return heads.exact()


WAYS: dict[str, Callable[[Heads], Tensor]] = {
    "channels padded into the same call": padded,
    "a second call with the channels as values": second,
    "FlexAttention beside it, channels as values": partial(flex, together=False),
    "FlexAttention in its place, values and channels": partial(flex, together=True),
    f"float32 rows of {SAMPLED} queries": sampled,
}


def compare(heads: Heads, meter: Meter, rounds: int) -> list[str]:
    """The lines of the table: time and memory of each way over the kernel alone, and its largest error."""
    exact = heads.exact()
    alone = [meter.measure(partial(plain, heads)) for _ in range(rounds + 1)][1:]
    base = statistics.median(run["seconds"] for run in alone)
    lines = [f"| {len(heads.member):,} | the kernel alone | {1e3 * base:.2f} | 1.00 | {_mib(alone):.0f} | |"]
    for name, way in WAYS.items():
        head = f"| {len(heads.member):,} | {name} |"
        try:
            found = way(heads)  # compiles and warms up
            runs = [meter.measure(partial(way, heads)) for _ in range(rounds)]
        except Exception as error:  # a way that a device or a version does not have is a line of the table
            lines.append(f"{head} {meter.failure(error)} | | | |")
            continue
        own = found[0][:, heads.rows] if found.dim() == 4 else found
        seconds = statistics.median(run["seconds"] for run in runs)
        apart = float((own.float() - exact).abs().max())
        lines.append(f"{head} {1e3 * seconds:.2f} | {seconds / base:.2f} | {_mib(runs):.0f} | {apart:.1g} |")
    return lines


def _mib(runs: list[dict[str, float]]) -> float:
    return statistics.median(run["peak"] for run in runs) / 2**20
