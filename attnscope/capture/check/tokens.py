"""The token table held against what it was made from: the prompt, the scene, the frames and the answer."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from attnscope.capture.check.arrays import check_strings
from attnscope.capture.check.documents import wrong_types
from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.file import encode
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import DECLARED_MODALITIES
from attnscope.vocabulary import (
    ANSWER,
    BASIC,
    COVERED,
    MODALITY,
    NOWHERE,
    ROLE,
    SPEAKER,
    STRINGS,
    TEXT,
    TOKEN_COLUMNS,
    column_of,
    covered_speakers,
    group_name,
    has_cell,
    media,
    roles,
)

if TYPE_CHECKING:
    import pandas as pd

    from attnscope.scene import Frames, Scene
    from attnscope.vocabulary import Columns

TOLERANCE = 1e-4  # of a covered fraction, and of seconds and pixels (ours: float32 rounding of pixels)


def check_tokens(store: Store) -> Iterator[Problem]:
    """Columns and types of the token table, and that they agree with what they describe."""
    if store.version >= DECLARED_MODALITIES and not store.declares_modalities:
        yield Problem("/tokens", "attribute 'modalities' is missing")
    broken = False
    for problem in _columns(store):  # one by one: an error on the way is a problem too
        broken = True
        yield problem
    if broken:
        return
    tokens = store.table("/tokens")
    for part in (_ranges, _order, _text, _places, _placing, _generated):
        yield from guarded("/tokens", partial(part, store, tokens))
    yield from guarded("/scene", partial(_scene, store, tokens))


def check_references(store: Store, tokens: pd.DataFrame | Columns) -> Iterator[Problem]:
    """That the table has the columns it must have, and that its rows refer to what is there.

    Args:
        store: The file.
        tokens: Its token table, or the columns of it.
    """
    yield from guarded("/tokens", partial(_names, store))
    yield from guarded("/tokens", partial(_ranges, store, tokens))


def _names(store: Store) -> Iterator[Problem]:
    required = [name for name, column in TOKEN_COLUMNS.items() if column.since <= store.version]
    required += [group_name(COVERED, name) for name in store.json("/scene")["speakers"]]
    columns = _known(store)
    if columns != required:
        missing = [name for name in required if name not in columns]
        what = f"column '{missing[0]}' is missing" if missing else f"columns are {columns}, not {required}"
        yield Problem("/tokens", what)


def _known(store: Store) -> list[str]:
    """The columns that the format has; others are of a later version, or of nobody's concern."""
    return [name for name in store.columns("/tokens") if name in TOKEN_COLUMNS or name.startswith(f"{COVERED}:")]


def _columns(store: Store) -> Iterator[Problem]:
    problems = list(_names(store))
    yield from problems
    for name in _known(store) if not problems else []:
        path, dtype = f"/tokens/{encode.dataset_name(name)}", column_of(name).dtype
        if dtype == STRINGS:
            store.node(path, "strings")
            yield from check_strings(store, path)
        elif str(store.array(path, ["row"]).dtype) != dtype:
            yield Problem(path, f"holds {store.array(path).dtype}, not {dtype}")


def _ranges(store: Store, tokens: pd.DataFrame | Columns) -> Iterator[Problem]:
    """Numbers that refer to something, and fractions."""
    if not np.array_equal(tokens["position"], np.arange(len(tokens["position"]))):
        yield Problem("/tokens/position", "is not 0, 1, 2, ...")
    yield from _modalities(store, tokens)
    ends = {
        "frame": len(store.array("/frames/time")),
        "turn": len(store.json("/scene")["transcript"]),
        "character": len(store.json("/prompt")["text"]) + 1,
    }
    for name, column in TOKEN_COLUMNS.items():
        if column.dtype == "int32" and name in tokens:
            values = np.asarray(tokens[name])
            start, end = 0 if column.missing is None else -1, ends.get(column.counts, 2**31)
            outside = values[(values < start) | (values >= end)]
            if len(outside):
                yield Problem(f"/tokens/{name}", f"{outside[0]} is out of range {start}-{end - 1}")
    for speaker in covered_speakers(tokens):
        name = group_name(COVERED, speaker)
        values = np.asarray(tokens[name])
        if ((values < 0) | (values > 1)).any():
            yield Problem(f"/tokens/{encode.dataset_name(name)}", "a fraction outside 0-1")


