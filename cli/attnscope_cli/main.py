"""The `attnscope` command: global options, one-line errors, and the list of commands."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attnscope._version import __version__
from attnscope.errors import AttnscopeError, RequestError
from attnscope.files import printable, read_bytes, reason
from attnscope_cli import (
    analyze,
    capture,
    compare,
    correct,
    demo,
    demo_scenes,
    doctor,
    eval,
    export,
    heads,
    import_,
    index,
    inspect,
    methods,
    models,
    prepare,
    preview,
    validate,
    view,
)
from attnscope_cli._common import print_lines
from attnscope_cli._flags import message
from attnscope_cli._interrupt import interruptible
from attnscope_cli._options import expanded
from attnscope_cli._parameters import Command, check_default, shown
from attnscope_cli._streams import checked_output, open_streams

# typer may bring its own copy of click: take the base of its usage errors from a class that it exports.
_UsageError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
_INTERRUPTED = 130
_LONGEST = 1000  # characters of a message
_REQUEST = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.ELOOP}


class _OneLineErrors(TyperGroup):
    """Says what was wrong in one line and exits with the error's code; --debug lets the traceback through."""

    def get_params(self, ctx: Any) -> list[Any]:
        """The parameters, as help shows them."""
        return shown(super().get_params(ctx))

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run the command line (`args`, or that of the process)."""
        if not extra.get("standalone_mode", True) or "--debug" in (sys.argv[1:] if args is None else args):
            return super().main(args, **extra)
        with interruptible() as ending, checked_output() as output:
            try:
                code = super().main(args, **extra | {"standalone_mode": False})
                output.flush()
            except _UsageError as error:
                _say(_usage(error))
                code = error.exit_code
            except AttnscopeError as error:
                _say(message(error))
                code = error.exit_code
            except (KeyboardInterrupt, typer.Abort):
                code = _INTERRUPTED
            except OSError as error:
                _say(_refused(error))
                code = 2 if error.filename is not None and error.errno in _REQUEST else 1
            except MemoryError:
                _say("out of memory")
                code = 1
            except Exception as error:
                _say(_unexpected(error))
                code = 1
        if code == _INTERRUPTED:  # what typer makes of Ctrl-C
            code = ending.code
            _say("interrupted; no unfinished file is left")
        sys.exit(code if isinstance(code, int) else 0)


def _say(message: str) -> None:
    """One line on stderr; what comes from other libraries may have more."""
    line = printable(" ".join(message.split()), lines=False)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST // 2]} … {line[-_LONGEST // 2 :]}"
    if line:
        with suppress(OSError):  # stderr is closed or full
            print(f"attnscope: {line}", file=sys.stderr, flush=True)


def _refused(error: OSError) -> str:
    """What the system refused; only with a file can a user act on it."""
    return _unexpected(error) if error.filename is None else f"{error.filename}: {reason(error)}"


def _unexpected(error: Exception) -> str:
    """A failure that nobody foresaw."""
    why = (str(error).strip() or "no message").splitlines()[0]
    hint = "attnscope --debug shows where, attnscope doctor checks the installation"
    return f"unexpected {type(error).__name__}: {why} ({hint})"


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
        print_lines(f"attnscope {__version__}")
        raise typer.Exit()


def _config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become the defaults of each command; flags override them."""
    if path is None or ctx.resilient_parsing:
        return path
    import tomllib  # here: help does not wait for it

    try:
        tables = tomllib.loads(read_bytes(path).decode())
    except RequestError as error:
        raise RequestError("--config ", *error.args) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RequestError(f"--config {path}: not a TOML file: {error}") from None
    except RecursionError:
        raise RequestError(f"--config {path}: not a TOML file: nested too deeply") from None
    except ValueError:  # Python's limit, against numbers that take quadratic time
        raise RequestError(f"--config {path}: holds a number of more digits than can be read") from None
    commands: dict[str, Any] = ctx.command.commands  # type: ignore[attr-defined]
    for command, options in tables.items():
        if command not in commands or not isinstance(options, dict):
            raise RequestError(f"--config {path}: [{command}] is not a command; commands: {', '.join(commands)}")
        known = {parameter.name for parameter in commands[command].params}
        for option, value in options.items():
            where = f"--config {path}: {command}.{option}"
            if option.replace("-", "_") not in known:
                raise RequestError(f"{where}: is not an option of {command}")
            check_default(where, commands[command], option.replace("-", "_"), value)
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
    import_,
    prepare,
    preview,
    capture,
    analyze,
    heads,
    correct,
    compare,
    view,
    eval,
    export,
    index,
    inspect,
    validate,
    methods,
    models,
    doctor,
)
for _module in _COMMANDS:
    app.command(_module.__name__.rpartition(".")[2].strip("_").replace("_", "-"), cls=Command)(expanded(_module.run))


def entry() -> None:
    """The command `attnscope`: the app in a process of its own.

    A signal comes in the middle of native work, whose threads may outlive the interpreter's end and crash it. All is
    unwound and said by then, so the process ends there and then. So it does where standard output takes nothing more:
    Python would try again at its end, and complain.
    """
    open_streams()
    try:
        app(prog_name="attnscope")  # and not "python -m attnscope"
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except (OSError, ValueError):
            code = code or 1
            os._exit(code)
        if code > 128:
            with suppress(OSError):
                sys.stderr.flush()
            os._exit(code)
        raise


if __name__ == "__main__":
    entry()
