"""Markdown tables of docs/format.md, from the specification and the vocabulary that writer and checker use."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from attnscope import vocabulary as words
from attnscope.capture.file.specification import ALWAYS, FIELDS, MAY, SPECIFICATION, Rule
from docs.measured import table

GROUPS = ("frames", "key_groups", "query_groups", "mask", *words.READINGS)  # groups of nodes with a table of their own


def format_tables() -> Iterator[tuple[str, list[str]]]:
    """The name of each table, and its lines."""
    roots = [rule for rule in SPECIFICATION if rule.path.count("/") == 1]
    rows = [[f"`{rule.path}`", _type(rule), _need(rule), rule.meaning] for rule in roots]
    yield "nodes", table(["node", "type", "required", "content"], rows)
    rows = [[f"`{field.path}`", f"`{field.name}`", _version(field.since), field.meaning] for field in FIELDS]
    yield "fields", table(["document", "field", "MUST from version", "content"], rows)
    for group in GROUPS:
        rules = [rule for rule in SPECIFICATION if rule.path.startswith(f"/{group}/")]
        rows = [[f"`{_name(rule, group)}`", _type(rule), _unit(rule), _content(rule)] for rule in rules]
        yield group, table(["node", "type", "unit", "content"], rows)
    columns = [*words.TOKEN_COLUMNS.values(), words.COVERED_COLUMN]
    rows = [[f"`{c.name}`", c.dtype, _missing(c.missing), _dash(c.unit), c.meaning] for c in columns]
    yield "columns", table(["column", "type", "missing", "unit", "content"], rows)
    yield "placings", _terms("placing", words.PLACINGS)
    yield "modalities", _terms("modality", words.MODALITIES)
    yield "roles", _terms("role", words.ROLES)
    yield "families", _terms("family", words.KEY_FAMILIES)
    yield "kinds", _terms("kind", words.QUERY_KINDS)


def _terms(kind: str, meanings: Mapping[str, str]) -> list[str]:
    return table([kind, "meaning"], [[f"`{name}`", meaning] for name, meaning in meanings.items()])


def _type(rule: Rule) -> str:
    if rule.encoding != "array":
        return rule.encoding
    return f"array [{', '.join(rule.dims)}] {' or '.join(rule.dtypes)}"


def _need(rule: Rule) -> str:
    if rule.need in (ALWAYS, MAY) or rule.path == f"/{rule.need}":
        return "MUST" if rule.need == ALWAYS else "MAY"
    return "MUST if " + " or ".join(f"`/{reading}`" for reading in rule.need.split())


def _content(rule: Rule) -> str:
    return f"MAY: {rule.meaning}" if rule.need == MAY else rule.meaning


def _name(rule: Rule, group: str) -> str:
    name = rule.path.removeprefix(f"/{group}/")
    return name.replace("{layer}", "<layer>").replace("{number}", "<i>")


def _unit(rule: Rule) -> str:
    return _dash(rule.unit if rule.encoding == "array" else "")


def _dash(unit: str) -> str:
    return unit or "-"


def _version(since: tuple[int, int] | None) -> str:
    return "MAY" if since is None else ".".join(map(str, since))


def _missing(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return f'"{value}"'
    return "NaN" if math.isnan(value) else str(value)
