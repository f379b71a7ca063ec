"""What the clips look like: a frame with few and with many people, and the boxes that corrections are given."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from attnscope.demo.cast import UNITS
from attnscope.demo.draw import draw
from attnscope.demo.scenes import SCALE
from attnscope.demo.script import ClipSampler
from attnscope.report.figures.style import PAGE, new_figure

_SEED = 11  # clips of their own, asked nothing


def scenes(people: Sequence[int]) -> Figure:
    """One test clip for each number of people: a frame with names and boxes, and what is said."""
    figure = new_figure(PAGE, 2.65)
    axes = figure.subplots(1, len(people))
    for ax, number in zip(axes, people, strict=True):
        clip = ClipSampler("test", _SEED, number).clip(number, turns=1, named=True)
        turn = clip.turns[0]
        mouths = clip.people[turn.speaker].mouth
        frame = max(range(len(mouths)), key=mouths.__getitem__)  # one in which the speaker is seen to speak
        ax.imshow(draw(clip.picture, frame, SCALE), extent=(0, UNITS, UNITS, 0))
        for person in clip.people:
            left, top, right, bottom = person.box
            ax.add_patch(Rectangle((left, top), right - left, bottom - top, fill=False, color="#222222", linewidth=0.9))
            at = {"x": left + 0.8, "y": bottom - 0.8, "s": person.name, "va": "bottom", "fontsize": 6.5}
            ax.text(**at, color="white", path_effects=[withStroke(linewidth=1.6, foreground="black")])
        line = f"{clip.people[turn.speaker].name}: {turn.text}"
        ax.set_title(f"{number} {'person' if number == 1 else 'people'}", fontsize=8)
        ax.set_xlabel(f"“{line}”", fontsize=7.5)
        ax.set(xticks=[], yticks=[])
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
    return figure
