"""The specification is one table: the writer keeps to it, the page shows it, and modalities are what a capture says."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import h5py
import numpy as np
import pytest

import attnscope
from attnscope import metrics
from attnscope.capture.check.validate import validate
from attnscope.capture.file.specification import FIELDS, SPECIFICATION, required_fields, rule_of
from attnscope.capture.run import capture_prompts
from attnscope.errors import FormatError
from attnscope.vocabulary import READINGS, TOKEN_COLUMNS
from docs import generate
from tests.capture.by_hand import build, fixed, write_strings
from tests.capture.eager import make_prompt

EVERYTHING = attnscope.Plan.parse(",".join(READINGS))


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")))


@pytest.fixture(scope="module")
def written(loaded, stage, tmp_path_factory) -> Path:
    """A capture of every reading, by attnscope's writer."""
    path = tmp_path_factory.mktemp("written") / "run.h5"
    capture_prompts(loaded, [make_prompt(loaded, stage)], [path], plan=EVERYTHING, max_new_tokens=3)
    return path


def text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def test_every_node_that_is_written_stands_in_the_specification(written: Path) -> None:
    paths: list[str] = []
    with h5py.File(written) as file:
        assert text(file.attrs["encoding-version"]) == "1.5"
        file.visit(lambda name: paths.append(f"/{name}"))
        for path in paths:
            node = file[path]
            assert text(node.attrs["encoding-version"]) == "1.5"
            if path.startswith("/tokens/"):
                continue
            rule = rule_of(path)
            assert text(node.attrs["encoding-type"]) == rule.encoding
            if rule.encoding == "array":
                assert [text(dim) for dim in node.attrs["dims"]] == list(rule.dims)
                assert str(node.dtype) in rule.dtypes
                assert text(node.attrs["unit"]) == rule.unit
        columns = [text(name) for name in file["tokens"].attrs["columns"]]
        for name, column in TOKEN_COLUMNS.items():
            node = file["tokens"][name]
            assert node.dtype.kind == "S" if column.dtype == "strings" else str(node.dtype) == column.dtype
            assert column.dtype == "strings" or text(node.attrs["unit"]) == column.unit
    assert columns[: len(TOKEN_COLUMNS)] == list(TOKEN_COLUMNS)
    once = {rule.path for rule in SPECIFICATION if not rule.is_numbered and rule.need != "may"}
    assert once <= set(paths)


def test_a_plan_has_a_field_for_each_reading() -> None:
    booleans = {field.name for field in fields(attnscope.Plan) if isinstance(field.default, bool)}
    assert booleans == set(READINGS)
    assert all(rule_of(f"/{reading}").encoding == reading for reading in READINGS)


def test_documents_have_the_fields_of_their_version() -> None:
    assert "weights" in required_fields("/model", (1, 1)) and "weights" not in required_fields("/model", (1, 0))
    assert required_fields("/model", (1, 2)) == required_fields("/model", (1, 1))
    placed = {"placing.how", "placing.verified", "placing.reason"}
    assert placed == {*required_fields("/prompt", (1, 3))} - {*required_fields("/prompt", (1, 2))}
    assert len({(field.path, field.name) for field in FIELDS}) == len(FIELDS)


def test_the_page_is_made_from_the_specification() -> None:
    page = generate.read("docs/format.md")
    assert generate.format_page() == page
    for rule in SPECIFICATION:
        name = rule.path.lstrip("/").split("/", 1)[-1].replace("{layer}", "<layer>").replace("{number}", "<i>")
        assert f"| `{name}` |" in page or f"| `/{name}` |" in page, rule.path


def test_the_page_is_refused_when_a_table_differs(tmp_path, monkeypatch, capsys) -> None:
    (tmp_path / "docs").mkdir()
    page = generate.read("docs/format.md")
    (tmp_path / "docs/format.md").write_text(page.replace("array [layer, key] uint8", "array [layer, key] int8"))
    monkeypatch.setattr(generate, "ROOT", tmp_path)
    monkeypatch.setattr(generate, "PAGES", {"docs/format.md": generate.format_page})
    assert generate.main(["--check"]) == 1
    assert "docs/format.md: is not what the code says" in capsys.readouterr().err


# ---- modalities


def test_a_capture_declares_its_modalities(written: Path) -> None:
    with attnscope.open(written) as cap:
        assert cap.modalities == ("text", "visual", "special")
        assert set(cap.modalities) == set(cap.tokens["modality"])


def test_captures_from_before_the_list_have_three(tmp_path: Path) -> None:
    build(tmp_path / "run.h5")
    with attnscope.open(tmp_path / "run.h5") as cap:
        assert cap.modalities == ("text", "visual", "special")


