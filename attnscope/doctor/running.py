"""What a model does on this installation: it is loaded, shown a drawn clip, captured, and corrected."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnscope.doctor.diagnosis import Finding, Section, attempt, join, reason
from attnscope.errors import RequestError
from attnscope.vocabulary import NOWHERE, has_cell, is_visual

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

EMBEDDED = "roundtable"
_FRAMES = 4
_SCALE = 2  # pixels a unit of the drawn clip: frames of 192 x 192, few tokens for a large model
_NEW_TOKENS = 3
_AGREEMENT = 1e-2  # of logits in a model's own dtype, as a share of the largest
# Corrections that do nothing, or refuse, without a choice: the smallest that does something.
_CHOICES: dict[str, dict[str, Any]] = {"knockout": {"heads": "0.0"}}


@dataclass
class Trial:
    """A model with a prompt of a short drawn clip.

    Attributes:
        model: The model.
        prompt: What it is shown: two people at a table, and a question.
        scene: The clip's scene file.
        folder: A folder for results, removed at the end.
    """

    model: LoadedModel
    prompt: Prompt
    scene: Path
    folder: Path


@contextmanager
def trial(name: str) -> Iterator[Trial]:
    """Load a model and build a prompt of the drawn clip.

    Args:
        name: What `attnscope.load` takes.

    Raises:
        AttnscopeError: If the model cannot be loaded or its attention cannot be reached.
    """
    from attnscope.capture.run import DEFAULT_TEMPLATE, prepare
    from attnscope.demo.scenes import write_scenes
    from attnscope.model import load
    from attnscope.scene import Sampling

    with tempfile.TemporaryDirectory(prefix="attnscope-doctor-") as folder:
        write_scenes(Path(folder) / "scenes", people=(2,), tasks=("target",), per_task=1, scale=_SCALE)
        (scene,) = (Path(folder) / "scenes" / "scenes").iterdir()
        prompt, model, _ = prepare(load(name), scene, Sampling(frames=_FRAMES), DEFAULT_TEMPLATE)
        yield Trial(model, prompt, scene, Path(folder))


def assumptions(subject: Trial) -> Section:
    """Each assumption about names inside transformers, tried on the model."""
    import transformers

    from attnscope import transformers_names

    model, inputs = subject.model.model, subject.prompt.inputs
    rows = tuple(
        attempt(assumption.name, partial(assumption.check, model, inputs))
        for assumption in transformers_names.ASSUMPTIONS
    )
    name = Path(subject.model.id).name
    return Section(f"Assumptions about transformers {transformers.__version__}, tried on {name}", rows)


def embedded(subject: Trial) -> Section:
    """The whole path on the embedded model; every correction has to run."""
    rows = [
        Finding("video", "ok", f"a clip was encoded, and {len(subject.prompt.frames.times)} frames of it were decoded"),
        attempt("capture", lambda: _capture(subject)),
        attempt("generation", lambda: _generation(subject)),
    ]
    works, refusals = corrections(subject)
    rows.append(Finding("corrections", "ok", f"{len(works)} methods run"))
    rows += [Finding(refusal.name, "fail", refusal.text) for refusal in refusals]
    return Section(f"A run of {subject.model.id}", tuple(rows))


def _capture(subject: Trial) -> str:
    """Record, compare with the run without recording, and check the file."""
    from attnscope.capture import Plan, open
    from attnscope.capture.check.validate import validate
    from attnscope.capture.run import capture
    from attnscope.scene import Sampling

    path = subject.folder / "doctor.h5"
    capture(
        subject.model, subject.scene, path, plan=Plan(qk=True), sampling=Sampling(frames=_FRAMES), max_new_tokens=2
    ).close()
    problems = [str(problem) for problem in validate(path)]
    if problems:
        raise ValueError(f"the file that was written is not valid: {problems[0]}")
    with open(path) as cap:
        check, size = cap.check, path.stat().st_size
    if check.get("passed") is False:
        raise ValueError("the self-check did not pass: recording changed the run, or mass is not conserved")
    return f"the self-check passed, and the file is valid ({size / 2**20:.1f} MiB)"


def _generation(subject: Trial) -> str:
    """Decoding under a correction gives the same logits with a cache and without, and other logits than plain."""
    from attnscope.correct import corrected, make

    plain = _logits(subject, use_cache=True)
    with corrected(subject.model, subject.prompt, [make("temperature", temperature=0.5)]):
        cached = _logits(subject, use_cache=True)
        whole = _logits(subject, use_cache=False)
    scale = float(plain.abs().max())
    if float((cached - whole).abs().max()) > _AGREEMENT * scale:
        raise ValueError("under a correction, decoding with a cache gives other logits than without")
    if float((cached - plain).abs().max()) == 0:
        raise ValueError("a correction that sharpens attention leaves every logit as it was")
    return "a correction reaches decoding, with a cache as without"


def _logits(subject: Trial, *, use_cache: bool) -> Any:
    """Logits of the generated tokens, [tokens, vocabulary], of three tokens that are the same in every run."""
    import torch

    forced = subject.prompt.inputs["input_ids"][0, :1]
    made = subject.model.model.generate(
        **subject.prompt.inputs,
        max_new_tokens=_NEW_TOKENS,
        min_new_tokens=_NEW_TOKENS,
        do_sample=False,
        use_cache=use_cache,
        output_logits=True,
        return_dict_in_generate=True,
        prefix_allowed_tokens_fn=lambda *_: forced.tolist(),
    )
    return torch.stack(made.logits, 1)[0].float()


def corrections(subject: Trial) -> tuple[list[str], list[Finding]]:
    """Run every correction once: the methods that work, and those that are refused, each with the reason."""
    import torch

    from attnscope.correct import corrected, make
    from attnscope.correct.registry import corrections as methods
    from attnscope.scene import Sampling

    works: list[str] = []
    refusals: list[Finding] = []
    for name in sorted(methods()):
        try:
            chosen = [make(name, **_CHOICES.get(name, {}))]
            with (
                corrected(subject.model, subject.scene, chosen, sampling=Sampling(frames=_FRAMES)) as block,
                torch.no_grad(),
            ):
                subject.model.model(**block.prompts[0].inputs)
            works.append(name)
        except RequestError as error:
            text = reason(error).removeprefix(f"{subject.prompt.scene.video}: ")
            refusals.append(Finding(name, "note", f"refused: {text}"))
        except Exception as error:
            refusals.append(Finding(name, "fail", reason(error)))
    return works, refusals


def given(subject: Trial) -> Section:
    """What attnscope can do with a user's model, and what it would refuse."""
    model, prompt = subject.model, subject.prompt
    about = model.describe()
    adapter = f"adapter {model.load_args['adapter']}" if model.load_args.get("adapter") else ""
    facts = [about["class"], f"{about['dtype']} on {about['device']}", f"attention {about['attention']}", adapter]
    rows = [
        Finding("model", "ok", join(facts)),
        attempt("layers", lambda: _layers(model)),
        _family(model),
        _places(model, prompt),
        _window(model, prompt),
        *(Finding("prompt", "note", warning) for warning in prompt.warnings),
        attempt("capture", lambda: _capture(subject)),
        attempt("generation", lambda: _generation(subject)),
    ]
    works, refusals = corrections(subject)
    rows.append(Finding("corrections", "ok" if works else "note", join(works) or "none runs"))
    return Section(f"Model {model.id}", (*rows, *refusals))


