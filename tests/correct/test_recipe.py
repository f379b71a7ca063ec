"""correction.json: what is written is what is read, in a fresh process too, and what is wrong in it is one line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

import attnscope
from attnscope.attention import tapped
from attnscope.correct import (
    Knockout,
    SocialBias,
    Temperature,
    bind,
    corrected,
    corrections,
    make,
    prompted,
    read_corrections,
    write_corrections,
)
from attnscope.correct.heads.fixed import OwnHeads, foreign
from attnscope.correct.recipe import HeadsOf
from attnscope.errors import AttnscopeError, RequestError
from attnscope.metrics.choosing.headlist import HeadList
from attnscope.scene import Sampling
from tests.correct.by_hand import EVERYWHERE

FRESH = """
import sys
import numpy as np
import torch
import attnscope
from attnscope.correct import corrected, read_corrections
from attnscope.scene import Sampling
model, scene, recipe, out = sys.argv[1:]
loaded = attnscope.load(model, dtype="float32", device="cpu")
with torch.no_grad(), corrected(loaded, scene, read_corrections(recipe), sampling=Sampling(frames=4)) as block:
    np.save(out, loaded.model(**block.prompts[0].inputs).logits[0].numpy())
"""


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32", device="cpu")


def heads_file(loaded, path, **changes):
    """A heads file of heads 1.2 and 3.0 of a model."""
    by = {"name": "cross-mass", "metric": "mass_share/1", "definition": "", "lowest": False, "frames": ""}
    by |= {"threshold": 0.5, "gate": None, "least": None, "top": 2, "layers": None}
    model = {"id": loaded.id, "config_sha256": loaded.config_sha256, "layers": 4, "heads": 4} | changes
    heads = [
        {"rank": i + 1, "layer": at, "head": h, "value": 0.5, "n": 1} for i, (at, h) in enumerate([(1, 2), (3, 0)])
    ]
    found = HeadList(
        model=model, criterion=by, captures=["a.h5"], clips=1, heads=heads, stability={}, agreement=[], notes=[]
    )
    found.write(path)
    return str(path)


def test_every_correction_is_read_as_it_was_written(tmp_path):
    needed = {"knockout": {"heads": "1.2,3.0"}}
    some = [make(method, **needed.get(method, {})) for method in corrections()]
    some.append(SocialBias(alpha=0.1 + 0.2, rows="answer", toward='Bo "B" Ö', topk=3))
    write_corrections(tmp_path / "correction.json", some)
    assert read_corrections(tmp_path / "correction.json") == some
    written = json.loads((tmp_path / "correction.json").read_text(encoding="utf-8"))
    assert written["format"] == "attnscope correction"
    assert [step["method"] for step in written["corrections"]] == [one.method for one in some]


def test_none_is_a_value(tmp_path):
    """A parameter whose default is not None stays None; `make` is for options that are not given."""
    from dataclasses import dataclass

    from attnscope.correct import registry

    @dataclass(frozen=True)
    class Capped(SocialBias):
        method: ClassVar[str] = "capped"
        cap: float | None = 1.0

    registry._METHODS["capped"] = Capped
    try:
        write_corrections(tmp_path / "c.json", [Capped(cap=None)])
        assert read_corrections(tmp_path / "c.json") == [Capped(cap=None)]
        assert make("capped", cap=None) == Capped(cap=1.0)
    finally:
        del registry._METHODS["capped"]


@pytest.mark.slow
def test_the_same_logits_in_a_fresh_process(loaded, drawn, tmp_path):
    """Boxes drawn, heads of a heads file, several methods: in order, and without the heads file at hand."""
    heads = heads_file(loaded, tmp_path / "heads.json")
    some = [
        make("boxes-drawn"),
        SocialBias(alpha=1.5, rows="utterances,answer", toward="Ada", heads=heads, strength="constant"),
        Temperature(temperature=0.5),
    ]
    (tmp_path / "away").mkdir()
    write_corrections(tmp_path / "away" / "correction.json", some)
    Path(heads).unlink()
    with torch.no_grad(), corrected(loaded, drawn, some, sampling=Sampling(frames=4)) as block:
        here = loaded.model(**block.prompts[0].inputs).logits[0]
    assert not torch.allclose(here, plain_logits(loaded, drawn), atol=1e-2)
    words = [loaded.id, drawn, tmp_path / "away" / "correction.json", tmp_path / "there.npy"]
    done = subprocess.run(
        [sys.executable, "-c", FRESH, *map(str, words)],
        capture_output=True,
        text=True,
        cwd=tmp_path / "away",
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(tmp_path / "there.npy"), here.numpy(), atol=1e-5, rtol=0)


def plain_logits(loaded, scene):
    with torch.no_grad(), corrected(loaded, scene, [], sampling=Sampling(frames=4)) as block:
        return loaded.model(**block.prompts[0].inputs).logits[0]


def test_heads_of_another_model_are_refused(loaded, drawn, tmp_path):
    heads = heads_file(loaded, tmp_path / "heads.json", config_sha256="0" * 64)
    write_corrections(tmp_path / "correction.json", [Knockout(heads=heads)])
    (one,) = read_corrections(tmp_path / "correction.json")
    with pytest.raises(RequestError) as caught:
        bind(loaded, prompted(loaded, drawn), [one])
    said = str(caught.value)
    assert said.startswith(f"heads={tmp_path / 'correction.json'}: model: the heads are of {loaded.id} (config 000")
    assert "\n" not in said


@pytest.mark.parametrize("method", ["social-bias", "knockout", "temperature"])
def test_typed_heads_travel_with_their_model_and_warn_on_another(loaded, drawn, tmp_path, method):
    path = tmp_path / "correction.json"
    fields = {"rows": "answer", "toward": "Ada"} if method == "social-bias" else {"rows": "answer"}
    typed = make(method, heads="1.2,3.0", **fields)
    here = HeadsOf(id="other", config_sha256=loaded.config_sha256)
    write_corrections(path, [typed, make("pai")], here)
    written = json.loads(path.read_text(encoding="utf-8"))["corrections"]
    assert written[0]["heads_of"] == here.model_dump() and "heads_of" not in written[1]
    (one, _) = read_corrections(path)
    assert one == typed
    prompt = prompted(loaded, drawn)

    def warned(one):
        (running,) = bind(loaded, prompt, [one])
        with torch.no_grad(), tapped(loaded.model, edits=[running]):
            loaded.model(**prompt.inputs)
        json.dumps(record := running.record())
        return [note for note in record["cautions"] if "given for" in note]

    name = f"{loaded.id} (config {loaded.config_sha256[:12]})"
    other = replace_id(one, "other", "0" * 64)
    assert warned(other) == [
        f"the fixed heads were given for other (config {'0' * 12}); in {name} they may be other heads"
    ]
    assert warned(typed) == [] and warned(replace_id(one, loaded.id, loaded.config_sha256)) == []
    write_corrections(path, [other], loaded)  # applied to another model, they stay the heads of theirs
    assert json.loads(path.read_text(encoding="utf-8"))["corrections"][0]["heads_of"]["config_sha256"] == "0" * 64


def replace_id(one, id, config):
    return replace(one, heads=OwnHeads.of(str(one.heads), (id, config)))


def test_models_of_one_configuration_differ_by_name_and_a_moved_folder_does_not():
    heads = OwnHeads.of("1.2", ("roundtable", "a" * 64))
    assert "roundtable-full (config aaaa" in foreign(heads, HeadsOf(id="roundtable-full", config_sha256="a" * 64))
    assert foreign(heads, HeadsOf(id="roundtable", config_sha256="a" * 64)) == ""
    assert foreign(heads, HeadsOf(id="/moved/roundtable", config_sha256="a" * 64)) == ""
    assert foreign(heads, HeadsOf(id="/moved/roundtable", config_sha256="b" * 64))
    assert foreign("1.2", HeadsOf(id="roundtable-full", config_sha256="b" * 64)) == ""


ONE = {"method": "social-bias", "params": {"alpha": 2.0}}
NO = "is not a correction.json, as attnscope correct writes it"


def recipe(*steps, **fields):
    return {"format": "attnscope correction", "version": 1, "attnscope": "0", "corrections": list(steps)} | fields


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON: Expecting property name enclosed in double quotes at line 1, column 2"),
        (recipe(ONE, format="attnscope heads"), NO + ' (its format is "attnscope heads")'),
        ({"before": "run.h5", "corrections": [{"method": "pai", "notes": []}] * 20}, NO),
        ([ONE], NO),
        (recipe(ONE, version=2), "version: 2 is not one of 1"),
        (recipe(ONE, alpha=2), "alpha: is not a field of this format"),
        (recipe(), "corrections: is empty"),
        (recipe({"method": "social-bias"}), "corrections[0].params: is missing"),
        (
            recipe(ONE, {"method": "nope", "params": {}}),
            'corrections[1]: there is no correction named "nope"; choose from',
        ),
        (recipe(ONE | {"params": {"alpha": "much"}}), 'corrections[0]: social-bias.alpha="much": is not a number'),
        (recipe(ONE | {"params": {"alpha": True}}), "corrections[0]: social-bias.alpha=true: is not a number"),
        (recipe(ONE | {"params": {"alpha": None}}), "corrections[0]: social-bias.alpha=null: is not a number"),
        (
            recipe(ONE | {"params": {"alpha": -1}}),
            "corrections[0]: social-bias.alpha=-1.0: must be a number of at least 0",
        ),
        (
            recipe(ONE | {"params": {"beta": 1}}),
            "corrections[0]: social-bias.beta=1: social-bias has no parameter beta; it has alpha",
        ),
        (
            recipe(ONE | {"params": {"heads": "gone.json"}}),
            'corrections[0].params.heads: "gone.json" is another file; its content belongs here',
        ),
        (
            recipe(ONE | {"params": {"heads": {"model": 1}}}),
            "corrections[0].params.heads.model: 1 is not an object (and",
        ),
        (recipe({"method": "knockout", "params": {}}), "corrections[0]: knockout needs heads, edges or both"),
    ],
)
def test_what_is_wrong_is_one_line(content, message, tmp_path):
    path = tmp_path / "correction.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(RequestError) as caught:
        read_corrections(path)
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(RequestError, match=r"gone\.json: no such file"):
        read_corrections(tmp_path / "gone.json")
    with pytest.raises(AttnscopeError, match=r"none/c\.json: cannot be written: no such file or directory"):
        write_corrections(tmp_path / "none" / "c.json", [SocialBias(**EVERYWHERE)])
    assert not list(tmp_path.iterdir())
