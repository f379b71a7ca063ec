"""The library names arguments, the command line names flags, and one table lies between them."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import attnscope
from attnscope.correct.params import declared as parameters_of
from attnscope.correct.registry import corrections
from attnscope.errors import Argument, FormatError, RequestError, SizeError
from attnscope_cli._flags import FLAGS, message
from attnscope_cli.main import app
from tests.cli.conftest import Ran

GROUP: Any = get_command(app)
OPTIONS = [option for command in GROUP.commands.values() for option in command.params]
LIBRARY = Path(attnscope.__file__).parent
FLAG = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
PARAMETERS = {name for cls in corrections().values() for name in parameters_of(cls)}

# Whole commands that pages show: of another program, and what runs a control.
COMMANDS = ("lmms_eval --", "--correction correction.json --control")
CUSTOM_PROPERTIES = {"--ink", "--paper", "--c"}  # of the pages' style

# Arguments whose name is computed: parameters of corrections, whichever they are.
COMPUTED = {"correct/dose/grid.py": 1, "correct/params.py": 2, "correct/request.py": 4}


def trees() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(LIBRARY.rglob("*.py")):
        yield path.relative_to(LIBRARY).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def named() -> tuple[dict[str, str], dict[str, int]]:
    """Arguments that errors of the library name, each with a file, and how many names of a file are computed."""
    literal: dict[str, str] = {}
    computed: dict[str, int] = {}
    for file, tree in trees():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not node.args or file == "errors.py":
                continue
            function = ast.unparse(node.func)
            if function == "Argument" or re.fullmatch(r"\w+Error\.of", function):
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    literal[str(first.value)] = file
                else:
                    computed[file] = computed.get(file, 0) + 1
    return literal, computed


def test_every_argument_that_an_error_names_and_a_command_sets_has_a_flag() -> None:
    literal, computed = named()
    assert computed == COMPUTED
    own = PARAMETERS & {str(option.name) for option in GROUP.commands["correct"].params}
    assert set(literal) - set(FLAGS) == set(), "arguments without a flag"
    assert own - set(FLAGS) == set(), "parameters of corrections that have an option of their own"
    assert set(FLAGS) - set(literal) - own == set(), "flags that no error names"


@pytest.mark.parametrize(("argument", "flag"), FLAGS.items())
def test_a_flag_of_the_table_exists(argument: str, flag: str) -> None:
    assert any(flag in (*option.opts, option.metavar) for option in OPTIONS), argument


def test_no_text_of_the_library_names_a_flag() -> None:
    found = [
        (file, word)
        for file, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if not any(command in node.value for command in COMMANDS)
        for word in FLAG.findall(node.value)
        if not (file.startswith("report/page/") and word in CUSTOM_PROPERTIES)
    ]
    assert found == []


def test_an_error_carries_field_value_and_reason() -> None:
    error = RequestError.of("batch", 0, "must be at least 1", where="run.h5: ")
    assert (error.field, error.value, error.reason) == ("batch", 0, "must be at least 1")
    assert str(error) == "run.h5: batch=0: must be at least 1"
    assert message(error) == "run.h5: --batch 0: must be at least 1"
    plain = RequestError("gone.h5: no such file")
    assert (plain.field, plain.value, plain.reason) == (None, None, "gone.h5: no such file")
    around = FormatError("line 2: ", *error.args)
    assert (str(around), around.field) == ("line 2: run.h5: batch=0: must be at least 1", "batch")
    again = pickle.loads(pickle.dumps(around))
    assert (type(again), again.args) == (FormatError, around.args)


@pytest.mark.parametrize(
    ("argument", "python", "typed"),
    [
        (Argument("max_size"), "max_size", "--max-size"),
        (Argument("force", True), "force=True", "--force"),
        (Argument("count", 0), "count=0", "--n 0"),
        (Argument("plan", "masses,qk"), 'plan="masses,qk"', "--plan masses,qk"),
        (Argument("rows", "a b"), 'rows="a b"', '--rows "a b"'),
        (Argument("rows", ""), 'rows=""', '--rows ""'),
        (Argument("edges", "a" * 99), f'edges="{"a" * 58}…', f"--edges {'a' * 58}…"),
        (Argument("heads", Path("f" * 99)), f"heads={'f' * 99}", f"--heads {'f' * 99}"),
        (Argument("pai.alpha", -1.0), "pai.alpha=-1.0", "pai.alpha=-1.0"),
    ],
)
def test_an_argument_in_python_and_on_the_command_line(argument: Argument, python: str, typed: str) -> None:
    error = SizeError(argument)
    assert (str(error), message(error)) == (python, typed)


def test_python_and_the_command_line_say_the_same_in_their_own_words(here: Path, cli: Callable[..., Ran]) -> None:
    with pytest.raises(RequestError) as caught:
        attnscope.capture("model", "scene.json", here / "new.h5", max_new_tokens=0)
    assert str(caught.value) == "max_new_tokens=0: must be at least 1"
    ran = cli("capture", "model", "--scene", "scene.json", "-o", "new.h5", "--max-new-tokens", 0)
    assert (ran.code, ran.err) == (2, "attnscope: --max-new-tokens 0: must be at least 1\n")
