"""Training without a length that is known beforehand: how the rate falls, what is averaged, and when it is done.

Adam's rate falls slowly with the steps taken, and what counts is an average of the stitch's weights over the last of
them, whose noise falls as training goes on. Together they do what a cosine does for a length that is known. Training is
done once a third as many steps again as it took to the last fall in held-out loss have brought no further one. The
numbers were set on recorded readings of a pair of ResNet-20s, where they end within 0.2 points of the best of them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

HELD_RATE = 50
"""About so many steps go by before the rate falls."""
GAMMA = 8
"""The average looks back over about the last ninth of the steps taken."""
TOLERANCE = 4e-3
"""By so much a loss has to fall to be lower: nats, or, where its unit is another, a share of what it was."""
PATIENCE = 1 / 3
"""The share of the steps to the last fall that training goes on for after it."""
FEWEST_STEPS, FEWEST_READINGS = 200, 2
"""What training goes on for at least: steps in all, and readings after the last fall."""


def share_of_rate(steps: int) -> float:
    """What is left of the learning rate after so many steps."""
    return 1 / math.sqrt(1 + steps / HELD_RATE)


class Average:
    """An average of weights over their steps, by polynomial decay (Shamir and Zhang, ICML 2013).

    Of the step t the weight falls as (t / last step)^`GAMMA`; the first step's weights replace the start.
    """

    def __init__(self, weights: Sequence[Tensor]) -> None:
        self.weights = list(weights)
        self.means = [w.detach().clone() for w in weights]
        self.steps = 0

    @torch.no_grad()
    def add(self) -> None:
        """Take in the weights as they are after one more step."""
        self.steps += 1
        torch._foreach_lerp_(self.means, self.weights, (GAMMA + 1) / (self.steps + GAMMA))

    def swap(self) -> None:
        """Have the weights be the average, and the average the weights, until the next call."""
        for weight, mean in zip(self.weights, self.means, strict=True):
            weight.data, mean.data = mean.data, weight.data


@dataclass
class Convergence:
    """Follows one stitch, reading by reading; what others do in its column is nothing to it."""

    in_nats: bool = True  # whether the loss is a cross-entropy
    reference: float = math.inf  # the loss after the last fall
    fell: int = 0  # the step of that reading
    since: int = 0  # readings after it

    def is_done(self, step: int, loss: float) -> bool:
        """Whether training is, after the next reading; one that is no number ends it. The start is read as step 0."""
        if not math.isfinite(loss):
            return True
        scale = 1.0 if self.in_nats or not math.isfinite(self.reference) else abs(self.reference)
        if loss < self.reference - TOLERANCE * scale:
            self.reference, self.fell, self.since = loss, step, 0
            return False
        self.since += 1
        return step >= max(FEWEST_STEPS, (1 + PATIENCE) * self.fell) and self.since >= FEWEST_READINGS
