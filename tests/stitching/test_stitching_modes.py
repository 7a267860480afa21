"""What a network computes in training only is said, as torchvision's feature extraction does."""

import pytest
import torch
import torchvision
from small_networks import SmallConv, frozen
from torch import Tensor, nn

from stitchtui.stitching.modes import training_difference


class Droppy(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        return self.head(nn.functional.dropout(self.blocks(self.stem(x)).mean((2, 3)), 0.5, self.training))


class Auxiliary(SmallConv):
    def __init__(self) -> None:
        super().__init__()
        self.aux = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        features = self.blocks(self.stem(x)).mean((2, 3))
        return self.head(features) + self.aux(features) if self.training else self.head(features)


class Scaled(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        scores = super().forward(x)
        return scores if self.training else torch.softmax(scores, 1)


class Undecided(SmallConv):
    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.sum() > 0:
            x = -x
        return super().forward(x)


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (SmallConv, ""),
        (Droppy, "in training, unlike here in eval mode, it calls otherwise dropout"),
        (Auxiliary, "in training, unlike here in eval mode, it also runs aux, add"),
        (Scaled, "in training, unlike here in eval mode, it leaves out softmax"),
        (Undecided, "in training it can't be traced; what it computes there beyond its eval mode is not known"),
    ],
)
def test_what_differs_in_training_is_one_line(network: type[nn.Module], said: str) -> None:
    assert training_difference(frozen(network(), 0), torch.rand(5, 3, 8, 8)) == said


def test_auxiliary_classifiers_are_named_as_modules() -> None:
    network = torchvision.models.googlenet(num_classes=3, init_weights=False).eval()
    assert "also runs aux1, aux2" in training_difference(network, torch.rand(5, 3, 64, 64))


def test_asking_leaves_the_network_as_it_was() -> None:
    network = frozen(Droppy(), 0)
    network.blocks.train()
    before = [b.clone() for b in network.buffers()]
    training_difference(network, torch.rand(5, 3, 8, 8))
    assert (network.training, network.blocks.training, network.stem.training) == (False, True, False)
    assert all(torch.equal(one, other) for one, other in zip(before, network.buffers(), strict=True))
