"""Whose cells the answer is drawn to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attnscope.correct.cells import Bools, Cells, elsewhere, placed, random_note
from attnscope.errors import Argument, NotApplicableError
from attnscope.scene.mentions import asked_speakers
from attnscope.scene.names import did_you_mean, find_name
from attnscope.scene.problems import show
from attnscope.vocabulary import VISUAL

if TYPE_CHECKING:
    from attnscope.correct.social.bias import SocialBias
    from attnscope.model import Prompt
    from attnscope.scene import Scene

TOWARD = ("asked", "other", "everyone", VISUAL, "random")


def target(prompt: Prompt, cells: Cells, settings: SocialBias) -> tuple[str, Bools, Bools]:
    """Who the answer is drawn to, in words, and the cells, in all frames (ours: a mention without a time).

    Returns:
        The words, the cells [N], and the same with those that are left out for being in several boxes.

    Raises:
        NotApplicableError: If the question does not say who, or that one has no cells.
    """
    scene, toward = prompt.scene, settings.toward
    if not cells.visible:
        raise NotApplicableError(
            f"{scene.video}: social-bias draws the answer to cells of speakers, and no box covers one"
        )
    if toward == "everyone":
        return "everyone", cells.all, cells.all
    if toward == VISUAL:
        return "all visual tokens", placed(prompt.tokens), placed(prompt.tokens)
    name = _named(scene) if toward in TOWARD else find_name(toward, cells.boxed) or toward
    if toward == "other":
        other = cells.after(name)
        if other is None:
            raise NotApplicableError(
                f"{scene.video}: ",
                Argument("toward", "other"),
                f" needs a speaker with a visible box beside {name}, and the scene has none",
            )
        name = other
    if name not in cells.boxed:
        raise NotApplicableError(
            f"{scene.video}: ",
            Argument("toward", name),
            f": is no speaker with a box; choose from {', '.join(cells.boxed)}, or {', '.join(TOWARD)}"
            f"{did_you_mean(toward, cells.boxed)}",
        )
    if not cells.targets[name].any():
        why = "cells are all in others' boxes too" if name in cells.visible else "box covers no visual token"
        raise NotApplicableError(f"{scene.video}: the answer is to be drawn to {name}, whose {why}")
    if toward == "random":
        random = elsewhere(prompt, settings.seed, name, cells.targets[name])
        note = random_note(settings.seed, [(random, cells.targets[name])])
        return f"as many cells as {name}'s at a random place{note}", random, random
    who = f"{cells.instead}, in place of {name}" if cells.instead else name
    return who, cells.targets[name], cells.whole[name]


def _named(scene: Scene) -> str:
    """The one speaker with a box whom the question names.

    Raises:
        NotApplicableError: If it names nobody or several.
    """
    names = asked_speakers(scene)
    if len(names) != 1:
        raise NotApplicableError(
            f"{scene.video}: {names_whom(scene, ' and '.join(names) or 'no speaker with a box')};"
            " say whose cells the answer is drawn to with ",
            Argument("toward", "NAME"),
        )
    return names[0]


def names_whom(scene: Scene, named: str) -> str:
    """Whom the question names, as a clause."""
    if scene.question is None:
        return "the scene has no question"
    return f"the question {show(scene.question)} names {named}"
