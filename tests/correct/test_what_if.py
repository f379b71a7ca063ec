"""What-if answers against the model itself: the first corrected layer is what a corrected run records there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

import attnscope
from attnscope import metrics
from attnscope.attention import RowEdit, classify, dense_rows, masses, row_lse
from attnscope.capture.run import capture_prompts
from attnscope.correct import Correction, Knockout, Running, SocialBias, bind
from attnscope.correct.look import RUN, STORED
from attnscope.correct.what_if.stored import stored_call, stored_decoder, stored_prompt
from attnscope.correct.what_if.what_if import ALONE, what_if
from attnscope.errors import ModelError, RequestError
from attnscope.metrics.people.density import speaker_cells
from attnscope.scene import Scene
from tests.capture.eager import make_prompt
from tests.families import EAGER

DRAWN = SocialBias(rows="utterances,answer", threshold=0.0, layers="1")


@pytest.fixture(scope="module")
def loaded(checkpoint):
    return attnscope.load(str(checkpoint("qwen2_5_vl")), dtype="float32")


@pytest.fixture(scope="module")
def prompt(loaded, drawn):
    return make_prompt(loaded, Scene.read(drawn).model_copy(update={"question": "Who does Ada ask?"}))


@pytest.fixture(scope="module")
def before(loaded, prompt, tmp_path_factory):
    return record(loaded, prompt, tmp_path_factory.mktemp("plain") / "before.h5", attnscope.Plan(qk=True))


def record(loaded, prompt, path, plan=None, corrections=()):
    running = bind(loaded, prompt, corrections) if corrections else ()
    (cap,) = capture_prompts(loaded, [prompt], [path], plan=plan, max_new_tokens=2, verify=False, corrections=running)
    cap.close()
    return path


def measured(path, layer):
    """Numbers of one layer of a capture: of the metrics, and masses of every query group by hand."""
    with attnscope.open(path) as cap:
        tables = metrics.compute(cap, ["answer_mass", "answer_lift", "speaker_consistency", "speaker_consistency_lift"])
        maps = cap.maps(layer=layer)
        cells = speaker_cells(cap, 0.5)
        visual = (cap.tokens["modality"] == "visual").to_numpy()
        mass = {
            (group, name): maps.sel(query_group=group).values[:, inside].sum(-1)
            for group in cap.query_groups["name"]
            if not group.startswith("generated")
            for name, inside in zip([*cap.scene.speakers, ""], [*cells, visual], strict=True)
        }
    return {family: table[table["layer"] == layer] for family, table in tables.items()}, mass


def assert_is(table, when, layer, expected):
    """Every number of a what-if in a layer is that of a capture."""
    families, mass = expected
    rows = table[table["layer"] == layer]
    for (group, name), values in mass.items():
        own = rows[(rows["metric"] == "mass") & (rows["query_group"] == group) & (rows["speaker"] == name)]
        np.testing.assert_allclose(own[own["head"] >= 0][when], values, atol=1e-4)
        np.testing.assert_allclose(own[own["head"] < 0][when], values.mean(), atol=1e-4)
    answer = rows[(rows["query_group"] == "answer_position") & (rows["speaker"] != "")]
    for metric, own in families["answer"].groupby("metric"):
        got = answer[answer["metric"] == metric.removeprefix("answer_")]
        joined = own.merge(got, on=["head", "speaker"], validate="one_to_one")
        assert len(joined) == len(own) == 10
        np.testing.assert_allclose(joined[when], joined["value"], rtol=1e-3, atol=1e-4)
        assert (joined["n_x"] == joined["n_y"]).all()
    for metric, own in families["speakers"].groupby("metric"):
        joined = own.merge(rows[rows["metric"] == metric], on=["head", "frames"], validate="one_to_one")
        assert len(joined) == len(own) == 10
        np.testing.assert_allclose(joined[when], joined["value"], atol=1e-4)


def test_the_first_corrected_layer_is_what_a_corrected_run_does(loaded, prompt, before, tmp_path):
    after = record(loaded, prompt, tmp_path / "after.h5", corrections=[DRAWN])
    found = what_if(before, [DRAWN])
    assert_is(found.table, "before", 1, measured(before, 1))
    assert_is(found.table, "after", 1, measured(after, 1))
    assert found.table.loc[found.table["layer"] == 1, "change"].abs().max() > 0.1
    assert (found.table.loc[found.table["layer"] != 1, "change"].fillna(0) == 0).all()
    assert (found.layers, found.changed, found.asked) == ([0, 1, 2, 3], [1], "Ada")
    with attnscope.open(after) as cap:
        (record_of_run,) = cap.correction
    assert found.records == [record_of_run]
    assert found.notes[0] == ALONE


def test_deeper_layers_are_not_followed(loaded, prompt, before, tmp_path):
    both = SocialBias(rows="utterances,answer", threshold=0.0, layers="1,2")
    after = record(loaded, prompt, tmp_path / "after.h5", corrections=[both])
    found = what_if(before, [both], layers="1-2")
    assert found.layers == [1, 2]
    assert_is(found.table, "after", 1, measured(after, 1))
    assert_is(found.table, "before", 2, measured(before, 2))
    with pytest.raises(AssertionError):
        assert_is(found.table, "after", 2, measured(after, 2))


@dataclass(frozen=True)
class Fainter(Correction):
    """Scales the visual logits of the answer row, as some peers do; and, on the side, does what a test asks."""

    method: ClassVar[str] = "fainter"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = ""
    by: float = 0.5
    how: str = "rows"

    def bind(self, prompts, decoder):
        seen = {}

        def look(call):
            seen[call.layer] = float(call.query.float().std()) + float(call.key.float().std())
            return call

        if self.how == "looks":
            decoder.look(self.method, [look])
        if self.how == "answers":
            decoder.look(self.method, [])
        visual = torch.tensor((prompts[0].tokens["modality"] == "visual").to_numpy())
        return RunningFainter(self, visual, seen)


class RunningFainter(Running):
    def __init__(self, settings, visual, seen):
        self.settings, self.visual, self.seen = settings, visual, seen

    def __call__(self, call):
        if call.is_decode or call.layer != 2 or self.settings.how == "looks":
            return call
        if self.settings.how == "values":
            return call.widened(call.query, call.key + call.value * self.settings.by)
        if self.settings.how == "keys":
            return call.widened(call.query, call.key * self.settings.by)
        n = len(self.visual)
        by = torch.where(self.visual, self.settings.by, 1.0)
        row = torch.tensor([n - 1])

        def change(_sample, _rows, z, _allowed):
            return z * torch.nn.functional.pad(by, (0, z.shape[-1] - n), value=1.0)

        return call.with_rows(RowEdit([row], change))

    def records(self):
        return [{"method": "fainter", "params": {"by": self.settings.by}, "active": [[2, [0, 1, 2, 3]]], "notes": []}]


@pytest.mark.parametrize("how", ["rows", "keys"])
def test_edits_of_rows_and_of_keys(loaded, prompt, before, tmp_path, how):
    one = Fainter(how=how)
    after = record(loaded, prompt, tmp_path / "after.h5", corrections=[one])
    found = what_if(before, [one])
    assert_is(found.table, "after", 2, measured(after, 2))
    assert found.changed == [2]
    unseen = [note for note in found.notes if "not shown" in note]
    with attnscope.open(before) as cap:
        shown = cap.query_member[:, : cap.prompt_length].any(0).sum()
        rest = cap.prompt_length - shown
    if how == "keys":
        assert unseen == [
            f"Attention of up to {rest} other tokens (visual ones, the template) is changed in a layer too,"
            " and not shown."
        ]
    else:
        assert not unseen


def test_several_corrections_in_order(loaded, prompt, before, tmp_path):
    several = [SocialBias(rows="answer", threshold=0.0, layers="2"), Fainter()]
    after = record(loaded, prompt, tmp_path / "after.h5", corrections=several)
    assert_is(what_if(before, several).table, "after", 2, measured(after, 2))


def test_factors_leave_rows_of_attention_as_they_are(before):
    found = what_if(before, [Knockout(heads="1.2,3.0", rows="answer")])
    assert found.changed == []
    factors = found.table[found.table["metric"] == "output_factor"]
    cut = factors[(factors["after"] == 0) & (factors["head"] >= 0)]
    assert [*zip(cut["layer"], cut["head"], cut["query_group"], strict=True)] == [
        (1, 2, "answer_position"),
        (3, 0, "answer_position"),
    ]
    assert (factors["before"] == 1).all() and set(factors["layer"]) == {1, 3}
    mean = factors[(factors["layer"] == 1) & (factors["head"] < 0) & (factors["kind"] == "answer_position")]
    assert mean["after"].tolist() == [0.75]
    said = "Outputs of heads are multiplied (output_factor) in layers 1, 3, which leaves rows of attention as they are."
    assert found.notes == [ALONE, said]


def test_looking_at_the_plain_run_needs_no_model(loaded, prompt, before):
    with attnscope.open(before) as cap:
        (stored,) = [Fainter(how="looks").bind([stored_prompt(cap)], stored_decoder(cap))]
    (live,) = bind(loaded, prompt, [Fainter(how="looks")])
    assert set(stored.seen) == {0, 1, 2, 3}
    assert stored.seen == pytest.approx(live.seen, abs=1e-5)


def test_heads_are_chosen_from_the_capture_and_said_to_be(loaded, prompt, before, tmp_path):
    """The same heads as in a run, which says that it was one."""
    few = SocialBias(rows="answer", topk=2, layers="1-2")
    (said,) = what_if(before, [few]).records
    after = record(loaded, prompt, tmp_path / "after.h5", corrections=[few])
    with attnscope.open(after) as cap:
        (ran,) = cap.correction
    assert said["active"] == ran["active"] != []
    assert sum(note.endswith(f"scores: from {RUN}") for note in ran["notes"]) == 1
    assert said["notes"] == [note.replace(RUN, STORED) for note in ran["notes"]]


@pytest.mark.parametrize("name", ["bfloat16", "sliding", "softcap", "sink_logits", "gemma3"])
def test_a_stored_call_is_the_layer_of_the_model(checkpoint, stage, tmp_path, name):
    """Rows, masses and log-sum-exp of every kind of mask and logits, against the readings of the capture."""
    dtype = "bfloat16" if name == "bfloat16" else "float32"
    folder = checkpoint("qwen2_5_vl" if name == "bfloat16" else name)
    loaded = attnscope.load(str(folder), dtype=dtype, attn="eager" if name in EAGER else None)
    path = record(loaded, make_prompt(loaded, stage, frames=1), tmp_path / "x.h5", attnscope.Plan(qk=True))
    with attnscope.open(path) as cap, torch.no_grad():
        n = cap.prompt_length
        everything = torch.arange(n)
        sets = np.stack([np.arange(n) % 3 == k for k in range(3)])
        for layer in map(int, cap.layers):
            call = stored_call(cap, layer)
            assert str(call.query.dtype) == f"torch.{dtype}"
            expected = cap.attention(layer, queries=slice(0, n), keys=slice(0, n))
            rows = torch.cat([a for _, _, a, _ in dense_rows(call, 0, everything)], 1)
            np.testing.assert_allclose(rows, expected, atol=1e-5)
            found = masses(call, torch.from_numpy(sets.T).float()[None])
            tight = 1e-5 if dtype == "float32" else 1e-2
            np.testing.assert_allclose(found[0], expected @ sets.T, atol=tight)
            lse = row_lse(call, 0, everything, classify(call, 0, everything))
            np.testing.assert_allclose(lse, cap.stat("lse", layer)[:, :n], atol=1e-3 if dtype == "float32" else 0.05)


def test_a_bias_under_capped_logits_is_refused_as_in_a_run(checkpoint, stage, tmp_path):
    loaded = attnscope.load(str(checkpoint("softcap")), attn="eager")
    path = record(loaded, make_prompt(loaded, stage, frames=1), tmp_path / "x.h5", attnscope.Plan(qk=True))
    with pytest.raises(ModelError, match="layer 2: this model caps its attention logits"):
        what_if(path, [Fainter(how="keys", by=2.0), Wider()])


@dataclass(frozen=True)
class Wider(Correction):
    method: ClassVar[str] = "wider"
    source: ClassVar[str] = "ours"
    summary: ClassVar[str] = ""

    def bind(self, _prompts, _decoder):
        return RunningWider()


class RunningWider(Running):
    def __call__(self, call):
        return call.widened(torch.cat([call.query] * 2, -1), torch.cat([call.key] * 2, -1)) if call.layer == 2 else call

    def records(self):
        return [{"method": "wider", "params": {}, "active": [], "notes": []}]


class Louder(Fainter):
    def show(self, scene, frames):
        return scene, frames


def test_what_a_capture_cannot_answer(loaded, prompt, before, tmp_path):
    poor = record(loaded, prompt, tmp_path / "poor.h5", attnscope.Plan(maps=False))
    corrected = record(loaded, prompt, tmp_path / "done.h5", corrections=[DRAWN])
    few = record(loaded, prompt, tmp_path / "few.h5", attnscope.Plan(qk=True, layers="1-2"))
    for path, one, message in (
        (
            poor,
            DRAWN,
            f"{poor}: has no queries and keys, which a what-if is answered from; capture again with"
            ' plan="masses,stats,qk"',
        ),
        (corrected, DRAWN, f"{corrected}: was itself made under social-bias; ask about a plain capture"),
        (
            before,
            Fainter(how="values"),
            "fainter: needs the values of a layer, and a capture holds its queries and keys alone; run the model"
            " instead",
        ),
        (
            before,
            Fainter(how="answers"),
            f"{before}: a correction needs what the model answers, which a what-if cannot say",
        ),
        (
            few,
            Fainter(how="looks"),
            f"{few}: a correction chooses among 4 layers of the model, and the capture holds 2 of them; capture them,"
            " or name heads",
        ),
        (
            before,
            Louder(),
            "fainter: changes what the model is shown, and a capture holds only the queries and keys of what it was"
            " shown; run the model instead",
        ),
    ):
        with pytest.raises(RequestError) as caught:
            what_if(path, [one])
        assert str(caught.value) == message


def test_layers_that_are_not_captured_are_named(loaded, prompt, tmp_path):
    few = record(loaded, prompt, tmp_path / "few.h5", attnscope.Plan(qk=True, layers="2-3"))
    found = what_if(few, [Knockout(heads="0.1,2.0", edges="answer:visual")], layers=[3])
    assert found.layers == [3] and found.changed == []
    assert found.records[0]["active"] == []
    assert "The corrections also act in layers 0, 2, which were not looked at." in found.notes


def test_neither_the_video_nor_the_model_is_needed(loaded, prompt, tmp_path):
    gone = prompt.scene.model_copy(update={"video": tmp_path / "gone.mp4"})
    path = record(loaded, type(prompt)(**vars(prompt) | {"scene": gone}), tmp_path / "x.h5", attnscope.Plan(qk=True))
    import h5py

    with h5py.File(path, "r+") as file:
        from attnscope.capture.file import encode

        model = json.loads(file["model"][()])
        del file["model"]
        encode.write_json(file, "model", model | {"id": "/nowhere/model"})
    assert what_if(path, [DRAWN]).changed == [1]


def test_columns(before):
    table = what_if(before, [DRAWN]).table
    assert list(table) == [
        *("metric", "layer", "head", "query_group", "kind", "keys", "speaker", "frames"),
        *("before", "after", "change", "n"),
    ]
    keys = list(table.columns[:8])
    assert not table.duplicated(keys).any()
    pd.testing.assert_series_equal(table["change"], table["after"] - table["before"], check_names=False)
