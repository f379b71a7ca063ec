"""The list of metrics: what each one is called, what it means, where it comes from and how it is computed.

A family of metrics is one function of a capture and a list of the metrics that it gives (`attnscope.metrics.families`).
The definition in the list is what reports print beside the number, so there is one place to keep right.
"""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import pandas as pd

from attnscope.errors import RequestError
from attnscope.metrics.scan import run
from attnscope.plugins import Registry, distribution

if TYPE_CHECKING:
    from attnscope.capture import Capture
    from attnscope.progress import Progress

Source = Literal["paper", "code", "2nd", "ours"]
Compute = Callable[..., pd.DataFrame]
F = TypeVar("F", bound=Compute)

OVER = -1  # in the columns `layer` and `head`: the number is over all of them
FAMILIES = (
    "modality",
    "balance",
    "decay",
    "sinks",
    "rank",
    "rollout",
    "speakers",
    "grounding",
    "pairs",
    "answer",
    "heads",
)
# Columns that say what was found; every other column of a table says what it was found of.
FOUND = ("value", "n", "low", "high", "p", "q")


def _unregistered(*_: object, **__: object) -> pd.DataFrame:
    raise TypeError("the metric is not registered; declare it with `family` or `metric`")


@dataclass(frozen=True)
class Metric:
    """One number that attnscope reports.

    Attributes:
        name: The value of the column `metric` in the tables.
        title: A short name to print.
        definition: One or two sentences, printed beside the number.
        source: Source of the definition: `paper`, `code` (released code), `2nd` (a secondary summary) or `ours`.
        unit: The unit, "1" if dimensionless.
        range: Smallest and largest possible value, None if unbounded.
        chance: The value under attention that ignores content, as printed, "" if there is none.
        family: The table it belongs to (the module that defines it).
        needs: The readings that a capture must hold.
        one_of: Readings of which it must hold one.
        compute: Function of a Capture and keyword options, returning a tidy table with columns
            `metric`, `layer`, `head` (-1 = over all of them), the family's keys, `value`, `n`, and where there are
            any an interval `low`, `high`, a p-value `p` and its corrected form `q`.
        version: Counts the changes of the definition; `id` names both.

    Example:
        >>> metric = metrics.get("mass_share")
        >>> metric.id, metric.family, metric.unit, metric.range, metric.needs
        ('mass_share/1', 'modality', '1', (0, 1), ('masses',))
    """

    name: str
    title: str
    definition: str
    source: Source = "ours"
    unit: str = "1"
    range: tuple[float | None, float | None] = (0, 1)
    chance: str = ""
    version: int = 1
    family: str = ""
    needs: tuple[str, ...] = ()
    one_of: tuple[str, ...] = ()
    compute: Compute = _unregistered

    @property
    def id(self) -> str:
        """What a table cites: the name and the version of the definition."""
        return f"{self.name}/{self.version}"


_METRICS: Registry[Metric] = Registry("metric")


def metric(
    *,
    name: str,
    title: str,
    definition: str,
    source: Source,
    unit: str,
    range: tuple[float | None, float | None],
    chance: str = "",
    needs: tuple[str, ...] = ("masses",),
    one_of: tuple[str, ...] = (),
    version: int = 1,
) -> Callable[[F], F]:
    """Register a function that returns the tidy table of one metric.

    A family of several metrics has one declaration, `attnscope.metrics.families.family`.

    Args: As the attributes of `Metric`.

    Raises:
        ValueError: If the name is taken.

    Example:
        >>> @metrics.metric(
        ...     name="focus",
        ...     title="Focus",
        ...     definition="Entropy of the answer position's attention.",
        ...     source="ours",
        ...     unit="nat",
        ...     range=(0, None),
        ...     needs=("stats",),
        ... )
        ... def focus(cap):
        ...     values = cap.stat("entropy").sel(query=cap.prompt_length - 1)
        ...     keys = {"layer": cap.layers, "head": np.arange(cap.heads)}
        ...     return metrics.table_of([metrics.Part("focus", values, 1, keys)], keys=())
        >>> len(metrics.focus(cap))
        48
    """

    def register(compute: F) -> F:
        add(Metric(name, title, definition, source, unit, range, chance, version), compute, needs, one_of)
        return compute

    return register


def add(entry: Metric, compute: Compute, needs: tuple[str, ...], one_of: tuple[str, ...] = ()) -> None:
    """Register a metric with the function that computes it; the function's module names the family.

    A plugin's is the whole path of the module (`package.module` is `package_module`), so that no two share a table.

    Raises:
        ValueError: If the name is taken, or a plugin's module is called like a family of attnscope.
    """
    module = compute.__module__
    family = module.replace(".", "_") if distribution(module) else module.rpartition(".")[2]
    if distribution(module) and family in FAMILIES:
        raise ValueError(f"metric '{entry.name}' is in a module named like the family '{family}' of attnscope")
    entry = replace(entry, family=family, needs=needs, one_of=one_of, compute=compute)
    _METRICS.add(entry.name, entry, module)


def all_metrics() -> list[Metric]:
    """Every registered metric as the files read: by family, in the order of the declarations.

    Example:
        >>> [metric.name for metric in metrics.all_metrics() if metric.family == "decay"][:3]
        ['decay_gamma', 'decay_r2', 'decay_intercept']
    """
    order = {family: i for i, family in enumerate(FAMILIES)}
    return sorted(_METRICS.values(), key=lambda m: order.get(m.family, len(order)))  # a stable sort


