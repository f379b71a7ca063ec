"""Pages from templates: one file that needs nothing else, no network, and no script but the viewer's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from attnscope._version import __version__
from attnscope.files import printable
from attnscope.metrics import definitions
from attnscope.metrics.headline import NO_SINKS
from attnscope.report.figures.labels import current
from attnscope.report.figures.style import DARK
from attnscope.report.page.captures import together, unlikely
from attnscope.report.page.numbers import (
    aligned,
    changed,
    counted,
    in_percent,
    interval,
    likelihood,
    number,
    percent,
    points,
    ranked,
    signed,
)
from attnscope.report.page.summary import records
from attnscope.report.viewer.embedding import Embedded

# What a page may load: itself. Its style and its pictures are in it, and the viewer is the only script that it runs.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
MADE_BY = '<meta name="generator" content="attnscope'
CAUSAL = (
    "Attention mass is not causal importance: a head that attends somewhere need not change the answer, "
    "and one that attends elsewhere may."
)
SOURCES = {
    "paper": "read in a paper",
    "code": "read in released code",
    "2nd": "read in a secondary summary",
    "ours": "our own definition",
}


def render(template: str, viewer: Embedded | None = None, **values: Any) -> str:
    """Fill a template of this package.

    Args:
        template: Its file name.
        viewer: The interactive part, for templates that show one.
        values: What it shows; a missing one is an error, not a gap in the page.

    Returns:
        The page.
    """
    common = {
        "used": _used(values),
        "twins": twins(),
        "made_by": Markup(f'{MADE_BY} {__version__}">'),
        "version": __version__,
        "causal": CAUSAL,
        "policy": POLICY if viewer is None else f"{POLICY}; script-src {viewer.policy}",
        "viewer": viewer,
        "lettering": current().notes(),
        "definitions": records(definitions()),
        "sources": SOURCES,
    }
    return _environment().get_template(template).render(**common, **values)


def _used(values: Mapping[str, Any]) -> set[str]:
    """Metrics whose numbers stand in tables of a page: it has their definitions at hand."""
    tables = [values.get("numbers") or [], (values.get("groups") or {}).get("rows", [])]
    return {str(row["metric"]) for table in tables for row in table if row.get("metric")}


def twins() -> str:
    """Style: colours of people and words as variables, with those that take their place on dark pages."""
    light, dark = (";".join(f"--c{a[1:]}:{(a, b)[n]}" for a, b in DARK.items()) for n in (0, 1))
    return f":root{{{light}}}@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def twin(color: str) -> str:
    """A colour as a page writes it: followed to its twin on dark pages, where it has one."""
    return f"var(--c{color[1:].lower()})" if color.lower() in DARK else color


def failed(note: str) -> bool:
    """Whether a note is one that must be read before any number."""
    return "FAILED" in note


def grouped(rows: Iterable[Mapping[str, Any]]) -> list[tuple[str, list[Mapping[str, Any]]]]:
    """Rows under their headings (`group`), in their order."""
    return [(name, list(some)) for name, some in groupby(rows, lambda row: str(row["group"]))]


def beside(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Headline rows with sinks; what each is without them as `without`, None where a number has no such form."""
    named = {str(row["number"]): row for row in rows}
    return [
        {**row, "without": named.get(name + NO_SINKS)} for name, row in named.items() if not name.endswith(NO_SINKS)
    ]


def _shown(value: Any) -> Any:
    """What a page says of a value: texts of users and models without control characters."""
    return printable(value) if isinstance(value, str) and not isinstance(value, Markup) else value


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("attnscope.report.page", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters["number"] = number
    environment.filters["signed"] = signed
    environment.filters["changed"] = changed
    for function in (aligned, likelihood, percent, points, ranked, together, unlikely):
        environment.filters[function.__name__] = function
    environment.filters["interval"] = interval
    environment.filters["beside"] = beside
    environment.filters["grouped"] = grouped
    environment.filters["twin"] = twin
    environment.tests["failed"] = failed
    environment.filters["counted"] = counted
    environment.filters["in_percent"] = in_percent
    return environment
