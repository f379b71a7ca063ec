"""What a capture alone can refuse is refused before a model is loaded or a video is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from attnscope.correct import requested, rerun
from attnscope.correct.dose.sweep import run_sweep
from attnscope.correct.knockout.effects import knock_out_captures
from attnscope.errors import RequestError

REFUSED = [
    ("run.h5", "social-bias", {"rows": "answer"}, "names no speaker with a box"),
    ("run.h5", "social-bias", {"rows": "question"}, "names none"),
    ("run.h5", "social-bias", {"rows": "answer", "toward": "Zoe"}, "is no speaker with a box"),
    ("boxless.h5", "social-bias", {}, "needs speakers with boxes"),
    ("boxless.h5", "boxes-drawn", {}, "needs a speaker with a box"),
    ("run.h5", "social-bias", {"heads": "99.0"}, "99"),
    ("run.h5", "knockout", {"heads": "0.0", "edges": "answer:Zoe"}, "Zoe"),
]


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("attnscope.model.load", "attnscope.capture.run.read_scene_frames"):
        monkeypatch.setattr(name, lambda *_, **__: pytest.fail("a model or a video was read"))


@pytest.mark.parametrize(("name", "method", "given", "message"), REFUSED)
@pytest.mark.usefixtures("untouched")
def test_a_correction(
    name: str, method: str, given: dict[str, Any], message: str, things: Path, tmp_path: Path
) -> None:
    with pytest.raises(RequestError, match=message):
        rerun(things / name, requested([method], given), tmp_path / "out" / "after.h5")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("untouched")
def test_a_sweep(things: Path) -> None:
    with pytest.raises(RequestError, match="names no speaker with a box"):
        run_sweep(things / "run.h5", [("social-bias", {"rows": "answer"})], ["alpha=1,2"])


@pytest.mark.usefixtures("untouched")
def test_heads_that_are_cut(things: Path) -> None:
    with pytest.raises(RequestError, match="Zoe"):
        knock_out_captures([things / "run.h5"], ["run"], [(0, 0)], edges="answer:Zoe")
    with pytest.raises(RequestError, match="99"):
        knock_out_captures([things / "run.h5"], ["run"], [(99, 0)])


@pytest.mark.usefixtures("here", "untouched")
def test_heads_of_another_model(cli: Callable[..., Any]) -> None:
    document = json.loads(cli("heads", "run.h5", "--by", "cross-mass", "--json").out)
    document["model"] |= {"id": "their/model", "config_sha256": "f" * 64}
    Path("theirs.json").write_text(json.dumps(document), encoding="utf-8")
    ran = cli("correct", "run.h5", "--heads", "theirs.json", "-o", "out")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert "the heads are of their/model" in ran.err
    assert not Path("out").exists()
