import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from small_networks import SmallConv, frozen
from torch import Tensor

from stitchtui.base.work import finish
from stitchtui.stitching import stitches
from stitchtui.stitching.chain import Chain
from stitchtui.stitching.cluster_noise import ClusterNoise, image_keys
from stitchtui.stitching.column_trainer import Recipe, Seam, train_column
from stitchtui.stitching.cuts import Cut, Traced
from stitchtui.stitching.evaluate import base_scores, column_scores
from stitchtui.stitching.reinitialise import shuffled_labels

CUTS = [Cut("early", (3, 4, 4), 1, True), Cut("late", (5,), -1, True)]


def images_and_labels(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (n, 3, 8, 8), generator=generator)
    return pixels.float() / 255, torch.randint(3, (n,), generator=generator)


def activations(noise: ClusterNoise, images: Tensor, labels: Tensor, batch: int = 7) -> list[Tensor]:
    batches = noise.fed(zip(images.split(batch), labels.split(batch), strict=True))
    found = [noise.features(i)[1:] for i, _ in batches]
    return [torch.cat(parts) for parts in zip(*found, strict=True)]


def test_activations_have_the_cuts_shapes_and_lie_between_0_and_1() -> None:
    early, late = activations(ClusterNoise(CUTS, 0), *images_and_labels(20))
    assert early.shape == (20, 3, 4, 4)
    assert late.shape == (20, 5)
    assert early.min() >= 0
    assert early.max() <= 1


def test_without_noise_a_class_has_one_tensor_and_classes_differ() -> None:
    images, labels = images_and_labels(30)
    early, _ = activations(ClusterNoise(CUTS, 0, noise=0), images, labels)
    centres = [early[labels == c] for c in range(3)]
    assert all(torch.equal(c, c[:1].expand_as(c)) for c in centres)
    assert not torch.equal(centres[0][0], centres[1][0])
    assert torch.cat([c[:1] for c in centres]).mean() == pytest.approx(0.5, abs=0.1)


def test_images_of_a_class_scatter_around_its_tensor_as_far_as_the_noise_goes() -> None:
    images, labels = images_and_labels(400)
    centre, _ = activations(ClusterNoise(CUTS, 0, noise=0), images, labels)
    noisy, _ = activations(ClusterNoise(CUTS, 0, noise=0.05), images, labels)
    inside = (centre > 0.25) & (centre < 0.75)  # where nothing is clamped
    assert (noisy - centre)[inside].std() == pytest.approx(0.05, rel=0.05)
    assert (noisy - centre)[inside].mean() == pytest.approx(0, abs=0.003)


def test_an_image_has_the_same_activations_in_any_batch_and_beside_any_cuts() -> None:
    images, labels = images_and_labels(20)
    expected = activations(ClusterNoise(CUTS, 0), images, labels)
    order = torch.randperm(20)
    found = activations(ClusterNoise(CUTS, 0), images[order], labels[order], batch=3)
    assert all(torch.equal(a[order], b) for a, b in zip(expected, found, strict=True))
    assert torch.equal(activations(ClusterNoise(CUTS[1:], 0), images, labels)[0], expected[1])


def test_seeds_labels_and_views_of_an_image_change_it() -> None:
    images, labels = images_and_labels(10)
    base = activations(ClusterNoise(CUTS, 0), images, labels)[0]
    for changed in (
        activations(ClusterNoise(CUTS, 1), images, labels),
        activations(ClusterNoise(CUTS, 0), images, (labels + 1) % 3),
        activations(ClusterNoise(CUTS, 0), images.flip(-1), labels),
    ):
        assert not any(torch.equal(a, b) for a, b in zip(base, changed[0], strict=True))


@given(st.integers(0, 1000))
def test_images_that_differ_in_a_single_pixel_have_keys_of_their_own(seed: int) -> None:
    images, _ = images_and_labels(1, seed)
    other = images.clone()
    other[0, 1, 2, 3] = (other[0, 1, 2, 3] * 255 + 1) % 256 / 255
    assert image_keys(images) != image_keys(other)
    assert image_keys(images.contiguous(memory_format=torch.channels_last)) == image_keys(images)


def test_many_images_draw_from_all_over_the_noise() -> None:
    keys = image_keys(images_and_labels(2000)[0]) % (1 << 20)
    assert len(keys.unique()) > 1980
    assert keys.float().mean() / (1 << 20) == pytest.approx(0.5, abs=0.03)


def test_classes_beyond_what_is_kept_are_drawn_again(monkeypatch: pytest.MonkeyPatch) -> None:
    images, labels = images_and_labels(20)
    expected = activations(ClusterNoise(CUTS, 0), images, labels)
    monkeypatch.setattr("stitchtui.stitching.cluster_noise.MOST_KEPT", 1)
    found = activations(ClusterNoise(CUTS, 0), images, labels)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))


def test_images_without_their_labels_are_refused() -> None:
    noise, (images, labels) = ClusterNoise(CUTS, 0), images_and_labels(10)
    with pytest.raises(RuntimeError, match="fed"):
        noise.features(images)
    for batch, _ in noise.fed([(images, labels)]):
        assert torch.equal(noise.features(batch[:5])[1], noise.features(batch)[1][:5])
        with pytest.raises(RuntimeError, match="fed"):
            noise.features(torch.cat([batch, batch]))
    with pytest.raises(RuntimeError, match="fed"):
        noise.features(images)


def test_noise_stitches_into_a_network_that_has_never_seen_it() -> None:
    traced = Traced(frozen(SmallConv(8, classes=3), 0), torch.rand(2, 3, 8, 8))
    top = Chain(traced, traced.select("blocks"))
    noise = ClusterNoise(top.cuts, 0)
    k = len(top.cuts)
    images, labels = images_and_labels(200)
    stitch = stitches.build("affine", noise.cuts[k - 1], top.cuts[k - 1])
    stitches.start_at_random(stitch, torch.Generator().manual_seed(0))
    cells, part = [Seam(k, k, stitch)], [(images[:100], labels[:100])]
    finish(train_column(noise, top, cells, noise.fed(part * 200), Recipe(200, learning_rate=0.05)))
    scores, gaps = finish(column_scores(noise, top, cells, noise.fed([(images[100:], labels[100:])])))
    assert scores[0].error < 5  # of random labels on random images, which hold nothing to learn
    assert finish(base_scores(top, [(images[100:], labels[100:])])).error > 40
    assert gaps[0] is not None


@given(st.lists(st.integers(0, 9), min_size=1, max_size=50), st.integers(0, 100))
def test_shuffled_labels_keep_their_counts_and_follow_the_seed(labels: list[int], seed: int) -> None:
    given_labels = torch.tensor(labels)
    found = shuffled_labels(given_labels, seed)
    assert sorted(found.tolist()) == sorted(labels)
    assert torch.equal(found, shuffled_labels(given_labels, seed))
    assert given_labels.tolist() == labels


def test_shuffled_labels_say_no_more_than_chance_of_the_true_ones() -> None:
    labels = torch.arange(5000) % 5
    assert (shuffled_labels(labels, 0) == labels).float().mean() == pytest.approx(0.2, abs=0.03)
    assert not torch.equal(shuffled_labels(labels, 0), shuffled_labels(labels, 1))
