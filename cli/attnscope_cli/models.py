"""`attnscope models`: which model families have full token places."""

from __future__ import annotations

from attnscope_cli._common import Json, print_json, print_table


def run(json: Json = False) -> None:
    """List the model families whose visual tokens are placed in frame, time and pixels.

    Any other model that transformers loads for image-text-to-text is captured too, with its tokens' places unknown.

    Example: `attnscope models`
    """
    from attnscope.model.layouts import families

    found = families()
    if json:
        print_json(found)
        return
    columns = list(found[0])
    print_table("Model families", columns, [[str(f[c]) for c in columns] for f in found])
