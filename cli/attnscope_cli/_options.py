"""Options that several commands have, each declared once: alone, or in a group that a command takes as one object.

A group is a frozen dataclass whose fields are options; `expanded` writes them into the signature that typer reads.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import asdict, dataclass, fields, is_dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, get_args, get_type_hints

import typer

from attnscope.errors import RequestError
from attnscope_cli import _choices
from attnscope_cli._choices import list_of, one_of

if TYPE_CHECKING:
    from attnscope.correct import Correction
    from attnscope.model import LoadedModel
    from attnscope.scene import Sampling

TEMPLATE = "{speaker}: {text}"
COVERAGE = 0.5  # of a visual token, from which a speaker's box covers it


def option(
    help: str,
    metavar: str | None = None,
    *names: str,
    panel: str | None = None,
    complete: Callable[[str], list[str]] | None = None,
    hidden: bool = False,
) -> Any:
    """A typer option; without `names` it is called as its parameter. `complete` says what TAB offers."""
    return typer.Option(
        *names, help=help, metavar=metavar, rich_help_panel=panel, autocompletion=complete, hidden=hidden
    )


def expanded(run: Callable[..., None]) -> Callable[..., None]:
    """A command as typer sees it: the fields of a group stand in place of a parameter that takes the group.

    Args:
        run: The function of a command. The attribute `panel` of a group is the heading of its options in the help.
    """
    groups: dict[str, Any] = {name: kind for name, kind in get_type_hints(run).items() if is_dataclass(kind)}
    parameters = []
    for name, parameter in inspect.signature(run, eval_str=True).parameters.items():
        parameters += _of_group(groups[name]) if name in groups else [parameter.replace(kind=parameter.KEYWORD_ONLY)]

    @wraps(run)
    def command(**values: Any) -> None:
        for name, group in groups.items():
            values[name] = group(**{field.name: values.pop(field.name) for field in fields(group)})
        run(**values)

    del command.__wrapped__  # typer would look behind the signature
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return command


def _of_group(group: Any) -> list[inspect.Parameter]:
    """The fields of a group as parameters, under its heading where an option has none of its own."""
    hints, parameters = get_type_hints(group, include_extras=True), []
    for field in fields(group):
        kind, declared = get_args(hints[field.name])
        own = copy(declared)  # another group may have the same option
        own.rich_help_panel = declared.rich_help_panel or group.panel
        parameters.append(
            inspect.Parameter(
                field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=Annotated[kind, own]
            )
        )
    return parameters


# ---- options by themselves

Json = Annotated[bool, option("Print JSON on stdout.", None, "--json")]
Quiet = Annotated[bool, option("Print errors only.", None, "--quiet", "-q")]
Force = Annotated[bool, option("Replace what is already there.", None, "--force", "-f")]
OutDir = Annotated[Path, option("Folder for the results; made if it is not there.", "DIR", "--out", "-o")]
Verify = Annotated[
    bool, option("Run once more without recording and compare the logits.", None, "--verify/--no-verify")
]
Coverage = Annotated[float, option("Fraction (0 to 1) of a visual token that a speaker's box must cover.", "FRACTION")]
Template = Annotated[
    str, option("How a turn is written: {speaker}, {text}, {start}, {end}, {number}.", "TEXT", panel="What is shown")
]
Layers = Annotated[str | None, option("Numbers (0-9,20) or a range of depth (0.36-0.71); all if not given.", "LAYERS")]
Edges = Annotated[
    str | None,
    option(
        "Pairs of tokens that knockout cuts, QUERIES:KEYS, comma-separated (answer:visual,utterances:own);"
        " if not given, the whole output of the heads.",
        "EDGES",
        complete=list_of(_choices.EDGES),
    ),
]
ModelNow = Annotated[
    str | None,
    option("Where the model is now; if not given, where the capture had it.", "MODEL", complete=_choices.model),
]
Tasks = Annotated[
    str | None,
    option(
        "Only questions of these tasks, comma-separated (target,pronoun); all if not given.",
        "TASKS",
        complete=list_of(_choices.TASKS),
    ),
]
PerTask = Annotated[int | None, option("Exactly N questions of each task, the first of them.", "N")]
Videos = Annotated[
    Path | None,
    option("Folder in which the videos of clips are found by their names.", "DIR"),
]
CaptureFile = Annotated[Path, typer.Argument(metavar="CAPTURE", help="A capture (.h5).")]
CaptureFiles = Annotated[list[Path], typer.Argument(metavar="CAPTURE", help="Captures (.h5) of one model.")]
MODEL = "Checkpoint folder, name on the model hub, or roundtable."


# ---- groups


@dataclass(frozen=True)
class OutputOptions:
    """How results are written and printed."""

    panel: ClassVar[str | None] = None
    force: Force = False
    quiet: Quiet = False
    json: Json = False


@dataclass(frozen=True)
class ReportOptions:
    """What a report shows of the speakers, and how it writes its tables."""

    panel: ClassVar[str | None] = None
    speaker: Annotated[
        str | None,
        option("Whose attention is laid over the frames; the first with words and a box if not given.", "NAME"),
    ] = None
    jitter: Annotated[
        str | None,
        option("Error bands from boxes whose edges are moved at random: 10% of their size, or 10px.", "AMOUNT"),
    ] = None
    csv: Annotated[
        bool,
        option("Also write tables of more than 30,000 rows as CSV; smaller ones always are.", None, "--csv"),
    ] = False

    def bands(self) -> dict[str, Any] | None:
        """Options of `attnscope.metrics.jitter` from "10%" or "10px"; None if nothing is given.

        Raises:
            RequestError: If the text is neither.
        """
        text = self.jitter
        if text is None:
            return None
        match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(%|px)", text.strip())
        if match is None:
            raise RequestError(f'--jitter "{text}": is neither a share like 10% nor a number of pixels like 10px')
        number = float(match[1])
        if match[2] == "%" and number > 100:
            raise RequestError(f'--jitter "{text}": is more than 100% of a box')
        return {"amount": number / 100, "unit": "box"} if match[2] == "%" else {"amount": number, "unit": "px"}


@dataclass(frozen=True)
class PromptOptions:
    """How a scene becomes a prompt, and how long the answer may be."""

    panel: ClassVar[str | None] = None
    template: Template = TEMPLATE
    max_new_tokens: Annotated[int, option("Most tokens of the greedy answer.", "N")] = 16


@dataclass(frozen=True)
class SamplingOptions:
    """Which frames of a video are shown."""

    panel: ClassVar[str] = "Which frames"
    frames: Annotated[int | None, option("Frames, spread evenly; 8 if --fps is not given.", "N")] = None
    fps: Annotated[float | None, option("Frames a second, instead of --frames.", "RATE")] = None
    start: Annotated[
        float | None, option("Begin here; if neither --start nor --end is given, the scene's window counts.", "SECONDS")
    ] = None
    end: Annotated[float | None, option("End here; the video's end if not given.", "SECONDS")] = None

    def sampling(self) -> Sampling:
        """As the library takes it."""
        from attnscope.scene import Sampling

        return Sampling(**asdict(self))


@dataclass(frozen=True)
class LoadingOptions:
    """How a model is loaded."""

    panel: ClassVar[str] = "How the model is loaded"
    dtype: Annotated[
        str,
        option("auto (the checkpoint's own), float32, bfloat16 or float16.", "DTYPE", complete=one_of(_choices.DTYPES)),
    ] = "auto"
    device: Annotated[
        str | None,
        option("cpu, cuda, cuda:1 or mps; cuda where there is one.", "DEVICE", complete=one_of(_choices.DEVICES)),
    ] = None
    device_map: Annotated[
        str | None,
        option("auto spreads the model over all devices.", "MAP", complete=one_of(_choices.DEVICE_MAPS)),
    ] = None
    revision: Annotated[str | None, option("Branch, tag or commit on the model hub.", "REVISION")] = None
    attn: Annotated[
        str | None,
        option(
            "sdpa, flash_attention_2, flash_attention_3, flex_attention or eager; the model's own if not given.",
            "NAME",
            complete=one_of(_choices.ATTENTION),
        ),
    ] = None
    adapter: Annotated[str | None, option("Folder of a LoRA adapter (PEFT) to put into MODEL.", "FOLDER")] = None
    quantize: Annotated[
        str | None,
        option("int8 keeps weights in 8 bits (torchao).", "KIND", complete=one_of(_choices.QUANTIZED)),
    ] = None
    trust_remote_code: Annotated[
        bool, option("Run Python code that comes with the checkpoint.", None, "--trust-remote-code")
    ] = False

    def loader(self, model: str) -> Callable[[], LoadedModel]:
        """What loads the model when it is called: after everything else of a request has been checked."""
        from attnscope.model import load

        return partial(load, model, **asdict(self))


@dataclass(frozen=True)
class CorrectionOptions:
    """Which corrections there are; `methods` of attnscope lists the defaults of each."""

    panel: ClassVar[str] = "How it is corrected (what is not given: as attnscope methods has it)"
    method: Annotated[
        list[str] | None,
        option(
            "A correction; attnscope methods lists them. Given several times, they are applied in order.",
            "NAME",
            complete=one_of(_choices.METHODS),
        ),
    ] = None
    correction: Annotated[
        Path | None,
        option("Corrections with all parameters from a correction.json, in place of the options here.", "FILE"),
    ] = None
    set: Annotated[
        list[str] | None,
        option(
            "Any parameter, KEY=VALUE, or METHOD.KEY=VALUE where several methods have it; may be repeated.",
            "KEY=VALUE",
        ),
    ] = None
    # Parameters of methods; those that several methods have say what each of them takes
    alpha: Annotated[
        float | None,
        option(
            "social-bias: strength of the bias; pai: share of each logit's size that is added to it;"
            " 0 changes nothing.",
            "NUMBER",
        ),
    ] = None
    threshold: Annotated[float | None, option("Least mean cross-modal attention of an active head.", "NUMBER")] = None
    layers: Annotated[str | None, option("Numbers (10-19) or a range of depth (0.36-0.71).", "LAYERS")] = None
    negative: Annotated[
        str | None,
        option("Where the largest logit is negative: paper, clamp or gap.", "RULE", complete=one_of(_choices.NEGATIVE)),
    ] = None
    rows: Annotated[
        str | None,
        option(
            "Tokens that are edited. social-bias, comma-separated: utterances, question (names in it), answer;"
            " knockout, likewise: utterances, question, answer, text, visual, a speaker's name, or all; temperature:"
            " answer, text or all; var: answer or text.",
            "ROWS",
            complete=list_of(_choices.ROWS),
        ),
    ] = None
    toward: Annotated[
        str | None,
        option(
            "Whose cells the answer is drawn to: asked (whom the question names), a name,"
            " other, everyone, visual or random.",
            "WHO",
            complete=one_of(_choices.TOWARD),
        ),
    ] = None
    heads: Annotated[
        str | None,
        option(
            "Fixed heads as layer.head (2.3,4.0), or a file of attnscope heads (.json) for this model,"
            " whatever --threshold and --layers.",
            "HEADS",
        ),
    ] = None
    edges: Edges = None
    strength: Annotated[
        str | None,
        option(
            "social-bias: logit (alpha times the largest logit) or constant (alpha itself, on the logits); moda-align:"
            " a number, 0 changes nothing.",
            "RULE",
            complete=one_of(_choices.STRENGTHS),
        ),
    ] = None

    def corrections(self, *default: str) -> list[Correction]:
        """The corrections; those of the methods `default` if nothing says which."""
        from attnscope.correct import requested

        return requested(self._methods(default), self._parameters(), self.set or (), file=self.correction)

    def steps(self, *default: str) -> Sequence[tuple[str, Mapping[str, Any]] | Correction]:
        """For a sweep: method and given parameters of each correction, or the corrections of a file."""
        from attnscope.correct.request import steps

        if self.correction:
            return self.corrections(*default)
        return steps(self._methods(default), self._parameters(), self.set or ())

    def _methods(self, default: Sequence[str]) -> list[str]:
        return self.method or ([] if self.correction else list(default))

    def _parameters(self) -> dict[str, Any]:
        """Parameters of methods by name, None for what is not given."""
        given = asdict(self)
        return {name: given[name] for name in given if name not in ("method", "correction", "set")}
