"""Random damage to a capture, and what a reader makes of it: refused in one line, or the same numbers.

`python -m tests.capture.mutations ORIGINAL FOLDER SEED FIRST LAST` runs some cases, each in a process of its own that
is forked from one that has imported everything, with limits to memory and time; a line of JSON a case.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

import numpy as np

import attnscope
from attnscope.capture.check.validate import validate
from attnscope.capture.read.dense import LayerQK
from attnscope.errors import AttnscopeError

KINDS = ("bits", "range", "zeros", "pages", "truncation", "insertion")
PAGE = 512
SECONDS = 30
MEMORY = 8 << 30  # of address space, most of it libraries

STATS = ("entropy", "lse", "sink_mass", "max", "allowed")


def _queries_and_keys(qk: LayerQK) -> list[object]:
    store, path = qk.store, qk.path
    return [store.read(f"{path}/q"), store.read(f"{path}/k"), [qk.scale, qk.softcap, qk.dtype]]


READS = {
    "model": lambda cap: cap.model,
    "run": lambda cap: cap.run,
    "answer": lambda cap: cap.answer,
    "check": lambda cap: cap.check,
    "correction": lambda cap: cap.correction,
    "scene": lambda cap: cap.scene_dict,
    "prompt": lambda cap: cap.prompt,
    "layers": lambda cap: cap.layers,
    "tokens": lambda cap: cap.tokens.to_json(),
    "frames": lambda cap: cap.frames.images,
    "times": lambda cap: cap.frames.times,
    "key_groups": lambda cap: cap.key_groups.to_json(),
    "key_member": lambda cap: cap.key_member,
    "query_groups": lambda cap: cap.query_groups.to_json(),
    "query_member": lambda cap: cap.query_member,
    "sinks": lambda cap: cap.sinks,
    "allowed": lambda cap: [cap.allowed(int(layer)) for layer in cap.layers],
    "attention": lambda cap: [cap.attention(int(layer)) for layer in cap.layers],
    "qk": lambda cap: [_queries_and_keys(cap.qk(int(layer))) for layer in cap.layers],
    "masses": lambda cap: cap.masses().values,
    "masses_allowed": lambda cap: cap.masses_allowed().values,
    "flow": lambda cap: cap.flow().values,
    "flow_pairs": lambda cap: cap.flow_pairs().values,
    "maps": lambda cap: cap.maps().values,
    **{name: lambda cap, name=name: cap.stat(name).values for name in STATS},
    **{name: lambda cap, name=name: cap.hidden(name).values for name in ("massive", "residual", "singular_values")},
}


def damage(data: bytes, seed: int, case: int) -> tuple[str, bytes]:
    """The kind of damage of a case, and the damaged file."""
    rng = np.random.default_rng([seed, case])
    kind = KINDS[case % len(KINDS)]
    found = np.frombuffer(data, np.uint8).copy()
    if kind == "bits":
        for at in rng.integers(0, len(found), int(rng.integers(1, 9))):
            found[at] ^= 1 << rng.integers(8)
    elif kind in ("range", "zeros"):
        length = int(2 ** rng.uniform(1, 13))
        start = int(rng.integers(0, max(1, len(found) - length)))
        part = found[start : start + length]
        part[:] = 0 if kind == "zeros" else rng.integers(0, 256, len(part))
    elif kind == "pages":
        first, second = (rng.choice(len(found) // PAGE, 2, replace=False) * PAGE).tolist()
        page = found[first : first + PAGE].copy()
        found[first : first + PAGE] = found[second : second + PAGE]
        found[second : second + PAGE] = page
    elif kind == "truncation":
        found = found[: int(rng.integers(0, len(found)))]
    else:
        at = int(rng.integers(0, len(found)))
        found = np.concatenate([found[:at], rng.integers(0, 256, int(rng.integers(1, 5000)), np.uint8), found[at:]])
    return kind, found.tobytes()


def digests(path: Path) -> dict[str, str]:
    """What every reading says: the digest of its content, or the error's line."""
    said = {}
    with attnscope.open(path) as cap:
        for name, read in READS.items():
            try:
                said[name] = hashlib.sha256(_bytes(read(cap))).hexdigest()
            except AttnscopeError as error:
                assert "\n" not in str(error)
                said[name] = f"refused: {error}"
    return said


def _bytes(value: object) -> bytes:
    if isinstance(value, np.ndarray):
        return str((value.dtype, value.shape)).encode() + value.tobytes()
    if isinstance(value, (list, tuple)) and not all(isinstance(item, (str, int, float, dict)) for item in value):
        return b"".join(_bytes(item) for item in value)
    return json.dumps(value, sort_keys=True).encode()


def outcome(path: Path, truth: dict[str, str]) -> str:
    """`refused`, `same`, or what went wrong."""
    problems = validate(path)
    if any("\n" in str(problem) for problem in problems):
        return "a problem of several lines"
    try:
        said = digests(path)
    except AttnscopeError as error:
        assert "\n" not in str(error)
        return "refused" if problems else f"valid, but refused: {error}"
    wrong = [name for name, digest in said.items() if digest != truth[name] and not digest.startswith("refused: ")]
    if wrong:
        return f"other numbers in {', '.join(wrong)}" + ("" if problems else ", and valid")
    if any(digest.startswith("refused: ") for digest in said.values()):
        return "refused" if problems else "valid, but a reading is refused"
    return "refused" if problems else "same"


def isolated(path: Path, truth: dict[str, str]) -> str:
    """The outcome in a forked process with limits."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.alarm(SECONDS)
        try:
            text = outcome(path, truth)
        except BaseException:
            text = traceback.format_exc().splitlines()[-1]
        os.write(writing, text.encode()[:4000])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        text = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return text if status == 0 else f"ended by signal {os.waitstatus_to_exitcode(status)}"


def main(original: str, folder: str, seed: str, first: str, last: str) -> None:
    """Run the cases from `first` up to `last`."""
    data, truth = Path(original).read_bytes(), digests(Path(original))
    assert not any(digest.startswith("refused: ") for digest in truth.values()), truth
    assert validate(original) == []
    path = Path(folder) / f"case-{first}.h5"
    for case in range(int(first), int(last)):
        kind, damaged = damage(data, int(seed), case)
        path.write_bytes(damaged)
        started = time.monotonic()
        text = isolated(path, truth)
        line = {"case": case, "kind": kind, "outcome": text, "seconds": round(time.monotonic() - started, 2)}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
