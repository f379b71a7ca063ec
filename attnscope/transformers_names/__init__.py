"""The one place that knows names inside transformers.

transformers renames things within a major version (5.24 made `cache` of `past_key_values`). Whatever attnscope assumes
about its names stands here: each assumption is a small function whose docstring says which versions it knows, and the
rest of attnscope asks these functions. `ASSUMPTIONS` lists them, each with a check that runs a real model;
`attnscope doctor` and the tests go through that list, so a release of transformers that breaks one says which.

It lies at the top of the package so that `attention`, `model`, `capture` and `correct` may all import it without an
import that runs upward (docs/decisions/0015). Importing it imports neither torch nor transformers.
"""

from __future__ import annotations

from attnscope.transformers_names.assumptions import ASSUMPTIONS, Assumption
from attnscope.transformers_names.attention import (
    attends_to_others,
    eager_function,
    has_linear_attention,
    has_text_config,
    head_width,
    implementation_of,
    implementations,
    is_encoder_decoder,
    local_entry,
    registry_of,
    text_config,
    text_decoder,
)
from attnscope.transformers_names.gates import gate_logits, gate_projection, output_projection
from attnscope.transformers_names.inputs import (
    TYPE_IDS,
    ask_modalities,
    best_canvas,
    counted_over,
    drawn_time,
    hears,
    is_pixels,
    is_target,
    modalities_in,
    padded_canvas,
    sound_ids,
    taken,
    tiled_canvas,
    video_metadata,
    visual_ids,
)
from attnscope.transformers_names.loading import loader_of, loader_of_code, only_errors, reading_part, without_bar
from attnscope.transformers_names.passes import (
    all_rows,
    cache_in,
    cache_of,
    cached_tokens,
    context_window,
    fault_of_a_version,
    last_logits,
    position_rule,
    split_logits,
    unvalidated_generate,
)

__all__ = [
    "ASSUMPTIONS",
    "TYPE_IDS",
    "Assumption",
    "all_rows",
    "ask_modalities",
    "attends_to_others",
    "best_canvas",
    "cache_in",
    "cache_of",
    "cached_tokens",
    "context_window",
    "counted_over",
    "drawn_time",
    "eager_function",
    "fault_of_a_version",
    "gate_logits",
    "gate_projection",
    "has_linear_attention",
    "has_text_config",
    "head_width",
    "hears",
    "implementation_of",
    "implementations",
    "is_encoder_decoder",
    "is_pixels",
    "is_target",
    "last_logits",
    "loader_of",
    "loader_of_code",
    "local_entry",
    "modalities_in",
    "only_errors",
    "output_projection",
    "padded_canvas",
    "position_rule",
    "reading_part",
    "registry_of",
    "sound_ids",
    "split_logits",
    "taken",
    "text_config",
    "text_decoder",
    "tiled_canvas",
    "unvalidated_generate",
    "video_metadata",
    "visual_ids",
    "without_bar",
]
