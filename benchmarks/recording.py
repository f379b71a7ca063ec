"""Measure what a capture costs, beside the plain forward and beside peers; rewrites a part of benchmarks/README.md.

`python -m benchmarks.recording` (or `make bench`, which also installs the peers) measures and stores the numbers in
docs/data/recording.json; `--draw` makes the page and the picture from the stored numbers again. Every measurement is a
process of its own.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil
import torch

from attnscope.errors import RunError
from benchmarks.harness import machine, measured
from benchmarks.meter import HAND_BACK
from benchmarks.model import RECORDED_SIZES, build, frames_for
from benchmarks.page import PAGE, write_part
from benchmarks.recording_page import OURS, PEERS, SEPARATE, Record, costs_of, reason, text
from benchmarks.recording_picture import draw
from benchmarks.recording_worker import SHORT, load, prompt_of

ROOT = Path(__file__).parents[1]
DATA, PICTURE = ROOT / "docs" / "data" / "recording.json", ROOT / "docs" / "images" / "recording.png"
ENVIRONMENTS = ROOT / ".venv-peers"
SHORTEST = 600  # tokens; a prompt of about as many shows the fewest frames
TOKENS = (512, 2048, 4096, 8192, 16384)
LONGEST = 32768  # of the default plan alone, to see whether it grows on as it did
TOGETHER = 5000  # up to this length peers run as many at a time as there are cores


@dataclass
class Bench:
    """A checkpoint, a scene, and the prompts' inputs for peers.

    Attributes:
        model: Folder of the checkpoint.
        scene: The scene file.
        rounds: Rounds of time at most.
        seconds: No round of time begins that would end later than this.
        most: Seconds of CPU time that a peer may take at one length.
        folder: Where inputs are.
        tokens: Length of the prompt by number of frames.
    """

    model: Path
    scene: Path
    rounds: int
    seconds: float
    most: float
    folder: Path
    tokens: dict[int, int] = field(default_factory=dict)

    def prepare(self, frames: Sequence[int]) -> None:
        """Write the inputs of these prompts."""
        loaded = load(self.model)
        for count in sorted({SHORT, *frames}):
            inputs = prompt_of(loaded, self.scene, count).inputs
            self.tokens[count] = inputs["input_ids"].shape[1]
            torch.save(dict(inputs), self.inputs(count))

    def inputs(self, frames: int) -> Path:
        """Where the inputs of a prompt are."""
        return self.folder / f"inputs-{frames}.pt"

    def run(self, module: str, *arguments: object, at_a_time: int = 1, **options: Any) -> dict[str, Any]:
        """What a worker prints, or its error; it gets its share of the memory that is free."""
        free = f"{0.9 * psutil.virtual_memory().available / at_a_time / 2**30:.1f}"
        try:
            result = measured(module, *arguments, "--limit", free, threads=1, **options)
        except RunError as error:
            result = {"error": str(error)}
        print(module, *arguments, result, file=sys.stderr)
        return result

    def memory(self, what: str, frames: int, at_a_time: int) -> dict[str, Any]:
        """Peak memory of one mode of attnscope."""
        arguments = (what, self.model, self.scene, "--frames", frames)
        return self.run("recording_worker", *arguments, at_a_time=at_a_time, variables=HAND_BACK)

    def time(self, what: str, frames: int, **options: Any) -> dict[str, Any]:
        """CPU time of one mode of attnscope, in rounds."""
        rounds = ("--rounds", self.rounds, "--seconds", self.seconds)
        return self.run("recording_worker", what, self.model, self.scene, "--frames", frames, *rounds, **options)

    def peer(self, what: str, frames: int, at_a_time: int) -> dict[str, Any]:
        """Time and memory of a peer, one round, in its own environment."""
        limits: dict[str, Any] = {"at_a_time": at_a_time, "timeout": 10 * self.most}
        if what == "eager":
            arguments = (what, self.model, self.scene, "--frames", frames, "--most", self.most)
            return self.run("recording_worker", *arguments, **limits)
        python = ENVIRONMENTS / what / "bin" / "python"
        if not python.exists():
            return {"error": "not installed (`make peers`)"}
        arguments = (what, self.model, self.inputs(frames), self.inputs(SHORT), "--most", self.most)
        return self.run("peer_worker", *arguments, python=python, **limits)


def measure_ours(bench: Bench, lengths: Mapping[int, Sequence[str]]) -> list[Record]:
    """Costs of attnscope: memory first, on all cores, then time, alone.

    Args:
        bench: What to run.
        lengths: By number of frames, the modes to measure.
    """
    cores = os.cpu_count() or 1
    cases = [(what, frames) for frames, modes in lengths.items() for what in modes]
    own = [case for case in cases if bench.tokens[case[1]] <= SEPARATE]
    with ThreadPoolExecutor(cores) as pool:
        memory = dict(zip(own, pool.map(lambda case: bench.memory(*case, at_a_time=cores), own), strict=True))
    records = []
    for what, frames in cases:
        alone = (what, frames) in memory
        timed = bench.time(what, frames, variables={} if alone else HAND_BACK)
        both = {"time": timed, "memory": memory[what, frames] if alone else timed}
        records.append({"what": what, "tokens": bench.tokens[frames]} | both)
    return records


def measure_peers(bench: Bench, peers: Sequence[str], lengths: Sequence[int]) -> list[Record]:
    """Costs of peers, each from the shortest prompt on until it fails: what does not fit will not fit later."""
    failed: dict[str, str] = {}
    records = []
    for frames in sorted(lengths):
        tokens = bench.tokens[frames]
        at_a_time = (os.cpu_count() or 1) if tokens <= TOGETHER else 1
        able = [what for what in peers if what not in failed]
        ask = partial(bench.peer, frames=frames, at_a_time=at_a_time)
        with ThreadPoolExecutor(at_a_time) as pool:
            results = dict(zip(able, pool.map(ask, able), strict=True))
        for what in peers:
            result = results.get(what, {"error": f"not run ({failed.get(what)})"})
            records.append({"what": what, "tokens": tokens, "time": result, "memory": result})
            if what in able and result.get("error"):
                failed[what] = f"{reason(result['error'])} at {tokens:,} tokens"
    return records


def main() -> None:
    """Measure, store, then write the page and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, nargs="+", default=TOKENS, help="lengths of the prompt, about")
    parser.add_argument("--longest", type=int, default=LONGEST, help="one more, of the default plan alone; 0 for none")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of time at most")
    parser.add_argument("--seconds", type=float, default=40, help="no round begins that would end later than this")
    parser.add_argument("--most", type=float, default=120, help="seconds of CPU time of a peer at one length")
    names = [*OURS, *PEERS]
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="the other stored numbers stay")
    parser.add_argument("--draw", action="store_true", help="measure nothing; write page and picture from --data")
    parser.add_argument("--data", type=Path, default=DATA, help="where the numbers are stored")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    parser.add_argument("--page", type=Path, default=PAGE, help="the page whose part is rewritten")
    args = parser.parse_args()
    if not args.draw:
        args.data.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            for stored in measure(args, args.only or names, Path(folder)):
                kept = merged(stored, args.data) if args.only else stored
                args.data.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(args.data.read_text(encoding="utf-8"))
    costs = costs_of(stored["records"])
    draw(costs, args.picture)
    gpu = "\n## Recording on a GPU\n" in args.page.read_text(encoding="utf-8")
    print(write_part("Recording", text(stored, costs, gpu=gpu), args.page))


