"""`attnscope eval` on a good day: a table for people, JSON for programs, corrections, going on where it stopped."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.bad import put
from tests.cli.conftest import SCENE, Ran

Cli = Callable[..., Ran]
EVAL = ["eval", ".", "--model", "model", "--frames", 2, "-o", "out"]
ANSWER = ["--method", "social-bias", "--rows", "answer", "--layers", "0-3", "--strength", "constant"]


@pytest.fixture
def asked(here: Path) -> Path:
    """Three questions about one film and one about another; the second names nobody."""
    (here / "other.mp4").write_bytes((here / "clip.mp4").read_bytes())
    lines = []
    for number, (question, task) in enumerate(
        [("Where is Ann?", "where"), ("Who is it?", "who"), ("Where is Bob?", "where"), ("Is it Bob?", "who")]
    ):
        video = "other.mp4" if number == 3 else "clip.mp4"
        put(f"{number}.json", SCENE | {"question": question, "fields": {"task": task}, "video": video})()
        lines.append(json.dumps({"id": f"q{number}", "scene": f"{number}.json"}) + "\n")
    put("manifest.jsonl", "".join(lines))()
    return here


@pytest.mark.usefixtures("asked")
def test_a_table_for_people(cli: Cli) -> None:
    ran = cli(*EVAL)
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    assert rows[0] == ["task", "n", "clips", "accuracy", "%", "chance", "%"]
    assert [row[:3] for row in rows[2:5]] == [["(all)", "4", "2"], ["where", "2", "1"], ["who", "2", "2"]]
    assert all(len(row) == 5 and row[-1] == "50.0" for row in rows[2:5])  # two films: no interval
    assert rows[5:] == [["no", "interval", "over", "fewer", "than", "6", "clips"], ["out/report.html"]]
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "accuracy.csv",
        "figures",
        "report.html",
        "report.json",
        "run.json",
        "samples.jsonl",
        "tables",
    ]


@pytest.mark.usefixtures("asked")
def test_a_correction_beside_the_plain_model(cli: Cli) -> None:
    ran = cli(*EVAL, *ANSWER, "--alpha", 3, "--by", "")
    assert (ran.code, ran.err) == (0, "")
    rows = ran.out.splitlines()
    assert rows[1].split() == [
        "n",
        "clips",
        "accuracy",
        "%",
        "chance",
        "%",
        "corrected",
        "%",
        "difference",
        "p",
        "verdict",
    ]
    at = rows.index("the correction did not apply to 1 of 4 questions; these count as unchanged")
    assert rows[at + 1].startswith('  1: the question "Who is it?" names no speaker with a box; say whose')
    found = json.loads(cli(*EVAL, *ANSWER, "--alpha", 3, "--json").out)
    assert found == json.loads(Path("out/report.json").read_text())
    assert (found["questions"], found["clips"], found["not_applied"]) == (4, 2, 1)
    assert [row["condition"] for row in found["accuracy"]] == ["plain", "corrected"] * 3
    assert found["comparison"][0]["applied"] == 3
    run = json.loads(Path("out/run.json").read_text())
    assert run["correction"][0]["params"]["alpha"] == 3.0
    assert run["sampling"]["frames"] == 2


@pytest.mark.usefixtures("asked")
def test_a_correction_that_fits_no_question(cli: Cli) -> None:
    ran = cli(*EVAL, *ANSWER, "--toward", "Zoe")
    assert (ran.code, ran.out) == (2, "")
    said = 'attnscope: social-bias applied to none of 4 questions: toward="Zoe": is no speaker with a box; choose from'
    assert ran.err.startswith(said) and ran.err.count("\n") == 1
    assert not Path("out/comparison.csv").exists()


@pytest.mark.usefixtures("asked")
def test_a_control_that_fits_no_question_has_no_numbers(cli: Cli) -> None:
    """Bob alone has a box: nobody else's can be drawn to."""
    for number in range(4):
        scene = json.loads(Path(f"{number}.json").read_text())
        put(f"{number}.json", scene | {"speakers": {"Bob": scene["speakers"]["Bob"]}})()
    ran = cli(*EVAL, *ANSWER, "--controls", "--by", "")
    told = "Ann speaks and has no box"
    assert (ran.code, ran.err) == (
        0,
        f"warning: q0: {told}\nwarning: 4 questions have a warning of this kind: {told}\n",
    )
    (row,) = [line.split() for line in ran.out.splitlines() if "wrong speaker" in line]
    assert row[3:6] == ["4", "2", "0"] and row[-2:] == ["not", "applied"]


