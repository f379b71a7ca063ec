"""Repeating a capture: only what was captured, never over its own input."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.run import capture_prompts
from attnscope.correct import Knockout, SocialBias, bind, make, read_corrections, rerun
from attnscope.errors import RequestError, RunError
from attnscope_cli.main import app
from tests.capture.eager import make_prompt
from tests.support.clip import render_clip

EVERYWHERE = [SocialBias(threshold=0.0, layers="0.0-1.0")]


@pytest.fixture
def before(checkpoint, tmp_path):
    """A capture of a clip that lies in a folder of its own."""
    scene = render_clip(tmp_path / "clip")
    attnscope.capture(str(checkpoint("qwen2_5_vl")), scene, tmp_path / "before.h5", max_new_tokens=2).close()
    return tmp_path / "before.h5"


@pytest.fixture
def few(monkeypatch):
    """Pages without the figures of numbers, which take most of the time."""
    monkeypatch.setattr("attnscope.report.sections.changes.sections", lambda *_: [])


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


@pytest.mark.slow
@pytest.mark.usefixtures("few")
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


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_corrections_lie_beside_the_capture(before, tmp_path):
    """Applied again from the file, alone or through the command, they give the same capture, in the same order."""
    both = [Knockout(heads="0.1"), SocialBias(alpha=0.3, **{"threshold": 0.0, "layers": "0.0-1.0"})]
    with rerun(before, both, tmp_path / "a" / "after.h5", verify=False) as one:
        assert [record["method"] for record in one.correction] == ["knockout", "social-bias"]
        file = tmp_path / "a" / "correction.json"
        assert read_corrections(file) == both
        words = ["correct", str(before), "--correction", str(file), "-o", str(tmp_path / "b"), "--quiet"]
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        with attnscope.open(tmp_path / "b" / "after.h5") as two:
            assert one.correction == two.correction
            np.testing.assert_array_equal(one.masses().values, two.masses().values)
        assert (tmp_path / "b" / "correction.json").read_bytes() == file.read_bytes()
    rerun(before, both, tmp_path / "a" / "control.h5", verify=False).close()
    assert (tmp_path / "a" / "control.correction.json").read_bytes() == file.read_bytes()


@pytest.mark.slow
@pytest.mark.usefixtures("few")
def test_the_command_reports_on_a_prompt_with_more_words(before, tmp_path):
    """Words that a correction put into the prompt do not keep it from being compared with the plain one."""
    words = ["correct", str(before), "--method", "boxes-told", "--method", "boxes-drawn", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, [*words, "--quiet", "--json", "--no-verify"])
    assert done.exit_code == 0, done.output
    summary = json.loads(done.stdout)
    assert [one["method"] for one in summary["corrections"]] == ["boxes-told", "boxes-drawn"]
    assert not summary["same_prompt"] and summary["notes"][0].startswith("boxes-told and boxes-drawn changed what")
    assert summary["cost"]["rows"] == [] and "after.h5" in summary["cost"]["note"]
    assert (tmp_path / "out" / "report.html").exists()


def test_a_refused_rerun_leaves_no_file(before, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(RequestError, match="names no speaker with a box"):
        rerun(before, [SocialBias(rows="answer")], tmp_path / "out" / "after.h5")
    assert not list((tmp_path / "out").iterdir())


def test_what_computes_no_numbers_leaves_no_file(before, tmp_path):
    far = [make("moda-align", strength=1e30), make("temperature", temperature=1e-30)]
    with pytest.raises(RunError, match=r"clip.mp4: the model's logits are not finite under the corrections"):
        rerun(before, far, tmp_path / "out" / "after.h5")
    assert not (tmp_path / "out").exists()


def test_what_is_shown_comes_after_the_check(before, tmp_path):
    """The captured prompt is the plain one; the corrected capture holds the shown one."""
    shows = [make("boxes-drawn"), make("boxes-told")]
    with attnscope.open(before) as one, rerun(before, shows, tmp_path / "out" / "after.h5", verify=False) as two:
        assert two.prompt_length > one.prompt_length and "Boxes in percent" in two.prompt["text"]
        assert [record["method"] for record in two.correction] == ["boxes-drawn", "boxes-told"]
        assert np.abs(two.frames.images.astype(float) - one.frames.images).max() > 50
    assert validate(tmp_path / "out" / "after.h5") == []
    turn_upside_down(tmp_path / "clip" / "clip.mp4")
    with pytest.raises(RequestError, match="no longer shows the frames that were captured"):
        rerun(before, shows, tmp_path / "again" / "after.h5")


@pytest.mark.slow
def test_rows_of_logits_are_not_in_queries_and_keys(checkpoint, drawn, tmp_path, caplog):
    """A capture with qk is repeated without it; one of nothing else is refused."""
    caplog.set_level("WARNING", "attnscope")
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    for plan in ("masses,qk", "qk"):
        how = {"plan": attnscope.Plan.parse(plan), "max_new_tokens": 2}
        attnscope.capture(loaded, drawn, tmp_path / f"{plan}.h5", **how).close()
    with rerun(tmp_path / "masses,qk.h5", [make("pai")], tmp_path / "after.h5", model=loaded, verify=False) as cap:
        assert cap.run["plan"]["readings"] == ["masses"]
    assert "pai changes rows of logits, which queries and keys do not hold: the corrected capture is" in caplog.text
    with pytest.raises(RequestError, match=r"and it has nothing else; capture with plan=.masses,maps,qk."):
        rerun(tmp_path / "qk.h5", [make("pai")], tmp_path / "again.h5", model=loaded)
    with rerun(tmp_path / "qk.h5", [Knockout(heads="0.1")], tmp_path / "cut.h5", model=loaded, verify=False) as cap:
        assert cap.run["plan"]["readings"] == ["qk"]


@pytest.mark.slow
def test_several_prompts_under_corrections_are_as_each_alone(checkpoint, drawn, tmp_path):
    """Every file has its own record and its own options: of one, two and three tokens, none in one scene."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")
    scene = attnscope.Scene.read(drawn)
    fields = [
        {"question": "Where is Ben?", "options": ["Ada", "the tickets are gone", "nobody"], "answer": None},
        {"question": "Who?", "transcript": scene.transcript[:1], "options": [], "answer": None},
        {"question": "What is it that Ada says?", "options": ["Ben", "Ada"]},
    ]
    prompts = [make_prompt(loaded, scene.model_copy(update=update)) for update in fields]
    both = [SocialBias(threshold=2e-3, layers="0.0-1.0"), Knockout(heads="1.2", edges="text:visual")]
    outs = [tmp_path / f"{number}.h5" for number in range(3)]
    how = {"max_new_tokens": 3}
    together = capture_prompts(loaded, prompts, outs, corrections=bind(loaded, prompts, both), **how)
    for prompt, cap in zip(prompts, together, strict=True):
        running = bind(loaded, prompt, both)
        (own,) = capture_prompts(loaded, [prompt], [tmp_path / "own.h5"], corrections=running, **how)
        with cap, own:
            assert cap.correction == own.correction == [one.documents()[0] for one in running]
            assert cap.check["passed"] and validate(cap.path) == []
            assert [token["id"] for token in cap.answer["tokens"]] == [token["id"] for token in own.answer["tokens"]]
            np.testing.assert_allclose(cap.masses().values, own.masses().values, atol=1e-4)
            texts = [option["text"] for option in cap.answer["options"]]
            assert texts == prompt.scene.options
            for one, two in zip(cap.answer["options"], own.answer["options"], strict=True):
                assert one["tokens"] == two["tokens"]
                assert one["logprob"] == pytest.approx(two["logprob"], abs=1e-3)
    assert together[0].correction != together[2].correction


def test_the_cost_of_the_run_is_kept(before, tmp_path):
    """Of the same work in both captures; without the run to compare with there is none."""
    with attnscope.open(before) as one, rerun(before, EVERYWHERE, tmp_path / "after.h5") as two:
        for found in (one.run["cost"], two.run["cost"]):
            assert found["work"] == "one forward pass over the prompt, recording off" and found["prompts"] == 1
            assert 1 <= found["runs"] <= 5 and found["seconds"] > 0 and found["cpu_seconds"] > 0
            assert found["memory"] is None or found["memory_peak"] >= found["memory_before"] > 0
    with rerun(before, EVERYWHERE, tmp_path / "quick.h5", verify=False) as cap:
        assert cap.run["cost"] is None
