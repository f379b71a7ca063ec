"""The only place that touches attention: the seam, its channels, exact rows, and the dense oracle."""

from attnscope.attention.call import AttentionCall, allowed_pairs
from attnscope.attention.channels import add_bias, read_with_output
from attnscope.attention.decoder import decoder_layers
from attnscope.attention.dense import dense_attention, dense_rows, logits, softmax
from attnscope.attention.seam import Edit, Reader, tapped
from attnscope.attention.stream import decoder_blocks, streamed

__all__ = [
    "AttentionCall",
    "Edit",
    "Reader",
    "add_bias",
    "allowed_pairs",
    "decoder_blocks",
    "decoder_layers",
    "dense_attention",
    "dense_rows",
    "logits",
    "read_with_output",
    "softmax",
    "streamed",
    "tapped",
]
