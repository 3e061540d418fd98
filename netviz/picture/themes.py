"""The colours of a picture: Okabe and Ito's, which people who see few colours can tell apart."""

from __future__ import annotations

from typing import NamedTuple


class Theme(NamedTuple):
    """Colours by what they are for. ``boxes`` are (fill, edge) by a box's kind.

    Where they are not drawn through, ``edge`` and ``line`` are how long ink and gap are, in pixels,
    along a box and along a cable that is up; ``pen`` is how thick lines are, 1 as usual. ``path``
    is the way of a packet, ``copy`` that of a copy of it.
    """

    page: str
    text: str
    muted: str
    tag: str
    up: str
    down: str
    tunnel: str
    warning: str
    path: str
    copy: str
    boxes: dict[str, tuple[str, str]]
    edge: tuple[float, ...] = ()
    line: tuple[float, ...] = ()
    pen: float = 1.0


THEMES = {
    "light": Theme(
        page="#ffffff", text="#1f2933", muted="#52606d", tag="#ffffff",
        up="#00795c", down="#5b6b7b", tunnel="#56348b", warning="#b3261e",
        path="#bf4a00", copy="#b9693c",
        boxes={
            "frame": ("#fafaf7", "#7b8794"), "host": ("#f3f4f1", "#7b8794"),
            "namespace": ("#eaf4fb", "#0072b2"), "folded": ("#eaf4fb", "#0072b2"),
            "bridge": ("#fdf3dc", "#b97700"), "stack": ("#eef0ee", "#52606d"),
        },
    ),
    "dark": Theme(
        page="#111418", text="#e9eef3", muted="#a9b5c1", tag="#14191e",
        up="#35c99b", down="#95a2af", tunnel="#c6a8ff", warning="#ff8a80",
        path="#ff9e5e", copy="#c9895f",
        boxes={
            "frame": ("#171c21", "#7b8794"), "host": ("#1d2329", "#7b8794"),
            "namespace": ("#142b3a", "#56b4e9"), "folded": ("#142b3a", "#56b4e9"),
            "bridge": ("#33280f", "#e69f00"), "stack": ("#232a31", "#a9b5c1"),
        },
    ),
}  # fmt: skip


def night() -> dict[str, str]:
    """Return each colour of the light theme, and of its ghosts, with its like in the dark."""
    pairs: dict[str, str] = {}
    one, other = THEMES["light"], THEMES["dark"]
    for light, dark in ((one, other), (ghostly(one), ghostly(other))):
        inks = ((a, b) for a, b in zip(light, dark, strict=True) if isinstance(a, str) and a != b)
        pairs |= {a: str(b) for a, b in inks}
        for kind, (fill, edge) in light.boxes.items():
            pairs |= dict(zip((fill, edge), dark.boxes[kind], strict=True))
    return pairs


def ghostly(theme: Theme) -> Theme:
    """Return a theme for what is not there yet: paler, thinner and dashed, each in its own hue."""
    inks = {n: _mix(getattr(theme, n), theme.muted) for n in ("text", "up", "tunnel")}
    boxes = {k: (_mix(a, theme.page), _mix(b, theme.muted)) for k, (a, b) in theme.boxes.items()}
    # Long and short: as draughtsmen draw what is still to come.
    line = (11.0, 3.5, 2.0, 3.5)
    return theme._replace(**inks, boxes=boxes, edge=(4.0, 3.2), line=line, pen=0.7)


def _mix(one: str, other: str) -> str:
    """Return a colour that is almost half another one."""
    pairs = zip(bytes.fromhex(one[1:]), bytes.fromhex(other[1:]), strict=True)
    return f"#{bytes(round(0.55 * a + 0.45 * b) for a, b in pairs).hex()}"
