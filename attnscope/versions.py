"""The versions of other packages that attnscope was tested with.

The floors are those of `pyproject.toml`; `make test-floor` runs them. The newest ones were run by `make test-newest`.
A package below its floor is refused by name. A newer one is used, with one warning a process that says where to look
when something breaks. Only metadata is read here: no package is imported, and nothing is asked over the network.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from importlib.util import find_spec
from typing import Literal

from attnscope.errors import InstallError

_log = logging.getLogger("attnscope")

Standing = Literal["tested", "newer", "older", "missing", "unreadable"]


@dataclass(frozen=True)
class Tested:
    """The range of versions of one package that was tested.

    Attributes:
        package: Its name on the package index.
        floor: The oldest version that works.
        newest: The newest series (major.minor) that was tested; its patch releases count as tested.
        imported: The name under which it is imported, where that is another.
    """

    package: str
    floor: str
    newest: str
    imported: str = ""

    @property
    def module(self) -> str:
        """The name under which it is imported."""
        return self.imported or self.package

    def installed(self) -> str | None:
        """The version that is installed, None if nothing says one."""
        return _installed(self.package)

    def standing(self) -> Standing:
        """How the installed version stands to the tested range; "unreadable" if none is stated or it is no version."""
        from packaging.version import InvalidVersion, Version

        version = self.installed()
        if version is None:  # a build from source on the path has no metadata
            return "missing" if find_spec(self.module) is None else "unreadable"
        try:
            parsed = Version(version)
        except InvalidVersion:
            return "unreadable"
        # Pre-releases and builds for one accelerator (2.15.0a0+git, 5.25.0.dev0, 2.9.0+cu130) count as their release.
        if parsed.release < _padded(self.floor, len(parsed.release)):
            return "older"
        return "newer" if parsed.release[:2] > _padded(self.newest, 2) else "tested"


@cache
def _installed(package: str) -> str | None:
    try:
        return metadata.version(package) or None
    except (metadata.PackageNotFoundError, KeyError):  # KeyError: metadata without a version
        return None


def _padded(version: str, length: int) -> tuple[int, ...]:
    """The numbers of a release, as many as `length` at least."""
    numbers = tuple(int(part) for part in version.split("."))
    return numbers + (0,) * (length - len(numbers))


# Packages whose insides attnscope leans on, or whose output ends in its files.
TESTED = (
    Tested("torch", "2.9", "2.15"),
    Tested("torchvision", "0.24", "0.29"),
    Tested("transformers", "5.10", "5.24"),
    Tested("accelerate", "1.3", "1.15"),
    Tested("av", "16", "19.0"),
    Tested("h5py", "3.11", "3.16"),
    Tested("hdf5plugin", "5", "7.1"),
    Tested("numpy", "1.26", "2.5"),
    Tested("pandas", "2.2", "3.1"),
    Tested("pillow", "10.1", "13.0", "PIL"),
    Tested("xarray", "2024.6", "2026.9"),
)
# Extras: looked at only where they are installed.
OPTIONAL = (
    Tested("peft", "0.18", "0.21"),
    Tested("torchao", "0.15", "0.18"),
)

_warned = False


def check(*packages: str) -> None:
    """Refuse packages that are missing or too old; warn once a process of those that are newer than tested.

    Args:
        packages: Names in `TESTED` that the caller is about to use.

    Raises:
        InstallError: If one of them is missing or below its floor; the message names it and both versions.
    """
    by_name = {tested.package: tested for tested in TESTED}
    for name in packages:
        tested = by_name[name]
        standing = tested.standing()
        if standing == "missing":
            raise InstallError(f"{name}: is not installed; attnscope needs {tested.floor} or later")
        if standing == "older":
            raise InstallError(
                f"{name} {tested.installed()}: is too old; attnscope needs {tested.floor} or later"
                f" (`attnscope doctor` lists every version)"
            )
    _warn_of_newer()


def _warn_of_newer() -> None:
    global _warned
    if _warned:
        return
    _warned = True
    newer = [tested for tested in (*TESTED, *OPTIONAL) if tested.standing() == "newer"]
    if newer:
        named = ", ".join(f"{tested.package} {tested.installed()} (tested up to {tested.newest})" for tested in newer)
        _log.warning(
            "newer than the versions attnscope was tested with: %s; `attnscope doctor` checks that all still holds",
            named,
        )
