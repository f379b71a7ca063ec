"""The recipes of the embedded models."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Recipe:
    """All that decides the weights, beside the code.

    Attributes:
        name: Name of the model.
        people: Numbers of people in a training clip, drawn evenly; 0 is things alone.
        seed: Seed of weights, clips, noise and questions.
        tower_steps: Steps of 64 slots each.
        arms_steps: The same, with arms that point at any seat.
        pool: Clips that the decoder is trained on.
        glance_steps: Steps of 48 clips each, of which one slot is shown.
        language_steps: Steps of 24 whole clips each.
        exam: Clips of the test split for each number of people.
    """

    name: str
    people: tuple[int, ...]
    seed: int = 0
    tower_steps: int = 1800
    arms_steps: int = 600
    pool: int = 12000
    glance_steps: int = 1400
    language_steps: int = 1700
    exam: int = 256

    def smoke(self) -> Recipe:
        """The same path in less than a minute; learns next to nothing."""
        return replace(self, tower_steps=4, arms_steps=4, pool=32, glance_steps=4, language_steps=4, exam=16)


RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("roundtable", people=(0, 1, 2, 3, 3)),
        # the second look begins a few hundred steps later than with few people
        Recipe("roundtable-full", people=(0, 1, 2, 3, 4, 5, 6), glance_steps=1800),
    )
}
