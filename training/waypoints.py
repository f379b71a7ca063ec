"""What the decoder is asked for half way to an answer, while it is trained."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attnscope.demo.cast import SEATS
from attnscope.demo.script import MOST_TURNS
from training.build import HIDDEN
from training.packing import IGNORED, WAYS


class Waypoints(nn.Module):
    """Linear readings on the way through the decoder, thrown away: whose turn it is, and places that lead to an answer.

    Without the places the second look, from the one who points to the one pointed at, is learnt very late: it is of use
    only once the first look is right. Without the turns "the second speaker" stays a guess.
    """

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(HIDDEN)
        self.place = nn.Linear(HIDDEN, WAYS * SEATS)
        self.turn = nn.Linear(HIDDEN, 1 + MOST_TURNS)

    def turn_loss(self, states: Tensor, turns: Tensor) -> Tensor:
        """Cross entropy over visual tokens; those that show a speaker weigh as much as all together.

        Args:
            states: States of the visual tokens of all clips, [B * V, HIDDEN].
            turns: As in `Seen`, [B, V].
        """
        wanted = turns.reshape(-1)
        each = cross_entropy(self.turn(self.norm(states.float())), wanted, reduction="none")
        present = wanted > 0
        return each.mean() / 2 + (each[present].mean() / 2 if present.any() else 0.0)

    def place_loss(self, states: Tensor, places: Tensor) -> Tensor:
        """Mean cross entropy over the places that are known, 0 if none is.

        Args:
            states: [B, L, HIDDEN].
            places: [B, L, WAYS] as in `Packed`.
        """
        known = (places != IGNORED).any(-1)
        if not known.any():
            return states.new_zeros(())
        logits = self.place(self.norm(states[known].float()))
        return cross_entropy(logits.reshape(-1, SEATS), places[known].reshape(-1), ignore_index=IGNORED)
