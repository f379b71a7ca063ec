"""The lock answers `pyproject.toml`, and says the same on any machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from attnscope.versions import OPTIONAL, TESTED

_ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
_LOCKS = ("build", "runtime", "dev")
_RUNNING = {"accelerate", "av", "num2words", "torch", "torchvision", "transformers"}  # a model, or a video
# Pythons that the lock is made for; a package may be pinned more than once, for different ones.
_PYTHONS = ("3.11", "3.12", "3.13", "3.14")


def _lock(name: str) -> str:
    return (_ROOT / "requirements" / f"{name}.txt").read_text()


def _pins(name: str) -> list[Requirement]:
    lines = re.findall(r"^([a-z0-9][^\\\n]*?)\s*\\$", _lock(name), re.MULTILINE)
    return [Requirement(line) for line in lines]


def _environment(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }


def _wanted(lock: str) -> list[Requirement]:
    if lock == "build":
        return [Requirement("setuptools>=77")]
    extras = ("dev", "peft", "quantize") if lock == "dev" else ()
    lines = [
        *_PROJECT["dependencies"],
        *(line for extra in extras for line in _PROJECT["optional-dependencies"][extra]),
    ]
    return [wanted for wanted in map(Requirement, lines) if wanted.name != "attnscope"]


@pytest.mark.parametrize("lock", _LOCKS)
@pytest.mark.parametrize("python", _PYTHONS)
def test_every_requirement_of_the_project_is_pinned_within_its_range(lock: str, python: str) -> None:
    pins = {pin.name: pin for pin in _pins(lock) if pin.marker is None or pin.marker.evaluate(_environment(python))}
    for wanted in _wanted(lock):
        name = canonicalize_name(wanted.name)
        assert name in pins, f"{name} is not in requirements/{lock}.txt; run `make lock`"
        (version,) = (spec.version for spec in pins[name].specifier)
        assert version in wanted.specifier, f"requirements/{lock}.txt pins {name} {version}; run `make lock`"


@pytest.mark.parametrize("lock", _LOCKS)
def test_every_pin_has_a_hash_and_no_line_names_an_index(lock: str) -> None:
    text = _lock(lock)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(_pins(lock)) >= 1
    assert all("--hash=sha256:" in block for block in blocks)
    assert not re.search(r"://|--(extra-)?index|--find-links|@ ", text)


def test_both_locks_pin_the_same_versions() -> None:
    runtime, dev = ({(pin.name, str(pin.specifier)) for pin in _pins(name)} for name in ("runtime", "dev"))
    assert runtime <= dev


def test_the_floors_that_are_refused_are_those_of_the_project() -> None:
    extras = [line for name in ("peft", "quantize") for line in _PROJECT["optional-dependencies"][name]]
    wanted = {canonicalize_name(one.name): one for one in map(Requirement, [*_PROJECT["dependencies"], *extras])}
    for tested in (*TESTED, *OPTIONAL):
        floors = [spec.version for spec in wanted[tested.package].specifier if spec.operator == ">="]
        assert floors == [tested.floor]


@pytest.mark.parametrize("tested", [*TESTED, *OPTIONAL], ids=lambda tested: tested.package)
def test_what_the_lock_installs_counts_as_tested(tested) -> None:
    newest = tuple(map(int, tested.newest.split(".")))
    for pin in _pins("dev"):
        if pin.name == tested.package:
            (version,) = (spec.version for spec in pin.specifier)
            assert tuple(map(int, version.split(".")[:2])) <= newest


def test_no_requirement_is_capped_below_the_next_major_version() -> None:
    for wanted in map(Requirement, _PROJECT["dependencies"]):
        for spec in wanted.specifier:
            assert spec.operator in (">=", "<"), f"{wanted}: pins a version for everybody who uses attnscope"
            if spec.operator == "<":
                assert re.fullmatch(r"\d+", spec.version), f"{wanted}: is capped within a major version"


def test_reading_needs_the_dependencies_that_run_no_model() -> None:
    """Whoever only reads captures installs these: what else the project needs runs a model or decodes a video."""
    lines = (_ROOT / "requirements/read.in").read_text().splitlines()
    reading = {line for line in lines if not line.startswith("#")}
    assert reading == {Requirement(line).name for line in _PROJECT["dependencies"]} - _RUNNING
    pins = {canonicalize_name(pin.name) for pin in _pins("read")}
    assert pins >= reading
    assert pins & _RUNNING == set()
    assert set(map(str, _pins("read"))) <= set(map(str, _pins("runtime")))
