"""Run by test_complete_or_absent: captures in forked children, each killed at a random moment. Prints one JSON line."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import torch

import attnscope
from attnscope.capture.run import capture_prompts
from tests.capture.eager import make_prompt

torch.set_num_threads(1)  # forked children cannot use the parent's thread pool


def main(folder: str, scene: str, out: Path, rounds: int) -> None:
    loaded = attnscope.load(folder)
    prompt = make_prompt(loaded, scene)
    plan = attnscope.Plan(qk=True, full=True)
    gc.collect()  # a video decoder that is left over has threads, for which a forked child would wait for ever

    def start(path: Path) -> int:
        pid = os.fork()
        if pid == 0:
            try:
                capture_prompts(loaded, [prompt], [path], plan=plan, max_new_tokens=16)[0].close()
            finally:
                os._exit(0)
        return pid

    begun = time.perf_counter()
    os.waitpid(start(out / "whole.h5"), 0)
    whole = time.perf_counter() - begun
    moments = random.Random(0)
    killed = 0
    for number in range(rounds):
        pid = start(out / f"{number}.h5")
        time.sleep(moments.uniform(0, whole))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    print(json.dumps({"killed": killed, "seconds": whole}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]))
