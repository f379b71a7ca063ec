"""Packages of the extra `attnscope[prepare]`, imported when a part needs them."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from attnscope.errors import InstallError

INSTALL = "pip install 'attnscope[prepare]'"


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
    except ImportError as error:  # a library of the system is missing, such as libGL for OpenCV
        reason = " ".join(str(error).split())
        raise InstallError(f"{part}: {package} is installed and does not import: {reason}") from None


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
