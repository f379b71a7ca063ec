"""Every number of a document is the capture's own."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

from attnscope.capture.file import encode
from attnscope.capture.read.capture import Capture
from attnscope.capture.read.capture import open as open_capture
from attnscope.correct import BoxesDescribed
from attnscope.correct.registry import about
from attnscope.metrics.people.cells import cell_lift
from attnscope.report.inputs import compute_tables
from attnscope.report.viewer.document import view_document
from attnscope.report.viewer.packing import unpack
from attnscope.scene import scene_boxes
from tests.metrics.sketch import draw, room
from tests.report.conftest import attention, scenery
from tests.report.test_changes import told

EXACT = 2e-7  # of float32, relative


@pytest.fixture(scope="module")
def one(before: Path) -> tuple[Capture, dict[str, Any]]:
    cap = open_capture(before)
    return cap, view_document([cap])


@pytest.fixture(scope="module")
def both(before: Path, after: Path) -> tuple[list[Capture], dict[str, Any]]:
    caps = [open_capture(before), open_capture(after)]
    return caps, view_document(caps, labels=["before", "after"])


def looks(views: dict[str, Any]) -> list[tuple[int | None, int | None]]:
    return [(look["layer"], look["head"]) for look in views["looks"]]


def test_maps_are_the_lifts_of_every_head_and_mean(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    view, cells = document["captures"][0], unpack(document["stages"][0]["cells"]["positions"])
    maps = unpack(view["views"]["maps"])
    assert len(looks(view["views"])) == 1 + 3 + 9  # everything fits
    for v, (layer, head) in enumerate(looks(view["views"])):
        for g, group in enumerate(view["groups"]):
            own = cell_lift(cap, group["name"], layer, head)[cells]
            assert np.allclose(maps[v, g], own, rtol=EXACT, atol=0), (layer, head, group["name"])


def test_maps_are_attention_over_uniform_attention(one: tuple[Capture, dict[str, Any]]) -> None:
    """The same from the dense attention, by hand."""
    cap, document = one
    view, cells = document["captures"][0], unpack(document["stages"][0]["cells"]["positions"])
    maps, dense = unpack(view["views"]["maps"]), attention(scenery())
    for v, (layer, head) in enumerate(looks(view["views"])):
        if layer is None or head is None:
            continue
        for g, group in enumerate(view["groups"]):
            rows = group["positions"]
            even = np.mean([1 / (query + 1) for query in rows])  # causal
            own = dense[cap.layers.tolist().index(layer), head][rows].mean(0)[cells] / even
            assert np.allclose(maps[v, g], own, rtol=1e-5)


def test_masses_are_those_of_the_capture_and_add_up(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    view = document["captures"][0]
    masses, words = unpack(view["views"]["masses"]), unpack(view["views"]["queries"])
    names = [key["name"] for key in view["keys"]]
    assert names[:3] == ["text", "visual", "special"]
    whole = cap.masses()
    for v, (layer, head) in enumerate(looks(view["views"])):
        some = whole if layer is None else whole.sel(layer=layer)
        some = some.sel(head=head) if head is not None else some.mean("head", dtype="float64")
        some = some.mean("layer", dtype="float64") if layer is None else some
        for k, name in enumerate(names):
            label = f"modality:{name}" if ":" not in name else name
            own = some.sel(key_group=label, query=words).values
            assert np.allclose(masses[v, :, k], own, rtol=EXACT, atol=1e-9), (layer, head, name)
    assert np.allclose(masses[:, :, :3].sum(-1), 1, atol=1e-5)  # every key has one modality


def test_uniform_attention_is_the_share_of_the_keys_that_a_word_may_see(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    view = document["captures"][0]
    uniform, words = unpack(view["views"]["uniform"]), unpack(view["views"]["queries"])
    allowed = cap.allowed(layer=int(cap.layers[0]))
    members = dict(zip(cap.key_groups["name"], cap.key_member, strict=True))
    for q, position in enumerate(words):
        for k, key in enumerate(view["keys"]):
            seen = allowed[position] & members[key["name"]]
            assert uniform[0, q, k] == pytest.approx(seen.sum() / allowed[position].sum())


def test_rows_of_words_are_exact_and_unseen_cells_have_none(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    view, cells = document["captures"][0], unpack(document["stages"][0]["cells"]["positions"])
    held = view["views"]["rows"]
    rows, words = unpack(held["values"]), unpack(held["queries"])
    assert len(held["looks"]) == 13
    for v, (layer, head) in enumerate(looks(held)):
        numbers = cap.layers.tolist() if layer is None else [layer]
        own = np.mean([cap.attention(layer=n, head=head, queries=words, keys=cells) for n in numbers], axis=0)
        own = own.mean(0) if head is None else own
        lift = np.where(cells[None] <= words[:, None], own * (words[:, None] + 1), np.nan)
        assert np.allclose(rows[v], lift, rtol=1e-5, equal_nan=True)
    assert np.isnan(rows[:, words < cells.min()]).all() and (words < cells.min()).any()


def test_values_are_those_of_the_tables(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    tables, heads = compute_tables([cap], ["before"], 0.5), "layer >= 0 and head >= 0"
    view = document["captures"][0]
    assert [m["id"] for m in document["measures"]][:3] == [
        "answer_lift:Ben",  # whom the question names
        "speaker_consistency_lift:live",
        "speaker_consistency_lift:all",
    ]
    rows = tables["speakers"].query(
        "metric == 'speaker_consistency_lift' and frames == 'live' and layer >= 0 and head >= 0"
    )
    own = view["values"]["speaker_consistency_lift:live"]
    for name in ("value", "p", "q"):
        array = unpack(own[name])
        assert array.shape == (3, 3)
        for _, row in rows.iterrows():
            assert array[cap.layers.tolist().index(row["layer"]), row["head"]] == np.float32(row[name])
    rows = tables["answer"].query(f"metric == 'answer_lift' and speaker == 'Ann' and {heads}")
    array = unpack(view["values"]["answer_lift:Ann"]["value"])
    assert np.array_equal(array.reshape(-1), rows["value"].to_numpy(np.float32))
    for measure in document["measures"]:
        assert any(np.isfinite(unpack(own["values"][measure["id"]]["value"])).any() for own in document["captures"])


def test_measures_that_are_defined_nowhere_are_left_out(tmp_path: Path) -> None:
    path = draw(tmp_path / "alone.h5", room(("Ann",), (("Ann", 0.0, 0.4),)))
    with open_capture(path) as cap:
        document = view_document([cap])
    names = {measure["id"].partition(":")[0] for measure in document["measures"]}
    assert "speaker_consistency_lift" not in names and "answer_lift" in names


def test_the_stage_is_the_scene(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    stage, table = document["stages"][0], cap.tokens
    cells = {name: unpack(packed) for name, packed in stage["cells"].items()}
    placed = np.flatnonzero(np.isfinite(table["x0"]))
    assert np.array_equal(cells["positions"], placed)
    assert np.array_equal(cells["first"], table["frame_first"].iloc[placed])
    assert np.array_equal(cells["box"], table[["x0", "y0", "x1", "y1"]].iloc[placed])
    assert [person["name"] for person in stage["people"]] == ["Ann", "Ben", "Cleo"]
    assert [turn["speaker"] for turn in stage["turns"]] == ["Ann", "Ben", "Cleo", "Ann"]
    assert (stage["question"], stage["expected"]) == ("Who does Ben ask?", "Ann")
    boxes = scene_boxes(cap.scene, cap.frames)
    for row, frame in enumerate(stage["frames"]):
        assert frame["time"] == cap.frames.times[row]
        assert base64.b64decode(frame["image"].partition(",")[2]) == cap.frames.jpeg(row)
        assert {n: tuple(b) for n, b in frame["boxes"].items()} == {
            name: tuple(boxes.xyxy[s, row]) for s, name in enumerate(boxes.speakers)
        }


def test_words_are_all_tokens_but_those_of_the_picture(one: tuple[Capture, dict[str, Any]]) -> None:
    cap, document = one
    tokens = document["captures"][0]["tokens"]
    assert [t["position"] for t in tokens] == np.flatnonzero(cap.tokens["modality"] != "visual").tolist()
    assert tokens[0]["text"] == "w "  # spaces stay, so that words join to the prompt
    assert {t["role"] for t in tokens} == {"template", "system", "transcript", "question", "answer"}


def test_before_and_after_share_a_stage(both: tuple[list[Capture], dict[str, Any]]) -> None:
    caps, document = both
    first, second = document["captures"]
    assert len(document["stages"]) == 1 and (first["label"], second["label"]) == ("before", "after")
    assert looks(first["views"]) == looks(second["views"])
    assert second["active"] == [[1, 0], [1, 2]] and first["active"] == []
    assert (first["answer"], first["verdict"]) == ("Ben", "wrong")
    assert (second["answer"], second["verdict"]) == ("Ann", "right")
    assert [o["share"] for o in first["options"]] != [o["share"] for o in second["options"]]
    for cap, view in zip(caps, (first, second), strict=True):
        cells = unpack(document["stages"][0]["cells"]["positions"])
        own = cell_lift(cap, "question", 1, 2)[cells]
        at, group = looks(view["views"]).index((1, 2)), [g["name"] for g in view["groups"]].index("question")
        assert np.allclose(unpack(view["views"]["maps"])[at, group], own, rtol=EXACT)


def test_cells_of_a_prompt_with_more_words_are_brought_to_those_before(before: Path, tmp_path: Path) -> None:
    """Visual tokens stand elsewhere when a correction puts words before them; here after, which moves the question."""
    path = told(tmp_path / "told.h5")
    with open_capture(before) as first, open_capture(path) as second:
        document = view_document([first, second], labels=["before", "after"])
        view = document["captures"][1]
        assert len(document["stages"]) == 1
        assert any("changed what the model was shown" in note for note in document["notes"])
        assert len(view["tokens"]) == len(document["captures"][0]["tokens"]) + 4
        own = cell_lift(second, "answer_position")[np.flatnonzero(np.isfinite(second.tokens["x0"]))]
        group = [g["name"] for g in view["groups"]].index("answer_position")
        assert np.allclose(unpack(view["views"]["maps"])[0, group], own, rtol=EXACT)


def test_captures_of_other_scenes_have_stages_of_their_own(before: Path, tmp_path: Path) -> None:
    other = draw(tmp_path / "other.h5", room(("Ann", "Ben")))
    with open_capture(before) as first, open_capture(other) as second:
        document = view_document([first, second], labels=["a", "b"])
    assert [view["stage"] for view in document["captures"]] == [0, 1]
    assert [len(stage["people"]) for stage in document["stages"]] == [3, 2]


def test_other_clips_of_one_prompt_do_not_share_a_stage(before: Path, tmp_path: Path) -> None:
    """Equal tokens are not enough: what was seen must be equal too."""
    path = tmp_path / "other.h5"
    path.write_bytes(before.read_bytes())
    _repaint(path)
    with open_capture(before) as first, open_capture(path) as second:
        document = view_document([first, second], labels=["a", "b"])
    assert len(document["stages"]) == 2


def test_pictures_that_a_correction_drew_on_are_beside_those_of_the_stage(before: Path, tmp_path: Path) -> None:
    path = tmp_path / "drawn.h5"
    path.write_bytes(before.read_bytes())
    _repaint(path)
    record = {"method": "boxes-told", "params": BoxesDescribed().params(), "active": [], "notes": []} | about(
        "boxes-told"
    )
    with h5py.File(path, "r+") as file:
        encode.write_json(file, "correction", [record])
    with open_capture(before) as first, open_capture(path) as second:
        document = view_document([first, second], labels=["before", "after"])
        pictures = [base64.b64decode(uri.partition(",")[2]) for uri in document["captures"][1]["images"]]
        assert pictures == [second.frames.jpeg(row) for row in range(3)]
    assert len(document["stages"]) == 1 and "images" not in document["captures"][0]


@pytest.mark.parametrize(
    ("readings", "kept"), [(("masses",), "masses"), (("maps",), "maps"), ((), None)], ids=["masses", "maps", "nothing"]
)
def test_readings_that_are_not_there_leave_nothing_behind(
    readings: tuple[str, ...], kept: str | None, tmp_path: Path
) -> None:
    path = draw(tmp_path / "run.h5", scenery(), attention(scenery()), readings=readings)
    with open_capture(path) as cap:
        document = view_document([cap])
    view = document["captures"][0]
    if kept is None:
        assert "views" not in view
        return
    sizes = {name: unpack(view["views"][name]).size for name in ("maps", "masses")}
    assert sizes[kept] > 0 and sum(sizes.values()) == sizes[kept]
    assert bool(view["groups"]) == (kept == "maps") and bool(view["keys"]) == (kept == "masses")
    assert "rows" not in view["views"]


@pytest.mark.parametrize(
    "sketch",
    [
        room((), ()),
        room(("Ann", "Ben"), ()),
        room(("Ann", "Ben"), question=0),
        room(("Ann", "Ben"), (("Ann", None, None), (None, 0.2, 0.3))),
        room(("Ann", "Ben"), times=[0.0], kind="image"),
        room(("Ann", "Ben"), hidden=[("Ann", 0), ("Ann", 1)]),
    ],
    ids=["nobody", "silent", "no question", "untimed", "image", "out of sight"],
)
def test_scenes_that_lack_something_have_a_document(sketch: Any, tmp_path: Path) -> None:
    path = draw(tmp_path / "run.h5", sketch)
    with open_capture(path) as cap:
        document = view_document([cap])
    json.dumps(document, allow_nan=False)
    assert len(document["captures"][0]["views"]["looks"]) == 3


def test_tokens_without_places_have_no_cells(tmp_path: Path) -> None:
    sketch = room()
    for token in sketch.tokens:
        token.cell, token.frames, token.covered = -1, (-1, -1), []
    path = draw(tmp_path / "run.h5", sketch)
    with open_capture(path) as cap:
        document = view_document([cap])
    assert document["stages"][0]["cells"]["positions"]["shape"] == [0]
    assert unpack(document["captures"][0]["views"]["masses"]).size > 0


def _repaint(path: Path) -> None:
    """Put a mark into every picture of a capture."""
    with open_capture(path) as cap:
        images = cap.frames.images
    jpegs = []
    for image in images:
        marked = image.copy()
        marked[:4, :4] = 255 - marked[:4, :4]
        buffer = io.BytesIO()
        Image.fromarray(marked).save(buffer, "JPEG")
        jpegs.append(buffer.getvalue())
    with h5py.File(path, "r+") as file:
        del file["frames/jpeg"]
        encode.write_bytes(file["frames"], "jpeg", jpegs)
