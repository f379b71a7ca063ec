"""The public API is what docs/api.md lists: every name has an example that runs, and the pages use no other name."""

from __future__ import annotations

import ast
import doctest
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, chdir
from inspect import signature
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import attnscope
from attnscope import metrics
from attnscope.correct import registry as methods_registry
from attnscope.metrics import registry
from attnscope.scene.importers import registry as importers_registry
from docs import generate
from docs.api import PACKAGES, example, function, is_documented, methods, names
from tests.docs import examples

PUBLIC = list(names())
METRICS = {metric.name for metric in metrics.all_metrics()}
DOCUMENTED = {id(t): (f"{package}.{name}", t) for package, name, t in ((p, n, function(t)) for p, n, t in PUBLIC)}
EXAMPLES = dict(item for item in DOCUMENTED.values() if is_documented(item[1]))
EXAMPLES |= {
    f"{name}.{method}": member
    for name, cls in EXAMPLES.items()
    if isinstance(cls, type)
    for method, member in methods(cls)
    if example(member)
}
PAGES = [generate.ROOT / "README.md", *sorted((generate.ROOT / "docs").glob("*.md"))]
REPORTS = ("attnscope.report.analyze", "attnscope.report.compare")  # every figure of the embedded model
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("examples")
    examples.write_files(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(files: Path) -> Iterator[dict[str, Any]]:
    with ExitStack() as stack, chdir(files):
        yield examples.names(stack)


@pytest.fixture
def nothing_stays_registered() -> Iterator[None]:
    registries: list[Any] = [registry._METRICS, methods_registry._METHODS, importers_registry.IMPORTERS]
    known = [set(entries) for entries in registries]
    yield
    for entries, before in zip(registries, known, strict=True):
        for name in set(entries) - before:
            del entries[name]


@pytest.mark.usefixtures("nothing_stays_registered")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in REPORTS)) for name in EXAMPLES]
)
def test_the_example_of_every_public_name_runs(
    name: str, files: Path, prepared: dict[str, Any], tmp_path: Path
) -> None:
    test = doctest.DocTestParser().get_doctest(example(EXAMPLES[name]), dict(prepared), name, None, 0)
    assert any(line.want for line in test.examples), "an example shows a result"
    assert not any(doctest.SKIP in line.options for line in test.examples)
    for file in files.iterdir():
        os.link(file, tmp_path / file.name)
    said: list[str] = []
    with chdir(tmp_path):
        doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append)
    assert not said, "".join(said)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_a_function_of_a_capture(name: str, prepared: dict[str, Any]) -> None:
    table = getattr(metrics, name)(prepared["cap"])
    assert isinstance(table, pd.DataFrame)
    assert set(table["metric"]) == {name}
    assert {"layer", "head", "value", "n"} <= set(table)


def test_the_page_lists_every_public_name() -> None:
    sections = re.split(r"^## (.+)$", generate.read("docs/api.md"), flags=re.MULTILINE)[1:]
    listed = {
        (package, name)
        for package, text in zip(sections[::2], sections[1::2], strict=True)
        for name in re.findall(r"^\| `(\w+)", text, flags=re.MULTILINE)
    }
    assert listed == {(package, name) for package, name, _ in PUBLIC}
    assert list(PACKAGES) == sections[::2]


def test_a_public_name_is_one_thing() -> None:
    things: dict[str, set[int]] = {}
    for _, name, thing in PUBLIC:
        things.setdefault(name, set()).add(id(function(thing)))
    assert [name for name, different in things.items() if len(different) > 1] == []


def test_dir_shows_the_packages_and_imports_none() -> None:
    code = "import attnscope, sys; print(dir(attnscope)); print([m for m in sys.modules if m.startswith('attnscope.')])"
    shown, imported = map(ast.literal_eval, _python(code).splitlines())
    packages = {package.split(".")[1] for package in PACKAGES if "." in package}
    assert set(shown) == {*attnscope.__all__, *packages}
    assert imported == ["attnscope._version"]


def test_the_package_capture_shows_the_arguments_of_the_function() -> None:
    from attnscope.capture.run import capture

    code = "import attnscope, inspect; print(list(inspect.signature(attnscope.capture).parameters))"
    listed, described = _python(f"{code}; help(attnscope.capture)").split("\n", 1)
    assert ast.literal_eval(listed) == list(signature(capture).parameters)
    call = re.search(r"attnscope\.capture\((.*?)\) -> Capture", described, flags=re.DOTALL)
    assert call is not None
    shown = ast.parse(f"def capture({' '.join(call[1].split())}): ...").body[0]
    assert isinstance(shown, ast.FunctionDef)
    defaults = [ast.literal_eval(value) for value in shown.args.kw_defaults if value is not None]
    parameters = signature(capture).parameters.values()
    assert [argument.arg for argument in (*shown.args.args, *shown.args.kwonlyargs)] == [p.name for p in parameters]
    assert defaults == [p.default for p in parameters if p.kind is p.KEYWORD_ONLY]


def test_tools_that_read_the_code_find_every_name() -> None:
    """Names are imported on first use; a type checker or an editor sees them where the code imports none."""
    tree = ast.parse(Path(attnscope.__file__).read_text(encoding="utf-8"))
    (static,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in static.body if isinstance(node, ast.ImportFrom)]
    seen = {alias.name: node.module for node in imports for alias in node.names}
    assert set(seen) == set(attnscope.__all__) - {"__version__"}
    where = {name: module for name, module in seen.items() if name != "capture"}
    assert where == attnscope._WHERE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_use_public_names_alone(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(?:python|py)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    used = {name for block in blocks for name in _used(ast.parse(block))}
    used |= set(re.findall(r"`(attnscope(?:\.\w+)+)", text))
    assert sorted(name for name in used if not _is_public(name)) == []


def _used(tree: ast.Module) -> Iterator[str]:
    """The dotted names of attnscope that code imports or reads."""
    bound = {"attnscope": "attnscope", "metrics": "attnscope.metrics", "figures": "attnscope.report.figures"}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "attnscope":
            for alias in node.names:
                yield f"{node.module}.{alias.name}"
                bound[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "attnscope")
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            head, _, rest = ast.unparse(node).partition(".")
            if head in bound and re.fullmatch(r"[\w.]+", rest):
                yield f"{bound[head]}.{rest}"


def _is_public(name: str) -> bool:
    """Whether a dotted name is a package of the API, or begins with a public name of one."""
    if name in PACKAGES:
        return True
    package = max((p for p in PACKAGES if name.startswith(f"{p}.")), key=len)
    first = name.removeprefix(f"{package}.").split(".")[0]
    public = {of for p, of, _ in PUBLIC if p == package} | (METRICS if package == "attnscope.metrics" else set())
    return first in public


def _python(code: str) -> str:
    """What code prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout
