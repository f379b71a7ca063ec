"""Captures whose checksums are right and whose readings contradict each other: `validate` names one of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from attnscope.capture.check.validate import validate
from tests.capture.by_hand import build, write_array, write_json, write_strings
from tests.capture.test_format_by_hand import VARIANTS

WITHOUT_QK = ("masses", "maps", "stats", "hidden")


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same invented model, captured with queries and keys and by the default plan."""
    folder = tmp_path_factory.mktemp("originals")
    build(folder / "qk.h5", window=20, softcap=5.0, readings=(*WITHOUT_QK, "qk"))
    build(folder / "plain.h5", window=20, softcap=5.0, readings=WITHOUT_QK)
    return {"qk": folder / "qk.h5", "plain": folder / "plain.h5"}


def rewrite(file: h5py.File, node: str, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    dims = [dim.decode() for dim in file[node].attrs["dims"]]
    data = file[node][()]
    result = change(data)
    del file[node]
    write_array(file, node, data if result is None else result, dims)


def put(at: Any, value: float) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[at] = value

    return change


def swap(at: Any, other: Any) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[at], data[other] = data[other].copy(), data[at].copy()

    return change


def exchange(file: h5py.File, node: str, other: str) -> None:
    """Two arrays of one shape, each in the other's place."""
    first, second = file[node][()], file[other][()]
    rewrite(file, node, lambda _: second)
    rewrite(file, other, lambda _: first)


def edit(file: h5py.File, node: str, change: Callable[[Any], object]) -> None:
    document = json.loads(file[node].asstr()[()])
    change(document)
    del file[node]
    write_json(file, node, document)


def rename(file: h5py.File, node: str, **names: str) -> None:
    values = [names.get(text.replace(":", "_"), text) for text in file[node].asstr()[()]]
    del file[node]
    write_strings(file, node, values)


def shuffled_heads(file: h5py.File, node: str) -> None:
    rewrite(file, node, lambda d: d[:, [1, 2, 3, 0]])


def other_window(file: h5py.File) -> None:
    """With the counts that the mask gives."""
    window = 15
    rewrite(file, "mask/window", put((1,), window))
    allowed = np.minimum(np.arange(62) + 1, window)
    rewrite(file, "stats/allowed", put((1,), allowed))  # type: ignore[arg-type]
    member, sinks = file["key_groups/member"][()].astype(bool), file["sinks"][1].astype(bool)
    member = np.where((file["key_groups/family"].asstr()[()] == "sink")[:, None], member & sinks, member)
    i = np.arange(62)
    seen = (i[None] <= i[:, None]) & (i[None] > i[:, None] - window)
    counts = seen.astype(int) @ member.T
    rewrite(file, "masses/rows_allowed", put((1,), counts[file["masses/probes"][()]]))  # type: ignore[arg-type]
    queries = member[file["key_groups/family"].asstr()[()] != "sink"].astype(int)
    queries[:, 60:] = 0
    rewrite(file, "masses/flow_pairs", put((1,), queries @ counts))  # type: ignore[arg-type]


def another_hidden(file: h5py.File) -> None:
    """The spectra of the text tokens are those of other states, larger than all tokens together allow."""
    rewrite(file, "hidden/singular_values", lambda d: put((1, 1), d[1, 1] * np.linspace(0.5, 1.9, d.shape[-1]))(d))  # type: ignore[arg-type]


# what is named, the plan, the lie
LIES: dict[str, tuple[str, str, Callable[[h5py.File], object]]] = {
    # queries and keys
    "Q of two layers exchanged": ("/stats/lse", "qk", lambda f: exchange(f, "qk/0/q", "qk/2/q")),
    "K of two layers exchanged": ("/stats/lse", "qk", lambda f: exchange(f, "qk/1/k", "qk/3/k")),
    "heads of Q permuted": ("/stats/lse", "qk", lambda f: rewrite(f, "qk/0/q", lambda d: d[[1, 2, 3, 0]])),
    "queries shifted by one": ("/stats/lse", "qk", lambda f: rewrite(f, "qk/2/q", lambda d: np.roll(d, 1, 1))),
    "keys shifted by one": ("/stats/lse", "qk", lambda f: rewrite(f, "qk/2/k", lambda d: np.roll(d, 1, 1))),
    "scale of a layer": ("/stats/lse", "qk", lambda f: f["qk/1"].attrs.modify("scale", f["qk/1"].attrs["scale"] * 1.1)),
    "softcap of a layer": ("/stats/lse", "qk", lambda f: f["qk/2"].attrs.modify("softcap", 6.0)),
    "softcap taken away": ("/stats/lse", "qk", lambda f: f["qk/2"].attrs.modify("softcap", np.nan)),
    "window of a layer": ("/stats/lse", "qk", other_window),
    "lse + 1": ("/stats/lse", "qk", lambda f: rewrite(f, "stats/lse", lambda d: d + 1)),
    "lse of one layer + 0.1": ("/stats/lse", "qk", lambda f: rewrite(f, "stats/lse", lambda d: put(3, d[3] + 0.1)(d))),
    "entropies of two layers exchanged": ("/stats/entropy", "qk", lambda f: rewrite(f, "stats/entropy", swap(0, 2))),
    # readings among themselves
    "heads of maps permuted": ("/maps/rows", "plain", lambda f: shuffled_heads(f, "maps/rows")),
    "heads of masses permuted": ("/masses/", "plain", lambda f: shuffled_heads(f, "masses/rows")),
    "heads of flow permuted": ("/masses/flow", "plain", lambda f: shuffled_heads(f, "masses/flow")),
    "heads of max permuted": ("/stats/max", "plain", lambda f: shuffled_heads(f, "stats/max")),
    "heads of entropy permuted": ("/stats/entropy", "plain", lambda f: shuffled_heads(f, "stats/entropy")),
    "layers of maps reversed": ("/maps/rows", "plain", lambda f: rewrite(f, "maps/rows", lambda d: d[::-1])),
    "flow reversed by layer": ("/masses/flow", "plain", lambda f: rewrite(f, "masses/flow", lambda d: d[::-1])),
    "flow reversed by head": ("/masses/flow", "plain", lambda f: rewrite(f, "masses/flow", lambda d: d[:, ::-1])),
    "flow reversed by query group": (
        "/masses/flow",
        "plain",
        lambda f: rewrite(f, "masses/flow", lambda d: d[:, :, ::-1]),
    ),
    "flow of visual queries": (
        "/masses/flow",
        "plain",
        lambda f: rewrite(f, "masses/flow", lambda d: put((2, 1, 1), np.roll(d[2, 1, 1], 1))(d)),  # type: ignore[arg-type]
    ),
    "flow transposed": (
        "/masses/flow",
        "plain",
        lambda f: rewrite(f, "masses/flow", lambda d: put((..., slice(None, -3)), d[..., :-3].swapaxes(2, 3))(d)),  # type: ignore[arg-type]
    ),
    "masses of two people exchanged": ("/", "plain", lambda f: rewrite(f, "masses/rows", swap((..., 11), (..., 12)))),
    "maps of two turns exchanged": (
        "/maps/rows",
        "plain",
        lambda f: rewrite(f, "maps/rows", swap((slice(None), slice(None), 0), (slice(None), slice(None), 1))),
    ),
    "maps of the generated exchanged": (
        "/",
        "plain",
        lambda f: rewrite(f, "maps/rows", swap((slice(None), slice(None), -1), (slice(None), slice(None), -2))),
    ),
    "rows of the generated exchanged": (
        "/",
        "plain",
        lambda f: rewrite(f, "masses/rows", swap((slice(None), slice(None), -1), (slice(None), slice(None), -2))),
    ),
    "sinks moved": ("/masses/rows_allowed", "plain", lambda f: rewrite(f, "sinks", lambda d: np.roll(d, 3, 1))),
    "sinks of two layers exchanged": ("/", "plain", lambda f: rewrite(f, "sinks", lambda d: d[::-1])),
    "hidden of the text replaced": ("/hidden/singular_values", "plain", another_hidden),
    "one singular value of a part": (
        "/hidden/singular_values: layer 2 group 'visual': number 0 is larger than that of all tokens",
        "plain",
        lambda f: rewrite(f, "hidden/singular_values", lambda d: put((2, 2, 0), d[2, 0, 0] * 1.01)(d)),
    ),
    # tokens and groups
    "coverage of two people exchanged": (
        "/tokens/covered:Ann",
        "plain",
        lambda f: exchange(f, "tokens/covered:Ann", "tokens/covered:Ben"),
    ),
    "coverage with its groups exchanged": (
        "/tokens/covered:Ann",
        "plain",
        lambda f: (
            exchange(f, "tokens/covered:Ann", "tokens/covered:Ben"),
            rewrite(f, "key_groups/member", swap(11, 12)),
        ),
    ),
    "names of speakers' words exchanged": (
        "/key_groups/member: speaker_text",
        "plain",
        lambda f: rename(f, "key_groups/name", text_Ann="text:Ben", text_Ben="text:Ann"),
    ),
    "names of speakers' pixels exchanged": (
        "/key_groups/member: speaker_visual",
        "plain",
        lambda f: rename(f, "key_groups/name", visual_Ann="visual:Ben", visual_Ben="visual:Ann"),
    ),
    "names of frames exchanged": (
        "/key_groups/member: frame",
        "plain",
        lambda f: rename(f, "key_groups/name", **{"frame_0-0": "frame:1-1", "frame_1-1": "frame:0-0"}),
    ),
    "names of query groups exchanged": (
        "/query_groups",
        "plain",
        lambda f: rename(f, "query_groups/name", speaker_Ann="speaker:Ben", speaker_Ben="speaker:Ann"),
    ),
    "turns in other hands": (
        "/",
        "plain",
        lambda f: edit(f, "scene", lambda d: d["transcript"][0].update(speaker="Ben")),
    ),
    "boxes exchanged in the scene": (
        "/tokens/covered:Ann",
        "plain",
        lambda f: edit(f, "scene", lambda d: d["speakers"].update(Ann=d["speakers"]["Ben"])),
    ),
    "coverage of the plan": ("/key_groups/member", "plain", lambda f: edit(f, "run", lower_coverage)),
    "times NaN": ("/tokens/time", "plain", lambda f: rewrite(f, "tokens/time", lambda d: d * np.nan)),
    "times falling": ("/tokens/time", "plain", lambda f: rewrite(f, "tokens/time", lambda d: -d)),
    "times of frames falling": ("/frames/time", "plain", lambda f: rewrite(f, "frames/time", lambda d: d[::-1])),
    "negative ids": ("/tokens/token_id", "plain", lambda f: rewrite(f, "tokens/token_id", put(7, -4))),
    "spans in disorder": ("/tokens/char_start", "plain", lambda f: rewrite(f, "tokens/char_start", put(59, 0))),
    "texts of tokens": ("/tokens/text", "plain", lambda f: reword(f)),
    "cells outside the frame": ("/tokens/x0", "plain", lambda f: rewrite(f, "tokens/x1", put(9, 400))),
    "generated ids": ("/tokens/token_id", "plain", lambda f: rewrite(f, "tokens/token_id", put(61, 3))),
    # the answer and the self-check
    "a probability over 1": ("/answer", "plain", lambda f: edit(f, "answer", lambda d: set_logprob(d, 0.4))),
    "options that are others": (
        "/answer",
        "plain",
        lambda f: edit(f, "answer", lambda d: d["options"][0].update(text="Zoe")),
    ),
    "an option that contradicts the answer": ("/answer", "plain", lambda f: edit(f, "answer", same_tokens)),
    "options over 1 together": ("/answer", "plain", lambda f: edit(f, "answer", certain)),
    "a check that passed over its tolerance": (
        "/check",
        "plain",
        lambda f: edit(f, "check", lambda d: d["checks"][0].update(value=3.0)),
    ),
    "a check that did not pass": (
        "/check",
        "plain",
        lambda f: edit(f, "check", lambda d: (d.update(passed=False), d["checks"][0].update(value=3.0, passed=False))),
    ),
}


def lower_coverage(document: dict[str, Any]) -> None:
    document["plan"]["coverage"] = 0.05


def set_logprob(document: dict[str, Any], value: float) -> None:
    document["tokens"][0]["logprob"] = value


def same_tokens(document: dict[str, Any]) -> None:
    document["options"][0].update(tokens=[document["tokens"][0]["id"]], logprob=-3.0)


def certain(document: dict[str, Any]) -> None:
    for option in document["options"]:
        option["logprob"] = -0.1


def reword(file: h5py.File) -> None:
    values = list(file["tokens/text"].asstr()[()])
    values[56] = "never "
    del file["tokens/text"]
    write_strings(file, "tokens/text", values)


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_named(originals: dict[str, Path], tmp_path: Path, lie: str) -> None:
    node, plan, tell = LIES[lie]
    path = Path(shutil.copy(originals[plan], tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        tell(file)
    problems = [str(problem) for problem in validate(path)]
    assert any(problem.startswith(node) for problem in problems), problems
    assert not any("\n" in problem or "cannot be checked" in problem for problem in problems), problems


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_row_of_an_honest_capture_agrees(tmp_path: Path, variant: dict[str, Any]) -> None:
    build(tmp_path / "run.h5", **variant)
    assert validate(tmp_path / "run.h5", deep=True) == []


def test_one_row_is_found_by_deep_alone(originals: dict[str, Path], tmp_path: Path) -> None:
    """A row that no probe looks at: which rows those are is stated by a seed, so that two checks agree."""
    path = Path(shutil.copy(originals["qk"], tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        rewrite(file, "stats/lse", lambda d: put((2, 3, 17), d[2, 3, 17] + 1)(d))
    assert validate(path) == validate(path) == []
    (problem,) = validate(path, deep=True)
    assert str(problem).startswith("/stats/lse: layer 2 head 3 query 17: ")
