"""What is written in a picture: names made safe and short, addresses, states, hover titles."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from netviz.graphs import shown
from netviz.model import HOST
from netviz.picture.switches import NAMES, vlans
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Interface, Namespace, Snapshot

LIMIT = 26
_MOST_LINES = 4
_ENGINES = {"docker": "Docker", "podman": "Podman", "cri-o": "CRI-O"}
PLANNED = "Planned, not built yet: "
_CARDS = {"veth", "dummy", "macvlan", "macvtap", "ipvlan", "vlan", "vxlan", "geneve", "gretap"}
_NOT_YET = ("blocking", "listening", "learning")  # What a port is while it does not forward.


def short(name: str, limit: int = LIMIT) -> str:
    """Return ``name`` made printable, with an ellipsis in the middle where it is too long."""
    safe = printable(name)
    if len(safe) <= limit:
        return safe
    head = (limit - 1) // 2
    return f"{safe[:head]}…{safe[len(safe) - (limit - 1 - head) :]}"


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Return a sort key that puts net2 before net10."""
    parts = re.findall(r"[0-9]{1,9}|[^0-9]+|[0-9]", name)
    return tuple((0, int(p), "") if p.isdecimal() and p.isascii() else (1, 0, p) for p in parts)


def addresses(interface: Interface) -> list[str]:
    """Return the addresses worth showing: not IPv6 link-local ones, which every device has."""
    shown = [address for address in interface.addresses if address.scope != "link"]
    shown = shown or [address for address in interface.addresses if address.family == "inet"]
    return [
        printable(f"{a.local} → {a.peer}" if a.peer and a.peer != a.local else str(a))
        for a in shown
    ]


def mac(interface: Interface) -> str | None:
    """Return how a MAC ends: ``3a:…:00:01:01``, whose maker is left out; dots for one to come."""
    if interface.mac is None and interface.kind in _CARDS:
        return "··:⋯:··:··:··"
    if not interface.mac or not re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", interface.mac):
        return None
    return f"{interface.mac[:2]}:…:{interface.mac[-8:]}"


def state(interface: Interface) -> str:
    """Return ``up`` or ``down``: whether the interface is switched on."""
    return "up" if interface.up else "down"


def held(namespace: Namespace) -> str | None:
    """Return what keeps a namespace without a name alive; a container tells more than that."""
    if namespace.containers:
        return None
    if namespace.held_by == "process":
        few = ", ".join(str(pid) for pid in namespace.pids[:3])
        more = len(namespace.pids) - 3
        return f"held by process {few}" + (f" and {more} more" if more > 0 else "")
    return {"file": "held by an open file", "mount": "held by a mount"}.get(namespace.held_by)


def contained(namespace: Namespace) -> list[str]:
    """Return a line for each container whose network it is, and for what these publish."""
    some = namespace.containers
    pod = any(each.pod == namespace.name for each in some)
    lines = [f"a pod of {len(some)} container{'s' * (len(some) != 1)}"] if pod else []
    for each in some:
        name = "" if each.name == namespace.name else f" {short(each.name)}"
        image = f" · {short(each.image)}" if each.image else ""
        lines.append(f"{_of_engine(each.engine, 'container')}{name}{image}")
    # What is published to IPv4 and to IPv6 alike is told once.
    ports = [port.replace("[::]", "0.0.0.0") for each in some for port in each.ports]
    return lines + [f"published: {short(port, 30)}" for port in dict.fromkeys(ports)]


def networked(namespace: Namespace, interface: Interface) -> list[str]:
    """Return the engines' networks that a bridge is: ``Docker network 'n1' 172.18.0.0/16``."""
    return [
        f"{_of_engine(it.engine, 'network')} '{short(it.name)}' {', '.join(it.subnets)}".strip()
        for it in namespace.networks
        if it.device == interface.name
    ]


def _of_engine(engine: str, what: str) -> str:
    return f"{_ENGINES.get(engine, printable(engine))} {what}".strip()


def forwards(namespace: Namespace) -> bool:
    """Tell whether the namespace forwards packets between its interfaces, as a router does."""
    switches = [value for name, value in namespace.sysctls.items() if name.endswith("ip_forward")]
    return any(str(value) not in ("0", "False") for value in switches)


def hover(namespace: Namespace, interface: Interface) -> str:
    """Return the hover title of an interface: its full name and all that the picture leaves out."""
    condition = "up" if interface.running else "up, no carrier" if interface.up else "down"
    kind = NAMES.get(interface.kind, printable(interface.kind))
    facts = [f"{printable(namespace.name)}:{printable(interface.name)}", kind]
    facts += [condition, *(printable(str(address)) for address in interface.addresses)]
    facts += [f"MAC {interface.mac}"] if interface.mac else []
    facts += [f"its other end: {printable(interface.other_end)}"] if interface.programs else []
    facts += [vlans(interface)] if vlans(interface) else []
    facts += map(printable, networked(namespace, interface))
    if interface.unreal:  # The kernel has not numbered it.
        return " · ".join(facts)
    return " · ".join([*facts, f"MTU {interface.mtu}", f"index {interface.index}"])


