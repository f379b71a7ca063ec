"""Who attends to whom: the density matrix of the speakers."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from attnscope.metrics import OVER
from attnscope.report.figures.heads import from_zero, with_grey
from attnscope.report.style import PAGE, SEQUENTIAL, literal, new_figure, short

FRAMES = {"live": "Frames live for the turn", "all": "All sampled frames"}


def speaker_matrix(speakers: pd.DataFrame, head: tuple[int, int] | None = None) -> Figure:
    """Density M[s, s'] by row share, at live and at all frames.

    Args:
        speakers: the table of the speaker metrics.
        head: layer and head; by default the mean over all of them.
    """
    layer, which = head or (OVER, OVER)
    rows = speakers[
        (speakers["metric"] == "speaker_density") & (speakers["layer"] == layer) & (speakers["head"] == which)
    ]
    parts = [shares(rows[rows["frames"] == frames]) for frames in FRAMES]
    names = list(dict.fromkeys(rows["speaker"]))
    wide = len(names) > 4
    labels = [literal(name) for name in names]
    figure = new_figure(PAGE, (1.3 + 0.3 * len(names)) if not wide else 1.3 + 0.42 * len(names))
    axes = figure.subplots(1, 2, sharey=True)
    norm = from_zero([np.array([1.0])])
    for ax, part, title in zip(axes, parts, FRAMES.values(), strict=True):
        image = ax.imshow(part, norm=norm, cmap=with_grey(SEQUENTIAL), aspect="auto")
        for (y, x), value in np.ndenumerate(part):
            ax.text(
                x,
                y,
                short(value, 2),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if value < 0.6 else "black",
            )
        ax.set_xticks(range(len(names)), labels, rotation=30 if wide else 0, ha="right" if wide else "center")
        ax.set_yticks(range(len(names)), labels)
        ax.set_xlabel("pixels of")
        ax.set_title(title)
        ax.grid(visible=False)
    axes[0].set_ylabel("words of")
    figure.colorbar(image, ax=list(axes), pad=0.015, aspect=14).set_label("share of the row's density")
    return figure


def drawable(speakers: pd.DataFrame) -> bool:
    """Whether any words can be compared over the pixels of two speakers."""
    rows = speakers[(speakers["metric"] == "speaker_density") & (speakers["head"] == OVER)]
    return any(np.isfinite(shares(part)).any() for _, part in rows.groupby("frames"))


def shares(rows: pd.DataFrame) -> NDArray[np.float64]:
    """Densities as shares of their row [S, S], averaged over captures; NaN in a row with a single number."""
    names = list(dict.fromkeys(rows["speaker"]))
    wide = rows.pivot_table(index="speaker", columns="target", values="value", aggfunc="mean", dropna=False)
    m = wide.reindex(index=names, columns=names).to_numpy(np.float64, copy=True)
    m[np.isfinite(m).sum(1) < 2] = np.nan  # a share needs something to be a share of
    total = np.nansum(m, axis=1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(m / np.where(total > 0, total, np.nan))
