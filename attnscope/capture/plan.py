"""What to record, and how large it will be, told before the run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from attnscope.capture.file.specification import FLOW_ERROR, GATE, Rule, arrays_of
from attnscope.errors import Argument, RequestError, SizeError
from attnscope.estimate import LEAST
from attnscope.layers import check_layers
from attnscope.vocabulary import MASSES, READINGS, STATS

GIB = 2**30
ALL = ":all"
EXHAUSTIVE = (MASSES, STATS)
_WHICH = f"{ALL} stands after {MASSES} or {STATS}"


@dataclass(frozen=True)
class Shape:
    """The numbers that decide a capture's size.

    Attributes:
        layers: Recorded layers.
        heads: Query heads.
        kv_heads: Key heads.
        width: Channels of a head.
        positions: Prompt tokens plus the most tokens that can be generated.
        probes: Text, special and generated positions.
        key_groups: Number of key groups.
        query_groups: Number of query groups, generated tokens included.
        itemsize: Bytes of one number of the model's dtype.
        prompt: Prompt tokens (`hidden` is of these alone).
        hidden: Channels of a hidden state.
        hidden_groups: Groups of tokens whose hidden states are summed up.
        gated: Whether the model may have gates on its heads' outputs.
    """

    layers: int
    heads: int
    kv_heads: int
    width: int
    positions: int
    probes: int
    key_groups: int
    query_groups: int
    itemsize: int
    prompt: int = 0
    hidden: int = 0
    hidden_groups: int = 3
    gated: bool = False

    @property
    def dims(self) -> dict[str, int]:
        """The dimensions of the format's arrays."""
        return {
            "layer": self.layers,
            "head": self.heads,
            "kv_head": self.kv_heads,
            "channel": self.width,
            "query": self.positions,
            "key": self.positions,
            "probe": self.probes,
            "key_group": self.key_groups,
            "query_group": self.query_groups,
            "state": self.layers + 1,
            "prompt": self.prompt,
            "group": self.hidden_groups,
            "component": min(self.prompt, self.hidden),
        }


