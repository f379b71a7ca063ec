"""Repeating a capture: only what was captured, never over its own input."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import attnscope
from attnscope.correct import SocialBias, rerun
from attnscope.demo.clip import render_clip
from attnscope.errors import RequestError
from attnscope_cli.main import app

EVERYWHERE = [SocialBias(threshold=0.0, layers="0.0-1.0")]


@pytest.fixture
def before(checkpoint, tmp_path):
    """A capture of a clip that lies in a folder of its own."""
    scene = render_clip(tmp_path / "clip")
    attnscope.capture(str(checkpoint("qwen2_5_vl")), scene, tmp_path / "before.h5", max_new_tokens=2).close()
    return tmp_path / "before.h5"


def test_the_same_scene_frames_prompt_and_plan(before, tmp_path):
    with attnscope.open(before) as one, rerun(before, EVERYWHERE, tmp_path / "out" / "after.h5") as two:
        assert one.tokens.drop(columns="text")[: one.prompt_length].equals(
            two.tokens.drop(columns="text")[: two.prompt_length]
        )
        assert one.run["plan"] == two.run["plan"] and one.run["sampling"] == two.run["sampling"]
        assert one.layers.tolist() == two.layers.tolist()
        assert not np.allclose(one.masses().values, two.masses().values[:, :, : one.masses().shape[2]], atol=1e-3)
        assert [len(heads) for _, heads in two.correction[0]["active"]] == [4, 4, 4, 4]


def test_no_correction_repeats_the_capture(before, tmp_path):
    with attnscope.open(before) as one, rerun(before, [SocialBias(alpha=0.0)], tmp_path / "after.h5") as two:
        np.testing.assert_array_equal(one.masses().values, two.masses().values)
        assert one.answer == two.answer


def test_another_film_in_the_place_of_the_captured_one_is_noticed(before, tmp_path):
    """Prompt and length are the same: only the frames tell."""
    turn_upside_down(tmp_path / "clip" / "clip.mp4")
    with pytest.raises(RequestError, match=r"clip.mp4 no longer shows the frames that were captured"):
        rerun(before, EVERYWHERE, tmp_path / "out" / "after.h5")
    assert not (tmp_path / "out").exists()


def turn_upside_down(film):
    """Rewrite a film with every frame upside down, with the same times."""
    import av

    turned = film.with_name("turned.mp4")
    with av.open(film) as source, av.open(turned, "w") as target:
        given = source.streams.video[0]
        stream = target.add_stream("libx264", rate=given.average_rate)
        stream.width, stream.height, stream.pix_fmt = given.width, given.height, "yuv420p"
        for frame in source.decode(given):
            picture = frame.to_ndarray(format="rgb24")[::-1]
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")):
                target.mux(packet)
        for packet in stream.encode():
            target.mux(packet)
    shutil.move(turned, film)


def test_the_input_is_never_overwritten(before):
    content = before.read_bytes()
    with pytest.raises(RequestError, match=r"before\.h5: is the capture to be corrected; choose another folder"):
        rerun(before, EVERYWHERE, before)
    assert before.read_bytes() == content


def test_a_corrected_capture_is_not_corrected_again(before, tmp_path):
    rerun(before, EVERYWHERE, tmp_path / "after.h5").close()
    with pytest.raises(RequestError, match="was itself made under social-bias; correct a plain capture"):
        rerun(tmp_path / "after.h5", EVERYWHERE, tmp_path / "again.h5")


def test_the_command_takes_rows_whose_cells_heads_and_strength(before, tmp_path):
    words = "--rows utterances,answer --toward Ben --heads 1.2,3.0 --strength constant --alpha 2 --quiet"
    done = CliRunner().invoke(app, ["correct", str(before), "-o", str(tmp_path / "out"), *words.split()])
    assert done.exit_code == 0, done.output
    with attnscope.open(tmp_path / "out" / "after.h5") as cap:
        (record,) = cap.correction
    asked = {"rows": "utterances,answer", "toward": "Ben", "heads": "1.2,3.0", "strength": "constant", "alpha": 2.0}
    assert record["params"] == SocialBias().params() | asked
    assert record["active"] == [[1, [2]], [3, [0]]]
    done = CliRunner().invoke(app, ["correct", str(before), "-o", str(tmp_path / "no"), "--rows", "answer"])
    assert done.exit_code == 2 and 'the question "Who has the tickets?" names no speaker with a box' in done.stderr
    assert not (tmp_path / "no").exists()