def get(name: str) -> Metric:
    """The metric called `name`.

    Raises:
        RequestError: If there is none, with the names that exist.

    Example:
        >>> metrics.get("grounding_auc").chance, metrics.get("grounding_auc").title
        ('0.5', 'Grounding AUC')
    """
    if name not in _METRICS:
        raise RequestError(f"unknown metric '{name}'; known: {', '.join(sorted(_METRICS))}")
    return _METRICS[name]


def lacking(cap: Capture, entry: Metric) -> str:
    """The reading that a metric needs and a capture lacks, as printed; "" if it has all."""
    for reading in entry.needs:
        if not cap.has(reading):
            return f"'{reading}'"
    if entry.one_of and not builtins.any(cap.has(reading) for reading in entry.one_of):
        return " or ".join(f"'{reading}'" for reading in entry.one_of)
    return ""


def compute(
    cap: Capture, names: Iterable[str] | None = None, *, progress: Progress | None = None, **options: object
) -> dict[str, pd.DataFrame]:
    """Compute metrics of one capture.

    A metric whose reading the capture does not hold gives no rows (`explain` says why).

    Args:
        cap: An open capture.
        names: Which metrics; all of them by default.
        progress: Called with (what, done, total).
        options: Options of the metrics, for example `threshold=0.5`; each function takes those that it names.

    Returns:
        One tidy table for each family, in which every number asked for has its rows: `metric`, `layer`, `head`, the
        family's keys, and `value`, `n` and what else was found.

    Raises:
        RequestError: For an unknown metric or an option that no chosen metric takes.

    Example:
        >>> tables = metrics.compute(cap, ["mass_share", "grounding_auc"])
        >>> {family: sorted(set(table["metric"])) for family, table in tables.items()}
        {'modality': ['mass_share'], 'grounding': ['grounding_auc']}
    """
    chosen = all_metrics() if names is None else [get(name) for name in names]
    wanted = {entry.name for entry in chosen}
    functions = {entry.compute: entry for entry in chosen}
    accepted = {fn: builtins.set(inspect.signature(fn).parameters) - {"cap"} for fn in functions}
    known = builtins.set[str]().union(*accepted.values())
    for option in options:
        if option not in known:
            raise RequestError(f"no metric takes the option '{option}'; known: {', '.join(sorted(known))}")
    given = {
        fn: {k: v for k, v in options.items() if k in accepted[fn]}
        for fn, entry in functions.items()
        if not lacking(cap, entry)
    }
    begun = {fn: fn.begin(cap, **own) for fn, own in given.items() if hasattr(fn, "begin")}
    run(cap, list(begun.values()))
    tables: dict[str, list[pd.DataFrame]] = {}
    order = {fn: number for number, fn in enumerate(functions)}  # those that are left out count as done
    for fn, own in given.items():
        if progress is not None:
            progress("metrics", order[fn], len(order))
        table = begun.pop(fn).result() if fn in begun else fn(cap, **own)
        tables.setdefault(functions[fn].family, []).append(table[table["metric"].isin(wanted)])
    if progress is not None:
        progress("metrics", len(order), len(order))
    return {family: _joined(family, parts) for family, parts in tables.items()}


def _joined(family: str, parts: list[pd.DataFrame]) -> pd.DataFrame:
    """Several tables of a family under each other: all their keys, then what was found.

    Raises:
        TypeError: If a key is a text in one table and a number in another, which no file of a table can hold.
    """
    table = pd.concat(parts, ignore_index=True)
    for name in table.columns:
        if len({pd.api.types.is_numeric_dtype(part[name]) for part in parts if name in part and len(part)}) > 1:
            raise TypeError(f"family '{family}': key '{name}' is a text in one metric's table and a number in another")
    return table[[c for c in table.columns if c not in FOUND] + [c for c in FOUND if c in table]]


def one(name: str, cap: Capture, **options: Any) -> pd.DataFrame:
    """One metric of one capture; no rows where the capture lacks the reading.

    Raises:
        RequestError: For an unknown metric or option.

    Example:
        >>> metrics.one("mass_share", cap).equals(metrics.mass_share(cap))
        True
    """
    tables = compute(cap, [name], **options)
    return next(iter(tables.values()), pd.DataFrame(columns=pd.Index(["metric", "layer", "head", *FOUND])))


def definitions() -> pd.DataFrame:
    """The registry as a table: one row a metric, every attribute but the function, and the plugin that added it.

    Example:
        >>> metrics.definitions().set_index("metric").loc["mass_share", ["unit", "range", "source"]].tolist()
        ['1', '0 to 1', 'ours']
    """
    rows = [
        {
            "metric": m.name,
            "id": m.id,
            "title": m.title,
            "definition": m.definition,
            "source": m.source,
            "unit": m.unit,
            "range": range_text(m),
            "chance": m.chance,
            "family": m.family,
            "plugin": _METRICS.plugin(m.name),
        }
        for m in all_metrics()
    ]
    return pd.DataFrame(rows)


def range_text(entry: Metric) -> str:
    """The range of a metric as printed, for example `0 to 1` or `at least 0`."""
    low, high = entry.range
    if low is None:
        return "unbounded" if high is None else f"at most {high:g}"
    return f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