def test_a_third_modality_needs_nothing_but_its_tokens(loaded, stage, tmp_path) -> None:
    """The tokens of the last frame become sound: recorded, checked, and in every table, without further code."""
    prompt = make_prompt(loaded, stage)
    tokens = prompt.tokens.copy()
    sound = (tokens["frame_last"] == tokens["frame_last"].max()).to_numpy()
    for name in tokens:
        column = TOKEN_COLUMNS.get(str(name))
        if str(name).startswith(("covered:", "grid_")) or (column and column.unit == "px"):
            tokens.loc[sound, name] = np.nan if tokens[name].dtype.kind == "f" else -1
    tokens.loc[sound, ["modality", "role"]] = "audio"
    heard = replace(prompt, tokens=tokens)
    (cap,) = capture_prompts(loaded, [heard], [tmp_path / "run.h5"], plan=EVERYTHING, max_new_tokens=3)
    with cap:
        assert cap.modalities == ("text", "visual", "special", "audio")
        assert not np.isin(np.flatnonzero(sound), cap.masses()["query"].values).any()  # media are not probed
        assert cap.hidden("residual")["group"].values.tolist() == ["all", "text", "visual", "audio"]
        tables = metrics.compute(cap)
    assert validate(tmp_path / "run.h5") == []
    shares = tables["modality"].query("metric == 'mass_share' and sinks == 'with' and head == -1")
    assert set(shares["key"]) == {"text", "visual", "special", "audio"}
    assert (shares.query("query == 'audio' and key == 'audio'")["link"] == "self").all()
    question = shares[shares["query"] == "role:question"].groupby("layer")["value"].sum()
    np.testing.assert_allclose(question, 1, atol=1e-5)
    assert {"text", "visual", "special", "audio"} <= set(tables["sinks"].query("metric == 'sink_keys'")["key"])
    assert "audio" in set(tables["rank"]["tokens"])


def declare(*names: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        file["tokens"].attrs["modalities"] = fixed(names) if names else 7

    return change


def with_token(modality: str, role: str, *declared: str) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        for column, value in (("modality", modality), ("role", role)):
            values = [text(item) for item in file["tokens"][column][()]]
            values[0] = value
            del file["tokens"][column]
            write_strings(file["tokens"], column, values)
        declare(*declared)(file)

    return change


KNOWN = ("text", "visual", "special")
LIES = {
    "/tokens: attribute 'modalities' has 'audio', and no token has it": declare(*KNOWN, "audio"),
    "/tokens/modality: 'special' is none of text, visual": declare("text", "visual"),
    "/tokens/modality: 'audio' is none of text, visual, special": with_token("audio", "audio", *KNOWN),
    "/tokens/role: row 0 is 'template', and its modality 'audio'": with_token("audio", "template", *KNOWN, "audio"),
    "/tokens: attribute 'modalities': 'Sound!' is no name of a modality": declare(*KNOWN, "Sound!"),
    "/tokens: attribute 'modalities': 'question' is no name of a modality": declare(*KNOWN, "question"),
    "/tokens: attribute 'modalities': 'all' is no name of a modality": declare("all", *KNOWN),
    "/tokens: attribute 'modalities' is ['visual', 'special'], without 'text'": declare("visual", "special"),
    "/tokens: attribute 'modalities' is ['text', 'visual', 'text', 'special'], without": declare(
        "text", "visual", "text", "special"
    ),
    "/tokens: attribute 'modalities' is [7], not a list of strings": declare(),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("plain") / "run.h5"
    build(path, readings=("maps",))
    return path


@pytest.mark.parametrize("lie", LIES)
def test_lies_about_modalities_are_refused(lie: str, plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(plain, tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        LIES[lie](file)
    assert any(str(problem).startswith(lie) for problem in validate(path)), validate(path)
    for read in (lambda cap: cap.tokens, lambda cap: cap.modalities):
        with pytest.raises(FormatError, match=re.escape(lie)), attnscope.open(path) as cap:
            read(cap)


def test_a_declared_list_keeps_its_order(plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(plain, tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        declare("visual", "special", "text")(file)
    assert validate(path) == []
    with attnscope.open(path) as cap:
        assert cap.modalities == ("visual", "special", "text")


def test_a_file_of_the_present_version_has_the_list(written: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(written, tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        del file["tokens"].attrs["modalities"]
    assert [str(problem) for problem in validate(path)] == ["/tokens: attribute 'modalities' is missing"]


def test_columns_of_a_later_version_are_passed_over(plain: Path, tmp_path: Path) -> None:
    path = Path(shutil.copy(plain, tmp_path / "run.h5"))
    with h5py.File(path, "r+") as file:
        table = file["tokens"]
        write_strings(table, "mood", ["calm"] * int(table.attrs["length"]))
        table.attrs["columns"] = fixed([*(text(name) for name in table.attrs["columns"]), "mood"])
    assert validate(path) == []
    with attnscope.open(path) as cap:
        assert cap.tokens["text"].notna().all()
