"""The `attnscope` command: global options, one-line errors, and the list of commands."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from attnscope._version import __version__
from attnscope.errors import AttnscopeError
from attnscope_cli import analyze, capture, compare, correct, demo, inspect, methods, models, validate


class _OneLineErrors(TyperGroup):
    """Prints what was wrong in one line and exits with the error's code; the traceback only with --debug."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except AttnscopeError as error:
            if ctx.params.get("debug"):
                raise
            print(f"attnscope: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            print("attnscope: interrupted; nothing was written", file=sys.stderr)
            raise typer.Exit(130) from None


app = typer.Typer(
    cls=_OneLineErrors,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="See, measure and correct how multimodal language models attend to the people in a video.\n\n"
    "Example: `attnscope capture MODEL clip.mp4 --scene scene.json -o run.h5`, then `attnscope analyze run.h5 -o out/`.",
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"attnscope {__version__}")
        raise typer.Exit()


def _config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become the defaults of each command; flags override them."""
    if path is None:
        return None
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    known = {name: {p.name: p for p in command.params} for name, command in ctx.command.commands.items()}  # type: ignore[attr-defined]
    for command, options in tables.items():
        if command not in known or not isinstance(options, dict):
            raise typer.BadParameter(f"{path}: [{command}] is not a command; commands: {', '.join(sorted(known))}")
        for option in options:
            if option.replace("-", "_") not in known[command]:
                raise typer.BadParameter(f"{path}: {command}.{option} is not an option of {command}")
    ctx.default_map = {
        command: {option.replace("-", "_"): value for option, value in options.items()} for command, options in tables.items()
    }
    return path


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    config: Annotated[
        Path | None,
        typer.Option(callback=_config, metavar="FILE", help="TOML file with a table of options for each command; flags override it."),
    ] = None,
) -> None:
    pass


for _module in (demo, capture, analyze, correct, compare, inspect, validate, methods, models):
    app.command(_module.__name__.rpartition(".")[2])(_module.run)

if __name__ == "__main__":
    app()
