"""Files that were made to harm: they point outside themselves, or declare more than they hold. Each is one line."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.errors import FormatError, RequestError
from tests.capture.by_hand import build, fixed, write_array, write_json


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("original") / "run.h5"
    build(path, layers=2, heads=2, prompt=45, frames=3, speakers=1)
    return path


@pytest.fixture
def path(original: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(original, tmp_path / "run.h5"))


def moved(file: h5py.File, node: str, make: Callable[[str], object]) -> None:
    """Take a dataset away and put something in its place that has its attributes."""
    attributes = dict(file[node].attrs)
    del file[node]
    make(node)
    file[node].attrs.update(attributes)


def elsewhere(file: h5py.File, node: str) -> str:
    """Copy a dataset into another file; its path."""
    other = file.filename + ".other"
    with h5py.File(other, "w") as target:
        file.copy(file[node], target, "data")
    return other


def virtual(file: h5py.File, node: str) -> None:
    other, data = elsewhere(file, node), file[node]
    layout = h5py.VirtualLayout(shape=data.shape, dtype=data.dtype)
    layout[:] = h5py.VirtualSource(other, "data", shape=data.shape)
    moved(file, node, lambda at: file.create_virtual_dataset(at, layout))


def unlimited_virtual(file: h5py.File, node: str) -> None:
    """Its size is that of other files, which HDF5 opens to answer how long it is: here a pipe without an end."""
    os.mkfifo(file.filename + ".0")
    layout = h5py.VirtualLayout(shape=(1, 3), maxshape=(None, 3), dtype="f4")
    source = h5py.VirtualSource(file.filename + ".0", "data", shape=(1, 3), maxshape=(None, 3))
    layout[: h5py.h5s.UNLIMITED, :] = source[: h5py.h5s.UNLIMITED, :]
    moved(file, node, lambda at: file.create_virtual_dataset(at, layout))


def external_storage(file: h5py.File, node: str) -> None:
    shape, kind, where = file[node].shape, file[node].dtype, [("/etc/passwd", 0, h5py.h5f.UNLIMITED)]
    moved(file, node, lambda at: file.create_dataset(at, shape, kind, external=where))


def pipe(file: h5py.File, node: str) -> None:
    del file[node]
    os.mkfifo(file.filename + ".pipe")
    file[node] = h5py.ExternalLink(file.filename + ".pipe", "data")


def replaced(file: h5py.File, node: str, value: object) -> None:
    del file[node]
    file[node] = value


def loop(file: h5py.File) -> None:
    file["stats/again"] = file["stats"]


def committed(file: h5py.File) -> None:
    file["kind"] = np.dtype("f4")


def of_committed(file: h5py.File) -> None:
    file["kind"] = np.dtype("f4")
    shape = file["maps/rows"].shape
    moved(file, "maps/rows", lambda at: file.create_dataset(at, shape, file["kind"], fletcher32=True))


def references(file: h5py.File) -> None:
    file.create_dataset("later", data=[file["maps"].ref], dtype=h5py.ref_dtype)


def filtered(file: h5py.File) -> None:
    data = file["maps/rows"][()]
    moved(file, "maps/rows", lambda at: file.create_dataset(at, data=data, compression="lzf", fletcher32=True))


def contiguous(file: h5py.File) -> None:
    data = file["maps/rows"][()]
    moved(file, "maps/rows", lambda at: file.create_dataset(at, data=data))


POINTERS: dict[str, Callable[[h5py.File], object]] = {
    "/maps/rows: is an external link": lambda f: replaced(f, "maps/rows", h5py.ExternalLink("other.h5", "x")),
    "/stats: is an external link": lambda f: replaced(f, "stats", h5py.ExternalLink("/dev/zero", "/")),
    "/tokens/time: is an external link": lambda f: pipe(f, "tokens/time"),
    "/maps/rows: is a soft link": lambda f: replaced(f, "maps/rows", h5py.SoftLink("/masses/rows")),
    "/later: is a soft link": lambda f: f.__setitem__("later", h5py.SoftLink("/nowhere")),
    "/tokens/time: is a virtual dataset": lambda f: virtual(f, "tokens/time"),
    "/masses/rows: is a virtual dataset": lambda f: unlimited_virtual(f, "masses/rows"),
    "/frames/time: is stored in another file": lambda f: external_storage(f, "frames/time"),
    "/stats": loop,
    "/kind: is neither a group nor a dataset": committed,
    "/kind: is ": of_committed,
    "/later: holds references": references,
    "/maps/rows: uses HDF5 filter 32000": filtered,
    "/maps/rows: is not chunked, so no checksum covers it": contiguous,
}


@pytest.mark.parametrize("what", POINTERS)
def test_a_capture_holds_its_own_data(path: Path, what: str) -> None:
    with h5py.File(path, "r+") as file:
        POINTERS[what](file)
    started = time.monotonic()
    with pytest.raises(FormatError) as error:
        attnscope.open(path)
    assert str(error.value).startswith(f"{path}: {what}") and "\n" not in str(error.value)
    problems = [str(problem) for problem in validate(path)]
    assert len(problems) == 1 and problems[0].startswith(what)
    assert time.monotonic() - started < 30  # a pipe would hang for ever


def declared(file: h5py.File, node: str, shape: tuple[int, ...]) -> None:
    """A dataset of this shape of which nothing is stored."""
    kind = file[node].dtype
    chunks = tuple(min(size, 1000) if axis == len(shape) - 1 else 1 for axis, size in enumerate(shape))
    moved(file, node, lambda at: file.create_dataset(at, shape, kind, chunks=chunks, fletcher32=True))


def edited(file: h5py.File, node: str, **fields: object) -> None:
    document = json.loads(file[node].asstr()[()]) | fields
    del file[node]
    write_json(file, node, document)


def longer(file: h5py.File, rows: int) -> None:
    file["tokens"].attrs["length"] = rows
    declared(file, "tokens/position", (rows,))
    declared(file, "key_groups/member", (len(file["key_groups/name"]), rows))


def deep(file: h5py.File) -> None:
    group = file
    for _ in range(3000):
        group = group.create_group("g")


def big_document(file: h5py.File) -> None:
    attributes = dict(file["scene"].attrs)
    del file["scene"]
    file.create_dataset("scene", shape=(), dtype=h5py.string_dtype("utf-8", 60 << 20)).attrs.update(attributes)


def deep_document(file: h5py.File) -> None:
    text = b"[" * 100_000 + b"]" * 100_000
    del file["model"]
    file["model"] = np.array(text, dtype=h5py.string_dtype("utf-8", len(text)))
    file["model"].attrs.update(
        {"encoding-type": fixed("json"), "encoding-version": fixed("1.0"), "sha256": hashlib.sha256(text).hexdigest()}
    )


def gigapixel(file: h5py.File) -> None:
    """A JPEG header of 60,000 x 60,000 pixels over data of a few bytes."""
    data = bytearray(file["frames/jpeg/data"][()].tobytes())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = (60_000).to_bytes(2, "big") * 2
    del file["frames/jpeg/data"]
    write_array(file["frames/jpeg"], "data", np.frombuffer(bytes(data), np.uint8), ["byte"])
    file["frames"].attrs.update(width=60_000, height=60_000)


def crowd(file: h5py.File) -> None:
    later = file.create_group("later")
    for number in range(20_001):
        h5py.h5g.create(later.id, str(number).encode())


BOMBS: dict[str, tuple[str, Callable[[h5py.File], object]]] = {
    "positions": ("/", lambda f: longer(f, 10**12)),
    "a million positions": ("/", lambda f: longer(f, 10**6)),
    "layers": ("/layers", lambda f: declared(f, "layers", (10**9,))),
    "groups": ("/key_groups", lambda f: declared(f, "key_groups/member", (10**9, 45))),
    "frames": ("/frames", lambda f: declared(f, "frames/time", (10**10,))),
    "explicit mask": ("/", lambda f: f.create_dataset("mask/explicit_0", (10**6, 10**6), "u1", fletcher32=True)),
    "hidden width": ("/hidden", lambda f: declared(f, "hidden/singular_values", (3, 3, 10**11))),
    "heads of the header": ("/", lambda f: edited(f, "model", heads=10**9, kv_heads=10**9)),
    "prompt of the header": ("/", lambda f: edited(f, "prompt", length=10**15)),
    "an unknown dataset": ("/later", lambda f: f.create_dataset("later", (10**12,), "f8", fletcher32=True)),
    "a huge chunk": ("/later", lambda f: f.create_dataset("later", (10**8,), "f8", chunks=(10**8,), fletcher32=True)),
    "3,000 nested groups": ("/g", deep),
    "20,000 unknown groups": ("/later", crowd),
    "a document": ("/scene", big_document),
    "a deep document": ("/model", deep_document),
    "a gigapixel": ("/frames", gigapixel),
}

CHILD = """
import json, resource, sys
import attnscope
from attnscope.capture.check.validate import validate
from attnscope.errors import AttnscopeError

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

