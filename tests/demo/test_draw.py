"""Pictures: what must be seen is seen, where it should be, and nothing else changes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from attnscope.demo.cast import (
    CENTRE,
    CUPS,
    FRAMES,
    HALF,
    NAMES,
    REACH,
    SEATS,
    THINGS,
    UNITS,
    Person,
    Picture,
    Thing,
    seat_place,
    shoulder,
)
from attnscope.demo.draw import SHIRTS, draw
from attnscope.demo.sprites import CUP_COLOURS

Image = NDArray[np.uint8]
MIDDLE = 50.0  # in front of the table


def person(
    who: int = 0, seat: int = 0, *, at: tuple[float, float] | None = None, to: int = -1, mouth: int = 0
) -> Person:
    x, y = at or seat_place(seat)
    return Person(who, seat, x, y, points_at=(to,) * FRAMES, mouth=(mouth,) * FRAMES)


def full(seed: int) -> Picture:
    """Everybody somewhere, everything going on."""
    rng = np.random.default_rng(seed)
    who = rng.permutation(len(NAMES))
    people = tuple(
        replace(
            person(int(who[seat]), seat, to=int(rng.integers(-1, SEATS)), mouth=int(rng.integers(3))),
            x=seat_place(seat)[0] + float(rng.uniform(-2, 2)),
            cup=int(rng.integers(-1, len(CUPS))),
        )
        for seat in range(SEATS)
    )
    things = (Thing(seed % 6, 1, 0, 42.0, 44.0), Thing((seed + 3) % 6, 4, 3, 56.0, 54.0))
    return Picture(people, things, seed % 4)


def changed(one: Image, other: Image, least: int = 0) -> NDArray[np.bool_]:
    """Pixels [H, W] in which two pictures differ by more than `least` in some channel."""
    return np.abs(one.astype(int) - other.astype(int)).max(axis=2) > least


def near(image: Image, colour: tuple[int, int, int], within: int = 12) -> NDArray[np.bool_]:
    return np.abs(image.astype(int) - np.array(colour)).max(axis=2) <= within


@pytest.mark.parametrize("scale", [1, 2, 5])
def test_a_picture_is_rgb_and_the_same_every_time(scale: int) -> None:
    image = draw(full(0), 0, scale)
    assert image.dtype == np.uint8
    assert image.shape == (UNITS * scale, UNITS * scale, 3)
    assert np.array_equal(image, draw(full(0), 0, scale))
    image[:] = 0  # the caller's own array: what is kept for the next picture must not change
    assert draw(full(0), 0, scale).mean() > 100


@pytest.mark.parametrize("seed", range(4))
def test_a_large_picture_shows_what_the_small_one_does(seed: int) -> None:
    small, large = draw(full(seed), 0).astype(float), draw(full(seed), 0, 5).astype(float)
    reduced = large.reshape(UNITS, 5, UNITS, 5, 3).mean(axis=(1, 3))
    assert np.abs(reduced - small).mean() < 2.5
    moved = np.roll(small, 1, axis=1)
    assert np.abs(reduced - small).mean() < np.abs(reduced - moved).mean() / 4


@pytest.mark.parametrize("who", range(len(NAMES)))
def test_a_mouth_is_read_from_the_face_alone(who: int) -> None:
    closed, half, wide = (draw(Picture((person(who, at=(MIDDLE, MIDDLE), mouth=m),)), 0) for m in range(3))
    for image in (half, wide):
        rows, columns = np.nonzero(changed(closed, image))
        assert abs(rows - MIDDLE).max() < 6 and abs(columns + 0.5 - MIDDLE).max() < 4
    dark = [int((image[50:56, 46:54].max(axis=2) < 140).sum()) for image in (closed, half, wide)]
    assert dark[0] == 0 and 3 <= dark[1] < dark[2]


def test_the_frame_chooses_mouth_and_arm() -> None:
    moving = replace(person(at=(14.0, 40.0)), mouth=(0, 2, *(0,) * 6), points_at=(-1, -1, 2, *(-1,) * 5))
    still, talks, points, again = (draw(Picture((moving,)), frame) for frame in range(4))
    assert np.array_equal(still, again)
    assert 5 < changed(still, talks, 30).sum() < 40 < changed(still, points, 30).sum()


@pytest.mark.parametrize("target", range(SEATS))
@pytest.mark.parametrize("who", [0, 3, 6])
def test_an_arm_lies_towards_its_target(who: int, target: int) -> None:
    at = (MIDDLE, MIDDLE)
    there = seat_place(target)
    resting, pointing = (person(who, SEATS, at=at, to=to) for to in (-1, target))  # no seat of the eight is their own
    start = shoulder(pointing, there)
    arm = changed(draw(Picture((resting,)), 0), draw(Picture((pointing,)), 0), 8)
    rows, columns = np.nonzero(arm)
    x, y = columns + 0.5 - start[0], rows + 0.5 - start[1]
    angle = math.atan2(there[1] - start[1], there[0] - start[0])
    ahead, aside = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    assert np.abs(aside).max() < 5 and abs(aside.mean()) < 0.8
    assert ahead.min() > -4.5 and REACH - 2 < ahead.max() < REACH + 4


def test_an_arm_points_at_the_person_rather_than_the_seat() -> None:
    pointing = person(0, 4, to=0)
    pictures = [draw(Picture((pointing, person(1, 0, at=(80.0, y)))), 0)[:, :50] for y in (30.0, 80.0)]
    assert changed(*pictures, 30).sum() > 40
    alone = draw(Picture((pointing,)), 0)[:, :50]
    assert np.array_equal(alone, draw(Picture((pointing, person(1, 0))), 0)[:, :50])


@pytest.mark.parametrize("seat", range(SEATS))
@pytest.mark.parametrize("side", [-1, 1])
def test_an_arm_leaves_the_mouth_of_a_neighbour_in_sight(seat: int, side: int) -> None:
    other = (seat + side) % SEATS
    (x, y), there = seat_place(seat), seat_place(other)
    near_by = (x + 0.15 * (there[0] - x), y + 0.15 * (there[1] - y))  # as close as clips put them
    pointing = person(0, seat, at=near_by, to=other)
    seen, bare = (
        changed(*(draw(Picture((*more, person(1, other, mouth=m))), 0) for m in (0, 2)), 30)
        for more in ((pointing,), ())
    )
    assert seen.sum() >= 0.9 * bare.sum()


def test_nothing_is_drawn_outside_the_box_and_the_arm() -> None:
    empty = draw(Picture(), 0, 2)
    for who in range(len(NAMES)):
        someone = replace(person(who, at=(14.0, 40.0), mouth=2), cup=who % len(CUPS))
        rows, columns = np.nonzero(changed(empty, draw(Picture((someone,)), 0, 2)))
        left, top, right, bottom = (2 * edge for edge in someone.box)
        assert left <= columns.min() and columns.max() < right and top <= rows.min() and rows.max() < bottom
        assert columns.max() - columns.min() > 3 * HALF[0] and rows.max() - rows.min() > 3.5 * HALF[1]


def test_identities_have_shirts_and_hats_of_their_own() -> None:
    assert len(SHIRTS) == len(NAMES)
    pictures = [draw(Picture((person(who, at=(MIDDLE, 20.0)),)), 0) for who in range(len(NAMES))]
    for one in range(len(NAMES)):
        assert near(pictures[one], SHIRTS[one]).sum() > 50
        for other in range(one):
            distance = np.abs(np.subtract(SHIRTS[one], SHIRTS[other], dtype=int)).sum()
            assert distance > 60, (NAMES[one], NAMES[other])
            assert changed(pictures[one][7:15], pictures[other][7:15], 30).sum() > 40, (NAMES[one], NAMES[other])


@pytest.mark.parametrize("to", [-1, *range(SEATS)])
def test_a_cup_shows_its_colour_even_under_an_arm_and_behind_a_neighbour(to: int) -> None:
    assert len(CUP_COLOURS) == len(CUPS)
    for cup, colour in enumerate(CUP_COLOURS):
        holder = replace(person(1, 4, to=to), cup=cup)
        front = person(7, 3)
        images = [draw(Picture((who, front)), 0) for who in (holder, replace(holder, cup=-1))]
        assert near(images[0], colour, 25).sum() - near(images[1], colour, 25).sum() >= 10


def test_things_differ_in_shape_and_colour() -> None:
    pictures = {
        (kind, colour): draw(Picture(things=(Thing(kind, colour, 0, *CENTRE),)), 0)
        for kind in range(len(THINGS))
        for colour in range(len(CUPS))
    }
    empty = draw(Picture(), 0)
    for (kind, colour), image in pictures.items():
        assert near(image, CUP_COLOURS[colour], 25).sum() > 20
        rows = np.nonzero(changed(empty, image, 30))[0]
        assert 11 <= rows.max() - rows.min() + 1 <= 15
        for other in range(kind):
            assert changed(image, pictures[other, colour], 30).sum() > 30, (THINGS[kind], THINGS[other])


def test_who_is_nearer_hides_who_is_behind_and_the_table_lies_between() -> None:
    back, front = person(0, at=(MIDDLE, 30.0)), person(1, at=(MIDDLE, 50.0))
    assert np.array_equal(draw(Picture((back, front)), 0), draw(Picture((front, back)), 0))
    both, alone = draw(Picture((back, front)), 0), draw(Picture((front,)), 0)
    assert not changed(both, alone)[39:42, 46:54].any()  # the hat of the one in front
    assert changed(both, alone)[20:30].any()
    sitting = draw(Picture((person(0, at=(CENTRE[0], 40.0)),)), 0)
    assert not changed(sitting, draw(Picture(), 0))[32:, 45:51].any()


def test_walls_have_four_light_tints() -> None:
    corners = [tuple(draw(Picture(tint=tint), 0)[0, 0]) for tint in range(4)]
    assert len(set(corners)) == 4 and min(min(corner) for corner in corners) > 225


@pytest.mark.parametrize("at", [(2.0, 3.0), (94.0, 93.0), (48.0, -40.0), (-60.0, 48.0), (200.0, 200.0)])
def test_what_sticks_out_of_the_frame_is_cut_off(at: tuple[float, float]) -> None:
    seen = changed(draw(Picture(), 0), draw(Picture((person(at=at),)), 0)).sum()
    inside = 0 < at[0] < UNITS and 0 < at[1] < UNITS
    assert seen > 120 if inside else seen == 0


def test_edges_are_sharp_at_any_scale() -> None:
    picture = Picture((person(0, at=(MIDDLE, MIDDLE)),))
    flat = [near(draw(picture, 0, scale), SHIRTS[0]).sum() / scale**2 for scale in (1, 5)]
    assert flat[1] > 1.15 * flat[0]
