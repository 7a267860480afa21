"""What training runs in place of frozen networks does what they do; else they are run as they are."""

import copy
import types
from collections.abc import Callable, Iterator

import pytest
import torch
from small_networks import SmallConv, SmallVit, frozen
from told import told
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.networks import by_name
from stitchtui.stitching import column_trainer, copies, fold, stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.copies import Part, faithful
from stitchtui.stitching.cuts import Traced

IMAGES = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))
DTYPES = [torch.float32, torch.bfloat16]


class Halved(nn.Conv2d):
    """A convolution of somebody's own."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) * 0.5


class Standardised(nn.Module):
    def forward(self, weight: Tensor) -> Tensor:
        return weight - weight.mean((1, 2, 3), keepdim=True)


def hooked(network: SmallConv) -> None:
    network.stem[0].register_forward_hook(lambda _, __, out: out * 0.5)


def hooked_before(network: SmallConv) -> None:
    network.stem[1].register_forward_pre_hook(lambda _, given: (given[0] * 0.5,))


def hooked_relu(network: SmallConv) -> None:
    network.stem[2].register_forward_hook(lambda _, __, out: out - 0.1)


def hooked_backward(network: SmallConv) -> None:
    network.stem[0].register_full_backward_hook(lambda _, given, __: (given[0] * 0.1,))


def hooked_linear(network: SmallConv) -> None:
    network.head.register_forward_pre_hook(lambda _, given: (nn.functional.normalize(given[0]),))


def normed(network: SmallConv) -> None:
    nn.utils.parametrizations.weight_norm(network.stem[0])


def normed_by_a_hook(network: SmallConv) -> None:
    network.stem[0] = nn.utils.spectral_norm(network.stem[0]).eval()


def parametrised(network: SmallConv) -> None:
    nn.utils.parametrize.register_parametrization(network.stem[0], "weight", Standardised())


def given_a_forward(network: SmallConv) -> None:
    layer = network.stem[0]
    layer.forward = types.MethodType(lambda own, x: own._conv_forward(x, own.weight, own.bias) * 0.5, layer)


def given_a_method(network: SmallConv) -> None:
    layer = network.stem[0]
    layer._conv_forward = lambda x, weight, bias: nn.functional.conv2d(x, 2 * weight, bias, padding=1)


def subclassed(network: SmallConv) -> None:
    layer = Halved(3, 6, 3, padding=1)
    layer.load_state_dict(network.stem[0].state_dict())
    network.stem[0] = layer


HABITS = [
    hooked, hooked_before, hooked_relu, hooked_backward, hooked_linear, normed, normed_by_a_hook, parametrised,
    given_a_forward, given_a_method, subclassed,
]  # fmt: skip


def chain_of(network: nn.Module, wanted: str = "blocks") -> Chain:
    traced = Traced(network.eval().requires_grad_(False), IMAGES)
    return Chain(traced, traced.select(wanted))


def with_habit(habit: Callable[[SmallConv], None], seed: int = 0) -> Chain:
    network = frozen(SmallConv(), seed)
    habit(network)
    return chain_of(network)


def part(chain: Chain) -> Part:
    return Part("top", chain, 0, chain.output, backward=True)


def compared(chain: Chain, dtype: torch.dtype = torch.float32, fold: bool = True) -> copies.Copies:
    return faithful([part(chain)], copies.copies([part(chain)], dtype, fold), IMAGES)


def outcome(chain: Chain) -> tuple[list[Tensor], Tensor]:
    """The tensors at every boundary, and the gradient of the scores in the images."""
    x = IMAGES.clone().requires_grad_()
    tensors = chain.features(x)
    tensors[-1].square().sum().backward()
    assert x.grad is not None
    return [t.detach() for t in tensors], x.grad


class Volume(nn.Module):
    """What has five axes: an average and a step over two of them are none that folding has a better way for."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn, self.head = nn.Conv3d(3, 6, 3, padding=1), nn.BatchNorm3d(6), nn.Linear(12, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn(self.conv(torch.stack([x, 2 * x], 2))))
        return self.head(x[:, :, ::2, ::2].repeat(1, 1, 2, 1, 1).mean((2, 3)).flatten(1)[:, :12])


