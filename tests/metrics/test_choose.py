"""Choosing heads from captures: planted heads are found, options hold, and the heads file comes back and is checked."""

from __future__ import annotations

import json
import re
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from attnscope.capture.reader import open as open_capture
from attnscope.errors import RequestError, RunError
from attnscope.metrics import headlist
from attnscope.metrics.choose import choose, measure
from attnscope.metrics.criteria import criteria
from attnscope.metrics.ranking import NOT_CAUSE
from tests.metrics.sketch import Sketch, causal, draw, room, softmax


def noise(sketch: Sketch, seed: int, layers: int = 2, heads: int = 3) -> np.ndarray:
    n = len(sketch.tokens)
    return softmax(np.random.default_rng(seed).normal(0, 2, (layers, heads, n, n)), causal(n))


def asking(speakers=("Ann", "Ben"), **options) -> Sketch:
    sketch = room(speakers, [(name, None, None) for name in speakers], question=1, **options)
    sketch.scene["question"] = f"What does {speakers[-1]} hold?"
    return sketch


def planted(sketch: Sketch, seed: int) -> np.ndarray:
    """Noise, but 1.1 (layer.head) looks from words to their speaker, 1.0 at the one asked about, 0.2 at the video."""
    n = len(sketch.tokens)
    z = np.random.default_rng(seed).normal(0, 0.3, (2, 3, n, n))
    for name in sketch.scene["speakers"]:
        z[1, 1][np.ix_(sketch.where(speaker=name), sketch.cells_of(name))] += 5
    z[0, 2][:, sketch.where(modality="visual")] += 3
    z[1, 0, -1, sketch.cells_of(list(sketch.scene["speakers"])[-1])] += 5
    return softmax(z, causal(n))


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Three captures of two clips, with the layers 2 and 7."""
    with ExitStack() as stack:
        caps = []
        for number, clip in enumerate("aab"):
            sketch = asking()
            sketch.scene["video"] = f"/nowhere/{clip}.mp4"
            path = draw(
                tmp_path_factory.mktemp("three") / f"{number}.h5", sketch, planted(sketch, number), numbers=[2, 7]
            )
            caps.append(stack.enter_context(open_capture(path)))
        yield caps


@pytest.fixture(scope="module")
def measured(three):
    return measure(three, NAMES)


@pytest.fixture(scope="module")
def chosen(three, measured):
    """What three captures choose by default."""
    return choose(three, NAMES, top=3, tables=measured)


NAMES = ["0", "1", "2"]


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("speaker-lift", "7.1"),
        ("grounding-auc", "7.1"),
        ("cross-mass", "2.2"),
        ("active", "7.1"),
        ("answer-lift", "7.0"),
    ],
)
def test_each_criterion_finds_the_head_made_for_it(three, measured, by, first):
    found = choose(three, NAMES, by, top=2, tables=measured)
    assert found.text.split(",")[0] == first
    assert (found.clips, len(found.heads), found.criterion.top) == (2, 2, 2)
    assert found.heads[0].n == 2 and found.heads[0].low <= found.heads[0].value <= found.heads[0].high
    assert found.heads[0].top_share == 1
    assert {row["other"] for row in found.agreement} == set(criteria()) - {by}
    assert found.stability["clips"] == 2
    assert NOT_CAUSE in found.notes


def test_localization_heads_look_at_the_video_and_at_one_place(drawn):
    """Heads 0 and 1 look at the video, 0 at two places, 1 at one; head 2 at one place, but hardly; the rest nowhere."""
    sketch = asking(("Ann", "Ben", "Cleo"), times=[0.0, 1.0])
    n = len(sketch.tokens)
    ann, cleo = (np.flatnonzero(sketch.cells_of(name)) for name in ("Ann", "Cleo"))
    a = softmax(np.zeros((1, 5, n, n)), causal(n))
    a[:, :, -1] = 0
    a[:, :, -1, 0] = 1.0
    for head, cells, mass in ((0, [ann[0], cleo[0]], 0.9), (1, [ann[0]], 0.8), (2, [ann[0]], 0.1)):
        a[0, head, -1] = 0
        a[0, head, -1, cells] = mass / len(cells)
        a[0, head, -1, 0] = 1 - mass
    found = choose([drawn(sketch, a)], ["x"], "localization", top=5)
    assert found.text == "0.1,0.0"
    assert [head.value for head in found.heads] == pytest.approx([0, np.log(2)])
    assert [head.mass for head in found.heads] == pytest.approx([0.8, 0.9])
    assert "2 of 5 heads have a mass on the video above 0.1." in found.notes
    more = choose([drawn(sketch, a, name="b.h5")], ["x"], "localization", least=0.05)
    assert more.text == "0.1,0.2,0.0"  # in place of the elbow: 0 0 0.1 0.8 0.9 bends at 0.1
    with pytest.raises(RequestError, match=r"c.h5: --min 0.95: no head has a mass on the video above it"):
        choose([drawn(sketch, a, name="c.h5")], ["x"], "localization", least=0.95)


def test_how_many_and_above_what_and_where(three, measured):
    caps = three[:1]
    tables = {family: table[table["capture"] == "0"] for family, table in measured.items()}
    everything = choose(caps, NAMES[:1], "active", top="100%", tables=tables)
    assert len(everything.heads) == 6
    level = everything.heads[2].value
    above = choose(caps, NAMES[:1], "active", least=level, tables=tables)
    assert above.text == ",".join(everything.text.split(",")[:2])
    scaled = level * caps[0].prompt_length  # lambda N
    assert f"2 of 6 heads have g above {level:g}; {level:g} x mean length = {scaled:.3g}." in above.notes
    for layers, number in (("0.5-1.0", 7), ("2", 2)):
        some = choose(caps, NAMES[:1], "active", layers=layers, top="34%", tables=tables)
        assert [head.layer for head in some.heads] == [number]  # 34 % of three heads is one
    with pytest.raises(RequestError, match=r"0.h5: --min 1: no head is above it"):
        choose(caps, NAMES[:1], "active", least=1, tables=tables)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "mass"}, "--by mass: is no criterion; choose from speaker-lift, "),
        ({"top": "0"}, "--top 0: is neither a number of heads, like 10, nor a share of them, like 9%"),
        ({"top": "1.5"}, "--top 1.5: is neither"),
        ({"top": "101%"}, "--top 101%: is neither"),
        ({"least": float("nan")}, "--min nan: is not a number"),
        ({"layers": "3"}, "--layers 3: layer 3 is not one of the layers with attention, 2-7"),
    ],
)
def test_requests_that_are_refused(three, options, message):
    with pytest.raises(RequestError, match=re.escape(message)):
        choose(three, NAMES, **options)


def test_what_captures_do_not_define_is_refused(drawn):
    silent, blind = drawn(room(turns=()), name="a.h5"), drawn(room(), readings=("masses",), name="b.h5")
    said = "not defined for any head (attnscope analyze says why); these are: cross-mass"
    with pytest.raises(RequestError, match=re.escape(f"a.h5: --by speaker-lift: speaker_consistency_lift is {said}")):
        choose([silent], ["a"])
    with pytest.raises(
        RequestError, match=r"b.h5: --by active: cross_attention needs the reading 'maps', which is not"
    ):
        choose([blind], ["b"], "active")
    other = drawn(room(), noise(room(), 0, heads=4), name="c.h5")
    with pytest.raises(RequestError, match=r"c.h5: is of the model drawn/by-hand .*; rank them apart"):
        choose([silent, other], ["a", "c"])


def test_a_corrected_capture_is_told(drawn):
    sketch = asking()
    done = [{"method": "social-bias", "params": {}, "active": [], "notes": []}]
    failed = {"verified": True, "passed": False, "checks": []}
    found = choose([drawn(sketch, planted(sketch, 0), correction=done, check=failed)], ["x"])
    assert any(note.endswith("run.h5 was made under social-bias.") for note in found.notes)
    assert any(note.endswith("the self-check FAILED: do not trust its numbers.") for note in found.notes)


# ---- the heads file


def test_a_heads_file_comes_back_as_it_was(three, chosen, tmp_path):
    found = chosen
    found.write(tmp_path / "heads.json")
    again = headlist.read(tmp_path / "heads.json")
    assert again.model_dump() == found.model_dump()
    assert again.text == found.text and len(found.text.split(",")) == 3
    document = json.loads((tmp_path / "heads.json").read_text())
    assert (document["format"], document["version"], document["model"]["id"]) == ("attnscope heads", 1, "drawn/by-hand")
    assert (document["model"]["layers"], document["model"]["heads"]) == (8, 3)
    assert document["heads"][0]["effect"] is None
    assert document["captures"] == [str(cap.path) for cap in three]
    assert not list(tmp_path.glob("*.part"))


def test_a_heads_file_that_cannot_be_written(chosen, tmp_path, monkeypatch):
    with pytest.raises(RequestError, match=re.escape("heads.txt: the name of a heads file ends in .json")):
        chosen.write(tmp_path / "heads.txt")
    with pytest.raises(RequestError, match=re.escape(f"heads.json: there is no folder {tmp_path / 'gone'}")):
        chosen.write(tmp_path / "gone" / "heads.json")
    (tmp_path / "old.json").mkdir()
    with pytest.raises(RequestError, match=r"old.json: is a folder, not a heads file"):
        chosen.write(tmp_path / "old.json")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(RunError, match=r"heads.json: cannot be written: No space left on device"):
        chosen.write(tmp_path / "heads.json")
    assert [path.name for path in tmp_path.iterdir()] == ["old.json"]


BAD = {
    "model.config_sha256: is missing": lambda d: d["model"].pop("config_sha256"),
    "version: 2 is not one of 1": lambda d: d.update(version=2),
    'format: "tunes" is not one of': lambda d: d.update(format="tunes"),
    "heads: is empty": lambda d: d.update(heads=[]),
    'heads[1].layer: "7" is not a whole number': lambda d: d["heads"][1].update(layer="7"),
    "heads[0].layer: 8 is more than 7, the model's last": lambda d: d["heads"][0].update(layer=8),
    "heads[0].head: 3 is more than 2, the model's last": lambda d: d["heads"][0].update(head=3),
    "headz: is not a field of this format": lambda d: d.update(headz=[]),
    "heads[0].value: nan is not a finite number": lambda d: d["heads"][0].update(value=float("nan")),
}


@pytest.mark.parametrize("message", BAD)
def test_a_heads_file_that_is_wrong_is_one_line(chosen, tmp_path, message):
    document = chosen.model_dump()
    BAD[message](document)
    (tmp_path / "h.json").write_text(json.dumps(document))
    with pytest.raises(RequestError) as caught:
        headlist.read(tmp_path / "h.json")
    assert str(caught.value).startswith(f"{tmp_path / 'h.json'}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("id", "config", "same"),
    [
        ("drawn/by-hand", "0" * 64, True),
        ("drawn/by-hand", "1" * 64, False),
        ("drawn/otherwise", "0" * 64, False),
        ("/a/folder", "0" * 64, True),  # which may be a copy of it
        ("/a/folder", "1" * 64, False),
    ],
)
def test_heads_are_of_one_model(chosen, tmp_path, id, config, same):
    chosen.write(tmp_path / "h.json")
    found = headlist.read(tmp_path / "h.json")
    if same:
        found.check_model(id, config)
        return
    here = (
        f"--heads {tmp_path / 'h.json'}: model: the heads are of drawn/by-hand (config 000000000000), and the model is"
    )
    with pytest.raises(RequestError, match=re.escape(f"{here} {id} (config {config[:12]})")):
        found.check_model(id, config)
