"""The JSON documents of a capture: their fields and types, on which readers rely, and numbers that agree."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from attnscope.capture.check.problems import Problem, guarded
from attnscope.capture.file.nodes import Store
from attnscope.capture.file.specification import DOCUMENTS, required_fields
from attnscope.vocabulary import READINGS

ROUNDING = 1e-4  # of a log-probability (ours)
APART = {True: 1e-2, False: 0.5}  # two runs of the same tokens, in nats: models in float32, in 16 bits (ours)

# The largest tolerance that a check may state: float32, 16 bits. Others state their own, and mean less.
CAPS = {
    "logits unchanged by recording": (0.1, 30.0),
    "first token unchanged by recording": (0.0, 0.0),
    "conservation": (1e-5, 2e-2),
    "kernel masses equal dense rows": (1e-4, 2e-2),
    "kernel log-sum-exp equals dense rows": (1e-3, 5e-2),
    "singular values keep the norm of the hidden states": (1e-6, 1e-6),
}

Whole = Annotated[int, Field(ge=0)]


class _Document(BaseModel):
    """Fields may be missing here, and more may be there; what is there has its type."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Model(_Document):
    id: str | None = None
    dtype: str = ""
    layers: Whole = 0
    heads: Whole = 0
    kv_heads: Whole = 0
    versions: dict[str, Any] = {}


class _Scene(_Document):
    speakers: dict[str, Any] = {}
    transcript: list[dict[str, Any]] = []
    options: list[str] = []


class _Run(_Document):
    plan: dict[str, Any] = {}


class _Placing(_Document):
    how: Literal["layout", "probed", "none"]
    verified: Annotated[float, Field(ge=0, le=1)] | None = None
    reason: str = ""


class _Prompt(_Document):
    text: str = ""
    length: Whole = 0
    placing: _Placing | None = None


class _Token(_Document):
    id: Whole = 0
    text: str = ""
    logprob: float | int | None = None


class _Option(_Document):
    text: str = ""
    tokens: list[Whole] = []
    logprob: float | int | None = None


class _Answer(_Document):
    text: str = ""
    tokens: list[_Token] = []
    options: list[_Option] = []


class _SelfCheck(_Document):
    name: str = ""
    value: float | int | None = None
    tolerance: float | int | None = None
    passed: bool | None = None


class _Check(_Document):
    checks: list[_SelfCheck] = []


class _Correction(_Document):
    method: str = ""
    params: dict[str, Any] = {}
    active: list[list[Any]] = []  # [layer, [head, ...]]
    notes: list[str] = []
    cautions: list[str] = []
    unused: list[str] = []


_TYPES: dict[str, TypeAdapter[Any]] = {
    "/model": TypeAdapter(_Model),
    "/scene": TypeAdapter(_Scene),
    "/run": TypeAdapter(_Run),
    "/prompt": TypeAdapter(_Prompt),
    "/answer": TypeAdapter(_Answer),
    "/check": TypeAdapter(_Check),
    "/correction": TypeAdapter(list[_Correction]),
}


def check_documents(store: Store) -> Iterator[Problem]:
    """Fields of the JSON documents, and what they say about the layers and the answer."""
    for path in DOCUMENTS:
        yield from guarded(path, partial(_fields, store, path))
        yield from guarded(path, partial(_types, store, path))
    yield from guarded("/layers", partial(_layers, store))
    yield from guarded("/prompt", partial(_lengths, store))
    yield from guarded("/run", partial(_plan, store))
    yield from guarded("/check", partial(check_self_check, store))
    yield from guarded("/answer", partial(check_answer, store))
    if store.has("/correction"):
        yield from guarded("/correction", partial(_types, store, "/correction"))


def _fields(store: Store, path: str) -> Iterator[Problem]:
    document = store.json(path)
    for field in required_fields(path, store.version):
        inner: Any = document
        for name in field.split("."):
            if not isinstance(inner, dict) or name not in inner:
                yield Problem(path, f"field '{field}' is missing")
                break
            inner = inner[name]


def _types(store: Store, path: str) -> Iterator[Problem]:
    for what in wrong_types(path, store.json(path)):
        yield Problem(path, what)


def _layers(store: Store) -> Iterator[Problem]:
    layers = store.read("/layers", dims=["layer"])
    model = store.json("/model")
    if len(layers) == 0:
        yield Problem("/layers", "no layer is recorded")
    elif (np.diff(layers) <= 0).any():
        yield Problem("/layers", f"numbers do not increase: {layers.tolist()}")
    elif layers[0] < 0 or layers[-1] >= model["layers"]:
        yield Problem("/layers", f"layer {layers[-1]} in a model of {model['layers']}")
    if model["kv_heads"] < 1 or model["heads"] % model["kv_heads"]:
        yield Problem("/model", f"{model['kv_heads']} kv_heads do not divide {model['heads']} heads")


def _lengths(store: Store) -> Iterator[Problem]:
    positions = store.whole("/tokens", "length")
    prompt, answer = int(store.json("/prompt")["length"]), len(store.json("/answer")["tokens"])
    if positions != prompt + max(0, answer - 1):
        yield Problem(
            "/tokens",
            f"{positions} rows, not {prompt} of the prompt and {max(0, answer - 1)} generated ones fed back",
        )


