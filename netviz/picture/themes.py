"""The colours of a picture: Okabe and Ito's, which people who see few colours can tell apart."""

from __future__ import annotations

from typing import NamedTuple


class Theme(NamedTuple):
    """Colours by what they are for. ``boxes`` are (fill, edge) by a box's kind."""

    page: str
    text: str
    muted: str
    tag: str
    up: str
    down: str
    tunnel: str
    warning: str
    boxes: dict[str, tuple[str, str]]


THEMES = {
    "light": Theme(
        page="#ffffff", text="#1f2933", muted="#52606d", tag="#ffffff",
        up="#00795c", down="#5b6b7b", tunnel="#56348b", warning="#b3261e",
        boxes={
            "frame": ("#fafaf7", "#7b8794"), "host": ("#f3f4f1", "#7b8794"),
            "namespace": ("#eaf4fb", "#0072b2"), "folded": ("#eaf4fb", "#0072b2"),
            "bridge": ("#fdf3dc", "#b97700"), "stack": ("#eef0ee", "#52606d"),
        },
    ),
    "dark": Theme(
        page="#111418", text="#e9eef3", muted="#a9b5c1", tag="#14191e",
        up="#35c99b", down="#95a2af", tunnel="#c6a8ff", warning="#ff8a80",
        boxes={
            "frame": ("#171c21", "#7b8794"), "host": ("#1d2329", "#7b8794"),
            "namespace": ("#142b3a", "#56b4e9"), "folded": ("#142b3a", "#56b4e9"),
            "bridge": ("#33280f", "#e69f00"), "stack": ("#232a31", "#a9b5c1"),
        },
    ),
}  # fmt: skip
