"""The weight digest stands for the weights, and the error is what counting by hand gives."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_data import small_dataset
from torch import nn

from stitchtui.networks.network import error_percent, freeze, normalise, weight_digest

DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool]


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))


@given(st.sampled_from(sorted(network().state_dict())), st.data())
@settings(max_examples=30, deadline=None)
def test_the_digest_changes_with_any_single_number_and_returns_with_it(name: str, data: st.DataObject) -> None:
    module = network()
    before = weight_digest(module)
    values = module.state_dict()[name].view(-1)
    index = data.draw(st.integers(0, values.numel() - 1))
    kept = values[index].clone()
    values[index] += 1
    assert weight_digest(module) != before
    values[index] = kept
    assert weight_digest(module) == before


def test_the_digest_doesnt_depend_on_mode_gradients_or_memory_format() -> None:
    module = network()
    before = weight_digest(module)
    assert weight_digest(freeze(module.train())) == before
    assert weight_digest(module.to(memory_format=torch.channels_last)) == before


@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from([(6,), (2, 3), (3, 2), ()]))
@settings(max_examples=40, deadline=None)
def test_the_digest_tells_dtypes_and_shapes_apart(one: torch.dtype, two: torch.dtype, shape: tuple[int, ...]) -> None:
    def holding(dtype: torch.dtype, shape: tuple[int, ...]) -> str:
        module = nn.Module()
        module.register_buffer("value", torch.zeros(shape, dtype=dtype))
        return weight_digest(module)

    assert (holding(one, shape) == holding(two, shape)) == (one == two)
    assert (holding(one, shape) == holding(one, (2, 3))) == (shape == (2, 3))


def test_the_digest_tells_names_apart() -> None:
    layer = nn.Linear(2, 2)
    one, two = nn.ModuleDict({"a": layer}), nn.ModuleDict({"b": layer})
    assert weight_digest(one) != weight_digest(two)


def test_normalised_pixels_have_mean_and_deviation_taken_away_per_channel() -> None:
    images = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.5, 2.0)
    expected = (images / 255 - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    torch.testing.assert_close(normalise(images, mean, std), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 7, 24, 100])
def test_the_error_is_the_share_of_wrong_answers_at_any_batch_size(batch: int) -> None:
    test = small_dataset().test
    module = network().train()
    scores = freeze(network())(normalise(test.images, (0.3,), (0.25,)))
    wrong = sum(int(s.argmax() != label) for s, label in zip(scores, test.labels, strict=True))
    before = weight_digest(module)
    assert error_percent(module, (0.3,), (0.25,), test, batch) == pytest.approx(100 * wrong / len(test))
    assert module.training
    assert weight_digest(module) == before
