"""What a queue that was plugged into a device takes away of what the device is to send. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netviz.explanations import Step
from netviz.journeys import Reason
from netviz.packets.typed import typed

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace

_LOSES = {"loss-state", "corrupt"}


def lossy(space: Namespace, link: Interface) -> Reason | None:
    """Return that a device loses what it is to send, if it does; and what shows it."""
    step = loses(space, link)
    return Reason(step.text.removeprefix(f"{space.name}:"), step.command) if step else None


def loses(space: Namespace, link: Interface) -> Step | None:
    """Return that a queue loses what a device is to send: all of it, or nobody can tell what."""
    for queue in space.qdiscs:
        if queue.dev != link.name or queue.kind != "netem":
            continue
        loss, untold = float(str(queue.options.get("loss", 0))), str(queue.options.get("untold"))
        odd = [name for name in sorted(_LOSES) if name in untold]
        where = f"{space.name}:{link.name}"
        share = f"{loss * 100:.4g} % of what" if loss < 1 else "all that"
        show = typed(space, "tc", "qdisc", "show", "dev", link.name)
        step = Step(f"{where} loses {share} it is to send: a netem", False, where, show)
        if loss < 1 or queue.parent != "root":
            step = replace(step, holds=None)
        if loss >= 1 and queue.parent == "root":
            words = ("qdisc", "delete", "dev", link.name, "root")
            return replace(step, mend=typed(space, "tc", *words))
        if odd and not loss:
            return replace(step, text=f"{where} may lose what it is to send: a netem ({odd[0]})")
        if loss:
            return step
    return None
