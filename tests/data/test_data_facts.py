"""Normalisation is that of float64 arithmetic; the digest sees every byte, shape and order."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.data import facts
from stitchtui.data.dataset import Part


def some_part(seed: int, n: int = 6) -> Part:
    draws = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (n, 3, 4, 5), generator=draws, dtype=torch.uint8)
    return Part(images, torch.randint(3, (n,), generator=draws))


@settings(deadline=None)
@given(seed=st.integers(0, 1000), chunk=st.integers(1, 8))
def test_mean_and_std_equal_those_computed_in_float64_whatever_the_chunk(seed: int, chunk: int) -> None:
    images = some_part(seed).images
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(facts, "CHUNK", chunk)
        mean, std = facts.mean_and_std(images)
    pixels = images.double() / 255
    assert mean == pytest.approx(pixels.mean((0, 2, 3)).tolist(), abs=1e-14)
    assert std == pytest.approx(pixels.std((0, 2, 3), correction=0).tolist(), abs=1e-14)


@pytest.mark.parametrize("scale", [1 / 255, 1.0])
def test_floats_have_the_mean_and_std_of_float64_as_they_are(scale: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "FLOATS", 4)
    images = some_part(3).images * scale - 1.5
    images[:, 2] = 0.1
    mean, std = facts.mean_and_std(images)
    assert mean == pytest.approx(images.double().mean((0, 2, 3)).tolist(), abs=1e-13)
    assert std[:2] == pytest.approx(images[:, :2].double().std((0, 2, 3), correction=0).tolist(), abs=1e-13)
    assert std[2] == 1.0


def test_a_channel_that_never_changes_can_still_be_divided_by() -> None:
    images = some_part(0).images.clone()
    images[:, 1] = 51
    mean, std = facts.mean_and_std(images)
    assert mean[1] == pytest.approx(0.2)
    assert std[1] == 1.0
    assert 0 < std[0] < 1


def test_the_digest_is_the_same_for_the_same_bytes_only() -> None:
    train, test = some_part(0), some_part(1)
    digest = facts.digest(train, test)
    assert digest == facts.digest(some_part(0), some_part(1))
    one_pixel = train.images.clone()
    one_pixel[0, 0, 0, 0] ^= 1
    others = [
        (test, train),
        (Part(one_pixel, train.labels), test),
        (Part(train.images, (train.labels + 1) % 3), test),
        (Part(train.images.reshape(6, 3, 5, 4), train.labels), test),
        (train, Part(test.images[:5], test.labels[:5])),
    ]
    assert len({digest, *(facts.digest(*parts) for parts in others)}) == 1 + len(others)


def test_the_digest_does_not_depend_on_how_the_tensor_lies_in_memory() -> None:
    train, test = some_part(0), some_part(1)
    strided = Part(train.images.to(memory_format=torch.channels_last), train.labels)
    assert facts.digest(strided, test) == facts.digest(train, test)
