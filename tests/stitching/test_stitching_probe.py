import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from small_networks import SmallConv, SmallVit, frozen
from torch import Tensor, nn

from stitchtui.base.work import finish
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cuts import Traced
from stitchtui.stitching.probe import linear_probes, logistic_regression


def chain_of(network: nn.Module) -> Chain:
    traced = Traced(network, torch.rand(2, 3, 8, 8))
    return Chain(traced, traced.select("blocks"))


def part(n: int, seed: int) -> tuple[Tensor, Tensor]:
    """Images that are brighter in one channel or another, and which: hardly so, so that probes err."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (n,), generator=generator)
    images = torch.rand(n, 3, 8, 8, generator=generator)
    images[torch.arange(n), labels] += 0.08
    return images, labels


def batches(images: Tensor, labels: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(images.split(32), labels.split(32), strict=True))


@pytest.mark.parametrize("network", [SmallConv, SmallVit])
def test_probes_answer_as_scikit_learns_do_at_every_cut(network: type[nn.Module]) -> None:
    chain = chain_of(frozen(network(), 0))
    train, test = part(300, 0), part(200, 1)
    boundaries = list(range(1, chain.output))
    found = finish(linear_probes(chain, boundaries, batches(*train), batches(*test), classes=3, l2=1e-3))
    for boundary, scores in zip(boundaries, found, strict=True):
        dims = {4: (2, 3), 3: (1,), 2: ()}
        x, y = (chain.features(images)[boundary] for images, _ in (train, test))
        x, y = (t.mean(dims[t.dim()]) if dims[t.dim()] else t for t in (x, y))
        scale = StandardScaler().fit(x.double().numpy())
        expected = LogisticRegression(C=1 / (1e-3 * 300), max_iter=2000, tol=1e-8)
        expected.fit(scale.transform(x.double().numpy()), train[1].numpy())
        answers = torch.from_numpy(expected.predict(scale.transform(y.double().numpy())))
        assert (scores.predicted == answers).float().mean() > 0.98
        assert torch.equal(scores.wrong, scores.predicted != test[1])
        assert scores.finite


def test_what_the_features_hold_is_found_and_what_they_do_not_is_not() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    images, labels = part(400, 0)
    told = finish(linear_probes(chain, [0], batches(images, labels), batches(*part(400, 1)), classes=3))[0]
    shuffled = finish(linear_probes(chain, [0], batches(images, labels.flip(0)), batches(*part(400, 1)), classes=3))[0]
    assert told.error < 20
    assert shuffled.error > 50


class Stretched(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.head = factor, nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.factor * x.mean((2, 3)) - 5)


def test_the_scale_and_mean_of_features_do_not_matter() -> None:
    chains = [chain_of(Stretched(factor).eval()) for factor in (0.01, 100)]
    train, test = batches(*part(200, 0)), batches(*part(200, 1))
    small, large = (finish(linear_probes(c, [c.output - 1], train, test, classes=3))[0] for c in chains)
    assert (small.predicted == large.predicted).float().mean() > 0.98
    assert small.error < 25


def test_features_that_never_vary_leave_the_commonest_class() -> None:
    weight, bias = logistic_regression(torch.zeros(10, 4), torch.tensor([0] * 3 + [2] * 7), 3, 1e-4)
    assert not weight.any()
    assert bias.argmax() == 2


def test_a_stronger_l2_gives_smaller_weights() -> None:
    generator = torch.Generator().manual_seed(0)
    x, labels = torch.randn(100, 5, generator=generator), torch.randint(3, (100,), generator=generator)
    sizes = [float(logistic_regression(x, labels, 3, l2)[0].norm()) for l2 in (1e-4, 1e-2, 1.0)]
    assert sizes == sorted(sizes, reverse=True)


def test_features_that_are_not_finite_are_said_to_be_so() -> None:
    chain = chain_of(frozen(SmallConv(), 0))
    images, labels = part(40, 0)
    images[3] = torch.nan
    assert not finish(linear_probes(chain, [1], batches(images, labels), batches(*part(40, 1)), classes=3))[0].finite
