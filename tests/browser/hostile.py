"""A scene whose every field holds text that would do something if a page took it for anything but text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SHOUT = "alert(1)"
IMAGE = f"<img src=x onerror={SHOUT}>"
NAMES = (IMAGE, f"</script><script>{SHOUT}</script>", f"\" onmouseover='{SHOUT}' x=\"")
TURNS = (
    f"<!--<script>{SHOUT}//--> \u2028\u2029 ]]> </style><svg onload='{SHOUT}'>",
    f"</textarea></title></template><iframe srcdoc='<script>parent.{SHOUT}</script>'></iframe>",
    "\u202eright to left\u202c \u05d0\u05d1\u05d2 \u0627\u0644\u0633\u0644\u0627\u0645 " + "W" * 80,
    "${alert(1)} {{ 7 * 7 }} {% raw %} \\u003cscript\\u003e &lt;b&gt; &#60;script>",
)
QUESTION = f"javascript:{SHOUT} {IMAGE} =HYPERLINK(\"x\") '+{SHOUT}+' \\"


def write(folder: Path, scene: Path) -> Path:
    """A scene file beside a copy of the film of `scene`, named hostilely too."""
    folder.mkdir()
    document: dict[str, Any] = json.loads(scene.read_text("utf-8"))
    boxes = list(document["speakers"].values())
    film = "'onerror=alert(1) <b> & \".mp4"
    (folder / film).write_bytes((scene.parent / document["video"]).read_bytes())
    document |= {
        "video": film,
        "speakers": dict(zip(NAMES, boxes, strict=False)),
        "transcript": [
            {"speaker": NAMES[i % 3], "text": text, "start": 0.5 + i, "end": 1.2 + i} for i, text in enumerate(TURNS)
        ],
        "question": QUESTION,
        "options": [NAMES[0], "<b>"],
        "answer": NAMES[0],
        "system": IMAGE,
        "fields": {IMAGE: IMAGE, "task": TURNS[0]},
    }
    path = folder / "<i>scene.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path