class Half(SmallConv):
    """In bfloat16 by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.bfloat16()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16()).float()


class Double(SmallConv):
    def __init__(self) -> None:
        super().__init__()
        self.double()

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.double()).float()


@pytest.mark.parametrize("build", [Volume, Half, Double])
@pytest.mark.parametrize("dtype", DTYPES)
def test_networks_of_other_numbers_and_axes_are_run_as_they_are(build: type[nn.Module], dtype: torch.dtype) -> None:
    chain = chain_of(frozen(build(), 0))
    made = compared(chain, dtype)
    assert made.notes == []
    assert made.dtype == dtype
    with copies.autocast(IMAGES.device, made.dtype):
        torch.testing.assert_close(
            made.chains[0].features(IMAGES)[-1], chain.features(IMAGES)[-1], rtol=1e-2, atol=1e-2
        )


@pytest.mark.parametrize("habit", HABITS)
def test_layers_that_are_more_than_torchs_own_are_not_folded(habit: Callable[[SmallConv], None]) -> None:
    chain = with_habit(habit)
    made = compared(chain)
    assert made.notes == []
    assert made.chains[0] is not chain
    (tensors, gradient), (expected, own) = outcome(made.chains[0]), outcome(chain)
    for ours, theirs in zip(tensors, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(gradient, own, rtol=1e-3, atol=1e-5)


def test_a_hook_on_every_module_there_is_keeps_all_of_them_from_being_folded() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    handle = nn.modules.module.register_module_forward_hook(
        lambda layer, _, out: out * 0.5 if isinstance(layer, nn.Conv2d) else None
    )
    try:
        assert compared(chain).notes == []
    finally:
        handle.remove()


@pytest.mark.parametrize("habit", [hooked, normed, given_a_forward])
def test_a_column_into_a_network_with_such_layers_trains_as_without_copies(habit: Callable[[SmallConv], None]) -> None:
    bottom, top = with_habit(habit), with_habit(habit, 1)
    cells = [column_trainer.Seam(k, k, stitches.build("affine", c, c)) for k, c in enumerate(top.cuts, 1)]
    for cell in cells:
        stitches.start_as_identity(cell.stitch)
    plain = copy.deepcopy(cells)
    finish(column_trainer.train_column(bottom, top, cells, batches(5), column_trainer.Recipe(5, 1e-2)))
    finish(column_trainer.train_column(bottom, top, plain, batches(5), column_trainer.Recipe(5, 1e-2, fold=False)))
    for ours, theirs in zip(cells, plain, strict=True):
        torch.testing.assert_close(ours.stitch.weight, theirs.stitch.weight, rtol=1e-3, atol=1e-4)


def batches(count: int) -> Iterator[tuple[Tensor, Tensor]]:
    for _ in range(count):
        yield IMAGES, torch.arange(6) % 4


@pytest.mark.parametrize("build", [SmallConv, SmallVit, lambda: by_name.build("resnet20", 4, (3, 8, 8), 0.25)])
@pytest.mark.parametrize("wanted", ["blocks", "all"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copies_of_plain_networks_are_found_to_be_faithful(
    build: Callable[[], nn.Module], wanted: str, dtype: torch.dtype
) -> None:
    chain = chain_of(frozen(build(), 0), wanted)
    made = compared(chain, dtype)
    assert made.notes == []
    assert made.dtype == dtype
    assert made.chains[0] is not chain


def eps_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    real = fold._of_layer
    monkeypatch.setattr(fold, "_of_layer", lambda layer: None if (s := real(layer)) is None else wrong(s))


def wrong(statistics: fold._Statistics) -> fold._Statistics:
    return fold._Statistics(statistics.mean, statistics.variance, statistics.weight, statistics.bias, 0.1)


def gradient_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold.GlobalAverage, "forward", lambda _, x: x.detach().mean((2, 3)) + 0 * x.mean((2, 3)))


def failing(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(_: object, x: Tensor) -> Tensor:
        raise RuntimeError("required rank 4")

    monkeypatch.setattr(fold.GlobalAverage, "forward", forward)


@pytest.mark.parametrize("fault", [eps_left_out, gradient_lost, failing])
@pytest.mark.parametrize("dtype", DTYPES)
def test_a_fault_of_folding_is_found_and_the_networks_own_layers_are_run(
    fault: Callable[[pytest.MonkeyPatch], None], dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    fault(monkeypatch)
    made = compared(chain, dtype)
    assert made.chains == [chain]
    assert made.dtype == dtype
    ((number, note),) = made.notes
    assert number == 0
    assert "its own layers are run instead" in note
    assert "between" in note


def test_only_the_network_whose_copy_differs_is_run_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    conv, vit = chain_of(frozen(SmallConv(), 0)), chain_of(frozen(SmallVit(), 0))
    eps_left_out(monkeypatch)
    parts = [part(vit), part(conv)]
    made = faithful(parts, copies.copies(parts, torch.float32, fold=True), IMAGES)
    assert made.chains[0] is not vit
    assert made.chains[1] is conv
    assert [number for number, _ in made.notes] == [1]


class Cancelling(SmallConv):
    """Small differences of large numbers, of which bfloat16 keeps nothing."""

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x)).mean((2, 3)) + 1000
        return self.head(x) - 1000 * self.head.weight.sum(1)


@pytest.mark.parametrize("fold_it", [True, False])
def test_a_network_that_bfloat16_is_too_coarse_for_is_trained_through_in_float32(fold_it: bool) -> None:
    chain = chain_of(frozen(Cancelling(), 0))
    made = compared(chain, torch.bfloat16, fold_it)
    assert made.dtype == torch.float32
    assert (made.chains[0] is chain) is not fold_it
    ((_, note),) = made.notes
    assert note.startswith("in bfloat16 the top differs from it in its outputs between")
    torch.testing.assert_close(made.chains[0].features(IMAGES)[-1], chain.features(IMAGES)[-1], rtol=1e-3, atol=1e-3)


def test_training_says_what_it_found_of_which_column_and_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    bottom, tops = chain_of(frozen(SmallVit(), 0)), [chain_of(frozen(b(), 1)) for b in (SmallVit, SmallConv)]
    eps_left_out(monkeypatch)
    columns = [
        column_trainer.StitchedTop(t, [column_trainer.Seam(1, 1, stitches.build("affine", bottom.cuts[0], t.cuts[0]))])
        for t in tops
    ]
    for column in columns:
        stitches.start_at_random(column.seams[0].stitch, torch.Generator().manual_seed(0))
    found: list[int] = []
    losses = told(
        column_trainer.train_columns(bottom, columns, batches(3), column_trainer.Recipe(3)),
        remark=lambda column, text: found.append(column),
    )
    assert found == [1]
    assert all(torch.tensor(losses).isfinite())


def test_comparing_leaves_the_networks_modes_and_statistics_as_they_are() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    layers = [m for m in chain.segments.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [layer.running_mean.clone() for layer in layers]
    for layer in layers:
        layer.train()
    compared(chain, torch.bfloat16, fold=False)
    assert all(layer.training for layer in layers)
    assert all(torch.equal(layer.running_mean, mean) for layer, mean in zip(layers, before, strict=True))
