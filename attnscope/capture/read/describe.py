"""What is in a capture, as plain data and as a tree for a terminal."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np

from attnscope.capture.file.nodes import Store, read_attribute
from attnscope.capture.file.specification import ENCODING_TYPE, SAMPLED
from attnscope.vocabulary import token_notes

if TYPE_CHECKING:
    from rich.tree import Tree

    from attnscope.capture.read.capture import Capture

_ALIKE = ("/tokens/", "/qk/")  # what is in these groups is much alike, and drawn as one line


def describe(cap: Capture) -> dict[str, Any]:
    """Describe an open capture without reading its numbers.

    Args:
        cap: The capture.

    Returns:
        A JSON-able dict: `path`, `size` (bytes of the file), `created`, `attnscope_version`, `model`, `scene`
        (speakers, turns, frames, question), `positions`, `placing` (`how`, `verified`, `reason`, and `words` that say
        all of it), `notes` (how many tokens have each), `layers`, `heads`, `readings`, `plan`, `sampled` (visual
        queries that stand for all of them, by reading), `answer`, `check`, `correction`, and `nodes`: one dict a node,
        in the order of the file's tree, with `path`, `type`, and for
        datasets `shape`, `dims`, `dtype`, `unit`, `chunks`, `raw` and `stored` (bytes), and `ratio` (raw / stored).

    Raises:
        FormatError: If the file is damaged.
    """
    store, columns = cap._store, cap._columns  # without pandas
    return {
        "path": str(cap.path),
        "size": cap.path.stat().st_size,
        "created": store.text("/", "created"),
        "attnscope_version": store.text("/", "attnscope-version"),
        "model": cap.model,
        "scene": _scene(cap),
        "positions": {"prompt": cap.prompt_length, "generated": len(columns["position"]) - cap.prompt_length},
        "placing": cap.placing.to_dict() | {"words": cap.placed},
        "notes": token_notes(columns),
        "layers": cap.layers.tolist(),
        "heads": cap.heads,
        "readings": cap.readings,
        "plan": cap.run.get("plan", {}),
        "sampled": {path.split("/")[1]: len(store.read(path, dims=["sample"])) for path in SAMPLED if store.has(path)},
        "answer": cap.answer,
        "check": cap.check,
        "correction": cap.correction,
        "nodes": nodes(cap),
    }


def _scene(cap: Capture) -> dict[str, Any]:
    scene = cap.scene_dict
    return {
        "video": scene.get("video"),
        "speakers": list(scene.get("speakers", {})),
        "turns": len(scene.get("transcript", [])),
        "question": scene.get("question"),
        "frames": len(cap.frames),
        "width": cap.frames.width,
        "height": cap.frames.height,
    }


def nodes(cap: Capture) -> list[dict[str, Any]]:
    """Every node of an open capture, in the order of the file's tree, as in `describe`."""
    store: Store = cap._store
    about: list[dict[str, Any]] = []

    def visit(name: str, node: h5py.HLObject) -> None:
        about.append(_node(f"/{name}", node))

    with store.reading("/"):
        store.file.visititems(visit)
    return about


def _node(path: str, node: h5py.HLObject) -> dict[str, Any]:
    about: dict[str, Any] = {"path": path, "type": _text(_attribute(node, ENCODING_TYPE, "unknown"))}
    if isinstance(node, h5py.Group):
        return about
    raw, stored = int(node.size * node.dtype.itemsize), int(node.id.get_storage_size())
    return about | {
        "shape": list(node.shape),
        "dims": [_text(dim) for dim in np.atleast_1d(_attribute(node, "dims", []))],
        "dtype": "str" if node.dtype.kind in "SO" else str(node.dtype),
        "unit": _text(_attribute(node, "unit", "")),
        "chunks": list(node.chunks) if node.chunks else None,
        "raw": raw,
        "stored": stored,
        "ratio": round(raw / stored, 3) if stored else None,
    }


