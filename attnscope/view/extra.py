"""What the viewer needs from elsewhere: packages of `attnscope[view]` or `attnscope[notebook]`, and its script."""

from __future__ import annotations

from importlib import import_module
from importlib.resources import files

from attnscope.errors import InstallError

SERVER, NOTEBOOK = ("starlette", "uvicorn"), ("anywidget",)


def need(what: str, extra: str, packages: tuple[str, ...]) -> None:
    """Check that the packages of an extra can be imported, before anything else is done.

    Args:
        what: What needs them, for the message.
        extra: Name of the extra.
        packages: What is imported.

    Raises:
        InstallError: If one is missing or does not import; the message says what to install.
    """
    for package in packages:
        try:
            import_module(package)
        except ImportError as error:
            missing = isinstance(error, ModuleNotFoundError) and error.name == package
            problem = "is not installed" if missing else f"does not import ({' '.join(str(error).split())})"
            raise InstallError(f"{what}: the package {package} {problem}: pip install 'attnscope[{extra}]'") from None


def script(name: str = "viewer.js") -> bytes:
    """The viewer, which reports hold inside too, or the scene editor (`editor.js`): ES modules."""
    # Not by the name of its package: reports take a second to import, and the page is to be there at once.
    return (files("attnscope") / "report" / "viewer" / name).read_bytes()