def tag(interface: Interface) -> str:
    """Return what is written in an interface's tag: its name, and its VLANs in Open vSwitch."""
    name = short(interface.name, 15)
    return f"{name} · {short(vlans(interface), 15)}" if vlans(interface) else name


def tunnel(interface: Interface, state: str = "up") -> str:
    """Return what a tunnel says of itself: ``VXLAN VNI 1 · UDP 4789``, and that it is down."""
    kind = {"ipip": "IPIP", "sit": "SIT", "vxlan": "VXLAN", "geneve": "Geneve"}
    words = kind.get(interface.kind, printable(interface.kind).upper())
    for key, text in (("id", " VNI "), ("port", " · UDP ")):
        if (value := interface.parameters.get(key)) is not None:
            words += text + ("by flow" if value == "flow" else short(str(value)))
    return words if state == "up" else f"{words} · {state}"


def subtitle(interface: Interface) -> str:
    """Return the second line of a bridge: ``bridge · 10.1.1.1/24 · forwards by MAC``."""
    kind = printable(interface.kind)
    words = [NAMES.get(kind, kind), *addresses(interface)[:2]]
    if interface.parameters.get("stp_state") in (1, True, "1"):
        words.append("STP on")
    if kind == "bridge":
        words.append("forwards by MAC")
    return " · ".join(words)


def about(namespace: Namespace) -> str:
    """Return the hover title of a namespace: its full name, what holds it, its processes."""
    count = len(namespace.pids)
    facts = [
        printable(namespace.name),
        "root namespace" if namespace.held_by == "root" else "namespace",
        held(namespace) or "",
        *contained(namespace),
        f"{count} process{'es' * (count != 1)}" if namespace.held_by == "name" else "",
        "forwards packets" if forwards(namespace) else "",
        f"id {namespace.id}",
    ]
    return " · ".join(fact for fact in facts if fact)


def alternative(snapshot: Snapshot) -> str:
    """Return the picture in words, one sentence a namespace, for who cannot see it."""
    sentences = [_sentence(namespace) for namespace in shown(snapshot).namespaces]
    sentences += [f"Warning: {printable(str(warning))}." for warning in snapshot.warnings]
    return " ".join(sentences) or "There is nothing to see: no namespace was found."


def _sentence(namespace: Namespace) -> str:
    own = [link for link in namespace.interfaces if link.kind != "loopback"]
    kind = "The root namespace" if namespace.held_by == "root" else "Namespace"
    what = "; ".join(_told(link) for link in own) or "only a loopback"
    container = f" ({', '.join(contained(namespace))})" if namespace.containers else ""
    return f"{kind} {printable(namespace.name)}{container} has {what}."


def _told(link: Interface) -> str:
    place = "" if not link.master else f", port of {printable(link.master.name)}"
    far = f", joined with {printable(str(link.peer))}" if link.peer else ""
    over = f", over {printable(str(link.lower))}" if link.lower else ""
    own = ", ".join(addresses(link))
    with_addresses = f" with {own}" if own else ""
    far += f", its other end: {printable(link.other_end)}" if link.programs else ""
    condition = "" if link.running else " (down)" if not link.up else " (no carrier)"
    place += f" in {vlans(link)}" if vlans(link) else ""
    kind = NAMES.get(link.kind, printable(link.kind)) + " "
    kind = "" if link.kind in ("veth", "device") else kind
    return f"{kind}{printable(link.name)}{with_addresses}{condition}{place}{far}{over}"


def facts(space: Namespace, own: list[Interface], *, several: bool) -> Iterator[tuple[str, str]]:
    """Yield lines about some interfaces of one box, with their styles: the addresses first.

    Then what travels over what in this namespace, and which ports of a bridge do not forward yet.
    """
    named = [(short(link.name, 15), link) for link in own]
    typed = [(name, address) for name, link in named for address in addresses(link)]
    yield from few([f"{name} {at}" if several else at for name, at in typed], "address")
    lower = [(name, link.lower) for name, link in named if link.lower]
    told = [f"{name} over {short(far.name, 15)}" for name, far in lower if far.id == space.id]
    told += [f"{name} ends in {short(it.name, 15)}" for name, link in named for it in link.programs]
    told += [f"{n} is {x.port['state']}" for n, x in named if x.port.get("state") in _NOT_YET]
    yield from few(told, "note")


def few(lines: list[str], style: str) -> Iterator[tuple[str, str]]:
    """Yield the first of some lines with their style, and how many more there are."""
    yield from ((line, style) for line in lines[:_MOST_LINES])
    if len(lines) > _MOST_LINES:
        yield f"and {len(lines) - _MOST_LINES} more", "note"


def hosts(links: Iterable[tuple[int, Interface]]) -> set[int]:
    """Return the namespaces over whose card others travel, or whose loopback calls them hosts."""
    own = list(links)
    says = {space for space, link in own if link.alias == HOST and link.kind == "loopback"}
    return says | {it.lower.id for space, it in own if it.lower and it.lower.id != space}