def _layers(model: LoadedModel) -> str:
    from attnscope.attention import decoder_layers

    reached, count = len(decoder_layers(model.model)), model.text_config.num_hidden_layers
    heads = model.text_config.num_attention_heads
    text = f"attention reached in {reached} of {count} layers, {heads} heads each"
    return text if reached == count else f"{text}; the others have no softmax attention"


def _family(model: LoadedModel) -> Finding:
    kind = model.model.config.model_type
    if model.family == "unknown":
        return Finding(
            "family", "note", f"{kind} has no layout: its tokens get their places by probing, if they have any"
        )
    return Finding("family", "ok", model.family)


def _places(model: LoadedModel, prompt: Prompt) -> Finding:
    visual, placing = int(is_visual(prompt.tokens).sum()), prompt.placing
    count = int(has_cell(prompt.tokens).sum())
    text = f"{len(prompt.tokens)} tokens, {visual} of them visual, {count} of these placed in the picture"
    if placing.how == NOWHERE:
        return Finding("places", "note", f"{text} ({placing.reason})")
    return Finding("places", "ok", f"{text}, {placing.words(model.family, count)}")


def _window(model: LoadedModel, prompt: Prompt) -> Finding:
    most = getattr(model.text_config, "max_position_embeddings", None)
    if most is None:
        return Finding("context", "note", "the configuration states no context window")
    longer = len(prompt.tokens) > most
    return Finding("context", "fail" if longer else "ok", f"window of {most:,} tokens")