def use(path):
    try:
        with attnscope.open(path) as cap:
            cap.model, len(cap.tokens), cap.scene, cap.key_member, cap.layers, cap.frames.images
            return "opens"
    except AttnscopeError as error:
        return str(error)

original, *paths = sys.argv[1:]
use(original), validate(original)  # imports what it needs
for path in paths:
    before = peak()
    opened, problems = use(path), [str(problem) for problem in validate(path)]
    print(json.dumps({"opened": opened, "problems": problems, "grown": peak() - before}), flush=True)
"""


@pytest.fixture(scope="module")
def bombs(original: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What one process, with a limit to its memory, says of each file."""
    folder = tmp_path_factory.mktemp("bombs")
    paths = [folder / f"{number}.h5" for number in range(len(BOMBS))]
    for path, (_, change) in zip(paths, BOMBS.values(), strict=True):
        shutil.copy(original, path)
        with h5py.File(path, "r+", libver=("v110", "v110")) as file:
            change(file)
    limit = 6 << 30  # of address space, most of it libraries
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(original), *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return dict(zip(BOMBS, map(json.loads, done.stdout.splitlines()), strict=True))


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
@pytest.mark.parametrize("what", BOMBS)
def test_declared_sizes_take_neither_memory_nor_time(bombs: dict[str, dict[str, Any]], what: str) -> None:
    node, outcome = BOMBS[what][0], bombs[what]
    assert outcome["opened"] != "opens" and node in outcome["opened"], outcome
    assert any(problem.startswith(node) for problem in outcome["problems"]), outcome
    assert outcome["grown"] < 300, outcome  # MiB


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_capture_is_a_regular_file(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "run.h5"
    if kind == "pipe":
        os.mkfifo(target)
    else:
        target.symlink_to("/dev/zero")
    for use in (attnscope.open, validate):
        with pytest.raises(RequestError, match=r"run\.h5: not a regular file"):
            use(target)


WRONG_TYPES: dict[str, tuple[str, str, object]] = {
    "/tokens: attribute 'length' is 'many', not a whole number from 0": ("tokens", "length", "many"),
    "/tokens: attribute 'length' is [3, 4], not a whole number from 0": ("tokens", "length", [3, 4]),
    "/tokens: attribute 'columns' is [1, 2], not a list of strings": ("tokens", "columns", [1, 2]),
    "/tokens: attribute 'encoding-type' is 7, not a string": ("tokens", "encoding-type", 7),
    "/maps: attribute 'encoding-version' is [1.0, 0.0], not a string": ("maps", "encoding-version", [1.0, 0.0]),
    "/qk/0: attribute 'scale' is 'large', not a number": ("qk/0", "scale", "large"),
    "/qk/0: attribute 'logical-dtype' is 2, not a string": ("qk/0", "logical-dtype", 2),
    "/hidden: attribute 'width' is -3, not a whole number from 0": ("hidden", "width", -3),
    "/frames: attribute 'width' is 'wide', not a whole number from 0": ("frames", "width", "wide"),
    "/maps/rows: attribute 'dims' is [4], not a list of strings": ("maps/rows", "dims", 4),
    "/maps/rows: attribute 'unit' is ['a', 'b'], not a string": ("maps/rows", "unit", ["a", "b"]),
    "/model: attribute 'sha256' is 5, not a string": ("model", "sha256", 5),
    "/: attribute 'created' is 5, not a string": ("/", "created", 5),
    "/: complete is not true": ("/", "complete", [True, True]),
    "/: encoding-version is '1.x', not two numbers": ("/", "encoding-version", "1.x"),
}


@pytest.mark.parametrize("what", WRONG_TYPES)
def test_attributes_of_a_wrong_type_are_named(path: Path, what: str) -> None:
    node, name, value = WRONG_TYPES[what]
    with h5py.File(path, "r+") as file:
        file[node].attrs[name] = value
    problems = [str(problem) for problem in validate(path)]
    assert any(problem.startswith(what) for problem in problems), problems


def test_an_attribute_that_refers_to_something(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["tokens"].attrs["length"]
        file["tokens"].attrs.create("length", file["maps"].ref, dtype=h5py.ref_dtype)
    with pytest.raises(FormatError, match=r"/tokens: .*attribute 'length' is neither numbers nor text"):
        attnscope.open(path)


def test_h5py_and_attnscope_open_a_file_together(path: Path) -> None:
    """The format is public: who holds a capture open may look into it with anything else."""
    with attnscope.open(path) as cap:
        with h5py.File(path) as file:
            assert file["layers"][:].tolist() == cap.layers.tolist()
        with h5py.File(path, "r") as file, attnscope.open(path) as again:
            assert again.heads == cap.heads == file["masses/rows"].shape[1]
    for options in ({}, {"locking": True}, {"locking": False}):
        with h5py.File(path, "r", **options) as file, attnscope.open(path) as cap:
            assert len(cap.tokens) == len(file["tokens/position"])


def test_a_file_that_another_program_writes_is_refused(path: Path) -> None:
    code = f"import h5py, sys; f = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        try:
            with pytest.raises(RequestError, match=r"run\.h5: another program is writing it"):
                attnscope.open(path)
        finally:
            other.communicate(b"")
