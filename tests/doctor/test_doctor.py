"""`attnscope doctor`: everything holds here, and whatever does not hold is named."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

import attnscope
from attnscope import transformers_names, versions
from attnscope.doctor import Diagnosis, Finding, Section, examine, packages, places, running, sections
from attnscope.doctor.diagnosis import attempt
from attnscope.errors import ModelError, RequestError
from attnscope.model import LAYOUTS
from attnscope_cli.main import app


@pytest.fixture(scope="module")
def diagnosis(checkpoint: Callable[[str], Path]) -> Diagnosis:
    """Of this installation, with a model whose family has no layout."""
    return examine(str(checkpoint("idefics2")))


def _findings(section: Section) -> dict[str, Finding]:
    return {finding.name: finding for finding in section.findings}


def test_everything_holds_here(diagnosis: Diagnosis) -> None:
    assert diagnosis.failures == []
    assert diagnosis.healthy and diagnosis.summary().startswith("Everything holds: ")
    assert len(diagnosis.sections) == 7
    for section in diagnosis.sections:
        assert section.findings


def test_every_tested_package_is_listed_with_its_version(diagnosis: Diagnosis) -> None:
    found = _findings(diagnosis.sections[0])
    for tested in versions.TESTED:
        assert str(tested.installed()) in found[tested.package].text


def test_every_assumption_is_tried_on_both_models(diagnosis: Diagnosis) -> None:
    names = [one.name for one in transformers_names.ASSUMPTIONS]
    assert names
    assert [one.name for one in diagnosis.sections[3].findings] == names
    assert [one.name for one in diagnosis.sections[5].findings] == names


def test_a_model_without_layout_is_told_what_it_loses(diagnosis: Diagnosis) -> None:
    found = _findings(diagnosis.sections[-1])
    assert found["family"] == Finding(
        "family", "note", "idefics2 has no layout: its tokens get their places by probing, if they have any"
    )
    assert found["places"].state == "note" and ", 0 of these placed" in found["places"].text
    assert found["social-bias"].state == "note"
    assert re.match(r"refused: [^/]*$", found["social-bias"].text), "names a temporary file"
    assert "temperature" in found["corrections"].text


def test_a_report_fits_into_eighty_columns(diagnosis: Diagnosis) -> None:
    for section in diagnosis.sections:
        assert max(len(line) for _, line in section.lines(80)) <= 80


def test_control_characters_of_a_path_do_not_reach_the_terminal() -> None:
    section = Section("Model \x1b[31m", (Finding("family", "note", "\x1b]0;title\x07"),))
    assert not any("\x1b" in line for _, line in section.lines(80))


def test_a_wrong_kernel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = torch.nn.functional.scaled_dot_product_attention
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", lambda *a, **k: real(*a, **k) * 1.01)
    found = _findings(packages.backends())["sdpa"]
    assert found.state == "fail" and "differs from the dense softmax" in found.text


def test_an_assumption_that_does_not_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> str:
        raise AttributeError("the registry is called otherwise")

    claim = transformers_names.Assumption("attention registry", "There is one.", "5.10 to 5.24", broken)
    monkeypatch.setattr(transformers_names, "ASSUMPTIONS", (claim,))
    with running.trial(running.EMBEDDED) as subject:
        section = running.assumptions(subject)
    assert section.findings == (
        Finding("attention registry", "fail", "AttributeError: the registry is called otherwise"),
    )


def test_a_package_below_its_floor_does_not_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "TESTED", (versions.Tested("h5py", "99.0", "99.1"),))
    found = _findings(packages.packages())["h5py"]
    assert found.state == "fail" and "attnscope needs 99.0 or later" in found.text


def test_a_check_that_raises_is_a_finding() -> None:
    def check() -> str:
        raise OSError("two\nlines")

    assert attempt("disk", check) == Finding("disk", "fail", "OSError: two lines")


def test_a_model_that_cannot_be_read_does_not_stop_the_report(
    tmp_path: Path, checkpoint: Callable[[str], Path]
) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    for file in checkpoint("idefics2").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "of_tomorrow"}))
    section = list(running_section(folder))[-1]
    assert section.title == f"Model {folder}"
    (finding,) = section.findings
    assert finding.state == "fail" and "of_tomorrow" in finding.text


def running_section(folder: Path):
    from attnscope.doctor.examine import _run

    return _run(str(folder), f"Model {folder}", embedded=False)


def test_a_model_that_is_not_there_is_a_wrong_request(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        examine(str(tmp_path / "nothing"))
    ran = CliRunner().invoke(app, ["doctor", str(tmp_path / "nothing")])
    assert (ran.exit_code, ran.stdout) == (2, "")
    assert len(ran.stderr.splitlines()) == 1


@pytest.mark.slow
def test_an_adapter_folder_is_examined_with_its_model(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    model = attnscope.load("roundtable").model
    get_peft_model(model, LoraConfig(r=2, target_modules=["q_proj"])).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "roundtable"}))
    *_, section = sections(str(tmp_path))
    assert f"adapter {tmp_path}" in _findings(section)["model"].text
    assert all(finding.state == "ok" for finding in section.findings)


@pytest.mark.parametrize("broken", ["transformers", pytest.param("torch", marks=pytest.mark.slow)])
def test_the_report_of_a_broken_package_names_it_and_goes_on(broken: str, tmp_path: Path) -> None:
    (tmp_path / broken).mkdir()
    (tmp_path / broken / "__init__.py").write_text("raise ImportError('libcuda.so: wrong ELF class')\n")
    code = "import sys; from attnscope_cli.main import app; app(['doctor', 'roundtable', '--json'])"
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.returncode == 1, done.stderr
    document = json.loads(done.stdout)
    assert document["healthy"] is False
    first = {finding["name"]: finding for finding in document["sections"][0]["findings"]}
    assert first[broken]["state"] == "fail" and "wrong ELF class" in first[broken]["text"]
    assert first["h5py"]["state"] == "ok"
    machine = {finding["name"]: finding for finding in document["sections"][1]["findings"]}
    assert machine["hdf5"]["state"] == "ok"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_places_are_put_to_the_test(checkpoint: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a layout that is right, of one that is not, of a family without one, and of a tower that has no places."""
    right = attnscope.load(str(checkpoint("internvl")), dtype="float32", device="cpu")
    rows = places.places(right).findings
    assert {row.state for row in rows} == {"ok"} and len(rows) == 5
    assert rows[0].text == (
        "180 tokens (layout of internvl): 100 % answer to their cell;"
        " probing finds 100 % of the frames and 100 % of the centres (within half a cell)"
    )
    probed = places.places(replace(right, family="unknown")).findings
    assert {row.state for row in probed} == {"ok"} and "(probed): 100 % answer" in probed[0].text
    layout = LAYOUTS["internvl"]
    monkeypatch.setattr(type(layout), "views", lambda *given, views=layout.views: views(*given[1:])[::-1])
    assert places.places(right).findings[0].state == "fail"
    without = attnscope.load(str(checkpoint("idefics2")), dtype="float32", device="cpu")
    assert {row.state for row in places.places(without).findings} == {"note"}


def test_places_without_a_model_are_refused() -> None:
    with pytest.raises(RequestError, match="the places of visual tokens are those of a model: name one"):
        examine(places=True)
