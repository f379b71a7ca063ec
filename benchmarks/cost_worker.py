"""What corrections cost on prompts of one length, measured in one process or, for memory, in forks of it. Prints JSON.

One thread throughout: CPU time then is the time that the work takes on an idle core, and a fork of the process is safe.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

import attnscope
from attnscope.capture.record.generate import PLAIN_GREEDY, collate
from attnscope.capture.run import capture_prompts
from attnscope.correct import Correction
from attnscope.correct.registry import build
from attnscope.model import LoadedModel, Prompt, build_prompt
from attnscope.scene import Sampling, Scene, read_scene_frames
from benchmarks.harness import allocated, forget_peak, peak

QUESTION = "What does Ben have in his bag?"
STEPS = 8  # decoding steps after the first token
PLAIN_EVERY = 6  # so many corrections between two plain runs
SCOUT, INPUT = "a look at the plain model", "another prompt"


@dataclass(frozen=True)
class Case:
    """One correction with parameters.

    Attributes:
        method: Its name.
        params: Those that are not default.
        why: Why it may cost more: it runs the plain model first, or the model is shown another prompt; empty for no
            reason.
        captured: Whether a plain capture of the prompt, with queries and keys, is at hand.
    """

    method: str
    params: dict[str, Any]
    why: str = ""
    captured: bool = False

    @property
    def name(self) -> str:
        """As in a table: "var rows=text"."""
        words = [self.method, *(f"{name}={value}" for name, value in self.params.items())]
        return " ".join([*words, *["from qk"] * self.captured])

    def make(self) -> Correction:
        """The correction."""
        return build(self.method, self.params)


CASES = (
    Case("social-bias", {}),
    Case("social-bias", {"rows": "answer", "heads": "1.0,2.1"}),
    Case("social-bias", {"topk": 3}, SCOUT),
    Case("social-bias", {"topk": 3}, captured=True),
    Case("social-bias", {"by": "localization"}, SCOUT),
    Case("social-bias", {"by": "localization"}, captured=True),
    Case("knockout", {"heads": "1.0,2.1"}),
    Case("knockout", {"edges": "answer:visual"}),
    Case("knockout", {"edges": "text:visual"}),
    Case("moda-align", {}),
    Case("moda-align", {"direction": "both", "scope": "prefix"}),
    Case("moda-mask", {"queries": "text"}),
    Case("moda-mask", {}),
    Case("moda-pseudo", {}),
    Case("moda-pseudo", {"level": "row"}),
    Case("moda-calibrate", {}),
    Case("moda-calibrate", {"queries": "both"}),
    Case("pai", {}),
    Case("vaf", {}),
    Case("adaptvis", {}, SCOUT),
    Case("adaptvis", {}, captured=True),
    Case("var", {}),
    Case("var", {"rows": "text"}),
    Case("temperature", {}),
    Case("temperature", {"rows": "all"}),
    Case("boxes-drawn", {}, INPUT),
    Case("boxes-told", {}, INPUT),
)


class Clock:
    """Takes the time of every token, as a streamer of `generate`."""

    def __init__(self) -> None:
        self.wall, self.cpu = [time.perf_counter()], [time.process_time()]
        self._prompt = True

    def put(self, _tokens: Any) -> None:
        """Called with the prompt at once, then with each token as soon as it is chosen."""
        if not self._prompt:
            self.wall.append(time.perf_counter())
            self.cpu.append(time.process_time())
        self._prompt = False

    def end(self) -> None:
        """Called at the end."""


class Bench:
    """A model, and prompts of one length for every case.

    Args:
        model: Its folder.
        scene: A scene file; another question is asked.
        frames: How many frames are shown.
    """

    def __init__(self, model: str, scene: str, frames: int) -> None:
        self.loaded: LoadedModel = attnscope.load(model)
        self.loaded.processor.video_processor.size = {"shortest_edge": 4 * 784, "longest_edge": 10**9}
        self.scene = Scene.read(scene).model_copy(update={"options": [], "answer": None, "question": QUESTION})
        self.frames = read_scene_frames(self.scene, Sampling(frames=frames))
        self.plain = build_prompt(self.loaded, self.scene, self.frames)
        self.folder = TemporaryDirectory()
        self.capture: Path | None = None  # a plain capture of the prompt, where a case asks for it

    def prompt(self, case: Case | None) -> Prompt:
        """What a case is shown."""
        if case is None or case.why != INPUT:
            return self.plain
        return build_prompt(self.loaded, *case.make().show(self.scene, self.frames))

    def record(self) -> None:
        """Capture the plain prompt with its queries and keys."""
        self.capture = Path(self.folder.name) / "plain.h5"
        plan = attnscope.Plan(masses=False, maps=False, stats=False, qk=True)
        capture_prompts(self.loaded, [self.plain], [self.capture], plan=plan, max_new_tokens=1, verify=False)[0].close()

    def run(self, case: Case | None, prompt: Prompt) -> dict[str, float]:
        """Seconds of one prefill with its first token, and of the steps after it; wall and CPU time."""
        inputs, _ = collate([prompt], self.loaded)
        block: AbstractContextManager[Any] = nullcontext()
        if case is not None:
            plain = [self.capture] if case.captured and self.capture else ()
            block = attnscope.corrected(self.loaded, prompt, [case.make()], plain=plain)
        with block, torch.inference_mode():
            clock, tokens = Clock(), 1 + STEPS
            self.loaded.model.generate(
                **inputs, **PLAIN_GREEDY, max_new_tokens=tokens, min_new_tokens=tokens, streamer=clock
            )
        result = {}
        for name, at in (("wall", clock.wall), ("cpu", clock.cpu)):
            result |= {f"prefill_{name}": at[1] - at[0], f"steps_{name}": at[-1] - at[1]}
        return result

    def rounds(self, cases: list[Case], repeats: int) -> dict[str, list[dict[str, float]]]:
        """Ratios of every case to the plain runs right before and after it, one a round."""
        prompts = {case.name: self.prompt(case) for case in cases}
        self.run(None, self.plain)  # warm
        ratios: dict[str, list[dict[str, float]]] = {case.name: [] for case in cases}
        before = self.run(None, self.plain)
        for _ in range(repeats):
            for start in range(0, len(cases), PLAIN_EVERY):
                some = cases[start : start + PLAIN_EVERY]
                runs = {case.name: self.run(case, prompts[case.name]) for case in some}
                after = self.run(None, self.plain)
                for name, run in runs.items():
                    ratios[name].append({key: 2 * run[key] / (before[key] + after[key]) for key in run})
                    ratios[name][-1]["plain_wall"] = (before["prefill_wall"] + after["prefill_wall"]) / 2
                before = after
        return ratios

    def tensors(self, case: Case | None) -> int:
        """Most bytes of tensors that the same run needs at one time."""
        prompt = self.prompt(case)
        return allocated(lambda: self.run(case, prompt))

    def forked(self, case: Case | None) -> dict[str, float]:
        """The same run in a fork of this process: its peak memory above that before the run, bytes, and its times."""
        prompt = self.prompt(case)
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:  # never returns: what the parent has open is the parent's
            try:
                forget_peak()
                before = peak()
                result = self.run(case, prompt)
                os.write(writer, json.dumps(result | {"peak": peak() - before}).encode())
            finally:
                os._exit(0)
        os.close(writer)
        with os.fdopen(reader) as pipe:
            line = pipe.read()
        os.waitpid(child, 0)
        if not line:
            raise RuntimeError(f"{case.name if case else 'plain'}: the process died")
        result: dict[str, float] = json.loads(line)
        return result


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("scene", type=Path)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=0, help="rounds of time; 0 for none")
    parser.add_argument("--memory", action="store_true", help="peak memory too, one fork a case")
    parser.add_argument("--tensors", action="store_true", help="bytes of tensors too, equal in every run")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    args = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(str(args.model), str(args.scene), args.frames)
    cases = [case for case in CASES if args.only in case.name]
    if any(case.captured for case in cases):
        bench.record()
    result: dict[str, Any] = {"tokens": len(bench.plain.tokens)}
    if args.memory:  # first: nothing that a run has left lies in the forks
        bench.run(None, bench.plain)
        result["plain"] = [bench.forked(None), bench.forked(None)]
        result["memory"] = {case.name: bench.forked(case) for case in cases}
        result["plain"].append(bench.forked(None))
    if args.tensors:
        bench.run(None, bench.plain)
        result["tensors"] = {case.name if case else "plain": bench.tensors(case) for case in [None, *cases]}
    if args.repeats:
        result["time"] = bench.rounds(cases, args.repeats)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
