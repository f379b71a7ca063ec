"""Help in words, and the other names of the command."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import attnscope
from attnscope_cli import _common
from tests.cli.conftest import Ran

COMMANDS = ("", "capture", "analyze", "heads", "correct", "compare", "eval", "inspect", "demo-scenes", "methods")


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_no_types_of_python(command: str, cli: Callable[..., Ran]) -> None:
    ran = cli(*[command] * bool(command), "--help")
    assert ran.code == 0
    assert not re.search(r"<\w+|list\[|Path\b", ran.out), ran.out
    assert command in ("", "methods", "inspect") or re.search(r"--out.*(DIR|FILE)", ran.out)


def test_everything_that_is_printed_goes_through_one_escape() -> None:
    """Only these print: `print_lines` and `print_json`, and the line of an error."""
    folder = Path(_common.__file__).parent
    found = {path.name: re.findall(r"(?<![\w.])print\(.*", path.read_text()) for path in sorted(folder.glob("*.py"))}
    assert {name: lines for name, lines in found.items() if lines} == {
        "_common.py": ["print(printable(str(line)))", "print(printable_json(document))"],
        "main.py": ['print(f"attnscope: {line}", file=sys.stderr, flush=True)'],
    }


def test_the_package_runs_as_a_module_under_the_name_of_the_command() -> None:
    version, wrong = (
        subprocess.run([sys.executable, "-m", "attnscope", word], capture_output=True, text=True, check=False)
        for word in ("--version", "inspect")
    )
    assert (version.returncode, version.stdout) == (0, f"attnscope {attnscope.__version__}\n")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert wrong.stderr == "attnscope: missing argument 'CAPTURE'; see attnscope inspect --help\n"


def test_the_signature_of_the_callable_package_is_that_of_the_function() -> None:
    from attnscope.capture.run import capture

    assert inspect.signature(attnscope.capture) == inspect.signature(capture)
    assert list(inspect.signature(attnscope.capture).parameters)[:3] == ["model", "scene", "out"]
