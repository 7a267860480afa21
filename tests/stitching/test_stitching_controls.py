import copy
import types
from collections.abc import Callable

import pytest
import torch
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, nn

from stitchtui.stitching.reinitialise import recalibrate, reinitialised, still_reads


def test_nothing_learnt_is_left_in_a_reinitialised_network() -> None:
    for network in (frozen(SmallConv(), 0), frozen(SmallVit(), 0), nn.MultiheadAttention(8, 2)):
        trained = {k: v.clone().uniform_(5, 6) for k, v in network.state_dict().items() if v.is_floating_point()}
        network.load_state_dict(trained, strict=False)
        fresh = reinitialised(network, 0).state_dict()
        for name, value in trained.items():
            assert (fresh[name] < 5).all(), name  # every single number, however deep its module lies
            assert torch.equal(network.state_dict()[name], value)  # the original stays as it is


class Centred(nn.Module):
    """A parametrisation that can't say what it makes a weight from."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight - weight.mean((1, 2, 3), keepdim=True)


def centred(layer: nn.Module) -> nn.Module:
    return nn.utils.parametrize.register_parametrization(layer, "weight", Centred())


NORMS: list[Callable[[nn.Module], nn.Module]] = [
    nn.utils.weight_norm,
    nn.utils.parametrizations.weight_norm,
    nn.utils.spectral_norm,
    nn.utils.parametrizations.spectral_norm,
    centred,
]


def effective(layer: nn.Module) -> Tensor:
    """The weight that a layer computes with in eval mode: what it makes of single pixels."""
    layer.eval()
    pixels = torch.eye(27).view(27, 3, 3, 3)
    with torch.no_grad():
        return (layer(pixels)[:, :, 1, 1] - layer.bias).T.reshape(-1, 3, 3, 3)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated")
@pytest.mark.parametrize("norm", NORMS)
def test_weights_that_are_computed_from_others_are_drawn_anew_as_any(norm: Callable[[nn.Module], nn.Module]) -> None:
    trained = nn.Conv2d(3, 6, 3, padding=1)
    with torch.no_grad():
        trained.weight.mul_(50).add_(3)
    network = nn.Sequential(norm(copy.deepcopy(trained))).eval().requires_grad_(False)
    network(torch.rand(1, 3, 4, 4))  # as it was looked at before: the older norms leave their last weight on the layer
    plain = effective(reinitialised(nn.Sequential(trained), 7)[0])
    fresh = reinitialised(network, 7)
    found = effective(fresh[0])
    if norm is centred:
        plain = Centred()(plain)
    if norm in (nn.utils.spectral_norm, nn.utils.parametrizations.spectral_norm):
        plain = plain / torch.linalg.matrix_norm(plain.flatten(1), 2)
    torch.testing.assert_close(found, plain, rtol=1e-2, atol=1e-3)
    learnt = {k: v for k, v in network.state_dict().items() if v.is_floating_point()}
    assert not any(torch.equal(fresh.state_dict()[k], v) for k, v in learnt.items())


def test_a_layer_whose_reset_forgets_a_parameter_keeps_nothing_learnt() -> None:
    class Scaled(nn.Linear):
        def __init__(self) -> None:
            super().__init__(3, 3)
            self.gain = nn.Parameter(torch.full((3, 3), 9.0))

    gain = reinitialised(nn.Sequential(Scaled()), 0)[0].gain
    assert bool((gain.abs() < 0.2).all())


def bound(layer: nn.Module) -> None:
    layer.forward = types.MethodType(lambda own, x: own._conv_forward(x, own.weight, own.bias), layer)


def named(layer: nn.Module) -> None:
    layer.forward = lambda x: layer._conv_forward(x, layer.weight, layer.bias)


def hooked(layer: nn.Module) -> None:
    layer.register_forward_hook(lambda _, __, out: out * layer.weight.mean())


@pytest.mark.parametrize("change, reads", [(lambda _: None, False), (bound, False), (named, True), (hooked, True)])
def test_a_copy_that_goes_on_reading_the_originals_weights_is_known(
    change: Callable[[nn.Module], None], reads: bool
) -> None:
    network = frozen(SmallConv(), 0)
    change(network.stem[0])
    assert still_reads(reinitialised(network, 0), network, torch.rand(2, 3, 8, 8)) is reads
    assert not any(p.requires_grad for p in network.parameters())


def test_a_seed_decides_the_whole_network() -> None:
    network = frozen(SmallVit(), 0)
    first, same, other = (reinitialised(network, seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[k], same[k]) for k in first)
    assert not torch.equal(first["patches.weight"], other["patches.weight"])
    assert not torch.equal(first["position"], other["position"])


def test_the_callers_random_numbers_are_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    reinitialised(frozen_without_seeding(), 1)
    assert torch.equal(torch.rand(3), expected)


def frozen_without_seeding() -> nn.Module:
    with torch.random.fork_rng():
        return SmallConv().eval()


def test_recalibrated_statistics_are_those_of_what_each_layer_sees() -> None:
    network = reinitialised(frozen(SmallConv(), 0), 0)
    images = torch.rand(64, 3, 8, 8)
    weights = {k: v.clone() for k, v in network.named_parameters()}
    recalibrate(network, [images])
    seen = network.stem[0](images)
    torch.testing.assert_close(network.stem[1].running_mean, seen.mean((0, 2, 3)))
    torch.testing.assert_close(network.stem[1].running_var, seen.var((0, 2, 3)), rtol=1e-3, atol=1e-6)
    assert all(torch.equal(v, weights[k]) for k, v in network.named_parameters())
    assert not any(m.training for m in network.modules())
    assert network.stem[1].momentum == 0.1
