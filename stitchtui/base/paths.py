"""Where things live: runs in the working directory, downloads and trained networks in the cache, presets."""

import os
from pathlib import Path


def runs_directory() -> Path:
    """`STITCHTUI_RUNS`, or `runs/` in the working directory."""
    return Path(os.environ.get("STITCHTUI_RUNS") or "runs")


def cache_directory() -> Path:
    """`STITCHTUI_CACHE`, or the user's cache directory for stitchtui."""
    if chosen := os.environ.get("STITCHTUI_CACHE"):
        return Path(chosen)
    from platformdirs import user_cache_path  # imported late: most commands never ask

    return user_cache_path("stitchtui")


def presets_directory() -> Path:
    """The folder of the presets."""
    return _shipped("presets")


def citation_file() -> Path:
    """CITATION.cff, which says how to cite this program."""
    return _shipped("CITATION.cff")


def _shipped(name: str) -> Path:
    """What lies inside an installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / name
    return inside if inside.exists() else package.parent / name
