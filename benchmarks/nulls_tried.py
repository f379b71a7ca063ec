"""Which null keeps the order of turns? Prints the table of docs/decisions/0021: `python -m benchmarks.nulls_tried`.

Densities are simulated: of 12 turns of three people, log-density = slope of the head and the person x place in the
transcript + noise 0.15 + what is planted on the own speaker. Each null rearranges labels, some after taking drift out.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from attnscope.metrics.people.density import Turns
from attnscope.metrics.people.matrix import lifts
from attnscope.metrics.people.nulls import arrangements, drift_p, p_value

PEOPLE, TURNS, HEADS, DRAWS, NOISE, DRIFT = 3, 12, 1000, 499, 0.15, 0.5
RUNS = np.repeat(np.arange(PEOPLE), TURNS // PEOPLE)
ALTERNATING = np.tile(np.arange(PEOPLE), TURNS // PEOPLE)
CASES = {  # labels, drift, its shape, planted
    "runs, drift": (RUNS, DRIFT, 1, 0.0),
    "alternating, drift": (ALTERNATING, DRIFT, 1, 0.0),
    "runs, bent drift": (RUNS, DRIFT, 2, 0.0),
    "runs, planted 0.3": (RUNS, 0.0, 1, 0.3),
    "alternating, planted 0.3": (ALTERNATING, 0.0, 1, 0.3),
}
Floats = NDArray[np.float64]
Labels = NDArray[np.int64]


def densities(labels: Labels, drift: float, power: int, planted: float, rng: np.random.Generator) -> Floats:
    """[HEADS, TURNS, PEOPLE]; the drift is a line, or a line and a parabola around the middle of the transcript."""
    place = np.linspace(0, 1, TURNS)
    y = rng.normal(0, NOISE, (HEADS, TURNS, PEOPLE)) + planted * (labels[:, None] == np.arange(PEOPLE))
    for shape in (place, 4 * (place - 0.5) ** 2)[:power]:
        y += rng.normal(0, drift, (HEADS, 1, PEOPLE)) * shape[:, None]
    return np.exp(y)


def permuted(labels: Labels) -> Labels:
    """Labels dealt anew."""
    return arrangements(labels, draws=DRAWS)[0]


def shifted(labels: Labels) -> Labels:
    """Labels moved around the transcript, each order once."""
    return np.unique(np.stack([np.roll(labels, by) for by in range(len(labels))]), axis=0)


def neighbours(labels: Labels, size: int = 4) -> Labels:
    """Labels permuted among `size` neighbours, each order once."""
    rng, out = np.random.default_rng(0), [labels]
    for _ in range(DRAWS):
        out.append(np.concatenate([rng.permutation(part) for part in labels.reshape(-1, size)]))
    return np.unique(np.stack(out), axis=0)


def without_parabola(flat: Floats, _: Turns) -> Floats:
    """Logarithms of densities without the parabola of least squares over the transcript; their mean stays."""
    place = np.linspace(-1, 1, TURNS)
    basis = np.stack([place**power for power in range(3)], 1)
    y = np.log(flat)
    fit = np.einsum("ts,xsk->xtk", basis @ np.linalg.pinv(basis), y)
    return np.asarray(np.exp(y - fit + y.mean(1, keepdims=True)))


CHOSEN = "straight line taken out (chosen)"
NULLS: dict[str, tuple[Callable[[Floats, Turns], Floats], Callable[[Labels], Labels]]] = {
    "labels permuted": (lambda flat, _: flat, permuted),
    "parabola taken out": (without_parabola, permuted),
    "labels shifted around the transcript": (lambda flat, _: flat, shifted),
    "labels permuted among four neighbours": (lambda flat, _: flat, neighbours),
}


def shares() -> dict[str, list[float]]:
    """Share of heads with p at or below 0.05, by null, for each of `CASES`."""
    out: dict[str, list[float]] = {name: [] for name in (CHOSEN, *NULLS)}
    for number, (labels, *how) in enumerate(CASES.values()):
        flat = densities(labels, *how, np.random.default_rng(number))  # type: ignore[arg-type]
        ones = np.ones((TURNS, PEOPLE), dtype=np.int64)
        live = np.ones((TURNS, 1), dtype=bool)
        names = [f"{n}" for n in range(PEOPLE)]
        turns = Turns(names, [""] * TURNS, list(range(TURNS)), labels, np.ones(TURNS, dtype=np.int64), live, ones)
        _, p = drift_p(flat, turns, limit=5000, draws=DRAWS, seed=0)
        out[CHOSEN].append(float((p <= 0.05).mean()))
        for name, (change, rearrange) in NULLS.items():
            changed, ways = change(flat, turns), rearrange(labels)
            p, _ = p_value(
                lifts(changed, turns, labels[None])[0], lifts(changed, turns, ways), rearrange is not permuted
            )
            out[name].append(float((p <= 0.05).mean()))
    return out


def main() -> None:
    """Print the table."""
    print(f"| null | {' | '.join(CASES)} |\n|{'---|' * (1 + len(CASES))}")
    for name, values in shares().items():
        print(f"| {name} | {' | '.join(f'{share:.2f}' for share in values)} |")


if __name__ == "__main__":
    main()
