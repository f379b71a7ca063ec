"""What the model's run costs with recording off, so that a corrected capture can be set beside the plain one.

The same work is measured in every capture: one forward pass over the prompt, under the corrections in
force, after the recorded run has warmed everything up. What a correction does before it is in force (a look at the
plain model, for one) is not in it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from attnscope.capture.record.generate import Answer, bare

if TYPE_CHECKING:
    from attnscope.model import LoadedModel, Prompt

WORK = "one forward pass over the prompt, recording off"
MOST, ENOUGH = 5, 0.5  # runs at most, and seconds after which there is no further one: a single short one says little
_STATUS, _FORGET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def first_tokens(
    model: LoadedModel, prompts: Sequence[Prompt], inputs: dict[str, Tensor]
) -> tuple[list[Answer], dict[str, Any]]:
    """The first answer token of each prompt, as the bare model gives it, and what it costs.

    Args:
        model: The loaded model, with the corrections that are measured in force.
        prompts: The prompts of the batch.
        inputs: The batch from `attnscope.capture.record.generate.collate`.

    Returns:
        The answers, and as JSON: `work`, what was measured; `prompts` of the batch; `runs`; `seconds` and
        `cpu_seconds` (of all threads of the process), each of the run in which it was least, since other work on the
        machine only adds; `memory`, `cuda` (what tensors take) or `resident` (of the process, Linux), null if it cannot
        be measured; `memory_before` and `memory_peak` of it in bytes, the model included.
    """
    memory = _Memory(model.model.device)
    seconds: list[float] = []
    busy: list[float] = []
    while not seconds or (len(seconds) < MOST and sum(seconds) < ENOUGH):
        begun, used = time.perf_counter(), time.process_time()
        answers = bare(model, prompts, inputs)  # brings the logits to the CPU: nothing is still running then
        seconds.append(time.perf_counter() - begun)
        busy.append(time.process_time() - used)
    work = {"work": WORK, "prompts": len(answers), "runs": len(seconds)}
    return answers, work | {"seconds": min(seconds), "cpu_seconds": min(busy)} | memory.read()


class _Memory:
    """Peak memory from here on."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.kind = device, "cuda" if device.type == "cuda" else "resident"
        gc.collect()
        if self.kind == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
            self.before: int | None = torch.cuda.memory_allocated(device)
            return
        with contextlib.suppress(OSError, AttributeError):  # of glibc: else memory that is free already hides growth
            ctypes.CDLL(None).malloc_trim(0)
        try:
            _FORGET.write_text("5")  # the peak of the process starts anew
        except OSError:  # another system, or a container that refuses
            self.before = None
        else:
            self.before = _resident("VmRSS")

    def read(self) -> dict[str, Any]:
        """`memory`, `memory_before`, `memory_peak`."""
        if self.before is None:
            return {"memory": None, "memory_before": None, "memory_peak": None}
        peak = torch.cuda.max_memory_allocated(self.device) if self.kind == "cuda" else _resident("VmHWM")
        return {"memory": self.kind, "memory_before": self.before, "memory_peak": peak}


def _resident(name: str) -> int:
    """A line of the process's status, in bytes."""
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))
