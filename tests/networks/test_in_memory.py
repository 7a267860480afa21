"""Networks that a program has in memory: run over the same weights, and left as they are."""

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from stitchtui.base.errors import BadInput
from stitchtui.networks.in_memory import borrowed, unwrapped
from stitchtui.networks.network import weight_digest

CPU = torch.device("cpu")
IMAGES = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def told(module: nn.Module) -> list[Any]:
    """All that a program could notice of its network."""
    modes = [layer.training for layer in module.modules()]
    flags = [(p.requires_grad, p.device, p.data_ptr(), p.grad is None) for p in module.parameters()]
    hooks = [list(layer._forward_hooks) for layer in module.modules()]
    return [weight_digest(module), modes, flags, hooks]


def test_what_is_borrowed_computes_the_same_frozen_over_the_same_memory_and_the_module_stays_as_it_was() -> None:
    module = network()
    module[0].weight.requires_grad_(False)
    module.train()
    module[3].eval()
    before = told(module)
    layers = borrowed(module, CPU, IMAGES)
    assert not any(layer.training for layer in layers.modules())
    assert not any(p.requires_grad for p in layers.parameters())
    assert [p.data_ptr() for p in layers.parameters()] == [p.data_ptr() for p in module.parameters()]
    assert torch.equal(layers(IMAGES), copy.deepcopy(module).eval()(IMAGES))
    assert told(module) == before
    layers.to(torch.float64)
    assert told(module) == before


def test_what_forward_writes_it_writes_to_tensors_of_its_own() -> None:
    class Counting(nn.Flatten):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))
            self.seen = torch.zeros(())

        def forward(self, images: Tensor) -> Tensor:
            self.calls += 1
            self.seen += 1
            return super().forward(images)

    module = Counting()
    layers = borrowed(module, CPU, IMAGES)
    layers(IMAGES)
    assert (layers.calls, layers.seen, module.calls, module.seen) == (1, 1, 0, 0)


def test_weights_that_are_shared_by_two_layers_stay_shared() -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64))
    module[2].weight = module[1].weight
    layers = borrowed(module, CPU, IMAGES)
    assert layers[2].weight is layers[1].weight


def test_a_hook_that_only_watches_runs_no_more_and_one_that_changes_something_does() -> None:
    module, seen = network(), []
    module[2].register_forward_hook(lambda *_: seen.append(1))
    layers = borrowed(module, CPU, IMAGES)
    seen.clear()
    layers(IMAGES)
    assert not seen and len(module[2]._forward_hooks) == 1
    module[2].register_forward_hook(lambda _, __, output: output * 2)
    expected = copy.deepcopy(module).eval()(IMAGES)
    assert torch.equal(borrowed(module, CPU, IMAGES)(IMAGES), expected)


def test_a_hook_of_an_object_that_cannot_be_copied_is_no_obstacle() -> None:
    class Recorder:
        def __init__(self) -> None:
            self.stream = (n for n in range(3))

        def see(self, *_: Any) -> None:
            pass

    module = network()
    module[0].register_forward_hook(Recorder().see)
    borrowed(module, CPU, IMAGES)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_weight_that_a_hook_computes_goes_along() -> None:
    module = network()
    nn.utils.weight_norm(module[5])
    module(IMAGES)  # now the weight is no leaf, which torch doesn't copy
    expected = module.eval()(IMAGES)
    assert torch.equal(borrowed(module, CPU, IMAGES)(IMAGES), expected)


def test_weights_that_were_made_in_inference_mode_let_gradients_through() -> None:
    with torch.inference_mode():
        module = network()
    layers = borrowed(module, CPU, IMAGES)
    images = IMAGES.clone().requires_grad_()
    layers(images).sum().backward()
    assert images.grad is not None


def test_coarser_weights_are_run_in_float32() -> None:
    layers = borrowed(network().bfloat16(), CPU, IMAGES)
    assert layers(IMAGES).dtype == torch.float32


def test_the_network_inside_what_is_put_around_it_is_taken() -> None:
    module = network()
    assert unwrapped(nn.DataParallel(module)) is module
    assert unwrapped(torch.compile(module)) is module


def test_lazy_layers_are_refused() -> None:
    with pytest.raises(BadInput, match="run it once"):
        borrowed(nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), CPU, IMAGES)


def test_what_cannot_be_copied_is_refused_in_one_line() -> None:
    module = network()
    module.stream = (n for n in range(3))
    with pytest.raises(BadInput, match=r"can't be copied: .*generator"):
        borrowed(module, CPU, IMAGES)
