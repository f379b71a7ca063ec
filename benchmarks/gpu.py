"""Measure recording on a GPU in a few minutes: time, memory, exactness, ways to read groups; writes a part of the page.

`python -m benchmarks.gpu` builds a decoder of Qwen2.5-VL-7B's shape with random weights in bfloat16. `--device cpu
--small` tries the script out with small sizes; then nothing is written.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers

import attnscope
from attnscope.model import LoadedModel, Prompt
from benchmarks.gpu_checks import masses_of_visual, recorded_rows
from benchmarks.gpu_groups import GROUPS, Heads, compare
from benchmarks.gpu_meter import Meter, Reading
from benchmarks.model import clip, configured, frames_for
from benchmarks.page import PAGE, write_part
from benchmarks.recording_worker import SHORT, plain_work, prompt_of, work_of
from tests.support.checkpoint import build_tiny_qwen2_5_vl

SHAPE = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
}
SMALL = {
    "hidden_size": 256,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}
TOKENS = (8192, 32768)
GOALS = {"default": (1.2, 1.1), "qk": (1.2, 1.1)}
MODES = {"default": "attnscope, default plan", "qk": "attnscope, `qk`", "eager": "transformers eager, maps returned"}


def build(folder: Path, sizes: dict[str, int], device: str, dtype: torch.dtype) -> tuple[Any, Any]:
    """A model with random weights on the device, and its processor."""
    from transformers import AutoModelForImageTextToText, AutoProcessor

    tiny = build_tiny_qwen2_5_vl(folder / "tiny")
    config = configured(tiny, sizes)
    torch.manual_seed(0)
    with torch.device(device):
        model = AutoModelForImageTextToText.from_config(config, dtype=dtype, attn_implementation="sdpa").eval()
    model.generation_config.eos_token_id = config.text_config.eos_token_id
    processor = AutoProcessor.from_pretrained(tiny)
    processor.video_processor.size = {"shortest_edge": 4 * 784, "longest_edge": 10**9}
    return model, processor


def run_modes(loaded: LoadedModel, prompt: Prompt, meter: Meter, rounds: int) -> list[str]:
    """The lines of the table for one attention backend and one length; a mode that fails is a line of its own."""
    model, backend = loaded.model, loaded.attention
    plain = plain_work(loaded, prompt)
    plain()
    alone = [meter.measure(plain) for _ in range(rounds)]
    head = f"| {len(prompt.tokens):,} | {backend} |"
    lines = [f"{head} the model alone | {1e3 * _median(alone, 'seconds'):.0f} | 1 | | {_mib(alone)} | 1 | | |"]
    for mode in MODES if backend == "sdpa" else [mode for mode in MODES if mode != "eager"]:
        work = work_of(mode, loaded, prompt)
        try:
            if mode == "eager":
                model.set_attn_implementation("eager")
            work()
            # Under eager the model alone would be another one: its runs above count
            pairs = [
                (alone[i] if mode == "eager" else meter.measure(plain), meter.measure(work)) for i in range(rounds)
            ]
            copies = None if mode == "eager" else meter.copies(work)
            lines.append(f"{head} {MODES[mode]} | {_cells(mode, pairs, copies)} |")
        except Exception as error:  # the machine is lent for minutes: what can be measured is
            traceback.print_exc()
            lines.append(f"{head} {MODES[mode]} | {meter.failure(error)} | | | | | | |")
        finally:
            model.set_attn_implementation(backend)
    return lines


def _cells(mode: str, pairs: Sequence[tuple[Reading, Reading]], copies: tuple[float, float] | None) -> str:
    """Time, its ratio and goal, memory, its ratio and goal, and copies to the host."""
    runs = [run for _, run in pairs]
    ratio = statistics.median(run["seconds"] / own["seconds"] for own, run in pairs)
    memory = statistics.median((r["peak"] + r["before"]) / (own["peak"] + own["before"]) for own, r in pairs)
    time_goal, memory_goal = GOALS.get(mode, (None, None))
    cells = [
        f"{1e3 * _median(runs, 'seconds'):.0f}",
        f"{ratio:.2f}",
        _judged(ratio, time_goal),
        _mib(runs),
        f"{memory:.2f}",
        _judged(memory, memory_goal),
        "" if copies is None else f"{copies[0]:.0f} ms, {copies[1]:.0%} beside kernels",
    ]
    return " | ".join(cells)


def _judged(value: float, goal: float | None) -> str:
    return "" if goal is None else f"{goal:g}, {'met' if round(value, 2) <= goal else 'not met'}"


def _median(runs: Sequence[Reading], name: str) -> float:
    return statistics.median(run[name] for run in runs)


def _mib(runs: Sequence[Reading]) -> str:
    return f"{_median(runs, 'peak') / 2**20:.0f}"


def check(loaded: LoadedModel, prompt: Prompt, folder: Path, say: Callable[[str], None]) -> list[str]:
    """What is exact, in words: recorded rows, and masses of visual queries in both half precisions."""
    count = int(loaded.text_config.num_hidden_layers)
    layers = sorted({0, count // 2, count - 1})
    say("recorded rows")
    apart = recorded_rows(loaded, prompt, layers, folder)
    lines = [
        f"- Recorded masses of text rows differ from sums of float32 rows by {apart:.1g} at most"
        f" ({len(prompt.tokens):,} tokens, layers {', '.join(map(str, layers))}).",
    ]
    for dtype in (torch.bfloat16, torch.float16):
        say(str(dtype))
        loaded.model.to(dtype)
        found = masses_of_visual(loaded, prompt, layers)
        lines.append(
            f"- {str(dtype).removeprefix('torch.')}: the kernel's masses of visual queries differ from float32 rows by"
            f" {found.largest:.1g} at most, {found.relative:.1g} of the mass (unit of rounding"
            f" {torch.finfo(dtype).eps:.1g})."
        )
    return lines


def text(args: argparse.Namespace, sizes: dict[str, int], parts: dict[str, list[str]]) -> list[str]:
    """This part of the page."""
    name = torch.cuda.get_device_name() if args.device == "cuda" else "a CPU, to try the script out"
    return [
        "What recording costs on a GPU: one prefill with its first token. `python -m benchmarks.gpu` measures this",
        "part.",
        "",
        f"- Device: {name}; torch {torch.__version__}, transformers {transformers.__version__}, attnscope"
        f" {attnscope.__version__}.",
        f"- Model: Qwen2.5-VL with random weights, {args.dtype}; {', '.join(f'{k} {v}' for k, v in sizes.items())}.",
        f"- Median of {args.rounds} rounds after one that does not count; the plain forward and the work take turns.",
        "  Time ends when the device has finished and the file is written. Memory is what torch has handed out at its",
        "  peak, above the weights; its ratio counts the weights too.",
        *parts["checks"],
        "",
        "| tokens | attention | what runs | ms | time / plain | goal | peak MiB | peak / plain | goal | to the host |",
        "|---:|---|---|---:|---:|---|---:|---:|---|---|",
        *parts["modes"],
        "",
        f"Reading masses on {GROUPS} groups for every query of one layer, beside the layer's own output. The largest",
        "error is that of a mass against float32 rows.",
        "",
        "| tokens | way | ms | time / kernel alone | peak MiB | largest error |",
        "|---:|---|---:|---:|---:|---:|",
        *parts["groups"],
    ]


def main(arguments: Sequence[str] | None = None) -> list[str]:
    """Measure, print, and write the page if a GPU was measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", choices=("cuda", "cpu"))
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float16", "float32"))
    parser.add_argument("--layers", type=int, help="fewer layers than the model has, for small cards; the page says so")
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="lengths of the prompt, about")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="a narrow model of two layers")
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args(arguments)
    if args.device == "cuda" and not torch.cuda.is_available():
        parser.error("there is no GPU here; --device cpu --small tries the script out")
    sizes = (SMALL if args.small else SHAPE) | ({"num_hidden_layers": args.layers} if args.layers else {})
    with tempfile.TemporaryDirectory() as folder:
        parts = measure(args, sizes, Path(folder))
    lines = text(args, sizes, parts)
    print("\n".join(lines))
    if args.device == "cuda":
        print(write_part("Recording on a GPU", lines, args.page), file=sys.stderr)
    return lines


