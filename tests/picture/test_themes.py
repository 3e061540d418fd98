"""Every word can be read on what it stands on: WCAG's contrast AA, 4.5 to 1."""

from __future__ import annotations

import pytest
from matplotlib.colors import to_rgb

from netviz.picture.themes import THEMES, Theme, ghostly

LOOKS = THEMES | {f"{name} ghost": ghostly(theme) for name, theme in THEMES.items()}
WRITTEN = {
    "frame": ("text", "muted", "warning", "down"),
    "host": ("text", "muted"),
    "namespace": ("text", "muted"),
    "folded": ("text", "muted"),
    "bridge": ("text", "muted"),
    "stack": ("text", "muted"),
    "tag": ("up", "down", "warning"),
    "page": ("text", "tunnel", "muted"),
}
"""What colours words have on each fill; the page is also the plate of a tunnel's words."""


def brightness(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    red, green, blue = (
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


def fill(theme: Theme, name: str) -> str:
    return theme.boxes[name][0] if name in theme.boxes else str(getattr(theme, name))


@pytest.mark.parametrize("theme", LOOKS)
@pytest.mark.parametrize("name", WRITTEN)
def test_words_have_contrast(theme: str, name: str) -> None:
    for colour in WRITTEN[name]:
        found = contrast(str(getattr(LOOKS[theme], colour)), fill(LOOKS[theme], name))
        assert found >= 4.5, (colour, found)


@pytest.mark.parametrize("theme", LOOKS)
def test_lines_have_contrast_with_what_they_run_over(theme: str) -> None:
    for name in ("frame", "host"):
        for colour in ("up", "down", "tunnel", "muted"):
            assert contrast(str(getattr(LOOKS[theme], colour)), fill(LOOKS[theme], name)) >= 3


@pytest.mark.parametrize("theme", THEMES)
def test_way_of_a_packet_has_contrast_with_its_numbers_and_with_what_it_runs_over(
    theme: str,
) -> None:
    look = THEMES[theme]
    assert contrast(look.path, look.page) >= 4.5
    for name in look.boxes:
        assert contrast(look.path, fill(look, name)) >= 3
        assert contrast(look.copy, fill(look, name)) >= 3
    assert contrast(look.path, look.copy) >= 1.2


@pytest.mark.parametrize("theme", LOOKS)
def test_every_kind_of_box_has_colours_and_an_edge_that_shows(theme: str) -> None:
    boxes = LOOKS[theme].boxes
    assert boxes.keys() == {"frame", "host", "namespace", "folded", "bridge", "stack"}
    assert all(contrast(edge, inside) >= 3 for inside, edge in boxes.values())


def test_the_contrast_of_black_and_white_is_twenty_one() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
