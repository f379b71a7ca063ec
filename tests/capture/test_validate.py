"""Whatever is broken in a capture, `validate` names the node."""

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
from attnscope.capture.file.specification import RULES
from attnscope.errors import RequestError
from tests.capture.by_hand import build, write_array, write_json, write_strings
from tests.capture.damage import flip_byte, flip_chunk
from tests.capture.test_format_by_hand import VARIANTS


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "run.h5"
    build(path, window=20, explicit=True)
    return path


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("small") / "run.h5"
    build(path, layers=2, heads=2, prompt=45, frames=3, speakers=1, window=20, explicit=True)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "run.h5"))


def problems(path: Path) -> list[str]:
    found = [str(problem) for problem in validate(path)]
    assert not any("\n" in problem for problem in found)
    return found


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS.keys())
def test_captures_by_hand_are_valid(tmp_path: Path, variant: dict[str, Any]) -> None:
    build(tmp_path / "run.h5", **variant)
    assert problems(tmp_path / "run.h5") == []


@pytest.mark.parametrize("reading", ["masses", "maps", "stats", "qk", "full", "hidden"])
def test_every_reading_alone_is_valid(tmp_path: Path, reading: str) -> None:
    build(tmp_path / "run.h5", readings=(reading,), sink_logits=True)
    assert problems(tmp_path / "run.h5") == []


@pytest.mark.parametrize("every", [5, pytest.param(1, marks=pytest.mark.slow)])
def test_every_must(every: int, small: Path, tmp_path: Path) -> None:
    """Each node of the specification (every fifth by default) is missed when it is taken away."""
    path = Path(shutil.copy(small, tmp_path / "run.h5"))
    missing = {}
    for rule in RULES[::every]:
        with h5py.File(path, "r+") as file:
            if rule.path not in file or rule.need == "may":
                continue
            file.move(rule.path, "/elsewhere")
        missing[rule.path] = problems(path)
        with h5py.File(path, "r+") as file:
            file.move("/elsewhere", rule.path)
    assert len(missing) > 40 // every
    for node, found in missing.items():
        assert f"{node}: is missing" in found, (node, found)
    assert problems(path) == []


@pytest.mark.parametrize(
    "node",
    [rule.path for rule in RULES if rule.encoding == "array" and rule.need != "may"] + ["/qk/1/q", "/qk/0/k"],
)
def test_a_flipped_byte_in_a_chunk(small: Path, tmp_path: Path, node: str) -> None:
    path = Path(shutil.copy(small, tmp_path / "run.h5"))
    flip_chunk(path, node)
    found = problems(path)
    assert any(problem.startswith(f"{node}: 1 damaged chunks, the first at [0") for problem in found), found


def content(path: Path) -> dict[str, list[bytes]]:
    """Every attribute and number of a file."""
    found: dict[str, list[bytes]] = {}

    def visit(name: str, node: h5py.HLObject) -> None:
        found[name] = [np.asarray(value).tobytes() for value in node.attrs.values()]
        if isinstance(node, h5py.Dataset):
            found[name].append(np.asarray(node[()]).tobytes())

    with h5py.File(path) as file:
        visit("/", file)
        file.visititems(visit)
    return found


@pytest.mark.parametrize("count", [8, pytest.param(40, marks=pytest.mark.slow)])
def test_no_flipped_byte_goes_unseen(count: int, small: Path, tmp_path: Path) -> None:
    """Wherever a byte is flipped, either a problem is named or the content is the same to the last bit."""
    data, truth = small.read_bytes(), content(small)
    for offset in np.random.default_rng(0).integers(0, len(data), count).tolist():
        (tmp_path / "run.h5").write_bytes(data)
        flip_byte(tmp_path / "run.h5", offset)
        assert problems(tmp_path / "run.h5") or content(tmp_path / "run.h5") == truth, offset


@pytest.mark.parametrize("text", ["by-hand/random", "words of turn 1", "tolerance", "<user>"])
def test_a_flipped_byte_in_a_document(path: Path, text: str) -> None:
    data = path.read_bytes()
    assert text.encode() in data
    flip_byte(path, data.rindex(text.encode()) + 3)
    found = problems(path)
    assert any("sha256 does not match" in p or "cannot be read, the file is damaged" in p for p in found), found


