"""The `attnscope` command: global options, one-line errors, and the list of commands."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attnscope._version import __version__
from attnscope.errors import AttnscopeError, RequestError
from attnscope_cli import (
    analyze,
    capture,
    compare,
    correct,
    demo,
    demo_scenes,
    doctor,
    eval,
    heads,
    inspect,
    methods,
    models,
    validate,
)
from attnscope_cli._interrupt import interruptible

# typer may bring its own copy of click: take the base of its usage errors from a class that it exports.
_UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


class _OneLineErrors(TyperGroup):
    """Says what was wrong in one line and exits with the error's code; --debug lets the traceback through."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run the command line (`args`, or that of the process)."""
        if not extra.get("standalone_mode", True) or "--debug" in (sys.argv[1:] if args is None else args):
            return super().main(args, **extra)
        try:
            with interruptible():
                code = super().main(args, **extra | {"standalone_mode": False})
        except _UsageError as error:
            _say(_usage(error))
            code = error.exit_code
        except AttnscopeError as error:
            _say(str(error))
            code = error.exit_code
        except (KeyboardInterrupt, typer.Abort):
            code = 130
        except Exception as error:
            reason = (str(error).strip() or "no message").splitlines()[0]
            hint = "attnscope --debug shows where, attnscope doctor checks the installation"
            _say(f"unexpected {type(error).__name__}: {reason} ({hint})")
            code = 1
        if code == 130:  # what typer makes of Ctrl-C
            _say("interrupted; no unfinished file is left")
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    """One line on stderr; what comes from other libraries may have more."""
    line = " ".join(message.split())
    if line:
        print(f"attnscope: {line}", file=sys.stderr)


def _usage(error: Any) -> str:
    """A mistake in the command line itself: what it is, and where help is."""
    message = str(error.format_message()).strip().rstrip(".")  # "" after typer has printed the help instead
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context is not None else ""
    return f"{message[0].lower()}{message[1:]}{hint}" if message else ""


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See, measure and correct how multimodal language models attend to the people in a video.\n\n"
    "Example: `attnscope capture MODEL --scene scene.json -o run.h5`, then `attnscope analyze run.h5 -o out/`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"attnscope {__version__}")
        raise typer.Exit()


def _config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become the defaults of each command; flags override them."""
    if path is None or ctx.resilient_parsing:
        return path
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"--config {path}: {(error.strerror or str(error)).lower()}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"--config {path}: not a TOML file: {error}") from None
    commands: dict[str, Any] = ctx.command.commands  # type: ignore[attr-defined]
    for command, options in tables.items():
        if command not in commands or not isinstance(options, dict):
            raise RequestError(f"--config {path}: [{command}] is not a command; commands: {', '.join(commands)}")
        known = {parameter.name for parameter in commands[command].params}
        for option in options:
            if option.replace("-", "_") not in known:
                raise RequestError(f"--config {path}: {command}.{option}: is not an option of {command}")
    ctx.default_map = {command: _defaults(commands[command], options) for command, options in tables.items()}
    return path


def _defaults(command: Any, options: dict[str, Any]) -> dict[str, Any]:
    """Defaults of one command; one text is enough where an option may be given several times."""
    several = {parameter.name for parameter in command.params if getattr(parameter, "multiple", False)}
    named = {option.replace("-", "_"): value for option, value in options.items()}
    return {name: [value] if name in several and isinstance(value, str) else value for name, value in named.items()}


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(
            callback=_config,
            metavar="FILE",
            help="TOML file with a table of options for each command; flags override it.",
        ),
    ] = None,
) -> None:
    pass


_COMMANDS = (
    demo,
    demo_scenes,
    capture,
    analyze,
    heads,
    correct,
    compare,
    eval,
    inspect,
    validate,
    methods,
    models,
    doctor,
)
for _module in _COMMANDS:
    app.command(_module.__name__.rpartition(".")[2].replace("_", "-"))(_module.run)


def entry() -> None:
    """The command `attnscope`: the app in a process of its own.

    Ctrl-C comes in the middle of native work, whose threads may outlive the interpreter's end and crash it. All is
    unwound and said by then, so the process ends there and then.
    """
    try:
        app()
    except SystemExit as end:
        if end.code == 130:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(130)
        raise


if __name__ == "__main__":
    entry()
