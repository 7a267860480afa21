"""Batch order is a permutation; augmentation equals the slow, obvious way and touches nothing else."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stitchtui.data.batches import augment, crop, flip, order, sizes, split


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def some_images(seed: int, batch: int = 5, channels: int = 3, height: int = 9, width: int = 8) -> torch.Tensor:
    shape = (batch, channels, height, width)
    return torch.randint(1, 256, shape, generator=seeded(seed), dtype=torch.uint8)


def window_of(image: torch.Tensor, down: int, right: int, padding: int) -> torch.Tensor:
    """The pixel at (y, x) of the window, one by one; black outside the image."""
    channels, height, width = image.shape
    window = torch.zeros_like(image)
    for c in range(channels):
        for y in range(height):
            for x in range(width):
                from_y, from_x = y + down - padding, x + right - padding
                if 0 <= from_y < height and 0 <= from_x < width:
                    window[c, y, x] = image[c, from_y, from_x]
    return window


@given(count=st.integers(0, 300), size=st.integers(1, 40))
def test_batches_in_order_hold_every_image_and_none_is_by_itself_unless_asked_for(count: int, size: int) -> None:
    found = sizes(count, size)
    assert sum(found) == count
    assert all(found)
    assert len(found) <= -(-count // size)
    assert max(found, default=0) <= size + 1
    assert 1 not in found or size == 1 or count == 1
    assert torch.equal(torch.cat([torch.empty(0), *split(torch.arange(count), size)]), torch.arange(count).float())


@settings(deadline=None)
@given(n=st.integers(0, 200), seed=st.integers(0, 2**31))
def test_order_is_a_permutation_that_its_seed_fixes(n: int, seed: int) -> None:
    drawn = order(n, seeded(seed))
    assert sorted(drawn.tolist()) == list(range(n))
    assert torch.equal(drawn, order(n, seeded(seed)))


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000), padding=st.integers(0, 3), channels=st.integers(1, 3), data=st.data())
def test_crop_equals_the_slow_way_for_each_image(seed: int, padding: int, channels: int, data: st.DataObject) -> None:
    images = some_images(seed, batch=3, channels=channels)
    offsets = st.lists(st.integers(0, 2 * padding), min_size=3, max_size=3)
    down, right = data.draw(offsets), data.draw(offsets)
    cropped = crop(images, torch.tensor(down), torch.tensor(right), padding)
    expected = [window_of(images[i], down[i], right[i], padding) for i in range(3)]
    assert torch.equal(cropped, torch.stack(expected))


def test_crop_without_offset_from_the_padding_is_the_image_itself() -> None:
    images = some_images(0)
    middle = torch.full((5,), 2)
    assert torch.equal(crop(images, middle, middle, 2), images)


@settings(deadline=None)
@given(which=st.lists(st.booleans(), min_size=5, max_size=5), seed=st.integers(0, 1000))
def test_flip_mirrors_exactly_those_asked_for(which: list[bool], seed: int) -> None:
    images = some_images(seed)
    flipped = flip(images, torch.tensor(which))
    for image, result, mirrored in zip(images, flipped, which, strict=True):
        for x in range(image.shape[2]):
            assert torch.equal(result[:, :, x], image[:, :, -1 - x if mirrored else x])


def test_none_is_the_identity_and_draws_nothing() -> None:
    images, generator = some_images(0), seeded(1)
    before = generator.get_state()
    assert augment(images, "none", generator) is images
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("kind", ["crop", "crop_flip"])
def test_augmentation_is_fixed_by_the_seed_and_leaves_its_input_alone(kind: str) -> None:
    images = some_images(0, batch=32, height=16, width=16)
    before = images.clone()
    first, again, other = (augment(images, kind, seeded(seed)) for seed in (3, 3, 4))  # type: ignore[arg-type]
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert torch.equal(images, before)
    assert (first.shape, first.dtype) == (images.shape, torch.uint8)


@pytest.mark.parametrize("kind", ["crop", "crop_flip"])
def test_every_augmented_image_is_a_window_of_its_own_image(kind: str) -> None:
    images = some_images(0, batch=64, channels=1, height=16, width=16)
    seen = set()
    for image, result in zip(images, augment(images, kind, seeded(0)), strict=True):  # type: ignore[arg-type]
        padded = torch.nn.functional.pad(image, (2, 2, 2, 2))
        places = [(dy, dx, m) for dy in range(5) for dx in range(5) for m in (False, True)]
        found = [
            (dy, dx, m)
            for dy, dx, m in places
            if torch.equal(result.flip(-1) if m else result, padded[:, dy : dy + 16, dx : dx + 16])
        ]
        assert len(found) == 1
        seen.update(found)
    assert {down for down, _, _ in seen} == {right for _, right, _ in seen} == set(range(5))
    assert {mirrored for _, _, mirrored in seen} == ({False, True} if kind == "crop_flip" else {False})


def test_images_too_small_for_a_margin_are_not_cropped() -> None:
    images = some_images(0, height=7, width=7)
    assert torch.equal(augment(images, "crop", seeded(0)), images)
