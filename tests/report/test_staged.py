"""A report is complete or absent: interrupted, or out of space, it leaves its folder as it was."""

from __future__ import annotations

import errno
import json
from importlib import import_module
from pathlib import Path

import pytest

from attnscope import metrics
from attnscope.errors import RequestError, RunError
from attnscope.report import analyze, compare
from attnscope.report.page.output import Output
from attnscope.report.page.staging import draft

OLD = {"report.html": "old page", "report.json": "{}", "tables/definitions.csv": "old", "mine.txt": "mine"}


@pytest.fixture(params=["analyze", pytest.param("compare", marks=pytest.mark.slow)])
def report(request, before, after):
    """Writes a report into a folder."""
    return {"analyze": lambda out: analyze(before, out), "compare": lambda out: compare(before, after, out)}[
        request.param
    ]


def files(folder: Path, *, read: bool = True) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() if read else "" for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RunError("no")])
def test_interrupted_half_way(report, tmp_path, monkeypatch, error):
    """After the tables, at the first figure."""
    done: list[Path] = []

    def fail(output: Output, *_: object) -> None:
        done.extend(output.tables)
        raise error

    monkeypatch.setattr(Output, "figure", fail)
    with pytest.raises(BaseException):  # noqa: B017
        report(tmp_path / "new" / "out")
    assert done and list(tmp_path.iterdir()) == []
    old = tmp_path / "old"
    for name, text in OLD.items():
        (old / name).parent.mkdir(parents=True, exist_ok=True)
        (old / name).write_text(text)
    with pytest.raises(BaseException):  # noqa: B017
        report(old)
    assert files(old) == OLD and not list(old.glob(".part*"))


def test_a_full_disk_is_told_with_the_file_as_the_user_knows_it(report, tmp_path, monkeypatch):
    monkeypatch.setattr(metrics.export.pd.DataFrame, "to_csv", full)
    with pytest.raises(RunError) as error:
        report(tmp_path / "out")
    assert str(error.value).startswith(f"{tmp_path}/out/tables/") and "no space left" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_folder_that_cannot_be_used_is_told_before_the_work(report, tmp_path, monkeypatch):
    for name in ("analyze", "compare"):  # the package has functions of the modules' names
        module = import_module(f"attnscope.report.{name}")
        monkeypatch.setattr(module, "compute_tables", lambda *_: pytest.fail("it ran"))
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError, match="file/out: cannot be used as the output folder"):
        report(tmp_path / "file" / "out")


@pytest.mark.slow
@pytest.mark.parametrize("document", ["report.json", "summary.json"])
def test_a_report_takes_the_place_of_another_as_a_whole(report, tmp_path, document):
    """What the earlier one drew and the later one does not is gone, whatever its JSON was called; other files stay."""
    out = tmp_path / "out"
    other = ["tables/mine.csv", "figures/mine.png", "after.h5"]
    gone = ["tables/sweep.csv", "figures/dose_response.png", "figures/dose_response.svg"]
    for name in [*other, *gone, "report.html"]:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_text("old")
    listed = {part: [f"elsewhere/{name}" for name in gone if name.startswith(part)] for part in ("tables", "figures")}
    listed["figures"].append("../figures/..")
    (out / document).write_text(json.dumps(listed))
    summary = report(out)
    written = {path.relative_to(out).as_posix() for path in [summary.report, *summary.tables, *summary.figures]}
    assert set(files(out, read=False)) == written | {"report.json", *other}
    assert all((out / name).read_text() == "old" for name in other)


@pytest.mark.parametrize("text", ["[]", "no JSON", '{"tables": 3}', '{"tables": [3], "figures": []}'])
def test_a_summary_that_is_none_is_replaced_and_nothing_else_is_touched(tmp_path, text):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "mine.png").write_text("mine")
    (tmp_path / "report.json").write_text(text)
    with draft(tmp_path, "report.html") as stage:
        stage.output.text("report.html", "new")
        stage.output.text("report.json", "{}")
    assert files(tmp_path) == {"figures/mine.png": "mine", "report.html": "new", "report.json": "{}"}


def test_an_old_page_does_not_outlive_what_it_shows(tmp_path, monkeypatch):
    """Interrupted while files are put there, the folder has no page of the earlier report either."""
    (tmp_path / "report.html").write_text("old")

    def fail(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(KeyboardInterrupt), draft(tmp_path, "report.html") as stage:
        stage.output.text("report.html", "new")
    assert files(tmp_path) == {}


def test_the_page_is_put_there_last(tmp_path, monkeypatch):
    """Interrupted between two files, the folder has no page: it cannot be taken for a report."""
    replaced: list[str] = []

    def replace(_: Path, target: Path) -> None:
        replaced.append(target.name)

    monkeypatch.setattr(Path, "replace", replace)
    with draft(tmp_path / "out", "report.html") as stage:
        for name in ("a.txt", "report.html", "z.txt"):
            stage.output.text(name, "")
    assert replaced[-1] == "report.html" and len(replaced) == 3
