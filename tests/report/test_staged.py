"""A report is complete or absent: interrupted, or out of space, it leaves its folder as it was."""

from __future__ import annotations

import errno
from importlib import import_module
from pathlib import Path

import pytest

from attnscope import metrics
from attnscope.errors import RequestError, RunError
from attnscope.report import analyze, compare
from attnscope.report.output import Output
from attnscope.report.staged import staged

OLD = {"report.html": "old page", "summary.json": "{}", "tables/definitions.csv": "old", "mine.txt": "mine"}


@pytest.fixture(params=["analyze", "compare"])
def report(request, before, after):
    """Writes a report into a folder."""
    return {"analyze": lambda out: analyze(before, out), "compare": lambda out: compare(before, after, out)}[
        request.param
    ]


def files(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*") if p.is_file()}


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
    assert files(old) == OLD and not list(old.glob(".part-*"))


def test_a_full_disk_is_told_with_the_file_as_the_user_knows_it(report, tmp_path, monkeypatch):
    monkeypatch.setattr(metrics.tables.pd.DataFrame, "to_csv", full)
    with pytest.raises(RunError) as error:
        report(tmp_path / "out")
    assert str(error.value).startswith(f"{tmp_path}/out/tables/") and "No space left" in str(error.value)
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


def test_the_page_is_put_there_last(tmp_path, monkeypatch):
    """Interrupted between two files, the folder has no page: it cannot be taken for a report."""
    replaced: list[str] = []

    def replace(_: Path, target: Path) -> None:
        replaced.append(target.name)

    monkeypatch.setattr(Path, "replace", replace)
    with staged(tmp_path / "out", "report.html") as stage:
        for name in ("a.txt", "report.html", "z.txt"):
            stage.output.text(name, "")
    assert replaced[-1] == "report.html" and len(replaced) == 3
