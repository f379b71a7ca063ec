"""One measurement in a process of its own: a capture, or eager maps, beside the plain forward. Prints JSON.

One thread throughout, so that CPU time is the time that the work takes on an idle core.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import torch

import attnscope
from attnscope.capture.record.generate import collate, generate
from attnscope.capture.run import capture_prompts
from attnscope.model import LoadedModel, Prompt, build_prompt
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.meter import Work, add_limits, in_rounds, limit

PLANS = {"default": "", "masses,maps": "masses,maps", "qk": "qk"}
MODES = (*PLANS, "eager")
MOST = 2**40  # bytes of a file: more than any
SHORT = 2  # frames of the prompt that everything runs on once before it is measured


def prompt_of(loaded: LoadedModel, scene: str | Path, frames: int) -> Prompt:
    """The prompt of the scene with this number of frames. It has no options: scoring them is another prefill."""
    shown = Scene.read(scene).model_copy(update={"options": []})
    return build_prompt(loaded, shown, read_scene_frames(shown, Sampling(frames=frames)))


def load(model: str | Path, attn: str | None = None) -> LoadedModel:
    """The model, whose processor takes frames of any number."""
    loaded = attnscope.load(str(model), attn=attn)
    loaded.processor.video_processor.size = {"shortest_edge": 4 * 784, "longest_edge": 10**9}
    return loaded


def plain_work(loaded: LoadedModel, prompt: Prompt) -> Work:
    """One prefill with its first token."""
    inputs, _ = collate([prompt], loaded)
    return lambda: generate(loaded, inputs, 1)


def work_of(mode: str, loaded: LoadedModel, prompt: Prompt) -> Work:
    """The same prefill, captured into a file or with all maps returned."""
    if mode == "eager":
        inputs, _ = collate([prompt], loaded)
        return torch.inference_mode()(
            lambda: loaded.model(**inputs, output_attentions=True, logits_to_keep=1).attentions
        )
    plan = attnscope.Plan.parse(PLANS[mode], max_size=MOST) if PLANS[mode] else attnscope.Plan(max_size=MOST)

    def record() -> None:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run.h5"
            capture_prompts(loaded, [prompt], [out], plan=plan, max_new_tokens=1, verify=False)[0].close()

    return record


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("model")
    parser.add_argument("scene")
    parser.add_argument("--frames", type=int, required=True)
    add_limits(parser)
    args = parser.parse_args()
    torch.set_num_threads(1)
    plain = load(args.model)
    other = load(args.model, "eager") if args.mode == "eager" else plain
    short, prompt = (prompt_of(plain, args.scene, frames) for frames in (SHORT, args.frames))
    plain_work(plain, short)()
    work_of(args.mode, other, short)()
    limit(args)
    measured = in_rounds(
        plain_work(plain, prompt), work_of(args.mode, other, prompt), most=args.rounds, seconds=args.seconds
    )
    print(json.dumps(measured | {"tokens": len(prompt.tokens)}))


if __name__ == "__main__":
    main()
