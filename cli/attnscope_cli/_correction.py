"""The parameters of corrections, for every command that runs a model under one; each belongs to some methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from attnscope_cli._choices import METHODS, ROWS, list_of, one_of
from attnscope_cli._common import option

# Every method has defaults of its own, which attnscope methods lists
_PANEL = "How it is corrected (what is not given: as attnscope methods has it)"

Correct = Annotated[
    list[str] | None,
    option(
        "Also score under a correction; attnscope methods lists them. Given several times, they are applied in order.",
        "METHOD",
        _PANEL,
        complete=one_of(METHODS),
    ),
]
Method = Annotated[
    list[str] | None,
    option(
        "A correction; attnscope methods lists them. Given several times, they are applied in order;"
        " social-bias if not given.",
        "NAME",
        _PANEL,
        complete=one_of(METHODS),
    ),
]
Recipe = Annotated[
    Path | None,
    option("Corrections with all parameters from a correction.json, in place of the options here.", "FILE", _PANEL),
]
Set = Annotated[
    list[str] | None,
    option(
        "Any parameter, KEY=VALUE, or METHOD.KEY=VALUE where several methods have it; may be repeated.",
        "KEY=VALUE",
        _PANEL,
        "--set",
    ),
]

# Options that several methods have say what each of them takes.
Alpha = Annotated[
    float | None,
    option(
        "social-bias: strength of the bias; pai: share of each logit's size that is added to it; 0 changes nothing.",
        "NUMBER",
        _PANEL,
    ),
]
Threshold = Annotated[float | None, option("Least mean cross-modal attention of an active head.", "NUMBER", _PANEL)]
Layers = Annotated[str | None, option("Numbers (10-19) or a range of depth (0.36-0.71).", "LAYERS", _PANEL)]
Negative = Annotated[str | None, option("Where the largest logit is negative: paper, clamp or gap.", "RULE", _PANEL)]
Rows = Annotated[
    str | None,
    option(
        "Tokens that are edited. social-bias, comma-separated: utterances, question (names in it), answer; knockout,"
        " likewise: utterances, question, answer, text, visual, a speaker's name, or all; temperature: answer, text or"
        " all; var: answer or text.",
        "ROWS",
        _PANEL,
        complete=list_of(ROWS),
    ),
]
Toward = Annotated[
    str | None,
    option(
        "Whose cells the answer is drawn to: asked (whom the question names), a name,"
        " other, everyone, visual or random.",
        "WHO",
        _PANEL,
    ),
]
Heads = Annotated[
    str | None,
    option(
        "Fixed heads as layer.head (2.3,4.0), or a file of attnscope heads (.json) for this model,"
        " whatever --threshold and --layers.",
        "HEADS",
        _PANEL,
    ),
]
Edges = Annotated[
    str | None,
    option(
        "Pairs of tokens that knockout cuts, QUERIES:KEYS, comma-separated (answer:visual,utterances:own);"
        " if not given, the whole output of the heads.",
        "EDGES",
        _PANEL,
    ),
]
Strength = Annotated[
    str | None,
    option(
        "social-bias: logit (alpha times the largest logit) or constant (alpha itself, on the logits); moda-align: a"
        " number, 0 changes nothing.",
        "RULE",
        _PANEL,
    ),
]
