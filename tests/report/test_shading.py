"""The colours over the frames: uniform attention leaves them as they are, equal factors are equal steps."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from matplotlib.colors import LogNorm, Normalize

from attnscope.report.figures.frames.backdrop import Backdrop
from attnscope.report.figures.frames.overlay import draw, scale
from attnscope.report.figures.frames.shading import FAINT, LESS, MORE, ratio_scale, ratio_ticks, shade
from attnscope.report.figures.style import own_axes


def test_near_uniform_attention_hides_nothing() -> None:
    """The fault: the scale ended at the largest number, so that 1 times uniform was drawn as the most there can be."""
    values = np.random.default_rng(0).normal(1.0, 0.002, (6, 8))
    norm, extend = ratio_scale([values])
    assert (norm.vmin, norm.vmax, extend) == (0.5, 2.0, "neither")
    colors, opacity = shade(values, norm)
    assert opacity.max() < FAINT + 0.02
    assert colors.min() > 0.93  # white: no colour stands for "as much as uniform"


def test_a_factor_up_and_the_same_factor_down_are_as_far_from_the_middle() -> None:
    norm, _ = ratio_scale([np.array([8.0, 1.0, 1.0])])
    assert (norm.vmin, norm.vmax) == (1 / 8, 8)
    _, opacity = shade(np.array([[1 / 8, 1 / 2, 1.0, 2.0, 8.0, 1000.0, 0.0, np.nan]]), norm)
    assert opacity[0, [2, 4, 5, 6, 7]] == pytest.approx([FAINT, MORE, MORE, LESS, 0])
    assert (opacity[0, 3] - FAINT) / (MORE - FAINT) == pytest.approx((opacity[0, 1] - FAINT) / (LESS - FAINT))
    colors, _ = shade(np.array([[0.25, 4.0]]), norm)
    assert colors[0, 0, 2] > colors[0, 0, 0]  # blue for less
    assert colors[0, 1, 0] > colors[0, 1, 2]  # red for more


@pytest.mark.parametrize("values", [[], [np.nan], [0.0, 0.0], [1e-9], [1e9], [0.3, 0.31]])
def test_any_numbers_have_a_scale(values: list[float]) -> None:
    norm, extend = ratio_scale([np.array(values)])
    assert norm.vmin is not None and norm.vmax is not None
    assert norm.vmin * norm.vmax == pytest.approx(1)
    assert 2 <= norm.vmax <= 64
    assert extend in ("neither", "min", "max", "both")
    assert np.isfinite(shade(np.array([values]), norm)[1]).all()


def test_a_sink_does_not_make_all_else_pale() -> None:
    values = np.concatenate([np.full(500, 0.5), np.full(500, 3.0), [900.0]])
    norm, extend = ratio_scale([values])
    assert (norm.vmax, extend) == (4.0, "max")


@pytest.mark.parametrize("octaves", [1, 2, 3, 4, 6])
def test_the_bar_names_its_ends_and_its_middle(octaves: int) -> None:
    places, texts = ratio_ticks(LogNorm(2.0**-octaves, 2.0**octaves))
    assert (texts[0], texts[len(texts) // 2], texts[-1]) == (f"1/{2**octaves}", "1", f"{2**octaves}")
    assert len(texts) <= 7
    assert places == pytest.approx([float(Fraction(text)) for text in texts])


def test_a_change_is_as_loud_down_as_up() -> None:
    _, opacity = shade(np.array([[-3.0, 0.0, 3.0]]), Normalize(-3, 3))
    assert opacity[0] == pytest.approx([MORE, FAINT, MORE])


def test_faces_stay_visible_under_even_attention() -> None:
    """What is drawn over a frame, at its pixels."""
    on = Backdrop(
        images=np.full((1, 4, 4, 3), 0.2),
        times=np.zeros(1),
        size=(4, 4),
        kind="image",
        boxes={},
        cells=np.array([[x, y, x + 1, y + 1] for y in range(4) for x in range(4)], dtype=np.float64),
        first=np.zeros(16, dtype=np.int64),
        last=np.zeros(16, dtype=np.int64),
        live=np.zeros(1, dtype=bool),
    )
    values = np.linspace(0.99, 1.01, 16)
    norm, _ = scale(on, [values])
    image = np.asarray(draw(own_axes(None, 2, 2), on, values, 0, norm).get_array())
    assert image.shape == (4, 4, 4)
    assert image[..., 3].max() < 0.1
