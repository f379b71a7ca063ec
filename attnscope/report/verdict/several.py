"""The verdict on several captures: how often the model is right, and whether it looks at whom it is asked about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from attnscope.metrics.clips import labels, paired
from attnscope.metrics.clips.asked import asked_over_chance, looks_at_asked
from attnscope.metrics.clips.keys import CORRECTION as BY_CORRECTION
from attnscope.metrics.clips.keys import PLAIN, common, groups
from attnscope.metrics.clips.resample import FEWEST
from attnscope.metrics.clips.verdict import LEVEL, NO_INTERVAL
from attnscope.metrics.clips.verdict import verdict as decide
from attnscope.metrics.registry import OVER
from attnscope.report.page.captures import verdict
from attnscope.report.page.summary import records
from attnscope.report.verdict.statements import (
    ANSWER,
    ATTENTION,
    CORRECTION,
    LIMITS,
    Statement,
    Verdict,
    count,
    layers,
    listed,
    share,
)

if TYPE_CHECKING:
    from attnscope.capture import Capture

MORE, LESS = "more", "less"


def of_captures(caps: Sequence[Capture], names: Sequence[str], tables: Mapping[str, pd.DataFrame]) -> Verdict:
    """The verdict on several captures of one model.

    Args:
        caps: Open captures.
        names: Their names in tables.
        tables: Their tables by family, with a column `capture`.
    """
    failed = [name for name, cap in zip(names, caps, strict=True) if cap.check.get("passed") is False]
    if failed:
        which = listed(failed) if len(failed) <= 3 else count(len(failed), "capture")
        lead = f"There is no verdict: the self-check failed in {which}, so their numbers cannot be trusted."
        return Verdict((Statement(LIMITS, lead),), facts={"self_check": "failed", "failed": failed})
    about = labels(caps, names)
    sets = groups(about, BY_CORRECTION)
    base = PLAIN if PLAIN in sets else next(iter(sets))
    own = sets[base]
    words = {name: verdict(cap) for name, cap in zip(names, caps, strict=True)}
    under = f"Under {base}, the model" if base != PLAIN else "The model"
    if base == PLAIN and len(sets) > 1:
        under = "Without a correction, the model"
    statements = [_on_answers([words[name] for name in own], about, own, under)]
    facts: dict[str, Any] = {
        "captures": len(own),
        "clips": int(about.loc[about["capture"].isin(own), "clip"].nunique()),
        "right": sum(words[name] == "right" for name in own),
        "judged": sum(words[name] != "" for name in own),
        "condition": base,
        "attention": None,
    }
    attention, facts["attention"] = _on_attention(own, tables, about)
    if base != PLAIN:
        part = f"All this is under {base}, which may itself draw attention to people."
        attention = replace(attention, details=(*attention.details, part))
    statements.append(attention)
    if len(sets) > 1:
        correction, facts["corrections"] = _on_corrections(sets, base, words, about)
        statements.append(correction)
    statements.append(_limits(facts["clips"]))
    return Verdict(tuple(statements), facts=facts)


def _on_answers(words: Sequence[str], about: pd.DataFrame, own: Sequence[str], under: str) -> Statement:
    """How many answers are right."""
    clips = int(about.loc[about["capture"].isin(list(own)), "clip"].nunique())
    of = f"{count(len(words), 'capture')} of {count(clips, 'clip')}"
    judged = [word for word in words if word]
    if not judged:
        return Statement(ANSWER, f"Whether the answers are right is not known in these {of}.")
    right = judged.count("right")
    lead = f"{under} answers {right} of {count(len(judged), 'question')} right ({of})."
    unknown = len(words) - len(judged)
    details = [
        f"Of {count(unknown, 'capture')} nobody knows: the scene holds no right answer, or the model said nothing."
    ]
    return Statement(ANSWER, lead, tuple(details * (unknown > 0)))


def _on_attention(
    own: Sequence[str], tables: Mapping[str, pd.DataFrame], about: pd.DataFrame
) -> tuple[Statement, dict[str, Any] | None]:
    """Whether the person asked about is looked at more than chance."""
    answer = tables.get("answer")
    looks = None if answer is None else looks_at_asked(answer[answer["capture"].isin(list(own))])
    if looks is None or looks.empty:
        why = "no question names exactly one of several people with a visible box, or there are no maps of attention."
        return Statement(ATTENTION, f"Whom it looks at when it answers cannot be pooled: {why}"), None
    table = asked_over_chance(looks, about)
    row = table[table["layer"] == OVER].iloc[0]
    first = looks[looks["layer"] == OVER]
    word = decide(row["low"], row["high"], row["p"], more=MORE, less=LESS)
    n = count(int(row["n"]), "clip")
    few = f"Whether it looks at the person asked about cannot be said of {n}; {FEWEST} are needed."
    lead = {
        MORE: "When it answers, it looks at the person asked about more than chance.",
        LESS: "When it answers, it looks at the person asked about less than chance: it looks at others instead.",
        NO_INTERVAL: few,
    }.get(word, "It is not shown that it looks at the person asked about more or less than chance.")
    ends = [f"{100 * row[end]:+.0f}".replace("-", "−") for end in ("low", "high") if row[end] == row[end]]
    band = f"; difference {' to '.join(ends)} points, 95 % interval over clips, p = {row['p']:.2g}" if ends else ""
    own, chance = share(row["share"]), share(row["chance"])
    shares = f"That person gets {own} of the attention to people (chance {chance}{band})."
    led = f"That person comes first in {int(first['first'].sum())} of {count(len(first), 'capture')}."
    details = [shares, led]
    if word != NO_INTERVAL:
        details.append(_by_layer(table))
    facts = {"decision": word, "first": int(first["first"].sum()), "of": len(first), "by_layer": records(table)}
    return Statement(ATTENTION, lead, tuple(details)), facts


def _by_layer(table: pd.DataFrame) -> str:
    """In which layers the share is above and below chance."""
    rows = table[(table["layer"] != OVER) & (table["q"] <= LEVEL)]
    above = rows.loc[rows["low"] > 0, "layer"].tolist()
    below = rows.loc[rows["high"] < 0, "layer"].tolist()
    parts = [f"{word} chance in {layers(some)}" for word, some in (("above", above), ("below", below)) if some]
    if not parts:
        return "In no single layer is the share shown to differ from chance."
    return f"The share is {listed(parts)} (p corrected for the number of layers, at most {LEVEL:g})."


def _on_corrections(
    sets: Mapping[str, list[str]], base: str, words: Mapping[str, str], about: pd.DataFrame
) -> tuple[Statement, dict[str, Any]]:
    """What each correction does to the share of right answers, clip by clip."""
    known = {"right": 1.0, "wrong": 0.0}
    rows = [(name, "right", OVER, OVER, known[word]) for name, word in words.items() if word]
    table = pd.DataFrame(rows, columns=["capture", "metric", "layer", "head", "value"])
    texts, facts = [], dict[str, Any]()
    for label in [label for label in sets if label != base]:
        judged = set(table["capture"])
        before, after = ([n for n in sets[which] if n in judged] for which in (base, label))
        if not before or not after or not common(about, before, after):
            texts.append(f"{label} cannot be judged: no clip has a judged answer with and without it.")
            facts[label] = None
            continue
        row = paired(table, about, before, after).iloc[0]
        word = decide(row["low"], row["high"], row["p"], row["p_wilcoxon"])
        numbers = (
            f"right answers {share(row['before'])} before, {share(row['after'])} after, {count(int(row['n']), 'clip')}"
        )
        if word == NO_INTERVAL:
            texts.append(f"{label}: {numbers}; that is too few clips to judge it (at least {FEWEST}).")
        elif word in ("helps", "hurts"):
            texts.append(f"{label} {word}: {numbers}, p = {max(row['p'], row['p_wilcoxon']):.2g}.")
        else:
            texts.append(f"{label} is not shown to change how many answers are right: {numbers}.")
        facts[label] = {"decision": word, **records(pd.DataFrame([row]))[0]}
    beside = f"compared with {base} captures of the same clips."
    if len(texts) == 1:
        return Statement(CORRECTION, texts[0], (f"The correction is {beside}",)), facts
    lead = f"{len(texts)} corrections were run, each {beside}"
    return Statement(CORRECTION, lead, tuple(texts)), facts


def _limits(clips: int) -> Statement:
    if clips < FEWEST:
        few = f"{count(clips, 'clip')} {'is' if clips == 1 else 'are'} too few"
        return Statement(LIMITS, f"{few} for an interval: attnscope asks for {FEWEST}.")
    over = f"Intervals and p are over {count(clips, 'clip')}"
    return Statement(LIMITS, f"{over}: they say how far other clips of this kind may differ.")
