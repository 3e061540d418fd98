"""The entries of a namespace's tables, each as the line that its command prints. Pure.

Names are as the kernel has them: whoever shows a line escapes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netviz import model
    from netviz.model import Interface

MAIN = 254
_TABLES = {None: "[l3mdev-table]", 253: "default", MAIN: "main", 255: "local"}
_UNITS = {"delay": (1e3, "ms"), "jitter": (1e3, "ms"), "loss": (100, "%"), "rate": (1e-6, "Mbit")}


def told(**named: object) -> list[str]:
    """Return what is known of some facts, each with its name."""
    return [f"{name} {value}" for name, value in named.items() if value is not None]


def routes(routes: list[model.Route]) -> Iterator[str]:
    """Yield routes as ``ip route`` prints them, each further way on a line of its own."""
    for route in routes:
        said = [route.type] if route.type != "unicast" else []
        said += [route.to, *_via(route.via, route.family), *told(dev=route.dev)]
        said += told(proto=route.protocol) if route.protocol != "boot" else []
        said += told(scope=route.scope) if route.scope != "global" else []
        yield " ".join([*said, *told(src=route.prefsrc, metric=route.metric), *route.flags])
        for hop in map(dict[str, Any], route.nexthops):
            said = ["nexthop", *_via(hop.get("gateway"), route.family)]
            said += told(dev=hop["dev"], weight=hop.get("weight", 1))
            yield " ".join([*said, *hop.get("flags", ())])


def _via(gateway: str | None, family: str) -> list[str]:
    other = gateway and ":" in gateway and family == "inet"
    return told(via=f"inet6 {gateway}" if other else gateway)


def rule(rule: model.Rule) -> str:
    """Return a rule as ``ip rule`` prints it."""
    said = [f"{rule.priority}:", *(["not"] if rule.inverted else []), f"from {rule.source}"]
    said += [f"to {rule.to}"] if rule.to != "all" else []
    if rule.fwmark is not None or rule.fwmask is not None:
        mask = f"/{rule.fwmask:#x}" if rule.fwmask is not None else ""
        said.append(f"fwmark {f'{rule.fwmark:#x}' if rule.fwmark else 0}{mask}")
    said += told(iif=rule.iif, oif=rule.oif)
    table = _TABLES.get(rule.table, rule.table)
    said.append(f"lookup {table}" if rule.action == "lookup" else rule.action)
    return " ".join([*said, *told(suppress_prefixlength=rule.suppress_prefixlength)])


def neighbour(entry: model.Neighbour) -> str:
    """Return a neighbour as ``ip neighbour`` prints it."""
    return " ".join([entry.to, *told(dev=entry.dev, lladdr=entry.mac), *entry.flags, *entry.state])


def entry(entry: model.FdbEntry, *, named: bool) -> str:
    """Return a forwarding entry as ``bridge fdb show`` prints it; with its device if ``named``."""
    said = told(dev=entry.dev if named else None, dst=entry.dst, vlan=entry.vlan)
    said += [*told(port=entry.port, vni=entry.vni), *entry.flags, *told(master=entry.master)]
    return " ".join([entry.mac, *said, entry.state]).rstrip()


def vlan(entry: model.BridgeVlan) -> str:
    """Return a VLAN of a port as ``bridge vlan show`` prints it."""
    marks = (("PVID", entry.pvid), ("Egress Untagged", entry.untagged))
    return " ".join([entry.dev, str(entry.vlan), *(word for word, so in marks if so)])


def container(entry: model.Container) -> str:
    """Return a container in one line: as ``docker ps`` tells it, with its networks."""
    said = [entry.name, entry.id[:12], *_some(image=entry.image, pod=entry.pod)]
    said += _some(networks=", ".join(entry.networks), ports=", ".join(entry.ports))
    return " ".join(said).rstrip()


def _some(**named: str) -> list[str]:
    return told(**{name: value or None for name, value in named.items()})


def filters(nft: tuple[Mapping[str, Any], ...]) -> Iterator[str]:
    """Yield a line a chain: how many rules it has, and what becomes of what none of them takes."""
    rules, chains = ([it[kind] for it in nft if kind in it] for kind in ("rule", "chain"))
    counts = Counter((rule["family"], rule["table"], rule["chain"]) for rule in rules)
    for chain in chains:
        place = (chain["family"], chain["table"], chain["name"])
        count, policy = counts[place], chain.get("policy", "accept")
        otherwise = f", policy {policy}" if policy != "accept" else ""
        yield f"{' '.join(place)}: {count} rule{'s' * (count != 1)}{otherwise}"


def queue(queue: model.Qdisc) -> str:
    """Return a queue as ``tc qdisc`` prints it, in short."""
    place = queue.parent if queue.parent == "root" else f"parent {queue.parent}"
    said = ["qdisc", queue.kind, queue.handle, place]
    for name, value in queue.options.items():
        if name == "untold":
            said += value if isinstance(value, list) else []
            continue
        times, unit = _UNITS.get(name, (1, ""))
        said.append(f"{name} {float(str(value)) * times:.9g}{unit}")
    return " ".join(said)


def counters(links: Iterable[Interface]) -> Iterator[str]:
    """Yield what interfaces have counted, a line each."""
    for link in links:
        counts = link.statistics
        if counts and (link.kind != "loopback" or counts["rx"]["packets"]):
            yield f"{link.name}  received {_amount(counts['rx'])}  sent {_amount(counts['tx'])}"


def _amount(counts: Mapping[str, int]) -> str:
    packets, size = counts["packets"], float(counts["bytes"])
    unit, *larger = ("B", "kB", "MB", "GB", "TB")
    while size >= 999.95 and larger:
        size, unit = size / 1000, larger.pop(0)
    told = [f"{packets} packet{'s' * (packets != 1)}", f"{size:.{unit != 'B':d}f} {unit}"]
    return ", ".join([*told, *(f"{counts[it]} {it}" for it in ("dropped", "errors") if counts[it])])
