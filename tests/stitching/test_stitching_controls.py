import torch
from small_networks import SmallConv, SmallVit, frozen
from torch import nn

from stitchtui.stitching.controls import recalibrate, reinitialised


def test_nothing_learnt_is_left_in_a_reinitialised_network() -> None:
    for network in (frozen(SmallConv(), 0), frozen(SmallVit(), 0), nn.MultiheadAttention(8, 2)):
        trained = {k: v.clone().uniform_(5, 6) for k, v in network.state_dict().items() if v.is_floating_point()}
        network.load_state_dict(trained, strict=False)
        fresh = reinitialised(network, 0).state_dict()
        for name, value in trained.items():
            assert (fresh[name] < 5).all(), name  # every single number, however deep its module lies
            assert torch.equal(network.state_dict()[name], value)  # the original stays as it is


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
