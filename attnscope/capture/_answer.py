"""The answer, its options and the self-check: numbers that can be right, and that agree with one another."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from attnscope.capture._h5 import Store
from attnscope.capture._problems import Problem

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


def check_answer(store: Store) -> Iterator[Problem]:
    """Log-probabilities of tokens and options."""
    answer, wanted = store.json("/answer"), store.json("/scene").get("options") or []
    exact = store.json("/model")["dtype"] in ("float32", "float64")
    tokens, options = answer["tokens"], answer["options"]
    for kind, items in (("tokens", tokens), ("options", options)):
        for number, item in enumerate(items):
            if not item.get("logprob", 0) <= ROUNDING:
                yield Problem("/answer", f"{kind}.{number}.logprob is {item['logprob']}, more than 0")
    texts = [option["text"] for option in options]
    if texts and texts != wanted:
        yield Problem("/answer", f"options are {_cut(texts)}, those of the scene {_cut(wanted)}")
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
