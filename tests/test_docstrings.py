"""One convention for docstrings: Google's sections, entries as sentences, names that exist; and the sizes of files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [
    path for base in ("attnscope", "cli/attnscope_cli", "training") for path in sorted((ROOT / base).rglob("*.py"))
]
FILES = [path for path in FILES if "tests" not in path.relative_to(ROOT).parts]
SECTION = re.compile(r"^(Args|Attributes|Returns|Yields|Raises|Example):$")
ENTRY = re.compile(r"^    (\*{0,2}\w[\w, .*]*?): (.*)$")
Documented = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef

# A file is one idea, 50 to 500 lines. A package's door may be small, and a file of a room that has one file a thing.
SMALLEST, LARGEST = 50, 500
ONE_A_THING = (
    "attnscope/model/layouts/",
    "attnscope/report/sections/",
    "attnscope/scene/importers/boxes/",
    "attnscope/scene/importers/speech/",
    "cli/attnscope_cli/",
)
SMALL = {
    "attnscope/__main__.py": "what `python -m` runs",
    "attnscope/_version.py": "read by the build before anything is installed",
    "attnscope/progress.py": "a type of every wing, which may import none of them",
    "attnscope/threads.py": "how many threads there are, for metrics and reports alike",
    "attnscope/demo/film.py": "writes films for the demo, its training and the tests",
    "attnscope/files/terminal.py": "what a terminal may be sent, beside reading, writing and locks",
    "attnscope/scene/joining/spelling.py": "how names are spelt, for boxes and for turns",
    "attnscope/scene/manifests/fields.py": "what stands where, for reading and writing",
    "attnscope/model/per_token.py": "one check of a prompt, with a test of its own",
    "attnscope/correct/notes.py": "sentences of several corrections",
    "attnscope/correct/placing.py": "places of several corrections",
    "attnscope/capture/check/problems.py": "what all checks report",
    "attnscope/files/reports.py": "names that writers and the index share, and nothing else",
    "attnscope/report/page/seen.py": "what figures say to those who cannot see them",
    "attnscope/report/page/section.py": "the type that all pages are made of",
    "attnscope/view/extra.py": "asked before anything of a server or a widget can be imported",
    "attnscope/metrics/clips/verdict.py": "the one rule for help, hurt and nothing",
    "training/recipes.py": "the two recipes, as they are typed",
}


def documented(path: Path) -> Iterator[tuple[Documented, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, Documented) and (text := ast.get_docstring(node)):
            yield node, text


def entries(text: str, *sections: str) -> Iterator[tuple[str, str]]:
    """Names and first words of the entries of some sections."""
    section = ""
    for line in text.split("\n"):
        if match := SECTION.match(line):
            section = match[1]
        elif line and not line.startswith(" "):
            section = ""
        elif section in sections and (entry := ENTRY.match(line)):
            yield entry[1], entry[2]


def is_lower(words: str) -> bool:
    """Whether a text begins with a lower-case word; code, numbers and names of dtypes may."""
    first = re.match(r"[a-z][a-z'-]*(?=[\s,.:;]|$)", words)
    return first is not None and first[0] not in DTYPES


DTYPES = {"bool", "boolean", "float32", "float64", "int32", "int64", "uint8"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_entries_are_sentences_about_names_that_exist(path: Path) -> None:
    wrong = []
    for node, text in documented(path):
        wrong += [
            f"{node.name}: {name}: {words}"
            for name, words in entries(text, "Args", "Attributes", "Raises")
            if is_lower(words)
        ]
        known = parameters(node)
        if known is not None:
            wrong += [
                f"{node.name}: documents {name}, which is no parameter"
                for names, _ in entries(text, "Args")
                for name in names.replace("*", "").split(", ")
                if name not in known
            ]
    assert wrong == []


def parameters(node: Documented) -> set[str] | None:
    """Parameters of a function, or of a class's `__init__`; None where they are made (a dataclass)."""
    if isinstance(node, ast.ClassDef):
        own = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == "__init__"]
        if not own:
            return None
        node = own[0]
    arguments = node.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    return {argument.arg for argument in every if argument is not None}


def test_a_file_is_one_idea_of_fifty_to_five_hundred_lines() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text("utf-8").splitlines()) for path in FILES}
    assert {path: size for path, size in sizes.items() if size > LARGEST} == {}
    small = {path for path, size in sizes.items() if size < SMALLEST and not path.endswith("__init__.py")}
    assert {path for path in small if not path.startswith(ONE_A_THING)} <= SMALL.keys()
    assert {path for path in SMALL if not (ROOT / path).exists()} == set()