def _attribute(node: h5py.HLObject, name: str, missing: Any) -> Any:
    value = read_attribute(node, name)
    return missing if value is None else value


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def render(description: dict[str, Any]) -> Tree:
    """Draw a description as a tree.

    Args:
        description: What `describe` returned.

    Returns:
        A tree that rich prints.
    """
    from rich.markup import escape
    from rich.tree import Tree

    tree = Tree(f"[bold]{escape(description['path'])}[/]  {size_text(description['size'])}", guide_style="dim")
    for line in _facts(description):
        tree.add(line)
    branches = {"": tree.add("[bold]nodes[/]")}
    alike: dict[str, list[dict[str, Any]]] = {}
    for node in description["nodes"]:
        parent, _, name = node["path"].rpartition("/")
        if node["path"].startswith(_ALIKE):
            alike.setdefault(f"/{node['path'].split('/')[1]}", []).append(node)
        elif parent in branches:
            branches[node["path"]] = branches[parent].add(_line(escape(name), node))
    for group, nodes in alike.items():
        direct = [node for node in nodes if node["path"].count("/") == 2]
        what = "columns" if group == "/tokens" else "layers, each with q and k"
        branches[group].add(f"{len(direct)} {what}  [dim]{_bytes([n for n in nodes if 'raw' in n])}[/]")
    return tree


def _facts(d: dict[str, Any]) -> list[str]:
    """The lines above the nodes."""
    from rich.markup import escape

    model, scene, positions = d["model"], d["scene"], d["positions"]
    speakers = ", ".join(scene["speakers"]) or "none"
    lines = [
        f"model  {model.get('id')} ({model.get('class')}, {model.get('dtype')}, {model.get('attention')})",
        f"scene  {scene['video']}: {scene['frames']} frames of {scene['width']} x {scene['height']}, "
        f"{scene['turns']} turns; speakers: {speakers}",
        f"positions  {positions['prompt']} of the prompt, {positions['generated']} generated",
        f"placed  {d['placing']['words']}",
        *(f"note  {count:,} visual tokens {note}" for note, count in d["notes"].items()),
        f"layers  {len(d['layers'])} of {model.get('layers')}, {d['heads']} heads, {model.get('kv_heads')} key heads",
        f"plan  {', '.join(d['readings'])}{_sampled(d)}",
        f"answer  {d['answer'].get('text')!r}",
    ]
    lines += [f"correction  {c.get('method')} {c.get('params')}" for c in d["correction"]]
    return [_bold(escape(line)) for line in lines] + [_check(d["check"])]


def _sampled(d: dict[str, Any]) -> str:
    if not d["sampled"]:
        return ""
    count, readings = max(d["sampled"].values()), ", ".join(d["sampled"])
    return f"; whole rows of {count:,} visual queries stand for those of all ({readings})"


def _check(check: dict[str, Any]) -> str:
    if not check.get("verified"):
        return _bold("self-check  ") + "[yellow]not run[/]"
    verdict = "[green]passed[/]" if check.get("passed") else "[red]failed[/]"
    parts = [
        f"{c.get('name')} {_number(c.get('value'))} (tolerance {_number(c.get('tolerance'))})"
        for c in check.get("checks", [])
    ]
    return _bold("self-check  ") + f"{verdict}  [dim]{'; '.join(parts)}[/]"


def _bold(line: str) -> str:
    name, _, rest = line.partition("  ")
    return f"[bold]{name}[/]  {rest}"


def _number(value: object) -> str:
    return f"{value:.2g}" if isinstance(value, (int, float)) else str(value)


def _line(name: str, node: dict[str, Any]) -> str:
    if "shape" not in node:
        return f"[cyan]{name}[/]"
    if not node["shape"]:
        return f"{name}  [dim]{node['type']}, {size_text(node['raw'])}[/]"
    shape = " x ".join(str(size) for size in node["shape"])
    kind = f"{node['dtype']} {node['unit'] if node['unit'] != '1' else ''}".strip()
    return f"{name}  {shape}  [green]{' '.join(node['dims'])}[/]  [dim]{kind}, {_bytes([node])}[/]"


def _bytes(nodes: list[dict[str, Any]]) -> str:
    raw, stored = sum(node["raw"] for node in nodes), sum(node["stored"] for node in nodes)
    packed = f", {size_text(stored)} stored ({raw / stored:.1f}x)" if stored and raw > stored else ""
    return size_text(raw) + packed


def size_text(size: int) -> str:
    """A number of bytes for people: 512 B, 1.5 KiB, 3.2 GiB."""
    power = min(4, int(math.log2(max(size, 1)) // 10))
    return f"{size} B" if power == 0 else f"{size / 1024**power:.1f} {' KMGT'[power]}iB"
