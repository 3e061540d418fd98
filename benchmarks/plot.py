"""The figures as a picture: what a network costs as it grows."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from figures import PEERS, SIZES, Figures
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = (("up", "Up: the star is built"), ("down", "Down: the kernel has forgotten it"))
# Okabe and Ito's colours, which everybody can tell apart; and no two share a mark.
STYLES = {
    "ours": ("#0072B2", "o", "netviz"),
    "floor": ("#000000", "s", "floor (C)"),
    "ip -batch": ("#009E73", "^", "ip -batch"),
    "ip": ("#E69F00", "D", "ip"),
    "pyroute2": ("#CC79A7", "v", "pyroute2"),
    "Mininet": ("#D55E00", "P", "Mininet"),
    "NeST": ("#56B4E9", "X", "NeST"),
}
INK = "#333333"
APART = 0.062  # Between two labels, as a part of the height.
AWAY = 0.05  # From a line to its label, as a part of the width.


def drawn(figures: Figures, file: Path) -> None:
    """Write the picture; the same figures give the same bytes."""
    settings: dict[Any, Any] = {
        "svg.hashsalt": "netviz",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.size": 10,
        "text.color": INK,
        "axes.labelcolor": INK,
        "axes.edgecolor": "#999999",
        "xtick.color": INK,
        "ytick.color": INK,
    }
    with mpl.rc_context(settings):
        figure = Figure(figsize=(10, 4.8), layout="constrained")
        for axes, (what, title) in zip(figure.subplots(1, 2, sharey=True), SHOWN, strict=True):
            lines = {who: _line(axes, figures, what, who) for who in ("ours", "floor", *PEERS)}
            _frame(axes, title)
            figure.draw_without_rendering()  # Only now the axes know their place.
            for column, side in ((0, "right"), (-1, "left")):
                ends = {who: ends[column] for who, ends in lines.items() if ends}
                _label(axes, {who: at for who, at in ends.items() if _side(who) == side}, side)
        figure.axes[0].set_ylabel("milliseconds")
        figure.savefig(file, format="svg", metadata={"Date": None})


def _side(who: str) -> str:
    """Return how a name is aligned: those of the peers stand before their lines, where none is."""
    return "right" if who in PEERS else "left"


def _line(axes: Axes, figures: Figures, what: str, who: str) -> list[tuple[float, float]]:
    """Draw one competitor, and return the points of its line."""
    found = [(size, figures.of(what, who, "star", size)) for size in SIZES]
    points: list[tuple[float, float]] = [
        (size, seconds * 1e3) for size, seconds in found if seconds
    ]
    if not points:
        return []
    colour, mark, _ = STYLES[who]
    first = who in ("ours", "floor")
    axes.plot(
        *zip(*points, strict=True),
        color=colour,
        marker=mark,
        markersize=6 if first else 5,
        linewidth=2.4 if who == "ours" else 1.5,
        linestyle="--" if who == "floor" else "-",
        zorder=3 if first else 2,
        clip_on=False,
    )
    return points


def _frame(axes: Axes, title: str) -> None:
    axes.set(xscale="log", yscale="log", xlim=(2, 1100), xlabel="namespaces")
    axes.set_title(title, loc="left", fontsize=11, fontweight="bold")
    axes.set_xticks(SIZES, [str(size) for size in SIZES], minor=False)
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=0)


def _label(axes: Axes, ends: dict[str, tuple[float, float]], side: str) -> None:
    """Write each name beside an end of its line, and apart from those of its neighbours."""
    found = sorted((end[1], who) for who, end in ends.items())
    place = axes.transScale + axes.transLimits
    ways = [place.transform(ends[who]) for _, who in found]
    heights: list[float] = []
    for _, y in ways:
        heights.append(max(y, heights[-1] + APART) if heights else y)
    too_high = fmean(heights) - fmean(y for _, y in ways) if ways else 0.0
    for (_, who), (x, y), height in zip(found, ways, heights, strict=True):
        colour, _, name = STYLES[who]
        axes.annotate(
            name,
            (x, y),
            (x + (-AWAY if side == "right" else AWAY), height - too_high),
            xycoords="axes fraction",
            textcoords="axes fraction",
            va="center",
            ha=side,
            fontweight="bold" if who == "ours" else "normal",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkB": 4},
        )
