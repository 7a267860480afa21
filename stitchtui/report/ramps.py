"""The colours behind numbers: ramps that every eye orders the same way, also in grey print."""

_RAMPS: dict[str, tuple[str, ...]] = {
    "cividis": (
        *("#00204d", "#00336f", "#39486b", "#575c6d", "#707173"),
        *("#8a8779", "#a69d75", "#c4b56c", "#e4cf5b", "#ffea46"),
    ),
    "viridis": (
        *("#440154", "#482878", "#3e4a89", "#31688e", "#26828e"),
        *("#1f9e89", "#35b779", "#6dcd59", "#b4de2c", "#fde725"),
    ),
    # Blue and vermilion stay apart for every kind of colour vision; the middle sinks into the ground.
    "diverging": ("#6db5ff", "#2f78b8", "#1c4468", "#26282b", "#6b3714", "#b85f1c", "#ffa04d"),
    "diverging-light": ("#1f6fb5", "#74aeda", "#c3dcee", "#f2f2f2", "#f6d3b3", "#e6975c", "#c25a0c"),
}
RGB = tuple[int, int, int]


def colour(name: str, share: float) -> RGB:
    """The red, green and blue (0 to 255) of the ramp `name` at `share`, 0 to 1."""
    stops = _RAMPS[name]
    place = share * (len(stops) - 1)
    index = min(int(place), len(stops) - 2)
    first, second = (_parts(stop) for stop in stops[index : index + 2])
    red, green, blue = (round(a + (b - a) * (place - index)) for a, b in zip(first, second, strict=True))
    return red, green, blue


def ink(ground: RGB) -> RGB:
    """Black or white, whichever is read better on `ground`; both are equally far from this brightness."""
    return (0, 0, 0) if luminance(ground) > 0.179 else (255, 255, 255)  # at a contrast of 4.6


def _parts(code: str) -> RGB:
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def luminance(rgb: RGB) -> float:
    """How bright a colour is to the eye, 0 to 1 (WCAG's relative luminance)."""
    linear = [part / 255 / 12.92 if part <= 10 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in rgb]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