@pytest.mark.parametrize("node", ["/key_groups/family", "/query_groups/name", "/tokens/text", "/mask/kind"])
def test_a_flipped_byte_in_strings(small: Path, tmp_path: Path, node: str) -> None:
    path = Path(shutil.copy(small, tmp_path / "run.h5"))
    flip_chunk(path, node)
    found = problems(path)
    assert any(problem.startswith(f"{node}: 1 damaged chunks") for problem in found), found


def test_files_that_do_not_open(path: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="no such file"):
        validate(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("text")
    assert problems(tmp_path / "text.h5") == ["/: not an HDF5 file, so not a capture"]
    with h5py.File(path, "r+") as file:
        file.attrs["complete"] = False
    assert problems(path) == ["/: complete is not true: the capture was cut short; capture again"]
    path.write_bytes(path.read_bytes()[:-1000])
    assert len(problems(path)) == 1
    assert problems(path)[0].startswith("/: the HDF5 file is damaged")


def edit_json(file: h5py.File, node: str, change: Callable[[Any], object]) -> None:
    document = json.loads(file[node].asstr()[()])
    change(document)
    del file[node]
    write_json(file, node, document)


def rewrite(file: h5py.File, node: str, change: Callable[[np.ndarray], np.ndarray | None]) -> None:
    dims = [dim.decode() for dim in file[node].attrs["dims"]]
    data = file[node][()]
    result = change(data)
    del file[node]
    write_array(file, node, data if result is None else result, dims)


def restring(file: h5py.File, node: str, row: int, value: str) -> None:
    values = list(file[node].asstr()[()])
    values[row] = value
    del file[node]
    write_strings(file, node, values)


def put(at: tuple[Any, ...], value: float) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[at] = value

    return change


def scale(at: tuple[Any, ...], factor: float) -> Callable[[np.ndarray], None]:
    def change(data: np.ndarray) -> None:
        data[at] *= factor

    return change


def without_checksum(file: h5py.File) -> None:
    data = file["maps/rows"][()]
    attrs = dict(file["maps/rows"].attrs)
    del file["maps/rows"]
    file.create_dataset("maps/rows", data=data, chunks=(1, 1, *data.shape[2:]))
    file["maps/rows"].attrs.update(attrs)


BREAKS: dict[str, Callable[[h5py.File], object]] = {
    # the root and the documents
    "/: attribute 'created' is missing": lambda f: f.attrs.__delitem__("created"),
    "/: attribute 'created' is 'yesterday', not an ISO 8601 time": lambda f: f.attrs.update(created="yesterday"),
    "/: attribute 'attnscope-version' is missing": lambda f: f.attrs.__delitem__("attnscope-version"),
    "/model: field 'config_sha256' is missing": lambda f: edit_json(f, "model", lambda d: d.pop("config_sha256")),
    "/model: field 'versions.torch' is missing": lambda f: edit_json(f, "model", lambda d: d["versions"].pop("torch")),
    "/model: 3 kv_heads do not divide 4 heads": lambda f: edit_json(f, "model", lambda d: d.update(kv_heads=3)),
    "/scene: field 'transcript' is missing": lambda f: edit_json(f, "scene", lambda d: d.pop("transcript")),
    "/run: field 'plan' is missing": lambda f: edit_json(f, "run", lambda d: d.pop("plan")),
    "/run: plan does not say whether there is 'qk'": lambda f: edit_json(f, "run", lambda d: d["plan"].pop("qk")),
    "/full: is there, but /run says that the plan had no 'full'": lambda f: edit_json(
        f, "run", lambda d: d["plan"].update(full=False)
    ),
    "/answer: field 'options' is missing": lambda f: edit_json(f, "answer", lambda d: d.pop("options")),
    "/check: a check without 'tolerance'": lambda f: edit_json(f, "check", lambda d: d["checks"][0].pop("tolerance")),
    "/check: 'verified' is not a boolean": lambda f: edit_json(f, "check", lambda d: d.update(verified="yes")),
    "/model: cannot be read, the file is damaged (Expecting": lambda f: not_json(f),
    # layers, tokens, frames
    "/layers: numbers do not increase": lambda f: rewrite(f, "layers", lambda d: d[::-1]),
    "/layers: layer 9 in a model of 4": lambda f: rewrite(f, "layers", put((3,), 9)),
    "/layers: holds int64, not int32": lambda f: rewrite(f, "layers", lambda d: d.astype(np.int64)),
    "/layers: attribute 'unit' is missing": lambda f: f["layers"].attrs.__delitem__("unit"),
    "/tokens: column 'grid_y' is missing": lambda f: f["tokens"].attrs.update(
        columns=[c for c in f["tokens"].attrs["columns"] if c != b"grid_y"]
    ),
    "/tokens: column 'covered:Ben' is missing": lambda f: f["tokens"].attrs.update(
        columns=list(f["tokens"].attrs["columns"])[:-1]
    ),
    "/tokens: columns are ['token_id', 'position'": lambda f: f["tokens"].attrs.update(
        columns=[b"token_id", b"position", *f["tokens"].attrs["columns"][2:]]
    ),
    "/tokens/turn: is missing": lambda f: f["tokens"].__delitem__("turn"),
    "/tokens/time: holds float32, not float64": lambda f: rewrite(f, "tokens/time", lambda d: d.astype("f4")),
    "/tokens/turn: 7 is out of range -1-2": lambda f: rewrite(f, "tokens/turn", put((9,), 7)),
    "/tokens/frame_last: 4 is out of range -1-3": lambda f: rewrite(f, "tokens/frame_last", put((9,), 4)),
    "/tokens/frame_first: is after frame_last at row 9": lambda f: rewrite(f, "tokens/frame_first", put((9,), 3)),
    "/tokens/position: is not 0, 1, 2, ...": lambda f: rewrite(f, "tokens/position", lambda d: d + 1),
    "/tokens/modality: 'audio' is none of text, visual": lambda f: restring(f, "tokens/modality", 0, "audio"),
    "/tokens/role: 'narrator' is none of system, ": lambda f: restring(f, "tokens/role", 0, "narrator"),
    "/tokens/covered:Ann: a fraction outside 0-1": lambda f: rewrite(f, "tokens/covered:Ann", put((9,), 1.5)),
    "/tokens/text: 61 rows in a table of 62": lambda f: shorter_text(f),
    "/tokens: 62 rows, not 60 of the prompt and 4 generated": lambda f: edit_json(
        f, "answer", lambda d: d["tokens"].extend([{}, {}])
    ),
    "/frames: kind 'film' is none of video, image, folder": lambda f: f["frames"].attrs.update(kind="film"),
    "/frames: attribute 'width' is missing": lambda f: f["frames"].attrs.__delitem__("width"),
    "/frames/index: has 3 along 'row', the capture has 4": lambda f: rewrite(f, "frames/index", lambda d: d[:3]),
    "/frames/jpeg: image 0 is not a readable JPEG": lambda f: rewrite(f, "frames/jpeg/data", put((slice(0, 9),), 0)),
    "/frames/jpeg/end: has 3 along 'row', the capture has 4": lambda f: rewrite(f, "frames/jpeg/end", lambda d: d[:3]),
    "/prompt: strings are not of fixed length": lambda f: variable(f, "prompt"),
    # sets of positions and masks
    "/key_groups/family: 'speakers' is none of modality": lambda f: restring(f, "key_groups/family", 12, "speakers"),
    "/key_groups/name: 'text' is there 2 times in family modality": lambda f: restring(f, "key_groups/name", 1, "text"),
    "/key_groups/member: family role is no partition: position 0 is in 2 groups, not 1": lambda f: rewrite(
        f, "key_groups/member", put((3, 0), 1)
    ),
    "/key_groups/member: family modality is no partition: position 61 is in 0 groups, not 1": lambda f: rewrite(
        f, "key_groups/member", put((0, 61), 0)
    ),
    "/key_groups/member: family frame is no partition: position 5 is in 0 groups, not 1": lambda f: rewrite(
        f, "key_groups/member", put((13, 5), 0)
    ),
    "/key_groups/member: role 'system' is not what /tokens/role says": lambda f: rewrite(
        f, "key_groups/member", lambda d: d[[0, 1, 2, 4, 3, *range(5, 20)]]
    ),
    "/key_groups/member: holds 2; members are 1": lambda f: rewrite(f, "key_groups/member", put((9, 9), 2)),
    "/key_groups/member: has 61 along 'key', the capture has 62": lambda f: rewrite(
        f, "key_groups/member", lambda d: d[:, :61]
    ),
    "/query_groups/kind: 'turns' is none of turn": lambda f: restring(f, "query_groups/kind", 0, "turns"),
    "/query_groups/name: a name is there twice": lambda f: restring(f, "query_groups/name", 0, "turn:1"),
    "/query_groups/member: group 'answer_position' is [58, 59], not [59]": lambda f: rewrite(
        f, "query_groups/member", put((6, 58), 1)
    ),
    "/query_groups/member: group 'generated:1' is [61], not [62]": lambda f: restring(f, "query_groups/ref", 8, "2"),
    "/sinks: holds 3; members are 1": lambda f: rewrite(f, "sinks", put((0, 0), 3)),
    "/mask/kind: 'full' is none of causal, sliding, explicit": lambda f: restring(f, "mask/kind", 0, "full"),
    "/mask/window: -1 at row 1, whose mask is sliding": lambda f: rewrite(f, "mask/window", put((1,), -1)),
    "/mask/explicit: -1 at row 3, whose mask is explicit": lambda f: rewrite(f, "mask/explicit", put((3,), -1)),
    "/mask/explicit_5: is missing": lambda f: rewrite(f, "mask/explicit", put((3,), 5)),
    "/mask/explicit_0: has 7 along 'byte', the capture has 8": lambda f: rewrite(
        f, "mask/explicit_0", lambda d: d[:, :7]
    ),
    # readings
    "/masses/rows: layer 2 head 1 query 3: masses sum to": lambda f: rewrite(f, "masses/rows", scale((2, 1, 3), 1.01)),
    "/masses/rows: layer 0 head 0 query 28: masses sum to nan": lambda f: rewrite(
        f, "masses/rows", put((0, 0, 4, 0), np.nan)
    ),
    "/masses/rows: layer 1 head 3 query 29: 0.5 on sinks, ": lambda f: rewrite(
        f, "masses/rows", put((1, 3, 5, slice(-3, None)), 0.5 / 3)
    ),
    "/masses/rows: has 3 along 'head', the capture has 4": lambda f: rewrite(f, "masses/rows", lambda d: d[:, :3]),
    "/masses/rows_allowed: layer 0: 77 at [0, 0], the mask allows 0": lambda f: rewrite(
        f, "masses/rows_allowed", put((0, 0, 0), 77)
    ),
    "/masses/flow: layer 3 head 0 query group 1: masses sum to": lambda f: rewrite(
        f, "masses/flow", scale((3, 0, 1), 0.9)
    ),
    "/masses/flow_pairs: layer 3: 5 at [0, 0], the mask allows": lambda f: rewrite(
        f, "masses/flow_pairs", put((3, 0, 0), 5)
    ),
    "/masses/probes: positions do not increase": lambda f: rewrite(f, "masses/probes", lambda d: d[::-1]),
    "/masses/probes: position 99 is out of range": lambda f: rewrite(f, "masses/probes", put((-1,), 99)),
    "/maps/rows: layer 1 head 2 query group 'question': the row sums to 0.99": lambda f: rewrite(
        f, "maps/rows", scale((1, 2, 5), 0.99)
    ),
    "/maps/rows: holds float64, not float32 or float16": lambda f: rewrite(f, "maps/rows", lambda d: d.astype("f8")),
    "/maps/rows: is chunked without the Fletcher-32 filter": without_checksum,
    "/maps/rows: dims are ['layer', 'head', 'key', 'query_group'], not": lambda f: f["maps/rows"].attrs.update(
        dims=["layer", "head", "key", "query_group"]
    ),
    "/stats/entropy: layer 0 head 1 at [40]: 9 is not from 0 to 3.71": lambda f: rewrite(
        f, "stats/entropy", put((0, 1, 40), 9)
    ),
    "/stats/entropy: layer 0 head 1 at [40]: -0.5 is not from": lambda f: rewrite(
        f, "stats/entropy", put((0, 1, 40), -0.5)
    ),
    "/stats/sink_mass: layer 2 head 0 at [0]: 1.1 is not from 0 to 1": lambda f: rewrite(
        f, "stats/sink_mass", put((2, 0, 0), 1.1)
    ),
    "/stats/max: layer 0 head 0 at [2]: nan is not from 0 to 1": lambda f: rewrite(
        f, "stats/max", put((0, 0, 2), np.nan)
    ),
    "/stats/lse: layer 0 head 0 query 7: inf": lambda f: rewrite(f, "stats/lse", put((0, 0, 7), np.inf)),
    "/stats/allowed: layer 1: 3 at [61], the mask allows 20": lambda f: rewrite(f, "stats/allowed", put((1, 61), 3)),
    "/full/attention: layer 2 head 3 query 50: the row sums to": lambda f: rewrite(
        f, "full/attention", scale((2, 3, 50), 1.001)
    ),
    "/full/attention: layer 0 head 0: attention on a pair that is not allowed": lambda f: rewrite(
        f, "full/attention", put((0, 0, 0, 1), 1e-7)
    ),
    "/hidden: attribute 'width' is missing": lambda f: f["hidden"].attrs.__delitem__("width"),
    "/hidden/group: is ['all', 'text', 'audio'], not ['all', 'text', 'visual']": lambda f: restring(
        f, "hidden/group", 2, "audio"
    ),
    "/hidden/massive: layer 4 position 7: 6 is not from 1 to the root of 32 channels": lambda f: rewrite(
        f, "hidden/massive", put((4, 7), 6)
    ),
    "/hidden/massive: has 4 along 'state', the capture has 5": lambda f: rewrite(f, "hidden/massive", lambda d: d[:4]),
    "/hidden/massive: has 59 along 'prompt', the capture has 60": lambda f: rewrite(
        f, "hidden/massive", lambda d: d[:, :59]
    ),
    "/hidden/residual: layer 1 group 'text': -0.5 is not from 0 to 1": lambda f: rewrite(
        f, "hidden/residual", put((1, 1), -0.5)
    ),
    "/hidden/residual: layer 1 group 'text': 0.5 is less than the singular values leave": lambda f: rewrite(
        f, "hidden/residual", put((1, 1), 0.5)
    ),
    "/hidden/residual: layer 2 group 'all': nan, where the largest singular value is": lambda f: rewrite(
        f, "hidden/residual", put((2, 0), np.nan)
    ),
    "/hidden/singular_values: has 31 along 'component', the capture has 32": lambda f: rewrite(
        f, "hidden/singular_values", lambda d: d[..., :31]
    ),
    "/hidden/singular_values: layer 0 group 'visual': 25 are there, not 24": lambda f: rewrite(
        f, "hidden/singular_values", put((0, 2, 24), 0)
    ),
    "/hidden/singular_values: layer 3 group 'all': they are negative or increase": lambda f: rewrite(
        f, "hidden/singular_values", lambda d: d[..., ::-1]
    ),
    "/hidden/singular_values: layer 3 group 'all': its norm is smaller than that of its parts": lambda f: rewrite(
        f, "hidden/singular_values", scale((3, 0), 0.5)
    ),
    "/qk/2: is missing": lambda f: f["qk"].__delitem__("2"),
    "/qk/1/k: has 1 along 'kv_head', the capture has 2": lambda f: rewrite(f, "qk/1/k", lambda d: d[:1]),
    "/qk/1: attribute 'softcap' is missing": lambda f: f["qk/1"].attrs.__delitem__("softcap"),
    "/qk/3/q: holds float32, but logical-dtype is 'bfloat16'": lambda f: f["qk/3"].attrs.update(
        {"logical-dtype": "bfloat16"}
    ),
}


def not_json(file: h5py.File) -> None:
    import hashlib

    file["model"][()] = b"{nan"
    file["model"].attrs["sha256"] = hashlib.sha256(b"{nan").hexdigest()


def variable(file: h5py.File, node: str) -> None:
    text, attrs = file[node].asstr()[()], dict(file[node].attrs)
    del file[node]
    file.create_dataset(node, data=text, dtype=h5py.string_dtype()).attrs.update(attrs)


def shorter_text(file: h5py.File) -> None:
    values = list(file["tokens/text"].asstr()[()])
    del file["tokens/text"]
    write_strings(file, "tokens/text", values[:-1])


@pytest.mark.parametrize("what", BREAKS)
def test_what_is_broken_is_named(path: Path, what: str) -> None:
    with h5py.File(path, "r+") as file:
        BREAKS[what](file)
    found = problems(path)
    assert any(problem.startswith(what) for problem in found), found


@pytest.mark.parametrize("tolerance", [0.02, 1e9])
def test_the_file_does_not_set_the_tolerance_by_which_it_is_judged(path: Path, tolerance: float) -> None:
    with h5py.File(path, "r+") as file:
        rewrite(file, "masses/rows", scale((2, 1, 3), 1.004))
        edit_json(file, "check", lambda d: d["checks"].append(VALUE | {"tolerance": tolerance}))
    assert any(
        problem.startswith("/masses/rows: layer 2 head 1 query 3: masses sum to 1.004") for problem in problems(path)
    )


VALUE = {"name": "conservation", "value": 0.01, "passed": True}


def test_learned_sinks_take_their_share(tmp_path: Path) -> None:
    build(tmp_path / "run.h5", sink_logits=True)
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        del file["sink_logits"]
    found = problems(tmp_path / "run.h5")
    assert any(problem.startswith("/masses/rows: layer 0 head 0 query 0: masses sum to 0.") for problem in found)
