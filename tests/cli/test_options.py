"""Options of one name are one option, in every command that has it."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from typer.main import get_command

from attnscope_cli import _options
from attnscope_cli.main import app
from tests.cli.conftest import Ran

GROUP: Any = get_command(app)
DIFFERENT = {
    "--out": "a folder, the capture or the heads file; each command has its own default",
    "--model": "eval has no capture that says where the model is",
    "--by": "what heads are ranked by, or fields that group captures or questions",
    "--batch": "copies of a prompt, or questions; the default is what fits",
    "--threshold": "of a cell that a box covers, or of a head's attention under a correction",
    "--layers": "without it a correction has layers of its own, and the others take all",
    "--boxes": "a source of boxes, or what prepare draws boxes around",
    "--people": "how many sit at the table, or where prepare has people from",
    "--words": "one source of words, or several that are joined",
    "--fps": "how often frames are taken, or what numbers of frames in annotations count by",
    "--set": "parameters of a correction, or options of a format",
    "--scene": "what is shown, or what is edited and may not be there yet",
    "--video": "what a scene is begun with, or what all sources of an import are about",
    "--control": "a control that is run, or the capture of one that was",
    "--heads": "heads that are cut, or that a correction acts on",
}


def declarations() -> dict[str, dict[str, tuple[Any, ...]]]:
    """What each spelling of an option means: help text, type and default, by command."""
    found: dict[str, dict[str, tuple[Any, ...]]] = defaultdict(dict)
    for command, has in GROUP.commands.items():
        types = get_type_hints(inspect.unwrap(has.callback))
        for parameter in has.params:
            if parameter.param_type_name == "option":
                what = (parameter.help, str(types[parameter.name]), str(parameter.default))
                for spelling in (*parameter.opts, *parameter.secondary_opts):
                    found[spelling][command] = what
    return found


def test_options_of_one_name_have_one_help_text_type_and_default() -> None:
    differ = {name for name, commands in declarations().items() if len(set(commands.values())) > 1}
    assert differ - {"-o"} == set(DIFFERENT)


def test_a_command_takes_groups_of_options_as_objects() -> None:
    from attnscope_cli import eval

    given = inspect.signature(eval.run).parameters
    assert {"corrections", "frames", "loading", "output", "prompt"} <= set(given) and len(given) < 20
    assert {"alpha", "fps", "dtype", "force"} <= {parameter.name for parameter in GROUP.commands["eval"].params}


def test_an_option_that_two_groups_have_stands_under_the_heading_of_each() -> None:
    panels = {
        command: next(p.rich_help_panel for p in GROUP.commands[command].params if p.name == "edges")
        for command in ("heads", "correct", "eval")
    }
    correction = _options.CorrectionOptions.panel
    assert panels == {"heads": "What the answer loses without a head", "correct": correction, "eval": correction}


@pytest.mark.parametrize("command", ["capture", "eval"])
def test_options_of_loading_are_arguments_of_the_library(command: str) -> None:
    from attnscope.model import load
    from attnscope.scene import Sampling

    known = {parameter.name: parameter for parameter in GROUP.commands[command].params}
    for group, library in ((_options.LoadingOptions, load), (_options.SamplingOptions, Sampling)):
        takes = inspect.signature(library).parameters
        for field in fields(group):
            assert known[field.name].default == field.default
            assert field.name in takes


def test_the_old_name_of_method_goes_on_working_in_a_configuration_file(
    tmp_path: Path, cli: Callable[..., Ran]
) -> None:
    (tmp_path / "run.toml").write_text('[eval]\ncorrect = "nope"\n', encoding="utf-8")
    ran = cli("--config", tmp_path / "run.toml", "eval", tmp_path, "--model", "./gone")
    assert ran.code == 2 and ran.err.startswith('attnscope: there is no correction named "nope"; choose from ')
    assert not any(option.hidden for option in GROUP.commands["eval"].params if option.name == "method")
