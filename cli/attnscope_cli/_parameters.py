"""What every option and argument must be before a command runs: a usable path, plain text, a number of sane size."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from typer.core import TyperCommand

from attnscope.errors import RequestError
from attnscope.files import path_status

_LARGEST = 2**31 - 1
_WORDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}


class Command(TyperCommand):
    """A command that refuses what no command could use, and whose help shows no types of Python."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return shown(super().get_params(ctx))

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


def shown(parameters: list[Any]) -> list[Any]:
    """Parameters whose help has the words of their metavar alone; typer adds the type, such as `<list[Path]>`.

    One that was not given is not converted (`_process`).
    """
    for parameter in parameters:
        if "process_value" not in vars(parameter):
            parameter.process_value = partial(_process, parameter, parameter.process_value)
        if hasattr(parameter, "display_type_rich"):
            metavar = parameter.metavar if parameter.param_type_name == "option" else None
            parameter.display_type_rich = partial(_words, metavar)
    return parameters


def _process(parameter: Any, convert: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    """The value of a parameter. None stays None, without pydantic, which typer imports before it looks at a value."""
    if value is not None or parameter.required or parameter.multiple or parameter.nargs != 1:
        return convert(ctx, value)
    return None if parameter.callback is None else parameter.callback(ctx, parameter, None)


def _words(metavar: str | None, ctx: Any) -> str | None:  # noqa: ARG001 (typer's)
    return metavar


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
            raise RequestError(f"{name} {_show(str(value))}: {why}") from None
    elif isinstance(value, str):
        if any("\ud800" <= character <= "\udfff" for character in value) or "\0" in value:
            raise RequestError(f"{name} {_show(value)}: is not text in UTF-8")
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise RequestError(f"{name} {_show(value)}: is not between -{_LARGEST:,} and {_LARGEST:,}")


def check_default(where: str, command: Any, name: str, value: Any) -> None:
    """Refuse a value of a configuration file that is of another type than its option.

    Args:
        where: File and option, for the message.
        command: The command.
        name: Name of the option, as Python has it.
        value: As TOML has it.

    Raises:
        RequestError: If it is of another type: click would make 1 of true and 2 of 2.5.
    """
    annotation = get_type_hints(inspect.unwrap(command.callback)).get(name, str)
    alternatives = (annotation,) if get_origin(annotation) in (None, list) else get_args(annotation)
    kinds = [kind for kind in alternatives if kind in _WORDS]
    several = [inner for kind in alternatives if get_origin(kind) is list for inner in get_args(kind)]
    kind = (kinds or several or [str])[0]
    takes = {float: (int, float), Path: (str,)}.get(kind, (kind,))
    for item in value if several and isinstance(value, list) else [value]:
        if not isinstance(item, takes) or (isinstance(item, bool) and kind is not bool):
            raise RequestError(
                f"{where}: {_show(item)} is not {_WORDS[kind]}{', or a list of such' if several else ''}"
            )


def _show(value: object) -> str:
    """A value as messages show it; imported when there is something wrong, since `--help` must not wait for numpy."""
    from attnscope.scene.problems import show

    return show(value)
