"""The only place that touches attention: the seam, its channels, exact rows, and the dense oracle."""

from attnscope.attention.blocks import column_blocks, row_blocks
from attnscope.attention.call import AttentionCall, Kernel, Rescale, RowEdit, allowed_pairs
from attnscope.attention.channels import add_bias, least_mass, masses, output_factor, read_with_output
from attnscope.attention.decoder import decoder_layers
from attnscope.attention.dense import dense_attention, dense_rows, logits, softmax
from attnscope.attention.gates import gated, has_gates
from attnscope.attention.masks import SampleMask, classify
from attnscope.attention.seam import Edit, Reader, tapped
from attnscope.attention.stats import row_lse
from attnscope.attention.stream import decoder_blocks, streamed

__all__ = [
    "AttentionCall",
    "Edit",
    "Kernel",
    "Reader",
    "Rescale",
    "RowEdit",
    "SampleMask",
    "add_bias",
    "allowed_pairs",
    "classify",
    "column_blocks",
    "decoder_blocks",
    "decoder_layers",
    "dense_attention",
    "dense_rows",
    "gated",
    "has_gates",
    "least_mass",
    "logits",
    "masses",
    "output_factor",
    "read_with_output",
    "row_blocks",
    "row_lse",
    "softmax",
    "streamed",
    "tapped",
]
