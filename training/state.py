"""What training remembers: where it is, so that it goes on after an interruption, and the curve it drew."""

from __future__ import annotations

import csv
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn

_COLUMNS = ("stage", "step", "seconds", "loss", "accuracy")


class Optimisation:
    """Parameters under AdamW with a schedule, saved and restored together.

    Args:
        parts: Modules by name; all their parameters are trained.
        rate: Largest learning rate.
        steps: Length of the schedule.
        decay: Decay of the weights.
    """

    def __init__(self, parts: dict[str, nn.Module], rate: float, steps: int, decay: float = 0.01) -> None:
        self.parts, self.steps, self.step = parts, steps, 0
        self.parameters = [p for part in parts.values() for p in part.parameters()]
        self._optimiser = torch.optim.AdamW(self.parameters, lr=rate, weight_decay=decay, betas=(0.9, 0.98))
        self._rate = torch.optim.lr_scheduler.LambdaLR(self._optimiser, lambda step: schedule(step, steps))

    def update(self, loss: torch.Tensor) -> None:
        """One step down the gradient of a loss."""
        self._optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self._optimiser.step()
        self._rate.step()
        self.step += 1

    def save(self, path: Path) -> None:
        """Write the whole state; the file is complete or as it was."""
        state: dict[str, Any] = {name: part.state_dict() for name, part in self.parts.items()}
        state |= {"optimiser": self._optimiser.state_dict(), "rate": self._rate.state_dict(), "step": self.step}
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def restore(self, path: Path) -> bool:
        """Go on from a saved state; False if there is none."""
        if not path.exists():
            return False
        state = torch.load(path, weights_only=True)
        for name, part in self.parts.items():
            part.load_state_dict(state[name])
        self._optimiser.load_state_dict(state["optimiser"])
        self._rate.load_state_dict(state["rate"])
        self.step = state["step"]
        return True


def schedule(step: int, steps: int) -> float:
    """Factor on the learning rate: linear warm-up over a twentieth, then a cosine down to 2 %."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(steps - warmup, 1)
    return 0.02 + 0.98 * 0.5 * (1 + float(torch.cos(torch.tensor(torch.pi * min(done, 1.0)))))


class Curve:
    """A table of the training, one line a report, appended to a csv file.

    Args:
        path: The file; lines of an earlier, interrupted run are kept, but for steps that are done again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = float(self.rows()[-1]["seconds"]) if self.rows() else 0.0
        self._began = time.monotonic()

    def add(self, stage: str, step: int, loss: float, accuracy: dict[str, float]) -> dict[str, Any]:
        """Write one line.

        Args:
            stage: "tower" or "language".
            step: Optimiser step.
            loss: Mean since the last line.
            accuracy: Shares of right labels or answers, by name.
        """
        seconds = self._offset + time.monotonic() - self._began
        shares = " ".join(f"{name}={share:.3f}" for name, share in accuracy.items())
        row = dict(zip(_COLUMNS, (stage, step, f"{seconds:.0f}", f"{loss:.4f}", shares), strict=True))
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS)
            if new:
                writer.writeheader()
            writer.writerow(row)
        return row

    def rows(self) -> list[dict[str, str]]:
        """All lines; of a step that was done again, because its state was not saved, the last one."""
        if not self.path.exists():
            return []
        with self.path.open(newline="", encoding="utf-8") as file:
            return list({(row["stage"], row["step"]): row for row in csv.DictReader(file)}.values())