@dataclass(frozen=True)
class Plan:
    """What a capture records.

    Attributes:
        masses: Attention mass on key groups: of every text and generated query, and group by group for all queries;
            that of visual queries on single frames and speakers' cells from a sample.
        maps: Mean attention of each query group (turns, speakers, question, answer position, generated tokens) to
            every key.
        stats: Log-sum-exp and sink mass of every query, entropy of text and generated ones and of a sample of the
            visual ones, largest attention of text and generated queries; of models with gates on their heads' outputs,
            also how much of each passes.
        qk: Queries and keys, from which any attention is recomputed exactly.
        full: The dense maps, quadratic in the number of tokens.
        hidden: What each layer receives, summed up: massive activations, rank-one residual and singular values.
        layers: Choice of layers as in `attnscope.layers.select_layers`; None for all.
        coverage: Fraction of a visual token's cell that a speaker's box must cover to count as the speaker's (P1 does
            not say; ours).
        maps_dtype: "float32" or "float16".
        sink_mass: A key is a sink of a layer if its mean received mass, over heads and the prompt queries that are not
            visual, is above this (ours) ...
        sink_ratio: ... and above this multiple of uniform attention (ours).
        max_size: Budget in bytes, before compression.
        exhaustive: Of `masses` and `stats`, those for which every visual query is read, not a sample: the attention of
            visual queries on frames and speakers' cells, and their entropy. What else these readings hold is exact for
            every query in any case. It widens the kernel's values, so that the run costs about twice as much.
        sample: How many visual queries are read densely otherwise, spread evenly over the prompt.
        seed: Of the draw of the sample.

    Example:
        >>> attnscope.Plan(qk=True, layers="0.36-0.71").readings
        ['masses', 'maps', 'stats', 'qk']
        >>> attnscope.Plan.parse("masses,stats:all").exhaustive
        ('stats',)
    """

    masses: bool = True
    maps: bool = True
    stats: bool = True
    qk: bool = False
    full: bool = False
    hidden: bool = False
    layers: str | tuple[int, ...] | None = None
    coverage: float = 0.5
    maps_dtype: str = "float32"
    sink_mass: float = 0.05
    sink_ratio: float = 10.0
    max_size: int = 4 * GIB
    exhaustive: tuple[str, ...] = ()
    sample: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        """Check ranges."""
        if not any(getattr(self, name) for name in READINGS):
            raise RequestError(f"plan: records nothing; choose from {', '.join(READINGS)}")
        if not 0 < self.coverage <= 1:
            raise RequestError(f"plan: coverage {self.coverage} is not in (0, 1]")
        if self.maps_dtype not in ("float32", "float16"):
            raise RequestError(f'plan: maps_dtype "{self.maps_dtype}" is neither float32 nor float16')
        if not 0 <= self.sink_mass < 1 or self.sink_ratio < 1:
            raise RequestError(
                f"plan: sinks need 0 <= mass < 1 and ratio >= 1, not {self.sink_mass} and {self.sink_ratio}"
            )
        if self.max_size <= 0:
            raise RequestError(f"plan: max_size {self.max_size} is not a positive number of bytes")
        if self.sample < LEAST:
            raise RequestError.of("sample", self.sample, f"must be at least {LEAST}, or the sample has no error")
        if self.seed < 0:
            raise RequestError(f"plan: seed {self.seed} is negative")
        object.__setattr__(self, "exhaustive", tuple(name for name in READINGS if name in self.exhaustive))
        for name in self.exhaustive:
            if name not in EXHAUSTIVE or not getattr(self, name):
                raise RequestError(f"plan: {name}{ALL} reads every visual query; {_WHICH}")
        if isinstance(self.layers, str):
            check_layers(self.layers)

    @classmethod
    def parse(cls, text: str, **fields: Any) -> Plan:
        """Make a plan from "masses,maps,qk"; what is not named is not recorded.

        Args:
            text: Names of readings, with commas; ":all" after `masses` or `stats` reads every visual query.
            fields: Other fields of the plan.

        Raises:
            RequestError: If a name is not a reading, or has no form with ":all".
        """
        given = [name.strip() for name in text.split(",") if name.strip()]
        names = [name.removesuffix(ALL) for name in given]
        for name, whole in zip(names, given, strict=True):
            if name not in READINGS:
                raise RequestError.of("plan", text, f'"{name}" is not a reading; choose from {", ".join(READINGS)}')
            if whole.endswith(ALL) and name not in EXHAUSTIVE:
                raise RequestError.of("plan", text, f'"{whole}" is not a reading; {_WHICH}')
        wanted: dict[str, Any] = {name: name in names for name in READINGS}
        every = tuple(name for name in EXHAUSTIVE if f"{name}{ALL}" in given)
        return cls(**wanted, exhaustive=every, **fields)

    def __str__(self) -> str:
        """As `parse` takes it."""
        return ",".join(name + ALL * (name in self.exhaustive) for name in self.readings)

    @property
    def readings(self) -> list[str]:
        """Names of what is recorded."""
        return [name for name in READINGS if getattr(self, name)]

    def with_layers(self, layers: Sequence[int]) -> Plan:
        """The same plan with its layers resolved to numbers."""
        return replace(self, layers=tuple(layers))

    @property
    def layer_numbers(self) -> tuple[int, ...]:
        """The layers as numbers, once `with_layers` has resolved them."""
        if not isinstance(self.layers, tuple):
            raise ValueError("the plan's layers are not resolved yet")
        return self.layers

    def to_dict(self) -> dict[str, Any]:
        """As stored in a capture."""
        return asdict(self) | {"readings": self.readings}

    def sizes(self, shape: Shape) -> dict[str, int]:
        """Bytes of each reading before compression, without its lists of probes."""
        arrays = {name: [rule for rule in arrays_of(name) if len(rule.dims) > 1] for name in self.readings}
        return {name: sum(self._size(rule, shape) for rule in rules) for name, rules in arrays.items()}

    def _size(self, rule: Rule, shape: Shape) -> int:
        if (rule.path == GATE and not shape.gated) or (rule.path == FLOW_ERROR and MASSES in self.exhaustive):
            return 0
        dims = shape.dims
        if rule.path.startswith("/masses/"):  # whose queries are grouped as the keys are
            dims["query_group"] = shape.key_groups
        if rule.is_numbered:  # queries and keys of one layer, in the model's dtype
            return shape.layers * shape.itemsize * math.prod(dims[dim] for dim in rule.dims)
        dtype = self.maps_dtype if rule.path == "/maps/rows" else rule.dtypes[0]
        return np.dtype(dtype).itemsize * math.prod(dims[dim] for dim in rule.dims)

    def check_size(self, shape: Shape) -> dict[str, int]:
        """The sizes, if they fit the budget.

        Raises:
            SizeError: If the plan is over `max_size`; the message names a plan that fits, if there is one.
        """
        sizes = self.sizes(shape)
        total = sum(sizes.values())
        if total <= self.max_size:
            return sizes
        worst = max(sizes, key=lambda name: sizes[name])
        raise SizeError(
            f"plan {self}: {format_bytes(total)} is over the budget of {format_bytes(self.max_size)}"
            f" ({worst} alone takes {format_bytes(sizes[worst])}); ",
            *self._cheaper(shape),
        )

    def _without(self, name: str) -> Plan:
        fewer: dict[str, Any] = {name: False, "exhaustive": tuple(n for n in self.exhaustive if n != name)}
        return replace(self, **fewer)

    def _cheaper(self, shape: Shape) -> list[object]:
        """What to do about a plan that is too large, in parts of a message."""
        instead = replace(self, full=False, qk=True) if self.full else None
        half = replace(self, maps_dtype="float16") if self.maps and self.maps_dtype == "float32" else None
        fewer = [
            self._without(name) for name in ("full", "qk", "maps") if getattr(self, name) and len(self.readings) > 1
        ]
        for plan in [p for p in (instead, half, *fewer) if p is not None]:
            size = sum(plan.sizes(shape).values())
            if size <= self.max_size:
                how = [
                    Argument("plan", str(plan)),
                    *[" ", Argument("maps_dtype", "float16")] * (plan is half),
                ]
                why = ", which gives the same maps exactly" if plan is instead else ""
                return [*how, f" takes {format_bytes(size)}{why}"]
        return ["choose fewer ", Argument("layers"), ", or raise ", Argument("max_size")]


def format_bytes(size: float) -> str:
    """Bytes in binary units, as people read them."""
    for unit in ("B", "KiB", "MiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.2f} GiB"


def parse_bytes(text: str) -> int:
    """Read a size such as "2GiB", "500M" or "1e9".

    Raises:
        RequestError: If it is not a positive size.
    """
    units = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}
    body = text.strip().lower().removesuffix("ib").removesuffix("b") or text.strip().lower()
    number, unit = (body[:-1], body[-1]) if body[-1:] in units and body[-1:] else (body, "")
    try:
        value = int(float(number) * units[unit])
    except (ValueError, OverflowError):
        value = 0
    if value <= 0:
        raise RequestError.of("max_size", text, "is not a size such as 2GiB or 500M")
    return value
