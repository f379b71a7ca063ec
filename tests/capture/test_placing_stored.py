"""How places were found, and notes of tokens, from the prompt into the file and out of it."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from rich.console import Console

import attnscope
from attnscope.capture import Capture
from attnscope.capture.check.validate import validate
from attnscope.capture.read.describe import describe, render
from attnscope.capture.run import capture_prompts
from attnscope.errors import FormatError
from attnscope.model import Placing
from tests.capture.by_hand import build
from tests.capture.eager import make_prompt
from tests.capture.test_lies import edit, rewrite

POOLED = "pooled with neighbours"


@pytest.fixture(scope="module")
def probed(checkpoint: Callable[[str], Path], stage: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A capture of tokens that were probed, of which two have a note."""
    loaded = attnscope.load(str(checkpoint("qwen2_5_vl")))
    prompt = make_prompt(loaded, stage)
    tokens = prompt.tokens.copy()
    tokens.loc[np.flatnonzero(tokens["modality"] == "visual")[:2], "note"] = POOLED
    path = tmp_path_factory.mktemp("probed") / "run.h5"
    own = replace(prompt, tokens=tokens, placing=Placing("probed", verified=0.975))
    capture_prompts(loaded, [own], [path], max_new_tokens=3)[0].close()
    return path


def test_what_the_prompt_says_is_read_again(probed: Path) -> None:
    assert validate(probed) == []
    with attnscope.open(probed) as cap:
        assert cap.placing == Placing("probed", verified=0.975)
        notes = cap.tokens["note"]
        assert set(notes) == {"", POOLED}
        assert (cap.tokens["modality"][notes != ""] == "visual").all() and (notes != "").sum() == 2
        assert (notes[cap.prompt_length :] == "").all()  # of generated tokens


def test_it_is_inspected(probed: Path) -> None:
    with attnscope.open(probed) as cap:
        description = describe(cap)
        cells = int(cap.tokens["x0"].notna().sum())
    words = f"probed (97 % of {cells:,} tokens answer to their cell)"
    assert description["placing"] == {"how": "probed", "verified": 0.975, "reason": "", "words": words}
    assert description["notes"] == {POOLED: 2}
    console = Console(file=io.StringIO(), width=140, force_terminal=False)
    console.print(render(description))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"placed  {words}" in text
    assert f"note  2 visual tokens {POOLED}" in text


@pytest.mark.parametrize("cells", [True, False])
def test_files_that_do_not_say_are_read_by_their_cells(tmp_path: Path, *, cells: bool) -> None:
    build(tmp_path / "run.h5", readings=("masses",))
    with h5py.File(tmp_path / "run.h5", "r+") as file:
        for name in () if cells else ("x0", "y0", "x1", "y1"):
            rewrite(file, f"tokens/{name}", lambda values: values * np.nan)
    with attnscope.open(tmp_path / "run.h5") as cap:
        reason = "" if cells else "family ByHand has no layout"
        assert cap.placing == Placing("layout" if cells else "none", reason=reason)
        assert (cap.tokens["note"] == "").all()
        assert cap.tokens.columns.get_loc("note") == cap.tokens.columns.get_loc("y1") + 1
        assert "unknown" not in cap.placing.words(str(cap.model["family"]), 1)


def state(**changes: Any) -> Callable[[h5py.File], None]:
    return lambda file: edit(file, "prompt", lambda document: document["placing"].update(changes))


def without(field: str) -> Callable[[h5py.File], None]:
    return lambda file: edit(file, "prompt", lambda document: document["placing"].pop(field))


def nowhere(file: h5py.File) -> None:
    for name in ("x0", "y0", "x1", "y1"):
        rewrite(file, f"tokens/{name}", lambda values: values * np.nan)


REFUSED = {
    "/prompt: field 'placing.how' is 'guessed': input should be 'layout', 'probed' or 'none'": state(how="guessed"),
    "/prompt: field 'placing.verified' is 1.5: input should be less than or equal to 1": state(verified=1.5),
    "/prompt: field 'placing.reason' is 7: input should be a valid string": state(reason=7),
    "/prompt: field 'placing': how='probed' with the reason 'so'": state(reason="so"),
    "/prompt: field 'placing': verified=0.975 is no share of tokens": state(how="none", reason="so"),
}
LIES = {
    "/prompt: field 'placing.verified' is missing": without("verified"),
    "/prompt: placing.how is 'none', and ": state(how="none", reason="so", verified=None),
    "/prompt: placing.how is 'probed', and 0 visual tokens have a cell": nowhere,
}


@pytest.mark.parametrize("lie", REFUSED | LIES)
def test_lies_about_places_are_named(lie: str, probed: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(probed, tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        (REFUSED | LIES)[lie](file)
    problems = [str(problem) for problem in validate(path)]
    assert any(problem.startswith(lie) for problem in problems), problems
    assert not any("cannot be checked" in problem for problem in problems), problems
    if lie in REFUSED:
        with Capture(path) as cap, pytest.raises(FormatError, match=re.escape(lie)):
            _ = cap.placing
