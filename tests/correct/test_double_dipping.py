"""Heads tried on the clip they were chosen on: record, what-if and evaluation say so, by film and by scene."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import attnscope
from attnscope.capture.read.capture import open as open_capture
from attnscope.correct import SocialBias, corrections, rerun
from attnscope.correct.what_if.what_if import what_if
from attnscope.evaluate import evaluate
from attnscope.metrics.choosing import headlist
from attnscope.metrics.choosing.ranking import choose
from attnscope.scene import Scene

PLAN = attnscope.Plan(masses=True, maps=True, stats=False, qk=True)


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")


def capture(loaded, scene: Path, out: Path) -> Path:
    how = {"plan": PLAN, "sampling": attnscope.Sampling(frames=4), "max_new_tokens": 1}
    attnscope.capture(loaded, Scene.read(scene), out, **how).close()
    return out


def copied(scene: Path, folder: Path, *, tail: bytes = b"", **changes) -> Path:
    """The scene with its film in another folder, the film with some more bytes at its end."""
    document = json.loads(scene.read_text(encoding="utf-8"))
    film = scene.parent / document["video"]
    folder.mkdir()
    (folder / "other.mp4").write_bytes(film.read_bytes() + tail)
    (folder / "scene.json").write_text(json.dumps(document | {"video": "other.mp4"} | changes), encoding="utf-8")
    return folder / "scene.json"


@pytest.fixture(scope="module")
def chosen(loaded, drawn, tmp_path_factory):
    """A capture, and a heads file that was chosen on it."""
    folder = tmp_path_factory.mktemp("chosen")
    run = capture(loaded, drawn, folder / "run.h5")
    with open_capture(run) as cap:
        choose([cap], ["run"], by="cross-mass", top=2).write(folder / "heads.json")
    return run, folder / "heads.json"


def cautions(loaded, run: Path, heads: Path, out: Path) -> list[str]:
    bias = SocialBias(rows="answer", heads=str(heads), strength="constant", toward="everyone")
    with rerun(run, [bias], out, model=loaded, verify=False) as cap:
        (record,) = cap.correction
        assert all(note in record["notes"] for note in record["cautions"])
        return [note for note in record["cautions"] if "chosen on" in note]


def test_the_same_capture_and_another_of_the_same_film(loaded, chosen, drawn, tmp_path):
    run, heads = chosen
    (said,) = cautions(loaded, run, heads, tmp_path / "same.h5")
    assert f"chosen on this very capture, {run}" in said and "measure on other clips" in said
    other = copied(drawn, tmp_path / "copy", question="What is said?", options=[], answer=None, transcript=[])
    (said,) = cautions(loaded, capture(loaded, other, tmp_path / "b.h5"), heads, tmp_path / "copied.h5")
    assert f"the same film as {run}" in said


@pytest.mark.slow
def test_the_same_scene_in_another_film_and_one_that_has_nothing_of_it(loaded, chosen, drawn, tmp_path):
    run, heads = chosen
    again = copied(drawn, tmp_path / "encoded", tail=b"\0" * 8)
    (said,) = cautions(loaded, capture(loaded, again, tmp_path / "a.h5"), heads, tmp_path / "again.h5")
    assert f"the same transcript and boxes as {run}" in said
    document = json.loads(drawn.read_text(encoding="utf-8"))
    turns = [turn | {"text": "Something else"} for turn in document["transcript"]]
    other = copied(drawn, tmp_path / "other", tail=b"\0" * 16, transcript=turns)
    assert cautions(loaded, capture(loaded, other, tmp_path / "o.h5"), heads, tmp_path / "none.h5") == []


def test_a_heads_file_of_before_knows_its_captures(loaded, chosen, tmp_path):
    run, heads = chosen
    document = json.loads(heads.read_text(encoding="utf-8"))
    del document["shown"]
    (tmp_path / "old.json").write_text(json.dumps(document), encoding="utf-8")
    (said,) = cautions(loaded, run, tmp_path / "old.json", tmp_path / "after.h5")
    assert "this very capture" in said


def test_a_recipe_keeps_what_the_heads_were_chosen_on(loaded, chosen, tmp_path):
    """correction.json is what travels: with it, too, the second clip is noticed."""
    run, heads = chosen
    cautions(loaded, run, heads, tmp_path / "after.h5")
    (bias,) = attnscope.correct.read_corrections(tmp_path / "correction.json")
    assert bias.heads.shown == headlist.read(heads).shown
    found = what_if(run, [bias])
    assert any("this very capture" in note for note in found.records[0]["cautions"])


def test_an_evaluation_names_the_clips(loaded, chosen, drawn, tmp_path, caplog):
    _, heads = chosen
    document = json.loads(drawn.read_text(encoding="utf-8"))
    asked = {"question": "Who is Ada?", "options": ["Ada", "Ben"], "answer": "Ada"}
    same = copied(drawn, tmp_path / "same", **asked)
    turns = [turn | {"text": "Something else"} for turn in document["transcript"]]
    copied(drawn, tmp_path / "new", tail=b"\0" * 16, transcript=turns, **asked)
    lines = [json.dumps({"id": name, "scene": f"{name}/scene.json"}) for name in ("same", "new")]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    bias = SocialBias(rows="answer", heads=str(heads), strength="constant", toward="Ada")
    how = {"sampling": attnscope.Sampling(frames=4)}
    found = evaluate(loaded, tmp_path / "manifest.jsonl", tmp_path / "out", [bias], **how)
    (note,) = found.to_dict()["cautions"]
    assert note.startswith(f"social-bias: 1 of 2 clips, first {same.parent.name}/other.mp4: the heads were chosen on")
    assert note in caplog.text
    plain = evaluate(loaded, tmp_path / "manifest.jsonl", tmp_path / "plain", **how)
    assert plain.to_dict()["cautions"] == []


def test_checksums_of_films(tmp_path):
    one, two = tmp_path / "one.mp4", tmp_path / "two.mp4"
    one.write_bytes(b"a" * 100)
    shutil.copy(one, two)
    assert headlist.file_sha256(one) == headlist.file_sha256(two) != ""
    two.write_bytes(b"a" * 99 + b"b")
    assert headlist.file_sha256(one) != headlist.file_sha256(two)
    assert headlist.file_sha256(tmp_path / "gone.mp4") == ""
    assert len(headlist.file_sha256(tmp_path)) == 64  # a folder of frames


def test_every_correction_with_heads_says_so():
    assert {name for name, cls in corrections().items() if "heads" in cls.__dataclass_fields__} >= {
        "social-bias",
        "temperature",
        "knockout",
    }