def _plan(store: Store) -> Iterator[Problem]:
    plan = store.json("/run")["plan"]
    for name, reading in READINGS.items():
        if not isinstance(plan.get(name, False if reading.later else None), bool):
            yield Problem("/run", f"plan does not say whether there is '{name}'")


def wrong_types(path: str, document: object) -> Iterator[str]:
    """What of a document is of a wrong type, one line each.

    Args:
        path: Path of its node.
        document: The parsed JSON.
    """
    if not isinstance(document, list if path == "/correction" else dict):
        expected = "a list" if path == "/correction" else "an object"
        yield f"is a JSON {type(document).__name__}, not {expected}"
        return
    try:
        _TYPES[path].validate_python(document)
    except ValidationError as error:
        for wrong in error.errors(include_url=False, include_context=False):
            place = ".".join(str(part) for part in wrong["loc"] if part not in ("float", "int"))
            value = repr(wrong["input"])
            excerpt = value if len(value) <= 40 else value[:39] + "\N{HORIZONTAL ELLIPSIS}"
            yield f"field '{place}' is {excerpt}: {wrong['msg'][0].lower()}{wrong['msg'][1:]}"


def check_answer(store: Store) -> Iterator[Problem]:
    """Log-probabilities of tokens and options."""
    answer, expected = store.json("/answer"), store.json("/scene").get("options") or []
    exact = store.json("/model")["dtype"] in ("float32", "float64")
    tokens, options = answer["tokens"], answer["options"]
    for kind, items in (("tokens", tokens), ("options", options)):
        for number, item in enumerate(items):
            if not item.get("logprob", 0) <= ROUNDING:
                yield Problem("/answer", f"{kind}.{number}.logprob is {item['logprob']}, more than 0")
    texts = [option["text"] for option in options]
    if texts and texts != expected:
        yield Problem("/answer", f"options are {_cut(texts)}, those of the scene {_cut(expected)}")
    ids, logprobs = [token.get("id") for token in tokens], [token.get("logprob") for token in tokens]
    for number, option in enumerate(options):
        own = option.get("tokens") or []
        known = logprobs[: len(own)]
        if not own or ids[: len(own)] != own or None in known or option.get("logprob") is None:
            continue
        if abs(sum(known) - option["logprob"]) > APART[exact] * len(own):
            what = f"{option['logprob']:.4g}, but the answer begins with its tokens, of {sum(known):.4g} together"
            yield Problem("/answer", f"options.{number}.logprob is {what}")
    first = {ids[0]: logprobs[0]} if ids and logprobs[0] is not None else {}
    single = {own[0]: lp for own, lp in _scored(options) if len(own) == 1}
    total = sum(math.exp(min(value, 1)) for value in (single | first).values())
    if total > 1 + (1e-3 if exact else 0.1):
        yield Problem("/answer", f"first tokens have a probability of {total:.4g} together")


def _scored(options: list[dict[str, Any]]) -> Iterator[tuple[list[int], float]]:
    for option in options:
        if option.get("logprob") is not None:
            yield option.get("tokens") or [], option["logprob"]


def check_self_check(store: Store) -> Iterator[Problem]:
    """That the self-check says of itself what its numbers say, and whether it passed."""
    document = store.json("/check")
    exact = store.json("/model")["dtype"] in ("float32", "float64")
    if not isinstance(document["verified"], bool) or not isinstance(document["passed"], (bool, type(None))):
        yield Problem("/check", "'verified' is not a boolean, or 'passed' neither a boolean nor null")
    failed = []
    for check in document["checks"]:
        missing = [field for field in ("name", "value", "tolerance", "passed") if field not in check]
        if missing:
            yield Problem("/check", f"a check without '{missing[0]}'")
            continue
        name, value, tolerance = check["name"], check["value"], check["tolerance"]
        most = CAPS.get(name, (math.inf, math.inf))[0 if exact else 1]
        if tolerance is not None and not 0 <= tolerance <= most * (1 + 1e-9):
            yield Problem("/check", f"'{name}' states a tolerance of {tolerance}; at most {most:g} counts")
        if value is None and check["passed"] is None:
            continue  # a check that was not run
        passed = value is not None and tolerance is not None and value <= tolerance
        if check["passed"] is not passed:
            word = "passed" if check["passed"] else "did not pass"
            yield Problem("/check", f"'{name}' {word}, with {value} where {tolerance} is allowed")
        elif not passed:
            failed.append(f"'{name}' ({value:.3g} is over {tolerance:.3g})" if value is not None else f"'{name}'")
    if failed:
        yield Problem("/check", f"the self-check did not pass when the capture was made: {', '.join(failed)}")
    if document["passed"] and (failed or not document["checks"]):
        yield Problem("/check", "says that it passed, and its checks do not")


def _cut(values: list[str]) -> str:
    text = str(values)
    return text if len(text) <= 60 else text[:59] + "\N{HORIZONTAL ELLIPSIS}"
