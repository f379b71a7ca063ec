"""What every option and argument must be before a command runs: a usable path, plain text, a number of sane size."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from attnscope.errors import RequestError
from attnscope.files import path_status
from attnscope.scene.problems import show

_LARGEST = 2**31 - 1
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "boolean": ((bool,), "true or false"),
    "integer": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "text": ((str,), "text"),
    "path": ((str,), "text"),
    "choice": ((str,), "text"),
}


class Command(TyperCommand):
    """A command that refuses what no command could use."""

    def invoke(self, ctx: Any) -> Any:
        """Check all parameters, then run.

        Raises:
            RequestError: Naming the option and its value.
        """
        for parameter in self.params:
            given = ctx.params.get(str(parameter.name))
            for value in given if isinstance(given, (list, tuple)) else [given]:
                _check(_name(parameter), value)
        return super().invoke(ctx)


def _name(parameter: Any) -> str:
    """The parameter as the user writes it."""
    long = [option for option in parameter.opts if option.startswith("--")]
    return str((long or [parameter.metavar or parameter.opts[0]])[0])


def _check(name: str, value: Any) -> None:
    if isinstance(value, Path):
        try:
            path_status(value)
        except RequestError as error:
            why = str(error).rpartition(": ")[2]
            raise RequestError(f"{name} {show(str(value))}: {why}") from None
    elif isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value) or "\0" in value:
            raise RequestError(f"{name} {show(value)}: is not text in UTF-8")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise RequestError(f"{name} {show(value)}: is not between -{_LARGEST:,} and {_LARGEST:,}")


def check_default(where: str, parameter: Any, value: Any) -> None:
    """Refuse a value of a configuration file that is of another type than its option.

    Args:
        where: File and option, for the message.
        parameter: The option.
        value: As TOML has it.

    Raises:
        RequestError: If it is of another type. A text is fine for a number only on the command line.
    """
    several = bool(getattr(parameter, "multiple", False))
    kinds, words = _KINDS.get(parameter.type.name, ((str, int, float, bool), "a plain value"))
    for item in _items(value, several):
        wrong_bool = isinstance(item, bool) and bool not in kinds
        if wrong_bool or not isinstance(item, kinds):
            raise RequestError(f"{where}: {show(item)} is not {words}{' or a list of such' if several else ''}")


def _items(value: Any, several: bool) -> Iterator[Any]:
    if several and isinstance(value, list):
        yield from value
    else:
        yield value