def merged(stored: dict[str, Any], data: Path) -> dict[str, Any]:
    """New measurements, with what was stored before of other things or lengths, if it is of the same machine."""
    if not data.exists():
        return stored
    old = json.loads(data.read_text(encoding="utf-8"))
    if any(old.get(name) != stored[name] for name in ("machine", "versions", "sizes")):
        return stored
    new = {(record["what"], record["tokens"]) for record in stored["records"]}
    kept = [record for record in old["records"] if (record["what"], record["tokens"]) not in new]
    return stored | {"records": kept + stored["records"], "minutes": max(old["minutes"], stored["minutes"])}


def measure(args: argparse.Namespace, only: Sequence[str], folder: Path) -> Iterator[dict[str, Any]]:
    """Everything that the page needs, as it is stored: after attnscope was measured, and again after the peers."""
    begun = time.perf_counter()
    most = max(*args.tokens, args.longest)
    model, scene = build(folder, RECORDED_SIZES, seconds=max(10, math.ceil(frames_for(most) / 15)))
    bench = Bench(model, scene, args.rounds, args.seconds, args.most, folder)
    frames = [frames_for(tokens) if tokens > SHORTEST else SHORT for tokens in args.tokens]
    longest = [frames_for(args.longest)] if args.longest and "default" in only else []
    bench.prepare([*frames, *longest])
    ours, peers = ([what for what in names if what in only] for names in (OURS, PEERS))
    records: list[Record] = []
    for part in (
        partial(measure_ours, bench, dict.fromkeys(frames, ours) | dict.fromkeys(longest, ("default",))),
        partial(measure_peers, bench, peers, frames),
    ):
        records += part()
        yield {
            "machine": machine(),
            "versions": {name: version(name) for name in ("torch", "transformers")},
            "sizes": RECORDED_SIZES,
            "rounds": args.rounds,
            "most": args.most,
            "minutes": round((time.perf_counter() - begun) / 60),
            "records": records,
        }


if __name__ == "__main__":
    main()
