"""How a family of metrics is declared: one function, its key columns, and the list of metrics that it gives."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import partial, wraps
from typing import Any, ParamSpec

import pandas as pd

from attnscope.metrics.registry import Metric, add
from attnscope.metrics.scan import Scan, scanned
from attnscope.metrics.tables import Part, table_of

P = ParamSpec("P")


def family(
    *metrics: Metric, keys: tuple[str, ...], needs: tuple[str, ...] = ("masses",), one_of: tuple[str, ...] = ()
) -> Callable[[Callable[P, Iterable[Part] | Scan[list[Part]]]], Callable[P, pd.DataFrame]]:
    """Declare a function of a capture that gives several metrics.

    The function returns `Part`s, or a `Scan` whose result they are, if it reads maps layer by layer: `compute` runs all
    scans of a capture in one pass. What the function becomes returns their tidy table.

    Args:
        metrics: What it gives, in the order in which they are listed.
        keys: The key columns of its table after `layer` and `head`. One that is named like an option of the function
            holds that option (`threshold`).
        needs: Readings that a capture must hold.
        one_of: Readings of which it must hold one.

    Raises:
        ValueError: If the name of a metric is taken.

    Example:
        >>> @metrics.family(
        ...     metrics.Metric("top", "Top", "Largest attention of the group's mean query."),
        ...     keys=("group",),
        ...     needs=("maps",),
        ... )
        ... def top(cap):
        ...     for group in ("question", "answer_position"):
        ...         keys = {"layer": cap.layers, "head": np.arange(cap.heads), "group": group}
        ...         yield metrics.Part("top", cap.maps(group=group).max("key"), 1, keys)
        >>> len(metrics.top(cap)), metrics.get("top").id
        (96, 'top/1')
    """

    def declare(measure: Callable[P, Iterable[Part] | Scan[list[Part]]]) -> Callable[P, pd.DataFrame]:
        signature = inspect.signature(measure)

        def tidy(parts: Iterable[Part], *args: P.args, **options: P.kwargs) -> pd.DataFrame:
            given = signature.bind(*args, **options)
            given.apply_defaults()
            constants: dict[str, Any] = {key: given.arguments[key] for key in keys if key in given.arguments}
            return table_of(parts, keys, **constants)

        def begin(*args: P.args, **options: P.kwargs) -> Scan[pd.DataFrame]:
            parts = measure(*args, **options)
            if not isinstance(parts, Scan):
                return Scan((), lambda *_: None, partial(tidy, parts, *args, **options))
            scan = parts
            return Scan(scan.groups, scan.take, lambda: tidy(scan.result(), *args, **options))

        @wraps(measure)
        def compute(*args: P.args, **options: P.kwargs) -> pd.DataFrame:
            cap: Any = args[0] if args else options["cap"]
            return scanned(cap, begin(*args, **options))

        compute.begin, compute.tidy = begin, tidy  # type: ignore[attr-defined]
        for entry in metrics:
            add(entry, compute, needs, one_of)
        return compute

    return declare
