"""`attnscope models`: which model families have full token places, and which models come along."""

from __future__ import annotations

from attnscope_cli._common import print_json, print_lines, print_table, setup_logging
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List the model families whose visual tokens are placed in frame, time and pixels, and the embedded models.

    Any other model that transformers loads for image-text-to-text is captured too: the modality of its tokens is known,
    their places are not.

    Example: `attnscope models`
    """
    from attnscope.families import EMBEDDED, families

    setup_logging(quiet=False)  # for warnings of plugins
    rows = families()
    if json:
        print_json(rows)
        return
    columns = ["family", "models", "a video token covers", "an image token covers", "frames per token"]
    print_table(columns, [[str(v) for v in row.values()][: len(columns)] for row in rows])
    for row in rows:
        if row["plugin"]:
            print_lines(f"{row['family']}: of the plugin {row['plugin']}")
    print_lines(f"\nembedded, to be named as MODEL: {', '.join(EMBEDDED)} (family qwen2_5_vl)")
