"""Packages of the extra `attnscope[prepare]`, imported when a part needs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from attnscope.errors import InstallError

INSTALL = "pip install 'attnscope[prepare]'"
_OPENCV = "install the library (libgl1 and libglib2.0-0 on Debian), or opencv-python-headless in place of opencv-python"
_LIBRARIES = {"libGL": _OPENCV, "libgthread": _OPENCV, "libglib": _OPENCV}  # of the system, which a wheel may lack


def needed(module: str, package: str, part: str) -> Any:
    """A module of the extra.

    Args:
        module: What is imported.
        package: Its package on the index.
        part: The part that needs it, for the message.

    Raises:
        InstallError: If it is not installed, or does not import; the message says what to install.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise InstallError(f"{part}: {package} lacks the package {error.name}; {INSTALL}") from None
        raise InstallError(
            f"{part}: the package {package} is not installed: {INSTALL}, or leave the part out"
        ) from None
    except ImportError as error:
        reason = " ".join(str(error).split())
        hint = next((f"; {remedy}" for library, remedy in _LIBRARIES.items() if library in reason), "")
        raise InstallError(f"{part}: {package} is installed and does not import: {reason}{hint}") from None


def named(package: str) -> str:
    """A package with its version."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return package


@contextmanager
def threads_of_torch() -> Iterator[None]:
    """Give torch the threads back that a package takes from the whole process when it is imported (silero-vad)."""
    import torch

    threads = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(threads)
