"""`attnscope models`: which model families have full token places, and which models come along."""

from __future__ import annotations

from attnscope_cli._common import print_json, print_lines, print_table
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List the model families whose visual tokens are placed in frame, time and pixels, and the embedded models.

    Any other model that transformers loads for image-text-to-text is captured too: the modality of its tokens is known,
    their places are not.

    Example: `attnscope models`
    """
    from attnscope.families import EMBEDDED, families

    if json:
        print_json([family.to_dict() for family in families()])
        return
    columns = ["family", "models", "a video token covers", "an image token covers", "frames per token"]
    print_table(columns, [[str(v) for v in family.to_dict().values()] for family in families()])
    print_lines(f"\nembedded, to be named as MODEL: {', '.join(EMBEDDED)} (family qwen2_5_vl)")
