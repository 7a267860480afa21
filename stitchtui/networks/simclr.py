"""SimCLR (Chen et al. 2020): two views of one image are to be more alike than those of different images."""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torchvision.transforms import v2

from stitchtui.networks.objectives import Batch, TrainingObjective

GROUP = 16  # images that share what is drawn; a view draws its groups anew, so that partners hardly ever share it


def objective(temperature: float = 0.5) -> TrainingObjective:
    """SimCLR as an objective: which of a batch's other views is the same image? At least two images a batch."""

    def contrast(module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        views = torch.cat([view(batch), view(batch)])  # [2b, c, h, w]
        return similarities(batch.scores(module, views), temperature)

    return contrast


def similarities(projections: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """Cosines [2n, 2n - 1] of each view with all others, by `temperature`, and where its partner stands, int64 [2n].

    `projections` [2n, d] holds the first views of n images, then their second ones. The cross-entropy of the two
    results is the NT-Xent loss.
    """
    count = len(projections)
    unit = nn.functional.normalize(projections.float(), dim=1)
    every = unit @ unit.T / temperature  # [2n, 2n]
    others = ~torch.eye(count, dtype=torch.bool, device=every.device)
    partner = (torch.arange(count, device=every.device) + count // 2) % count
    own = torch.arange(count, device=every.device)
    # without its own column, every column to the right of it moves left by one
    return every[others].view(count, count - 1), partner - (partner > own).long()


def view(batch: Batch) -> Tensor:
    """The batch as one view: cropped, resized, perhaps mirrored, its colours shifted; same type, shape and order.

    torchvision draws one set of parameters a call, so images go through in random groups of GROUP.
    """
    transform = _transform(batch.images.shape[-2:], batch.augment == "crop_flip")
    order = torch.randperm(len(batch.images), generator=batch.draws).to(batch.images.device)
    seed = int(torch.randint(2**62, (), generator=batch.draws))
    changed = torch.empty_like(batch.images)
    with torch.random.fork_rng(devices=[]):  # torchvision draws from the CPU's global generator
        torch.manual_seed(seed)
        for chosen in order.split(GROUP):
            changed[chosen] = transform(batch.images[chosen])
    return changed


def _transform(size: torch.Size, mirror: bool) -> Callable[[Tensor], Tensor]:
    steps: list[nn.Module] = [
        v2.RandomResizedCrop(tuple(size), scale=(0.2, 1.0), antialias=True),
        v2.RandomApply([v2.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        v2.RandomGrayscale(p=0.2),
    ]
    return v2.Compose([*steps, v2.RandomHorizontalFlip()] if mirror else steps)


def projection_head(features: int, width: int = 128) -> nn.Module:
    """The layers between the features and what is compared; they are thrown away after training."""
    return nn.Sequential(nn.Linear(features, features), nn.ReLU(), nn.Linear(features, width))