def measure(args: argparse.Namespace, sizes: dict[str, int], folder: Path) -> dict[str, list[str]]:
    """The tables' lines and the checks."""
    dtype, meter = getattr(torch, args.dtype), Meter(args.device)

    def say(what: str) -> None:
        print(what, file=sys.stderr, flush=True)

    groups = []
    for tokens in args.tokens:
        say(f"groups, {tokens} tokens")
        width = sizes["hidden_size"] // sizes["num_attention_heads"]
        shape = (sizes["num_attention_heads"], sizes["num_key_value_heads"], tokens, width)
        with torch.inference_mode():
            groups += compare(Heads.random(*shape, args.device, dtype), meter, args.rounds)
    model, processor = build(folder, sizes, args.device, dtype)
    frames = {tokens: frames_for(tokens) if tokens > 600 else SHORT for tokens in args.tokens}
    scene = clip(folder, max(10.0, max(frames.values()) / 15))
    loaded = attnscope.model.around(model, processor)
    prompts = [prompt_of(loaded, scene, count) for count in frames.values()]
    plain_work(loaded, prompts[0])()
    modes = []
    flash = args.device == "cuda" and find_spec("flash_attn") is not None
    for backend in ("sdpa", *(["flash_attention_2"] if flash else [])):
        model.set_attn_implementation(backend)
        for prompt in prompts:
            say(f"{backend}, {len(prompt.tokens)} tokens")
            modes += run_modes(attnscope.model.around(model, processor), prompt, meter, args.rounds)
    model.set_attn_implementation("sdpa")
    return {"modes": modes, "groups": groups, "checks": check(loaded, prompts[0], folder, say)}


if __name__ == "__main__":
    main()
