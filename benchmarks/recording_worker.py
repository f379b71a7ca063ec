"""One measurement in a process of its own: the prefill of one prompt, plain, captured, or eager. Prints JSON."""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import torch

import attnscope
from attnscope.capture.record.generate import collate, generate
from attnscope.capture.run import capture_prompts
from attnscope.model import build_prompt
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.harness import forget_peak, peak

MODES = {
    "plain": "the model alone, sdpa",
    "capture": "attnscope, default plan",
    "capture-masses": "attnscope, masses and maps only",
    "capture-qk": "attnscope, queries and keys only",
    "eager": "eager attention, maps returned",
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("mode", choices=MODES)
    parser.add_argument("model")
    parser.add_argument("scene")
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--limit", type=float, help="address space allowed beyond what is used before the prefill, GiB")
    args = parser.parse_args()
    loaded = attnscope.load(args.model, attn="eager" if args.mode == "eager" else None)
    loaded.processor.video_processor.size = {"shortest_edge": 4 * 784, "longest_edge": 10**9}
    scene = Scene.read(args.scene).model_copy(update={"options": []})  # scoring options is another prefill
    prompt = build_prompt(loaded, scene, read_scene_frames(scene, Sampling(frames=args.frames)))
    if args.limit:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + int(args.limit * 2**30),) * 2)
    forget_peak()
    before, begun = peak(), time.perf_counter()
    error = None
    try:
        run(args.mode, loaded, prompt)
    except (RuntimeError, MemoryError) as failure:
        error = str(failure).splitlines()[0]
    result = {
        "tokens": len(prompt.tokens),
        "seconds": time.perf_counter() - begun,
        "peak": peak(),
        "extra": peak() - before,
    }
    print(json.dumps(result | {"error": error}))


def run(mode: str, loaded: attnscope.model.LoadedModel, prompt: attnscope.model.Prompt) -> None:
    """The measured work: one prefill and its first token."""
    inputs, _ = collate([prompt], loaded)
    if mode == "plain":
        generate(loaded, inputs, 1)
    elif mode == "eager":
        with torch.inference_mode():
            loaded.model(**inputs, output_attentions=True, logits_to_keep=1)
    else:
        readings = {"capture": "masses,maps,stats", "capture-masses": "masses,maps", "capture-qk": "qk"}
        plan = attnscope.Plan.parse(readings[mode])
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "run.h5"
            capture_prompts(loaded, [prompt], [out], plan=plan, max_new_tokens=1, verify=False)[0].close()


if __name__ == "__main__":
    main()
