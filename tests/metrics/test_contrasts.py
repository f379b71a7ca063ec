"""Captures compared with captures, by hand: the same clips twice, and groups of clips."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from attnscope.metrics.clips import contrast, paired, pooled
from tests.metrics.numbers import of, tidy


def test_paired_by_hand():
    """Three clips change by 1, 2 and 3, mean 2. Of 2^3 = 8 ways to give signs, +++ and --- are as far from 0: p = 2/8.

    Ranks 1, 2, 3 all positive: of 8 ways the extreme two again, so Wilcoxon's p is 2/8 too.
    """
    table = tidy({"a": [1.0], "b": [1.0], "c": [5.0], "a+": [2.0], "b+": [3.0], "c+": [8.0], "d+": [9.0], "e": [7.0]})
    about = of({"a": "A", "b": "B", "c": "C", "a+": "A", "b+": "B", "c+": "C", "d+": "D", "e": "E"})
    found = paired(table, about, ["a", "b", "c", "e"], ["a+", "b+", "c+", "d+"]).iloc[0]
    assert (found["before"], found["after"], found["value"], found["n"]) == pytest.approx((7 / 3, 13 / 3, 2.0, 3))
    assert np.isnan([found["low"], found["high"]]).all()  # of three clips
    assert (found["p"], found["p_wilcoxon"], found["q"], found["q_wilcoxon"]) == pytest.approx((0.25,) * 4)


def test_a_question_is_compared_with_itself():
    """Clip A is asked "Who?" before and after, 1 and 2: the change is 1, whatever "Where?" (5) would add before.

    Clip B is asked one question before and another after, 1 and 4: there is nothing better than 3. Their mean is 2.
    """
    table = tidy({"who": [1.0], "where": [5.0], "who+": [2.0], "b": [1.0], "b+": [4.0]})
    about = of({"who": "A", "where": "A", "who+": "A", "b": "B", "b+": "B"})
    about = about.assign(question=["Who?", "Where?", "Who?", "Who?", "Where?"])
    found = paired(table, about, ["who", "where", "b"], ["who+", "b+"]).iloc[0]
    assert (found["before"], found["after"], found["value"], found["n"]) == (1.0, 3.0, 2.0, 2)
    found = paired(table, about.drop(columns="question"), ["who", "where", "b"], ["who+", "b+"]).iloc[0]
    assert found["value"] == (2 - (1 + 5) / 2 + 3) / 2


def test_contrast_by_hand():
    """Groups 5, 6 and 1, 2: means 5.5 and 1.5, so the second less the first is -4. Labels can be given in 4!/(2!2!) = 6
    ways, and in two of them the means are as far apart.
    """
    table = tidy({"a": [5.0], "b": [6.0], "c": [1.0], "d": [2.0]})
    about = of({"a": "A", "b": "B", "c": "C", "d": "D"}, people={"a": "2", "b": "2", "c": "10", "d": "10"})
    found = contrast(table, about, "people").iloc[0]
    assert (found["field"], found["base"], found["other"]) == ("people", "2", "10")
    assert (found["value"], found["n"], found["p"], found["q"]) == pytest.approx((-4.0, 4, 2 / 6, 2 / 6))
    means = pooled(table, about, "people")
    assert means[["label", "value", "n"]].to_numpy().tolist() == [["2", 5.5, 2], ["10", 1.5, 2]]


def test_heads_are_corrected_together_and_their_means_apart():
    """Six clips that all rise, p = 2/64, but for head 1: q is p for a head alone, twice p for the better of two.

    The two are in different layers.
    """
    rng = np.random.default_rng(0)
    rows = []
    for clip in "ABCDEF":
        for when, shift in (("", 0.0), ("+", 1.0)):
            for metric, layer, head in (("m", 0, 0), ("m", 1, 1), ("m", 0, -1), ("m", -1, -1), ("o", 0, 0)):
                value = rng.normal(0, 0.01) + shift * (head != 1)
                rows.append((clip + when, metric, layer, head, value, 1))
    table = pd.DataFrame(rows, columns=["capture", "metric", "layer", "head", "value", "n"])
    about = of({clip + when: clip for clip in "ABCDEF" for when in ("", "+")})
    found = paired(table, about, list("ABCDEF"), [clip + "+" for clip in "ABCDEF"])
    least = 2 / 2**6
    assert found["p"][[0, 2, 3, 4]].tolist() == pytest.approx([least] * 4)
    assert found["q"][4] == pytest.approx(least)  # alone
    assert found["q"][0] == pytest.approx(2 * least)  # the better of two heads
    assert found["q"][1] == pytest.approx(found["p"][1])
    assert found["q"][2] == pytest.approx(
        least
    )  # means over heads are corrected over the layers, of which there is one
    assert np.isnan(found["q"][3])  # and those over layers are one test


def test_means_over_heads_are_corrected_over_the_layers():
    """Two layers, both with p = 2/64 and 1: q is twice the better one. Heads are not asked for (analyze)."""
    rows = []
    for number, clip in enumerate("ABCDEF"):
        for when, shift in (("", 0.0), ("+", 1.0)):
            rows += [(clip + when, "m", 0, -1, shift + number, 1), (clip + when, "m", 1, -1, shift * (-1) ** number, 1)]
    table = pd.DataFrame(rows, columns=["capture", "metric", "layer", "head", "value", "n"])
    about = of({clip + when: clip for clip in "ABCDEF" for when in ("", "+")})
    found = paired(table, about, list("ABCDEF"), [clip + "+" for clip in "ABCDEF"])
    assert found["p"].tolist() == pytest.approx([2 / 64, 1.0])
    assert found["q"].tolist() == pytest.approx([4 / 64, 1.0])


def test_groups_that_share_a_clip_have_no_p():
    table = tidy({"a who": [1.0], "a what": [2.0], "b who": [3.0], "b what": [5.0]})
    names = {name: name.split() for name in set(table["capture"])}
    about = of({n: words[0] for n, words in sorted(names.items())}, task={n: words[1] for n, words in names.items()})
    found = contrast(table, about, "task").iloc[0]
    assert (found["base"], found["value"], found["n"]) == ("what", -1.5, 4)
    assert np.isnan(found["p"])
    about.loc[about["capture"] == "b who", "clip"] = "c"  # a clip in both groups, and one in each
    assert np.isnan(contrast(table, about, "task").iloc[0]["p"])
