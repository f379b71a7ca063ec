"""The parameters of corrections, for every command that runs a model under one; each belongs to some methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from attnscope_cli._common import option

_PANEL, _OWN = "How it is corrected", "the method's own if not given"

Correct = Annotated[
    list[str] | None,
    option(
        "Also score under a correction; attnscope methods lists them. Given several times, they are applied in order.",
        "METHOD",
        _PANEL,
    ),
]
Method = Annotated[
    list[str] | None,
    option(
        "A correction; attnscope methods lists them. Given several times, they are applied in order;"
        " social-bias if not given.",
        "NAME",
        _PANEL,
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
        "social-bias: strength of the bias; pai: share of each logit's size that is added to it; 0 changes nothing;"
        f" {_OWN}.",
        "NUMBER",
        _PANEL,
    ),
]
Threshold = Annotated[
    float | None, option(f"Least mean cross-modal attention of an active head; {_OWN}.", "NUMBER", _PANEL)
]
Layers = Annotated[str | None, option(f"Numbers (10-19) or a range of depth (0.36-0.71); {_OWN}.", "LAYERS", _PANEL)]
Negative = Annotated[
    str | None, option(f"Where the largest logit is negative: paper, clamp or gap; {_OWN}.", "RULE", _PANEL)
]
Rows = Annotated[
    str | None,
    option(
        "Tokens that are edited. social-bias, comma-separated: utterances, question (names in it), answer; knockout,"
        " likewise: utterances, question, answer, text, visual, a speaker's name, or all; temperature: answer, text or"
        f" all; var: answer or text; {_OWN}.",
        "ROWS",
        _PANEL,
    ),
]
Toward = Annotated[
    str | None,
    option(
        "Whose cells the answer is drawn to: asked (whom the question names), a name,"
        f" other, everyone, visual or random; {_OWN}.",
        "WHO",
        _PANEL,
    ),
]
Heads = Annotated[
    str | None,
    option(
        "Fixed heads as layer.head (2.3,4.0), or a file of attnscope heads (.json) for this model,"
        f" whatever --threshold and --layers; {_OWN}.",
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
        f" number, 0 changes nothing; {_OWN}.",
        "RULE",
        _PANEL,
    ),
]
