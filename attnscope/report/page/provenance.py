"""Where a capture's numbers come from, as name and value, for the end of a page."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.report import pairing
from attnscope.report.figures.style import short
from attnscope.report.page.numbers import ranges
from attnscope.scene.problems import written
from attnscope.vocabulary import ANSWER, token_notes

if TYPE_CHECKING:
    from attnscope.capture import Capture


def model_name(cap: Capture) -> str:
    """What to call the model in a heading: its id, or the name of its folder."""
    name = str(cap.model.get("id") or cap.model.get("class"))
    return Path(name).name if Path(name).is_absolute() else name


def provenance(cap: Capture) -> list[tuple[str, str]]:
    """Model, versions, scene, plan and size of a capture."""
    model, run = cap.model, cap.run
    versions = model.get("versions") or {}
    generated = int((cap.tokens["role"] == ANSWER).sum())
    return [
        ("file", cap.path.name),
        ("model", str(model.get("id"))),
        ("revision", str(model.get("revision") or "—")),
        ("class", f"{model.get('class')} (family {model.get('family')})"),
        ("config sha256", str(model.get("config_sha256") or "—")[:16]),
        ("runs with", f"{model.get('attention')} attention, {model.get('dtype')} on {model.get('device')}"),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions.items()) or "—"),
        (
            "layers recorded",
            f"{len(cap.layers)} of {model.get('layers')}: {ranges([int(n) for n in cap.layers])}",
        ),
        ("heads", f"{cap.heads} query heads, {model.get('kv_heads')} key heads"),
        ("positions", f"{len(cap.tokens) - generated} of the prompt, {generated} generated"),
        ("placed", places(cap)),
        ("video", ", ".join([str(cap.scene_dict.get("video")), *(str(item.video) for item in cap.scene.further)])),
        (
            "frames",
            f"{_frames(len(cap.frames.times), cap.frames.kind)}, {cap.frames.width} × {cap.frames.height} pixels",
        ),
        ("sampling", _flat(run.get("sampling"))),
        ("plan", _flat(run.get("plan"))),
    ]


def places(cap: Capture) -> str:
    """How the visual tokens got their places, and what the token table notes of some of them."""
    return "; ".join([cap.placed, *(f"{count:,} of them {note}" for note, count in token_notes(cap.tokens).items())])


def checks(cap: Capture) -> tuple[str, list[tuple[str, str, str, str]]]:
    """The self-check in a word, and its parts: name, value, tolerance, verdict."""
    check = cap.check
    passed = check.get("passed")
    word = {True: "passed", False: "FAILED", None: "not run"}[passed if isinstance(passed, bool) else None]
    if passed is not None and not check.get("verified"):
        word += " (the run with recording off was skipped)"
    parts = check.get("checks") or []
    return word, [
        (
            str(p.get("name")),
            short(p.get("value")),
            short(p.get("tolerance")),
            "passed" if p.get("passed") else "FAILED",
        )
        for p in parts
    ]


def warnings(cap: Capture) -> list[str]:
    """What the run warned of."""
    return [str(w) for w in cap.prompt.get("warnings") or []]


def corrections(cap: Capture) -> list[dict[str, Any]]:
    """The corrections in force, in the order in which they were applied; see `described`."""
    return described(cap.correction, cap)


def described(records: Sequence[dict[str, Any]], cap: Capture | None = None) -> list[dict[str, Any]]:
    """What corrections recorded; `where` is "" without a capture of their model.

    Each has `method`, `source` and `summary` ("" where a capture does not say them), `params` in one line,
    `parameters` (`name`, `value`, `default`, `own`: whether the value is another than the default, `used`: whether it
    plays a role beside the others), `where`, how many heads were active and which, `notes`, and those of them that a
    reader must know first (`cautions`).
    """
    out = []
    for item in records:
        out.append(
            {
                "method": str(item.get("method")),
                "source": str(item.get("source") or ""),
                "summary": str(item.get("summary") or ""),
                "params": _flat(item.get("params")),
                "parameters": _parameters(item.get("params") or {}, item.get("defaults"), item.get("unused") or []),
                "where": "" if cap is None else _where(cap, item),
                "notes": [str(n) for n in _list(item.get("notes"))],
                "cautions": [str(n) for n in _list(item.get("cautions"))],
            }
        )
    return out


def _parameters(params: dict[str, Any], defaults: dict[str, Any] | None, unused: Sequence[str]) -> list[dict[str, Any]]:
    defaults = params if defaults is None else defaults
    return [
        {
            "name": name,
            "value": written(value),
            "default": written(defaults.get(name)),
            "own": written(value) != written(defaults.get(name)),
            "used": name not in unused,
        }
        for name, value in params.items()
    ]


def _where(cap: Capture, item: dict[str, Any]) -> str:
    """How many heads a correction was active in, and which."""
    heads = acted(item)
    if not heads and pairing.shown_by([item]):
        return "no head: it changes what the model is shown"
    where = f"{len(heads)} of {len(cap.layers) * cap.heads} heads"
    return f"{where} ({heads_in_words(heads, cap.heads)})" if heads else where


def heads_in_words(places: Iterable[tuple[int, int]], heads: int) -> str:
    """Heads in a line, layers with the same heads together: "layers 2, 4: heads 0-3; layer 5: all heads"."""
    layers: dict[int, list[int]] = {}
    for layer, head in sorted(set(places)):
        layers.setdefault(layer, []).append(head)
    alike: dict[tuple[int, ...], list[int]] = {}
    for layer, own in layers.items():
        alike.setdefault(tuple(own), []).append(layer)
    return "; ".join(
        f"layer{'s' if len(some) > 1 else ''} {ranges(some)}: "
        + ("all heads" if len(own) == heads else f"head{'s' if len(own) > 1 else ''} {ranges(list(own))}")
        for own, some in alike.items()
    )


def touched(cap: Capture) -> dict[str, set[tuple[int, int]]]:
    """(layer, head) in which each correction acted, by its method (numbered where it comes twice); those with any."""
    names = [str(item.get("method")) for item in cap.correction]
    out = {}
    for number, (name, item) in enumerate(zip(names, cap.correction, strict=True)):
        if heads := acted(item):
            out[f"{name} ({number + 1})" if names.count(name) > 1 else name] = heads
    return out


def active_heads(cap: Capture) -> list[tuple[int, int]]:
    """(layer, head) in which some correction acted."""
    return sorted(set().union(*(acted(item) for item in cap.correction)))


def acted(item: dict[str, Any]) -> set[tuple[int, int]]:
    """(layer, head) in which one correction acted, from its record."""
    return {(int(layer), int(h)) for layer, heads in item.get("active") or [] for h in heads}


def acted_on_answer(cap: Capture) -> bool:
    """Whether some correction in force drew the answer position (its parameter `rows` names the answer)."""
    rows = [str((item.get("params") or {}).get("rows", "")) for item in cap.correction]
    return any("answer" in (kind.strip() for kind in part.split(",")) for part in rows)


def _frames(count: int, kind: str) -> str:
    if kind == "image":
        return "one image" if count == 1 else f"{count} images"
    return f"{count} sampled of a {'folder of frames' if kind == 'folder' else kind}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value in (None, "") else [value]


def _flat(value: Any) -> str:
    """A small document in one line."""
    if not isinstance(value, dict):
        return "—" if value is None else str(value)
    texts = []
    for key, item in value.items():
        if item is None:
            continue
        if isinstance(item, list) and len(item) > 4 and all(isinstance(i, int) for i in item):
            texts.append(f"{key} {ranges(item)}")
        else:
            texts.append(f"{key} {item if isinstance(item, str) else json.dumps(item)}")
    return ", ".join(texts) or "—"
