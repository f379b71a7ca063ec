"""The pages that are made from code say what the code says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import attnscope
from attnscope.families import families
from attnscope.model import build_prompt
from attnscope.model.layouts import LAYOUTS
from attnscope.scene import read_scene_frames
from attnscope_cli.main import app
from docs import generate
from tests.cli.conftest import Ran
from tests.families import SUPPORTED

GROUP: Any = get_command(app)
COMMANDS: dict[str, Any] = {"attnscope": GROUP} | {f"attnscope {n}": c for n, c in GROUP.commands.items()}
HIDDEN = {("attnscope eval", "correct")}  # old names, which go on working
PARAMETERS = [
    (name, parameter)
    for name, command in COMMANDS.items()
    for parameter in command.params
    if (name, parameter.name) not in HIDDEN
]
IDS = [f"{name} {parameter.name}" for name, parameter in PARAMETERS]


def squeezed(text: str) -> str:
    """Without white space and the lines of boxes, which break texts anywhere."""
    return re.sub(r"[\s│╭╮╰╯─`]+", "", text)


@pytest.fixture(scope="module")
def page() -> str:
    return (generate.ROOT / "docs/commands.md").read_text(encoding="utf-8")


def section(page: str, command: str) -> str:
    return re.split(r"^## ", page.split(f"\n## {command}\n", 1)[1], flags=re.MULTILINE)[0]


@pytest.mark.parametrize(("command", "parameter"), PARAMETERS, ids=IDS)
def test_every_option_has_a_help_text_and_is_documented(command: str, parameter: Any, page: str) -> None:
    assert parameter.help
    assert parameter.help.endswith(".")
    assert parameter.help[0] != " "
    if parameter.param_type_name == "argument":
        assert parameter.metavar == parameter.metavar.upper()
        assert parameter.metavar in section(page, command)
    elif "completion" in parameter.name:
        assert f"{parameter.opts[0]}`" in page
    else:
        row = next(line for line in section(page, command).splitlines() if f"`{parameter.opts[0]}`" in line[:60])
        assert parameter.help in row
        assert all(name in row for name in parameter.secondary_opts)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_page_says_what_help_says(command: str, page: str, cli: Callable[..., Ran]) -> None:
    shown = squeezed(cli(*command.split()[1:], "--help").out)
    for line in section(page, command).splitlines():
        if "](" not in line and not line.startswith(("|", "```", "$ ", "**")):
            assert squeezed(line) in shown
    for parameter in (parameter for name, parameter in PARAMETERS if name == command):
        assert squeezed(parameter.help) in shown
        if parameter.param_type_name == "option":
            assert parameter.opts[0] in shown


def test_every_command_has_an_example(page: str) -> None:
    for name in COMMANDS:
        line = re.search(r"^Examples?: .*", section(page, name), re.MULTILINE)
        assert line is not None, name
        examples = re.findall(r"`(attnscope[^`]*)`", line[0])
        assert examples, name
        for example in examples:
            words = example.split()
            command = COMMANDS.get(" ".join(words[:2]))
            assert command is not None, name
            known = {option for parameter in command.params for option in parameter.opts}
            assert {word for word in words if word.startswith("-")} <= known


def test_the_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("docs/commands.md", "--alpha"),
        ("docs/scene.schema.json", "keyframes"),
        ("docs/methods.md", "| `speaker_consistency_lift` | Speaker"),
        ("docs/methods.md", "| permuted labels | live |"),
        ("docs/guide.md", "| `speaker_pair_mean` | matched |"),
        ("docs/plugins.md", "class Softening(Running)"),
        ("README.md", "SmolVLM2"),
    ],
)
def test_a_stale_page_is_named_and_renewed(
    name: str, word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example = [f"tests/plugins/example/{name}" for name in ("pyproject.toml", "attnscope_example.py")]
    for page in [*generate.PAGES, "docs/data/nulls.csv", "docs/data/guide.csv", "docs/data/prepare.csv", *example]:
        (tmp_path / page).parent.mkdir(exist_ok=True, parents=True)
        shutil.copyfile(generate.ROOT / page, tmp_path / page)
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    right = (tmp_path / name).read_text(encoding="utf-8")
    (tmp_path / name).write_text(right.replace(word, "something else"), encoding="utf-8")
    assert generate.main(["--check"]) == 1
    assert capsys.readouterr().err == f"{name}: is not what the code says; run make docs\n"
    assert generate.main([]) == 0
    assert capsys.readouterr().out == f"{name}\n"
    assert (tmp_path / name).read_text(encoding="utf-8") == right


def test_missing_markers_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "PAGES", {"README.md": generate.readme_page})
    (tmp_path / "README.md").write_text("# attnscope\n", encoding="utf-8")
    assert generate.main(["--check"]) == 1
    message = "README.md: cannot be generated: no markers <!-- families: generated --> ... <!-- /families -->\n"
    assert capsys.readouterr().err == message


def test_the_table_of_families_is_that_of_the_layouts() -> None:
    assert [row["family"] for row in families()] == list(LAYOUTS)
    page = (generate.ROOT / "docs/models.md").read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in page for name in LAYOUTS)


@pytest.mark.parametrize(
    ("family", "frames"),
    [
        pytest.param(row["family"], row["frames"], marks=() if row["family"] in SUPPORTED else pytest.mark.slow)
        for row in families()
    ],
)
def test_frames_per_token(family: str, frames: int, checkpoint: Callable[[str], Path], things: Path) -> None:
    """As the real processor and the layout place the tokens of four frames."""
    model = attnscope.load(checkpoint(family), device="cpu")
    scene = attnscope.Scene.read(things / "scene.json")
    tokens = build_prompt(model, scene, read_scene_frames(scene, attnscope.Sampling(frames=4))).tokens
    placed = tokens[(tokens["modality"] == "visual") & (tokens["frame_first"] >= 0)]
    assert set(placed["frame_last"] - placed["frame_first"] + 1) == {frames}
