"""`attnscope heads`: a table, a file that corrections take, and what is refused."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

import attnscope
from attnscope.correct import make, rerun
from attnscope.metrics import get, one
from attnscope.metrics.choosing.ranking import NOT_CAUSE
from attnscope.report.page.numbers import ranked
from tests.cli.bad import put
from tests.cli.bad_inputs import asks
from tests.cli.conftest import Ran
from tests.report.pages import assert_self_contained

Cli = Callable[..., Ran]


@pytest.mark.usefixtures("here")
def test_a_table_for_people(cli: Cli) -> None:
    ran = cli("heads", "run.h5", "--top", 2)
    assert (ran.code, ran.err) == (0, "")
    lines = [line.strip() for line in ran.out.splitlines() if line.strip()]
    assert lines[0] == f"speaker-lift: {get('speaker_consistency_lift').id}, highest first, 1 clip"
    assert lines[1].split() == ["head", "value"]
    assert [len(line.split()) for line in lines[3:5]] == [2, 2]
    assert lines[5].split() == ["other", "criterion", "Spearman", "heads", "shared", "of", "top", "2", "by", "chance"]
    assert lines[-1] == NOT_CAUSE


@pytest.mark.usefixtures("here")
def test_heads_that_differ_have_values_that_differ(cli: Cli) -> None:
    """The heads of an untrained model attend alike: three digits of their values would all be the same."""
    heads = json.loads(cli("heads", "run.h5", "--top", "100%", "--by", "cross-mass", "--json").out)["heads"]
    ran = cli("heads", "run.h5", "--top", "100%", "--by", "cross-mass")
    rows = [line.split() for line in ran.out.splitlines() if re.fullmatch(r"\d+\.\d+ .*", line.strip())]
    exact = {f"{head['layer']}.{head['head']}": head["value"] for head in heads}
    shown = {name: float(value) for name, value in rows}
    assert shown.keys() == exact.keys()
    assert len(set(shown.values())) == len(set(exact.values())) == len(exact)
    assert sorted(shown, key=shown.__getitem__) == sorted(exact, key=exact.__getitem__)
    assert len({f"{value:.3g}" for value in exact.values()}) < len(exact)


@pytest.mark.usefixtures("here")
def test_several_captures_as_json_and_as_a_file(cli: Cli) -> None:
    ran = cli("heads", "run.h5", "other.h5", "--by", "cross-mass", "--top", "25%", "--json", "-o", "heads.json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert found == json.loads(Path("heads.json").read_text(encoding="utf-8"))
    assert found["captures"] == ["run.h5", "other.h5"]
    assert (found["clips"], len(found["heads"]), found["criterion"]["name"]) == (1, 4, "cross-mass")
    assert [head["effect"] for head in found["heads"]] == [None] * 4
    again = cli("heads", "run.h5", "-o", "heads.json")
    assert again == Ran(2, "", "attnscope: heads.json: already exists; pass --force to replace it\n")
    assert cli("heads", "run.h5", "-o", "heads.json", "--force").code == 0


@pytest.mark.usefixtures("here")
def test_active_heads_are_those_that_the_correction_finds(cli: Cli) -> None:
    """In the first layer, which no other bias has changed; then the file gives the same heads as the threshold."""
    with attnscope.open("run.h5") as cap:
        g = one("cross_attention", cap)
    level = float(g.loc[(g["layer"] == 0) & (g["head"] >= 0), "value"].median())
    chosen = cli("heads", "run.h5", "--by", "active", "--min", level, "--layers", "0", "--top", "100%", "-o", "h.json")
    assert chosen.code == 0, chosen.err
    model = attnscope.load("model", device="cpu")
    fields = {"layers": "0", "threshold": level}, {"heads": "h.json"}
    done = [
        rerun("run.h5", [make("social-bias", **how)], f"{number}.h5", model=model, verify=False)
        for number, how in enumerate(fields)
    ]
    with done[0] as by_threshold, done[1] as by_file:
        (first,), (second,) = by_threshold.correction, by_file.correction
        heads = [head["head"] for head in json.loads(Path("h.json").read_text(encoding="utf-8"))["heads"]]
        assert len(heads) == 2
        assert first["active"] == second["active"] == [[0, sorted(heads)]]
        assert second["params"]["heads"] == ",".join(f"0.{head}" for head in heads)


@pytest.mark.parametrize("command", ["correct run.h5 -o out", "eval . --model model --method social-bias -o out"])
def test_the_heads_of_another_model_are_refused(command: str, here: Path, cli: Cli) -> None:
    asks({"id": "one", "scene": "scene.json"})()
    document = json.loads(cli("heads", "run.h5", "--by", "cross-mass", "--json").out)
    own, weights = document["model"]["config_sha256"], f", weights {document['model']['weights_sha256'][:12]}"
    document["model"] |= {"id": "their/model", "config_sha256": "f" * 64}
    put("theirs.json", document)()
    before = sorted(path.name for path in here.iterdir())
    ran = cli(*command.split(), "--heads", "theirs.json", "-q")
    model = f"{(here / 'model').resolve()} (config {own[:12]}{weights})"
    said = f"model: the heads are of their/model (config ffffffffffff{weights}), and the model is"
    assert ran == Ran(2, "", f"attnscope: --heads theirs.json: {said} {model}\n")
    assert sorted(path.name for path in here.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("heads gone.h5", "gone.h5: no such file"),
        ("heads run.h5 --by mass", "--by mass: is no criterion; choose from speaker-lift, …"),
        ("heads run.h5 --top few", "--top few: is neither a number of heads, like 10, nor a share of them, like 9%"),
        ("heads run.h5 --threshold 2", "threshold 2 is out of range; it is a covered fraction, above 0 and at most 1"),
        ("heads run.h5 -o heads.txt", "heads.txt: the name of a heads file ends in .json"),
        ("heads run.h5 --min nan", "--min nan: is not a number"),
        ("heads run.h5 -o gone/h.json", "gone/h.json: there is no folder gone"),
        ("heads boxless.h5", "boxless.h5: --by speaker-lift: speaker_consistency_lift is not defined for any head …"),
        (
            "heads stats.h5 --by active",
            "stats.h5: --by active: cross_attention needs the reading 'maps', which is not …",
        ),
        ("correct run.h5 --heads gone.json -o out", "gone.json: no such file"),
        ("correct run.h5 --heads scene.json -o out", "scene.json: model: is missing (and …"),
    ],
)
@pytest.mark.usefixtures("here")
def test_bad_input_is_one_line(words: str, message: str, cli: Cli) -> None:
    ran = cli(*words.split())
    begin, _, _ = message.partition("…")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"attnscope: {begin}") and ran.err.count("\n") == 1
    assert "…" in message or ran.err == f"attnscope: {message}\n"


@pytest.mark.usefixtures("here")
def test_a_folder_has_a_page_and_the_heads_file(cli: Cli) -> None:
    """The page's numbers are those of the ranking; the heads file is what `-o heads.json` writes."""
    ran = cli("heads", "run.h5", "--top", 3, "-o", "ranked")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines()[-1] == "ranked/report.html"
    assert cli("heads", "run.h5", "--top", 3, "-o", "heads.json").code == 0
    alone = json.loads(Path("heads.json").read_text())
    assert json.loads(Path("ranked/heads.json").read_text()) == alone
    document = json.loads(Path("ranked/report.json").read_text())
    assert document["kind"] == "heads" and document["heads"] == alone["heads"]
    page = assert_self_contained(Path("ranked/report.html"))
    values = ranked([head["value"] for head in alone["heads"]])
    assert all(text in page.text for text in values)
    table = pd.read_csv("ranked/tables/heads.csv")
    assert table["chosen"].sum() == 3 and len(table) == len(json.loads(cli(*EVERY).out)["heads"])
    refused = cli("heads", "run.h5", "-o", "ranked")
    assert refused == Ran(2, "", "attnscope: ranked/report.html: already exists; pass --force to replace it\n")


EVERY = ("heads", "run.h5", "--top", "100%", "--json")
