"""Figures: functions from tables and captures to matplotlib axes; numbers are made in metrics.

    from attnscope.report import figures
    figures.links_by_layer(metrics.pair_mean(cap))[0].figure.savefig("links.svg")
    figures.links_by_layer(metrics.clips.over_clips(table, about))  # pooled first
    figures.layer_curves(metrics.grounding_auc(cap), "grounding_auc", "frames", where={"speaker": "", "turn": -1})

Each function draws into a new figure of a paper's column, or into the axes (`ax`), figure or subfigure (`fig`) that it
is given, and returns axes: one, or a list where it makes several. `with styled("slides")` makes larger ones.
"""

from attnscope.metrics.clips.curves import rows_of
from attnscope.report.figures.answer import speaker_shares, speaker_shares_change
from attnscope.report.figures.curves import decay_fits, gap_by_layer, links_by_layer, links_change
from attnscope.report.figures.frames.backdrop import Backdrop
from attnscope.report.figures.frames.backdrop import backdrop as read_backdrop
from attnscope.report.figures.frames.movie import movie as overlay_movie
from attnscope.report.figures.frames.overlay import overlay as overlay_frames
from attnscope.report.figures.frames.overlay import overlay_change
from attnscope.report.figures.heads import Grid, grid, heads_change, heads_map
from attnscope.report.figures.layers import heads_by_layer, layer_curves
from attnscope.report.figures.modality import flow_by_layer, scores_by_layer, shares_by_layer, sinks_by_layer
from attnscope.report.figures.speakers import grounding_maps, speaker_matrices, speaker_matrix
from attnscope.report.figures.style import figure_of, styled
from attnscope.report.figures.turns import own_share_over_time

Stage, read_stage = Backdrop, read_backdrop  # the earlier names

__all__ = [
    "Backdrop",
    "Grid",
    "decay_fits",
    "figure_of",
    "flow_by_layer",
    "gap_by_layer",
    "grid",
    "grounding_maps",
    "heads_by_layer",
    "heads_change",
    "heads_map",
    "layer_curves",
    "links_by_layer",
    "links_change",
    "overlay_change",
    "overlay_frames",
    "overlay_movie",
    "own_share_over_time",
    "read_backdrop",
    "rows_of",
    "scores_by_layer",
    "shares_by_layer",
    "sinks_by_layer",
    "speaker_matrices",
    "speaker_matrix",
    "speaker_shares",
    "speaker_shares_change",
    "styled",
]
