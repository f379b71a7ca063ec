"""What the decoder is asked for half way to an answer, while it is trained."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnscope.demo.cast import SEATS
from attnscope.demo.script import MOST_TURNS
from attnscope.demo.train.build import HIDDEN
from attnscope.demo.train.packing import IGNORED, WAYS


class Waypoints(nn.Module):
    """Linear readings half way through the decoder, thrown away: places on the way to an answer, and whose turn it is.

    Without the places the second look, from the one who points to the one pointed at, is learnt very late: it is of use
    only once the first look is right. Without the turns "the second speaker" stays a guess.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)
        self.place = nn.Linear(HIDDEN, WAYS * SEATS)
        self.turn = nn.Linear(HIDDEN, 1 + MOST_TURNS)

    def loss(self, states: Tensor, places: Tensor, visual: Tensor, turns: Tensor) -> Tensor:
        """Mean cross entropy over the places that are known, and over the visual tokens' turns.

        Args:
            states: [B, L, HIDDEN] half way.
            places: [B, L, WAYS] as in `Packed`.
            visual: [B, L], true at visual tokens.
            turns: Of these, as in `Seen`, [B, V].
        """
        states = self.norm(states.float())
        each = cross_entropy(self.turn(states[visual]), turns.reshape(-1), reduction="none")
        total = 0.5 * each.mean()
        if (shown := turns.reshape(-1) > 0).any():
            total = total + 0.5 * each[shown].mean()
        known = (places != IGNORED).any(-1)
        if known.any():
            logits = self.place(states[known]).reshape(-1, SEATS)
            total = total + cross_entropy(logits, places[known].reshape(-1), ignore_index=IGNORED)
        return total
