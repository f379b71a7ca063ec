"""What a track is called whose format has classes rather than names.

Annotation tools know a class ("person") and number the tracks of it; who somebody is, people write into an attribute
or make a class of their own of it. One rule for all (ours): the attribute called `name` counts; else the class, if one
track of the clip has it; else the class with the track's number, so that two people never become one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Literal, get_args

from attnscope.scene.importers.streaming import name_of

Naming = Literal["auto", "label", "track"]


class TrackNames:
    """Names the tracks of a source.

    Args:
        tracks: A clip and the class of one of its tracks, for each track of the source.
        attribute: Attribute that holds names; letter case does not matter.
        naming: "auto" as above, "label" (the class alone: tracks of one class are one person) or "track" (always with
            the number of the track).

    Raises:
        ValueError: If `naming` is unknown.
    """

    def __init__(self, tracks: Iterable[tuple[str, str]], attribute: str, naming: str) -> None:
        if naming not in get_args(Naming):
            raise ValueError(f"naming: {naming} is not one of {', '.join(get_args(Naming))}")
        self.attribute, self.naming = attribute.strip().casefold(), naming
        self.tracks = Counter(tracks)
        self.numbered: dict[str, str] = {}  # class -> the first name with a number

    def name(self, clip: str, label: str, track: str, attributes: Mapping[str, object]) -> str:
        """The name of a track in a clip, from its class, its number and its attributes."""
        for key, value in attributes.items():
            if self.attribute and str(key).strip().casefold() == self.attribute and name_of(value):
                return name_of(value)
        label = label.strip() or "track"
        alone = self.tracks[(clip, label)] <= 1
        if self.naming == "label" or (self.naming == "auto" and alone and label != "track"):
            return label
        name = f"{label} {track}"
        if self.naming == "auto":
            self.numbered.setdefault(label, name)
        return name

    def notes(self, source: str) -> list[str]:
        """One sentence for each class whose tracks got numbers."""
        return [
            f'{source}: several tracks of a clip are called "{label}": each is a person of its own, such as "{name}"; '
            f'an attribute "{self.attribute}" may name them, and naming=label makes one person of them'
            for label, name in self.numbered.items()
        ]
