"""What a notebook shows of a capture, against the arrays of the file."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest

import attnscope
from tests.capture.by_hand import build, write_json


@pytest.fixture
def capture(tmp_path: Path) -> Path:
    build(tmp_path / "run.h5", numbers=[1, 2, 5, 8])
    return tmp_path / "run.h5"


def shown(path: Path) -> str:
    with attnscope.open(path) as cap:
        return cap._repr_html_()


def test_the_cells_above_the_mean_of_the_busiest_frame_are_coloured(capture: Path) -> None:
    with h5py.File(capture) as file:
        row = [name.decode() for name in file["query_groups/name"][:]].index("answer_position")
        attention = file["maps/rows"][:, :, row].astype(np.float64).mean((0, 1))
        columns = {name: file[f"tokens/{name}"][:] for name in ("frame_first", "frame_last", "x0")}
        frames = len(file["frames/time"])
    placed = np.isfinite(columns["x0"]) & (columns["frame_first"] >= 0)
    lift = attention / attention[placed].mean()
    on = [placed & (columns["frame_first"] <= f) & (f <= columns["frame_last"]) for f in range(frames)]
    frame = int(np.argmax([lift[here].sum() for here in on]))
    html = shown(capture)
    assert f"on frame {frame} (" in html
    assert f"the strongest has {lift[on[frame]].max():.1f} times the mean" in html
    titles = [float(value) for value in re.findall(r"<title>([\d.]+) × the mean</title>", html)]
    assert sorted(titles) == sorted(round(float(value), 2) for value in lift[on[frame]] if value > 1)


def test_it_is_well_formed_and_needs_nothing_else(capture: Path) -> None:
    html = shown(capture)
    root = ElementTree.fromstring(html)
    assert root.tag == "div"
    assert not re.search(r"<script|https?://", html)
    arrays = root.find("details/pre").text.splitlines()  # type: ignore[union-attr]
    with h5py.File(capture) as file:
        paths: list[str] = []
        file.visititems(lambda name, node: paths.append(f"/{name}") if isinstance(node, h5py.Dataset) else None)
    assert [line.split()[0] for line in arrays] == paths


def test_texts_of_the_file_stay_texts(capture: Path) -> None:
    with attnscope.open(capture) as cap:
        scene = cap.scene_dict
    with h5py.File(capture, "r+") as file:
        del file["scene"]
        write_json(file, "scene", scene | {"question": "<script>alert(1)</script> & who?"})
    html = shown(capture)
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; who?" in html


def test_without_maps_there_is_no_picture(capture: Path) -> None:
    with h5py.File(capture, "r+") as file:
        del file["maps"]
    assert "<svg" not in shown(capture)


def test_a_closed_capture_says_so(capture: Path) -> None:
    cap = attnscope.open(capture)
    cap.close()
    assert cap._repr_html_() == f"<code>&lt;Capture {capture}, closed&gt;</code>"
