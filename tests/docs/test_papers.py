"""The page about the papers' tables: every command line is a request that attnscope accepts, and its Python runs."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import attnscope
from attnscope.correct import requested
from attnscope.demo.tvqa import write_tvqa
from attnscope.scene import import_scenes
from attnscope.scene.importers.sources import check_settings, named, options_of, split
from attnscope_cli.main import app
from docs import generate

PAGE = (generate.ROOT / "docs/papers.md").read_text(encoding="utf-8")
GROUP: Any = get_command(app)
NAMED = ("alpha", "threshold", "layers", "negative", "rows", "toward", "heads", "edges", "strength")
BLOCKS = "\n".join(re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL)).replace("\\\n", " ")
TYPED = [line.removeprefix("$ ").strip() for line in BLOCKS.splitlines() if line.strip()]
LINES = [line.split("; do ")[-1].split("; done")[0] for line in TYPED]


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """The command and the values of its parameters, checked as the command line checks them."""
    program, name, *words = shlex.split(line)
    assert program == "attnscope"
    return name, GROUP.commands[name].make_context(name, words).params


@pytest.mark.parametrize("line", LINES)
def test_a_command_line_is_a_right_request(line: str) -> None:
    """Options exist and have values of their types; formats, their options, and corrections are made."""
    name, given = parsed(line)
    if name in ("eval", "correct") and given["method"]:
        requested(given["method"], {key: given[key] for key in NAMED}, () if name == "import" else given["set"] or ())
    if name == "import":
        uses = {"boxes": given["boxes"], "turns": given["turns"], "questions": given["questions"]}
        formats = [named(given["format"])] if given["format"] else []
        for use, sources in uses.items():
            for text in sources or ():
                entry = named(str(split(text)[0]))
                assert use in entry.yields, text
                formats.append(entry)
        assert formats
        check_settings(formats, given["set"] or ())
        for entry in formats:
            options_of(entry, given["set"] or ())


def test_every_line_is_a_command_and_every_data_set_has_one() -> None:
    assert all(line.startswith("attnscope ") for line in LINES)
    imported = {shlex.split(line)[2] for line in LINES if line.startswith("attnscope import ")}
    assert {"tvqa", "mmsi", "online-mmsi", "werewolf", "friends-mmc", "av-speakerbench"} <= imported


@pytest.mark.slow
def test_the_python_of_the_page_captures_questions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is printed, but for the model and the data, which nobody here has."""
    monkeypatch.chdir(tmp_path)
    folder = write_tvqa(tmp_path / "tvqa", count=1, seed=38, tasks=("target",))
    import_scenes(tmp_path / "mmsi", [f"tvqa:{folder}"], videos=folder / "videos")
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    for printed, here in (("Qwen/Qwen2.5-VL-7B-Instruct", "roundtable"), ('"STI"', '"VideoQA"'), ("[:100]", "[:1]")):
        assert printed in code
        code = code.replace(printed, here)
    exec(compile(code, "papers.md", "exec"), {})
    with attnscope.open("plain-1.h5") as cap:
        assert (cap.scene.question, cap.scene.window) == ("Who is Dan talking to?", (0.0, 4.0))