@pytest.mark.usefixtures("asked")
def test_controls_beside_a_correction(cli: Cli) -> None:
    ran = cli(*EVAL, *ANSWER, "--controls", "--by", "")
    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines() if line.strip()]
    at = rows.index(["condition", "n", "clips", "applied", "accuracy", "%", "difference", "p", "verdict"])
    assert rows[at + 2][:4] == ["corrected", "4", "2", "3"]
    names = [" ".join(row[1:3]) for row in rows[at + 3 :] if row[0] == "control:"]
    assert names[:2] == ["wrong speaker", "all boxes"]
    found = json.loads(cli(*EVAL, *ANSWER, "--controls", "--by", "", "--json").out)
    assert found == json.loads(Path("out/report.json").read_text())
    assert [f"control: {name}" for name in found["controls"]] == [r["condition"] for r in found["comparison"][1:]]
    assert len(found["controls"]) == len(names)
    assert Path("out/comparison.csv").read_text().startswith("condition,n,")


@pytest.mark.usefixtures("asked")
def test_controls_that_are_left_out_and_controls_of_nothing(cli: Cli) -> None:
    ran = cli(*EVAL, "--method", "temperature", "--controls", "--limit", 1)
    assert ran.code == 0
    left = [line for line in ran.out.splitlines() if line.startswith("left out, ")]
    assert len(left) == 2  # one line a reason, not one a control
    assert left[0].startswith("left out, wrong speaker, all boxes, ") and "moved boxes, missing boxes: " in left[0]
    assert left[0].endswith("temperature: chooses nothing by speakers' boxes, or is this control already")
    assert left[1].startswith("left out, lowest-g heads: temperature: chooses nothing by heads")
    said = "attnscope: --controls: are those of a correction; give one with --method or --correction\n"
    assert cli(*EVAL, "--controls") == Ran(2, "", said)


@pytest.mark.usefixtures("asked")
def test_the_same_command_goes_on(cli: Cli) -> None:
    cli(*EVAL, "--limit", 2, "--batch", 1, "-q")
    few = Path("out/samples.jsonl").read_bytes()
    assert few.count(b"\n") == 2
    Path("out/samples.jsonl").write_bytes(few[:-1])
    ran = cli(*EVAL, "--batch", 1)
    assert ran.err.splitlines() == [
        "out: 1 of 4 questions are scored already",
        "out/samples.jsonl: dropped an unfinished last line",
    ]
    whole = Path("out/samples.jsonl").read_bytes()
    assert whole.startswith(few) and whole.count(b"\n") == 4
    other = [*EVAL[:4], "--frames", 3, "-o", "out"]
    assert cli(*other) == Ran(
        2,
        "",
        "attnscope: out: holds an evaluation with another sampling.frames: 2, not 3;"
        " choose another folder, or pass --force to start over\n",
    )
    assert cli(*other, "--force").code == 0
    assert json.loads(Path("out/run.json").read_text())["sampling"]["frames"] == 3


@pytest.mark.usefixtures("asked")
def test_generated_answers(cli: Cli) -> None:
    ran = cli(*EVAL, "--score", "generate", "--max-new-tokens", 2)
    assert ran.code == 0
    assert "no option" in ran.out
    first = json.loads(Path("out/samples.jsonl").read_text().splitlines()[0])
    assert isinstance(first["plain"]["text"], str)