def _modalities(store: Store, tokens: pd.DataFrame | Columns) -> Iterator[Problem]:
    """That tokens have the modalities that are declared, all of them and no others, and roles that go with them."""
    modalities = store.modalities
    own, role = (np.asarray(tokens[column], object) for column in (MODALITY, ROLE))
    for column, values, known in ((MODALITY, own, modalities), (ROLE, role, roles(modalities))):
        for value in set(values) - set(known):
            yield Problem(f"/tokens/{column}", f"'{value}' is none of {', '.join(known)}")
    if not store.declares_modalities:
        return
    for modality in sorted(set(modalities) - {*BASIC, *own}):
        yield Problem("/tokens", f"attribute 'modalities' has '{modality}', and no token has it")
    seen = media(modalities)
    of_media = np.isin(own, seen) | np.isin(role, seen)
    for row in np.flatnonzero(of_media & (role != own))[:1]:
        yield Problem("/tokens/role", f"row {row} is '{role[row]}', and its modality '{own[row]}'")


def _order(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """What comes first, and the characters of the prompt in their order."""
    for first, last in (("frame_first", "frame_last"), ("char_start", "char_end")):
        if (tokens[first] > tokens[last]).any():
            yield Problem(f"/tokens/{first}", f"is after {last} at row {int((tokens[first] > tokens[last]).argmax())}")
    half = (tokens["frame_first"] < 0) != (tokens["frame_last"] < 0)
    if half.any():
        yield Problem("/tokens/frame_first", f"row {int(half.argmax())} has a first frame or a last one, not both")
    prompt = int(store.json("/prompt")["length"])
    for column in ("char_start", "char_end"):
        values = tokens[column].to_numpy()
        falls = np.flatnonzero(np.diff(values[:prompt]) < 0)
        if len(falls):
            yield Problem(f"/tokens/{column}", f"falls from {values[falls[0]]} at row {falls[0]}")
        if (values[:prompt] < 0).any() or (values[prompt:] != -1).any():
            yield Problem(f"/tokens/{column}", "is -1 in the prompt, or another number behind it")


def _text(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """Text tokens show their characters of the prompt."""
    prompt = store.json("/prompt")
    text = str(prompt["text"]).replace("\0", "\u2400")
    own = (tokens[MODALITY] == TEXT) & (tokens["char_end"] > tokens["char_start"])
    own &= tokens["position"] < int(prompt["length"])
    columns = [tokens[name][own].tolist() for name in ("position", "text", "char_start", "char_end")]
    for row, token, start, end in zip(*columns, strict=True):
        if token != text[start:end]:
            yield Problem("/tokens/text", f"row {row} is {token!r}, the prompt has {text[start:end]!r} there")
            return


def _places(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """Times are those of the frames; cells have an area inside the source."""
    times = store.read("/frames/time", dims=["row"])
    index = store.read("/frames/index", dims=["row"])
    if not np.isfinite(times).all() or (np.diff(times) < 0).any():
        yield Problem("/frames/time", "is not finite, or falls")
    starts = [float(item["start"]) for item in store.json("/scene").get("further") or ()]
    same = np.diff(np.searchsorted(starts, times, side="right")) == 0  # numbers begin anew with each medium
    if (index < 0).any() or (np.diff(index) < 0)[same].any():
        yield Problem("/frames/index", "is negative, or falls")
    first, last = (tokens[name].to_numpy() for name in ("frame_first", "frame_last"))
    if not len(times) or (first >= len(times)).any() or (last >= len(times)).any() or (first > last).any():
        return  # said by the ranges
    total = np.concatenate([[0.0], np.cumsum(times)])
    mean = np.where(first >= 0, (total[last + 1] - total[first]) / (last - first + 1), np.nan)
    yield from _alike("/tokens/time", tokens["time"].to_numpy(), mean, "its frames say")
    cells = tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float64)
    there = np.isfinite(cells)
    width, height = store.whole("/frames", "width"), store.whole("/frames", "height")
    inside = (cells >= -TOLERANCE * max(width, height)).all(1) & (cells <= np.array([width, height] * 2) * 1.001).all(1)
    right = inside & (cells[:, 0] < cells[:, 2]) & (cells[:, 1] < cells[:, 3]) & (first >= 0)
    for row in np.flatnonzero(there.any(1) & ~(there.all(1) & right))[:1]:
        yield Problem("/tokens/x0", f"row {row}: the cell {cells[row].tolist()} is none of a {width} x {height} frame")


def _placing(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """That what is said of the places, if it is said, goes with the cells that there are."""
    from attnscope.placing import stated_placing

    prompt = store.json("/prompt")
    if list(wrong_types("/prompt", prompt)):
        return  # said by the documents
    try:
        stated = stated_placing(prompt)
    except ValueError as error:
        yield Problem("/prompt", f"field 'placing': {error}")
        return
    cells = int(has_cell(tokens).sum())
    if stated is not None and (stated.how == NOWHERE) == bool(cells):
        yield Problem("/prompt", f"placing.how is '{stated.how}', and {cells} visual tokens have a cell")


def _alike(node: str, stored: npt.NDArray[Any], expected: npt.NDArray[Any], who: str) -> Iterator[Problem]:
    """The first row in which two columns are more than rounding apart, or only one is NaN."""
    stored, expected = stored.astype(np.float64), expected.astype(np.float64)
    room = TOLERANCE * np.maximum(1, np.abs(np.nan_to_num(expected)))
    same = (np.isnan(stored) & np.isnan(expected)) | (np.abs(stored - expected) <= room)
    for row in np.flatnonzero(~same)[:1]:
        yield Problem(node, f"row {row} is {stored[row]:.6g}, {who} {expected[row]:.6g}")


def _generated(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """The generated tokens that were fed back are those of the answer."""
    prompt, answer = int(store.json("/prompt")["length"]), store.json("/answer")["tokens"]
    for row in range(prompt, len(tokens)):
        token = answer[row - prompt] if row - prompt < len(answer) else {}
        fed_back = (int(tokens["token_id"][row]), tokens["text"][row])
        answered = (token.get("id"), str(token.get("text")).replace("\0", "\u2400"))
        if fed_back != answered:
            yield Problem("/tokens/token_id", f"row {row} is {fed_back}, the answer has {answered} there")
            return
        if tokens[ROLE][row] != ANSWER:
            yield Problem("/tokens/role", f"row {row} is generated, and '{tokens[ROLE][row]}'")
            return


def _scene(store: Store, tokens: pd.DataFrame) -> Iterator[Problem]:
    """Who speaks, and whose box covers which cell."""
    scene = _read_scene(store)
    speakers = np.array([turn.speaker or "" for turn in scene.transcript] + [""], object)  # the last is of turn -1
    expected = speakers[tokens["turn"].to_numpy()]
    for row in np.flatnonzero(tokens[SPEAKER].to_numpy() != expected)[:1]:
        what = f"row {row} is '{tokens[SPEAKER][row]}', turn {tokens['turn'][row]} is said by '{expected[row]}'"
        yield Problem("/tokens/speaker", what)
    for name, covered in boxes_on_cells(store, scene, tokens).items():
        column = group_name(COVERED, name)
        path = f"/tokens/{encode.dataset_name(column)}"
        yield from _alike(path, tokens[column].to_numpy(), covered, "the boxes of the scene say")


def _read_scene(store: Store) -> Scene:
    from attnscope.errors import SceneError
    from attnscope.scene import Scene

    try:
        return Scene.from_dict(store.json("/scene"), base=store.path.parent)
    except SceneError as error:
        raise store.error("/scene", str(error)) from error


def boxes_on_cells(store: Store, scene: Scene, tokens: pd.DataFrame) -> dict[str, npt.NDArray[np.float32]]:
    """The columns `covered:<name>` that the scene's boxes give, by name."""
    from attnscope.capture.read.frames import StoredFrames
    from attnscope.model.place import coverage
    from attnscope.scene import scene_boxes

    boxes = scene_boxes(scene, cast("Frames", StoredFrames(store)))  # times, width and height are all it takes
    cells = tokens[["x0", "y0", "x1", "y1"]].to_numpy(np.float32)
    frames = tokens[["frame_first", "frame_last"]].to_numpy(np.int32)
    return {n: coverage(cells, frames, xyxy) for n, xyxy in zip(boxes.speakers, boxes.xyxy, strict=True)}
