"""The guide names every metric, its pictures are there and its code runs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.main import get_command

import attnscope
from attnscope import metrics
from attnscope.demo.scenes import write_scenes
from attnscope.metrics.registry import FAMILIES
from attnscope_cli.main import app
from docs import generate

DOCS = generate.ROOT / "docs"
GUIDE = (DOCS / "guide.md").read_text(encoding="utf-8")
PAGES = [generate.ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
LINES = re.findall(r"\*\*Read it:\*\* `(.+)`$", GUIDE, flags=re.MULTILINE)
GROUP: Any = get_command(app)


def sections() -> dict[str, str]:
    """The text of each section by its heading."""
    parts = re.split(r"^## (.+)$", GUIDE, flags=re.MULTILINE)[1:]
    return dict(zip(parts[::2], parts[1::2], strict=True))


def slug(heading: str) -> str:
    """The anchor that GitHub gives to a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(found) for found in re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)}


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_has_a_section_that_says_what_it_does_not_mean(family: str) -> None:
    section = sections()[family.capitalize()]
    assert re.search(r"^!\[.+\]\(images/guide-.+\.png\)", section, flags=re.MULTILINE)
    for part in ("- **It means**", "- **It does not mean**", "- **It misleads when**", "- **Read it:**"):
        assert section.count(part) == 1
    for entry in metrics.all_metrics():
        if entry.family == family:
            assert f"`{entry.name}`" in section, entry.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(generate.ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_pictures_of_the_guide_are_small_and_all_shown() -> None:
    pictures = sorted((DOCS / "images").glob("guide-*.png"))
    assert {path.name for path in pictures} == set(re.findall(r"images/(guide-[\w-]+\.png)", GUIDE))
    made = re.findall(r'yield \(?\s*"([\w-]+)"', (DOCS / "figures.py").read_text(encoding="utf-8"))
    assert {f"guide-{name}.png" for name in made} == {path.name for path in pictures}
    sizes = [path.stat().st_size for path in pictures]
    assert max(sizes) < 150_000 and sum(sizes) < 2_000_000


@pytest.mark.parametrize("page", [*PAGES[:1], DOCS / "guide.md"], ids=lambda page: page.name)
def test_commands_and_their_options_exist(page: Path) -> None:
    blocks = re.findall(r"```console\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    typed = re.findall(r"\battnscope (\w[\w-]*)([^;\n]*)", "\n".join(blocks).replace("\\\n", " "))
    assert typed
    for name, rest in typed:
        known = {option for parameter in GROUP.commands[name].params for option in parameter.opts}
        assert {word for word in rest.split() if word.startswith("-")} <= known, name


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide's code finds in the folder: two captures, and the tables of the first."""
    folder = tmp_path_factory.mktemp("guide")
    write_scenes(folder / "scenes", count=2, seed=38, people=(5, 4))
    scenes = sorted((folder / "scenes" / "scenes").glob("*-pointing.json"))
    model = attnscope.load("roundtable", device="cpu")
    for scene, name in zip(scenes, ("run.h5", "other.h5"), strict=True):
        plan = attnscope.Plan(qk=True, hidden=True)
        attnscope.capture(model, scene, folder / name, plan=plan, max_new_tokens=2, verify=False).close()
    tables = folder / "out" / "tables"
    tables.mkdir(parents=True)
    with attnscope.open(folder / "run.h5") as cap:
        found = {family: table.assign(capture="run") for family, table in metrics.compute(cap).items()}
    metrics.write(metrics.long(found), tables / "metrics.parquet")
    metrics.write(found["speakers"], tables / "speakers.parquet")
    return folder


@pytest.fixture(scope="module")
def names(folder: Path) -> Iterator[dict[str, Any]]:
    """The names that the guide's code has made when it ends."""
    found: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", GUIDE, flags=re.DOTALL)):
            exec(compile(code, f"guide.md, block {number}", "exec"), found)
        yield found
    for cap in [found["cap"], *found["many"]]:
        cap.close()


def test_the_code_runs_and_draws(folder: Path, names: dict[str, Any]) -> None:
    assert {"table", "speakers", "t", "ax"} <= set(names)
    assert (folder / "gap.svg").stat().st_size and (folder / "matrix.png").stat().st_size
    assert names["table"]["capture"].nunique() == 2


@pytest.mark.parametrize("line", LINES)
def test_a_line_to_read_a_metric_finds_it(line: str, names: dict[str, Any]) -> None:
    found = eval(line, names)
    assert isinstance(found, pd.DataFrame)
    assert len(found) and found["value"].notna().any()


def test_the_query_of_sql_names_a_group_that_exists(folder: Path) -> None:
    table = pd.read_parquet(folder / "out" / "tables" / "metrics.parquet")
    (like,) = re.findall(r"LIKE '%(.+)%'", GUIDE)
    (metric,) = re.findall(r"WHERE metric = '(\w+)'", GUIDE)
    found = table[(table["metric"] == metric) & table["group"].str.contains(like) & (table["head"] == -1)]
    assert found[found["layer"] >= 0]["value"].notna().all() and len(found)
