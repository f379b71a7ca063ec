"""`attnscope models`: which model families have full token places."""

from __future__ import annotations

from attnscope_cli._common import Json, print_json, print_table


def run(json: Json = False) -> None:
    """List the model families whose visual tokens are placed in frame, time and pixels.

    Any other model that transformers loads for image-text-to-text is captured too: the modality of its tokens is known,
    their places are not.

    Example: `attnscope models`
    """
    from attnscope.families import FAMILIES

    if json:
        print_json([family.to_dict() for family in FAMILIES])
        return
    columns = ["family", "models", "a video token covers", "an image token covers", "frames per token"]
    print_table(columns, [[str(v) for v in family.to_dict().values()] for family in FAMILIES])
