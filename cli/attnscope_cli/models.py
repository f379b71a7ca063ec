"""`attnscope models`: which model families have full token places, and which models come along."""

from __future__ import annotations

from attnscope_cli._common import print_json, print_lines, print_table, setup_logging
from attnscope_cli._options import Json


def run(json: Json = False) -> None:
    """List the model families with a layout, which places visual tokens in frame, time and pixels; and embedded models.

    Any other model that transformers loads for image-text-to-text is captured too, and its tokens are placed by
    changing pixels, where they have a place. `attnscope doctor MODEL --places` tries it; docs/models.md lists models.

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
