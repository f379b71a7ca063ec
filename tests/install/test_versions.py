"""Newer packages than tested get one warning, older ones are refused by name."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import attnscope
from attnscope import versions
from attnscope.errors import InstallError


@pytest.fixture
def installed(monkeypatch):
    """`installed(torch="2.8.0", av=None)`: what the metadata of packages say, None for a missing package."""
    monkeypatch.setattr(versions, "_warned", False)
    real = metadata.version
    stated: dict[str, str | None] = {}

    def version(name: str) -> str:
        if name not in stated:
            return real(name)
        if stated[name] is None:
            raise metadata.PackageNotFoundError(name)
        return stated[name]  # type: ignore[return-value]

    def state(**packages: str | None) -> None:
        stated.update(packages)
        versions._installed.cache_clear()

    monkeypatch.setattr(metadata, "version", version)
    versions._installed.cache_clear()
    yield state
    versions._installed.cache_clear()


def _standing(package: str) -> str:
    return next(one for one in versions.TESTED if one.package == package).standing()


@pytest.mark.parametrize(
    ("version", "standing"),
    [
        ("2.8.1", "older"),
        ("2.9", "tested"),
        ("2.9.0+cu130", "tested"),
        ("2.9.0a0+git1234", "tested"),
        ("2.15.9", "tested"),
        ("2.16.0", "newer"),
        ("2.16.0.dev20270101", "newer"),
        ("3", "newer"),
        ("my own build", "unreadable"),
        (None, "unreadable"),  # importable, without metadata
    ],
)
def test_a_version_is_placed_in_the_tested_range(installed, version: str | None, standing: str) -> None:
    installed(torch=version)
    assert _standing("torch") == standing


def test_newer_packages_are_named_once_a_process_with_the_doctor(installed, caplog) -> None:
    installed(transformers="5.99.0", h5py="9.0")
    with caplog.at_level(logging.WARNING, logger="attnscope"):
        versions.check("transformers", "torch")
        versions.check("h5py")
    (record,) = caplog.records
    message = record.getMessage()
    assert "transformers 5.99.0" in message and "h5py 9.0" in message and "attnscope doctor" in message
    assert "\n" not in message


def test_what_is_tested_is_not_warned_of(installed, caplog) -> None:
    installed(**{one.package: one.floor for one in (*versions.TESTED, *versions.OPTIONAL)})
    with caplog.at_level(logging.WARNING, logger="attnscope"):
        versions.check(*(one.package for one in versions.TESTED))
    assert not caplog.records


@pytest.mark.parametrize("package", [one.package for one in versions.TESTED])
def test_a_version_below_the_floor_is_refused_by_name(installed, package: str) -> None:
    installed(**{package: "0.1"})
    floor = next(one.floor for one in versions.TESTED if one.package == package)
    with pytest.raises(InstallError, match=rf"^{package} 0\.1: is too old; attnscope needs {floor} or later"):
        versions.check(package)


def test_loading_a_model_refuses_an_old_transformers(installed) -> None:
    installed(transformers="4.57.6")
    with pytest.raises(InstallError, match=r"transformers 4\.57\.6: is too old; attnscope needs 5\.10"):
        attnscope.load("roundtable")


def test_opening_a_capture_refuses_an_old_h5py(installed, tmp_path: Path) -> None:
    installed(h5py="2.10.0")
    with pytest.raises(InstallError, match=r"h5py 2\.10\.0: is too old"):
        attnscope.open(tmp_path / "run.h5")


def test_asking_for_versions_imports_no_package(tmp_path: Path) -> None:
    code = (
        "import sys; from attnscope import versions as v; v.check(*(one.package for one in v.TESTED));"
        "print(sorted({one.module for one in (*v.TESTED, *v.OPTIONAL)} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == "[]"
