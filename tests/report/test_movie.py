"""The attention over the moving clip, and where names are written."""

from __future__ import annotations

import re

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from attnscope.capture.read.capture import open as open_capture
from attnscope.demo.film import write_film
from attnscope.errors import RunError
from attnscope.metrics.clips import labels
from attnscope.metrics.people.cells import cell_lift
from attnscope.report import figures
from attnscope.report.figures.frames.film import clip_frames, moments, write_films
from attnscope.report.figures.frames.placement import LETTER, LINE, place_names
from attnscope.report.inputs import Analysis, compute_tables
from attnscope.report.page.output import Output, Picture
from attnscope.report.sections import frames
from tests.metrics.sketch import draw
from tests.report.conftest import attention, scenery

TITLE = "Attention of the words of Ann\nmean"


def test_a_film_covers_the_clip(before, tmp_path):
    """Three frames at 0, 1 and 2 s, each shown for the second around it: from 0 to 2.5 s, 12 frames a second."""
    mp4, gif = tmp_path / "a.mp4", tmp_path / "a.gif"
    with open_capture(before) as cap:
        figures.overlay_movie(cap, "speaker:Ann", mp4, gif, title=TITLE, speaker="Ann")
        on, values = figures.read_stage(cap, "Ann"), cell_lift(cap, "speaker:Ann")
    with av.open(str(mp4)) as film:
        images = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
        assert float(film.streams.video[0].average_rate) == 12
    assert len(images) == 30
    with Image.open(gif) as moving:
        assert (moving.n_frames, moving.info["duration"], moving.width) == (15, 170, 480)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.mp4"]
    # the cell with most attention of all is the reddest one of the frame that it is in
    best = int(np.nanargmax(np.where(on.placed, values, np.nan)))
    x0, _, x1, _ = on.cells[best] * (640 / on.size[0])
    image = images[int(on.first[best]) * 12]
    red = image[..., 0].astype(int) - image[..., 1:].max(-1)
    top = 2 * 18 + 8  # lines of the title and a margin
    columns = red[top : top + 160].mean(0)
    assert x0 <= np.convolve(columns, np.ones(40), "same").argmax() <= x1


def test_the_clip_itself_is_shown_where_it_is_still_there(before, tmp_path):
    """A clip that gets brighter from frame to frame, 4 a second."""
    clip = tmp_path / "clip.mp4"
    write_film(clip, [np.full((32, 96, 3), 20 * n, np.uint8) for n in range(12)], 4)
    sketch = scenery()
    sketch.scene["video"] = str(clip)
    with open_capture(draw(tmp_path / "run.h5", sketch, attention(sketch), numbers=[0, 1, 4])) as cap:
        at, rate = moments(cap, 4, 100)
        assert rate == 4 and at == pytest.approx(np.arange(10) / 4)
        shown = [image.mean() for image in clip_frames(cap, at, (16, 48))]
    assert shown == pytest.approx([20 * n for n in range(10)], abs=4)
    with open_capture(before) as cap:  # no clip: the nearest of the stored frames
        stored = list(clip_frames(cap, np.array([0.0, 0.4, 0.6, 9.0]), (16, 48)))
    assert (stored[0] == stored[1]).all() and (stored[1] != stored[2]).any() and (stored[2] != stored[3]).any()


def test_long_clips_have_fewer_frames_a_second(before):
    with open_capture(before) as cap:
        at, rate = moments(cap, 12, 10)
    assert len(at) == 10 and rate == pytest.approx(4) and at[-1] == pytest.approx(2.25)


def test_a_film_is_complete_or_absent(tmp_path):
    def images():
        yield np.zeros((32, 32, 3), np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_films(images(), 4.0, tmp_path / "a.mp4", tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []
    missing = tmp_path / "no" / "a.gif"
    with pytest.raises(RunError, match=f"^{re.escape(str(missing))}: cannot be written: [Nn]o such file or directory$"):
        write_films([np.zeros((32, 32, 3), np.uint8)], 4.0, None, missing)


def test_a_report_writes_films_when_asked(before, tmp_path, monkeypatch):
    monkeypatch.setattr(Output, "figure", lambda _, name, *__: Picture(name, "", "", "", 1, 1, ""))
    with open_capture(before) as cap:
        out = Output(tmp_path)
        tables = compute_tables([cap], ["run"], 0.5)
        pictures = frames.of_captures(
            Analysis(out, [cap], ["run"], tables, labels([cap], ["run"]), "Ann", films=True)
        ).pictures
    assert [picture.films for picture in pictures if picture.films] == [
        ("figures/overlay_mean.mp4", "figures/overlay_mean.gif")
    ]
    for kind in ("mp4", "gif"):
        assert (tmp_path / "figures" / f"overlay_mean.{kind}") in out.figures
        assert (tmp_path / "figures" / f"overlay_mean.{kind}").stat().st_size > 1000


# ---- names


def test_a_name_stands_over_its_box_if_there_is_room():
    """A frame of 100 points, one unit a point: the name of 3 letters begins at the box's left edge, a line above it."""
    boxes = {"Ann": np.array([20.0, 40, 60, 90]), "Ben": np.array([70.0, 2, 90, 30])}
    places = place_names(boxes, (100, 100), 100)
    assert places["Ann"] == (21, 40 - LINE)
    assert places["Ben"] == (71, 3)  # no room over it: inside, at the top


def test_names_of_the_same_box_do_not_cover_each_other():
    boxes = {name: np.array([20.0, 40, 60, 90]) for name in ("Ann", "Ben", "Cleo")}
    places = place_names(boxes, (100, 100), 100, first="Cleo")
    assert places["Cleo"] == (21, 40 - LINE)
    corners = list(places.items())
    for i, (one, (x, y)) in enumerate(corners):
        for two, (left, top) in corners[:i]:
            apart = abs(x - left) >= LETTER * min(len(one), len(two)) or abs(y - top) >= LINE
            assert apart, (one, two)


numbers = st.floats(0, 100, allow_nan=False)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=6))
def test_names_stay_in_the_frame(edges):
    boxes = {f"P{i}": np.array([min(a, c), min(b, d), max(a, c), max(b, d)]) for i, (a, b, c, d) in enumerate(edges)}
    for name, (x, y) in place_names(boxes, (100, 100), 100).items():
        assert x >= 0 and y >= 0 and x + LETTER * len(name) <= 100 + 1e-9 and y + LINE <= 100 + 1e-9
