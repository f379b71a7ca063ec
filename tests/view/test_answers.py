"""What the server answers is what the capture holds."""

from __future__ import annotations

import base64
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import attnscope
from attnscope import metrics
from attnscope.metrics.people.cells import cell_lift
from tests.capture.by_hand import Oracle, build
from tests.view.asking import Client, served

WITHOUT_FULL = ("masses", "maps", "stats", "qk")
TIGHT: dict[str, Any] = {"rtol": 2e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Oracle:
    """Every second layer has a sliding mask; heads have sink logits; layers have other numbers than rows."""
    path = tmp_path_factory.mktemp("answers") / "run.h5"
    return build(path, numbers=[1, 2, 5, 8], window=24, sink_logits=True, readings=WITHOUT_FULL)


@pytest.fixture(scope="module")
def client(oracle: Oracle) -> Iterator[Client]:
    with served(oracle.path) as client:
        yield client


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    return client.ask("document").json


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    kind = {"float32": "<f4", "int32": "<i4"}[packed["dtype"]]
    return np.frombuffer(base64.b64decode(packed["data"]), kind).reshape(packed["shape"])


def rows_of(oracle: Oracle, layer: int | None, head: int | None, position: int) -> tuple[np.ndarray, np.ndarray]:
    """Lift and attention on all positions, from the dense softmax."""
    rows = slice(None) if layer is None else oracle.layers.tolist().index(layer)
    heads = slice(None) if head is None else head
    attention = np.atleast_1d(oracle.attention[:, :, position][rows])
    attention = attention if attention.ndim == 3 else attention[None]  # [layers, H, P]
    allowed = np.atleast_2d(oracle.allowed[:, position][rows])  # [layers, P]
    mean = attention[:, heads].reshape(len(attention), -1, attention.shape[-1]).mean(1)
    lift = (mean * allowed.sum(1, keepdims=True)).mean(0)
    return np.where(allowed.any(0), lift, np.nan), mean.mean(0)


@pytest.mark.parametrize(("layer", "head"), [(5, 3), (2, 0), (8, None), (None, None)])
@pytest.mark.parametrize("position", [0, 3, 12, 40, 61])
def test_a_row_is_the_dense_softmax(
    client: Client, oracle: Oracle, document: dict[str, Any], layer: int | None, head: int | None, position: int
) -> None:
    """Of words before, in and after the pictures; of a head, of a layer, and of all, under sliding and full masks."""
    look = {name: value for name, value in (("layer", layer), ("head", head)) if value is not None}
    reply = client.ask("row", capture=0, position=position, **look)
    assert reply.status == 200 and reply.headers["content-type"] == "application/octet-stream"
    cells = unpacked(document["stages"][0]["cells"]["positions"])
    numbers = reply.numbers()
    lift, attention = rows_of(oracle, layer, head, position)
    assert len(numbers) == len(cells) + len(oracle.tokens)
    np.testing.assert_allclose(numbers[len(cells) :], attention, **TIGHT)
    np.testing.assert_allclose(numbers[: len(cells)], lift[cells], **TIGHT)


def test_what_a_word_may_not_see_is_not_a_measured_zero(client: Client, document: dict[str, Any]) -> None:
    cells = unpacked(document["stages"][0]["cells"]["positions"])
    early = client.ask("row", capture=0, position=int(cells[0]) - 1).numbers()[: len(cells)]
    assert np.isnan(early).all()
    late = client.ask("row", capture=0, position=int(cells[-1]) + 1, layer=1).numbers()[: len(cells)]
    assert np.isfinite(late).all()


@pytest.mark.parametrize("look", [{}, {"layer": 2}, {"layer": 5, "head": 1}])
def test_what_a_group_may_not_see_is_not_a_measured_zero_either(
    client: Client, oracle: Oracle, document: dict[str, Any], look: dict[str, int]
) -> None:
    """In one layer, under a window, and over all layers: a cell that no word of a group may see has no number."""
    view = document["captures"][0]
    cells = unpacked(document["stages"][0]["cells"]["positions"])
    maps = client.ask("maps", capture=0, **look).numbers().reshape(len(view["groups"]), len(cells))
    layers = oracle.layers.tolist()
    rows = [layers.index(look["layer"])] if look else list(range(len(layers)))
    for row, group in zip(maps, view["groups"], strict=True):
        seen = oracle.allowed[rows][:, group["positions"]].any((0, 1))[cells]
        assert np.array_equal(np.isfinite(row), seen), group["name"]
    if look == {"layer": 2}:  # it has a window
        assert np.isnan(maps).any() and np.isfinite(maps).any()


@pytest.mark.parametrize("look", [{}, {"layer": 2}, {"layer": 8, "head": 1}])
def test_maps_and_masses_are_those_of_the_capture(
    client: Client, oracle: Oracle, document: dict[str, Any], look: dict[str, int]
) -> None:
    view = document["captures"][0]
    cells = unpacked(document["stages"][0]["cells"]["positions"])
    with attnscope.open(oracle.path) as cap:
        maps = client.ask("maps", capture=0, **look).numbers().reshape(len(view["groups"]), len(cells))
        for row, group in zip(maps, view["groups"], strict=True):
            np.testing.assert_allclose(row, cell_lift(cap, group["name"], **look)[cells], **TIGHT)
        mean = [dim for dim in ("layer", "head") if dim not in look]
        array = cap.masses(**look)
        queries = client.ask("queries", capture=0).numbers("<i4")
        assert queries.tolist() == array["query"].values.tolist()
        masses = client.ask("masses", capture=0, **look).numbers().reshape(len(queries), len(view["keys"]))
        allowed = cap.masses_allowed(look.get("layer")).astype(float)
        share = allowed / allowed.sel(key_group=allowed["family"].to_numpy() == "modality").sum("key_group")
        uniform = client.ask("uniform", capture=0, **look).numbers().reshape(masses.shape)
        for column, key in enumerate(view["keys"]):
            name = key["name"] if ":" in key["name"] else f"modality:{key['name']}"
            own = array.sel(key_group=name).mean(mean) if mean else array.sel(key_group=name)
            np.testing.assert_allclose(masses[:, column], own.to_numpy(), **TIGHT)
            even = share.sel(key_group=name)
            even = even.mean("layer") if "layer" in even.dims else even
            np.testing.assert_allclose(uniform[:, column], even.to_numpy(), **TIGHT)


def test_the_document_names_what_the_capture_holds(client: Client, oracle: Oracle, document: dict[str, Any]) -> None:
    view, stage = document["captures"][0], document["stages"][0]
    assert (view["name"], view["layers"], view["heads"], view["exact"]) == ("run.h5", [1, 2, 5, 8], 4, True)
    assert "views" not in view and view["label"] == ""
    assert [person["name"] for person in stage["people"]] == list(oracle.scene["speakers"])
    assert len(stage["frames"]) == len(oracle.times)
    with attnscope.open(oracle.path) as cap:
        for row, frame in enumerate(stage["frames"]):
            picture = client.raw(f"/{client.token}/{frame['image']}")
            assert (picture.status, picture.headers["content-type"]) == (200, "image/jpeg")
            assert picture.body == cap.frames.jpeg(row)


def test_numbers_by_head_follow_the_page(client: Client, oracle: Oracle) -> None:
    for _ in range(600):
        reply = client.ask("measures").json
        assert 0 <= reply["done"] <= reply["total"]
        if reply["done"] == reply["total"]:
            break
        time.sleep(0.1)
    known = {measure["id"]: measure for measure in reply["measures"]}
    assert set(reply["values"][0]) <= set(known)
    with attnscope.open(oracle.path) as cap:
        table = metrics.compute(cap, ["mass_share"])["modality"]
    wanted = table[(table["query"] == "text") & (table["key"] == "visual") & (table["sinks"] == "with")]
    wanted = wanted[(wanted["layer"] >= 0) & (wanted["head"] >= 0)].set_index(["layer", "head"])["value"]
    (name,) = [name for name in known if name.startswith("mass_share")]
    values = unpacked(reply["values"][0][name]["value"])
    for (layer, head), value in wanted.items():
        np.testing.assert_allclose(values[[1, 2, 5, 8].index(layer), head], value, rtol=1e-6)


@pytest.mark.parametrize(
    ("what", "given", "status", "reason"),
    [
        ("row", {}, 400, "row: the parameter capture is missing"),
        ("row", {"capture": 0}, 400, "row: the parameter position is missing"),
        ("row", {"capture": 0, "position": -1}, 400, "row: position is not a whole number from 0"),
        ("row", {"capture": 0, "position": "1e3"}, 400, "row: position is not a whole number from 0"),
        ("row", {"capture": 0, "position": "%D9%A1"}, 400, "row: position is not a whole number from 0"),  # arabic 1
        ("row", {"capture": 0, "position": "9" * 5000}, 400, "row: position is not a whole number from 0"),
        ("row", {"capture": 0, "position": 1, "head": 1}, 400, "row: a head needs a layer"),
        ("row", {"capture": 0, "position": 62}, 404, "run.h5 has no position 62; it has 0-61"),
        ("row", {"capture": 0, "position": 1, "layer": 0}, 404, "run.h5 has no layer 0; it has 1-2, 5, 8"),
        ("row", {"capture": 0, "position": 1, "layer": 1, "head": 4}, 404, "run.h5 has no head 4; it has 0-3"),
        ("row", {"capture": 1, "position": 1}, 404, "there is no capture 1"),
        ("frame", {"capture": 0, "index": 4}, 404, "run.h5 has no frame 4; it has 0-3"),
        (
            "maps",
            {"capture": 0, "group": 1},
            400,
            "maps: there is no parameter of that name; known: capture, layer, head",
        ),
        ("document", {"capture": 0}, 400, "document: there is no parameter of that name; known: none"),
        ("maps", {"capture": "0&capture=0"}, 400, "maps: a parameter is given twice"),
    ],
)
def test_what_is_no_question_or_has_no_answer(
    client: Client, what: str, given: dict[str, object], status: int, reason: str
) -> None:
    reply = client.ask(what, **given)
    assert (reply.status, reply.reason) == (status, reason)


def test_what_a_capture_lacks_is_said(tmp_path: Path) -> None:
    build(tmp_path / "stats.h5", readings=("stats",))
    with served(tmp_path / "stats.h5") as client:
        assert client.ask("document").json["captures"][0]["exact"] is False
        assert client.ask("maps", capture=0).reason == "stats.h5 has no reading 'maps'"
        assert client.ask("queries", capture=0).reason == "stats.h5 has no reading 'masses'"
        reply = client.ask("row", capture=0, position=3)
        assert (reply.status, reply.reason) == (
            404,
            "stats.h5 has neither queries and keys nor the attention of single tokens",
        )


def test_rows_come_from_full_attention_too(tmp_path: Path) -> None:
    oracle = build(tmp_path / "full.h5", readings=("full",))
    with served(tmp_path / "full.h5") as client:
        numbers = client.ask("row", capture=0, position=50, layer=2, head=1).numbers()
    np.testing.assert_allclose(numbers[-len(oracle.tokens) :], oracle.attention[2, 1, 50], **TIGHT)


def test_hostile_names_are_texts_of_the_document(tmp_path: Path) -> None:
    name = "</script><img src=x onerror=alert(1)>\u202e\x1b[31m"
    folder = tmp_path / "<b>&amp;"
    folder.mkdir()
    build(folder / "a<script>b.h5", names=[name, "Ben"])
    with served(folder / "a<script>b.h5") as client:
        page = client.raw(f"/{client.token}/").body
        assert b"a&lt;script&gt;b.h5" in page and b"a<script>b" not in page
        reply = client.ask("document")
        assert reply.headers["content-type"] == "application/json"
        people = [person["name"] for person in reply.json["stages"][0]["people"]]
        assert people[0].startswith("</script><img src=x onerror=alert(1)>") and "\x1b" not in people[0]
        assert json.loads(reply.body)["captures"][0]["name"] == "a<script>b.h5"


def test_a_name_that_is_no_utf8_is_shown_as_far_as_it_can_be(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9\x1b[31m.h5")
    try:
        build(tmp_path / "run.h5")
        (tmp_path / "run.h5").rename(path)
    except OSError:
        pytest.skip("the disk takes no such name")
    with served(path) as client:
        page = client.raw(f"/{client.token}/")
        assert page.status == 200 and b"caf" in page.body and b"\x1b" not in page.body
        assert client.ask("document").json["captures"][0]["name"].startswith("caf")
        refused = client.ask("row", capture=0, position=9999)
        assert refused.status == 404 and "has no position 9999" in refused.reason
        path.touch()
        assert client.ask("queries", capture=0).status == 410
