"""Networks made by hand: `Net` builds snapshots as discovery would give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netviz.model import Address, Caution, Endpoint, Interface, Key, Namespace, Snapshot

ROOT = 4026531840
UP, NO_CARRIER, DOWN = "up", "no carrier", "down"
_FLAGS = {UP: ("UP", "LOWER_UP"), NO_CARRIER: ("UP",), DOWN: ()}
NAMES = (
    "web", "db", "router", "net1", "a", "customer-edge-router-of-the-northern-region",
    "<script>alert(1)</script>", "$x$", r"$\frac{1}{0}$", "two\nlines", "right\u200fto\u202eleft",
    "网络命名空间", "🦊🚀🦊", "a & b", '"quoted" \'name\'', "tab\tbed", "e\u0301\u0302\u0327",
    "\x1b[31mred", "x" * 120, "-", "%s%n", "\udcff\udcfe", "שלום", "مرحبا",
)  # fmt: skip
DEVICES = (
    "eth0", "veth0", "p", "w1", "br-7f3a9c20d1e", "exactly15bytes!", "<b>", "$x$", "网络接口一",
    "🦊🦊🦊", "a\u202eb", "\x1b[1m", "WWWWWWWWWWWWWWW", "\udcff", "a&b\"c'd",
)  # fmt: skip


class Net:
    """A network under construction: namespaces by id, the root first."""

    def __init__(self) -> None:
        self.spaces: dict[int, dict[str, Any]] = {}
        self.links: dict[Key, dict[str, Any]] = {}
        self.warnings: list[Caution] = []
        self.space("root", id=ROOT, held_by="root")

    def space(self, name: str = "", *, lo: str | None = DOWN, **fields: Any) -> int:
        """Add a namespace, with a loopback in a state of its own; return its id."""
        space = fields.pop("id", ROOT + len(self.spaces))
        self.spaces[space] = {"name": name or f"net{len(self.spaces)}", **fields}
        if lo:
            self.device(space, "lo", "loopback", state=lo)
        return space

    def device(
        self, space: int, name: str = "", kind: str = "device", *, state: str = UP, **fields: Any
    ) -> Key:
        """Add an interface to a namespace; ``at`` are its addresses as one types them."""
        index = 1 + sum(key[0] == space for key in self.links)
        addresses = tuple(address(typed) for typed in fields.pop("at", ()))
        mac = f"02:00:00:00:{len(self.links) // 256:02x}:{len(self.links) % 256:02x}"
        self.links[space, index] = {
            "name": name or f"eth{index}", "kind": kind, "mac": mac, "mtu": 1500,
            "flags": _FLAGS[state], "addresses": addresses, **fields,
        }  # fmt: skip
        return space, index

    def bridge(self, space: int, name: str = "br0", **fields: Any) -> Key:
        """Add a bridge."""
        return self.device(space, name, "bridge", **fields)

    def cable(
        self, a: int, b: int, a_name: str = "", b_name: str = "", *, state: str = UP, **ends: Any
    ) -> tuple[Key, Key]:
        """Join two namespaces by a veth pair; ``port`` is a bridge at its first end."""
        port = ends.pop("port", None)
        first = self.device(a, a_name, "veth", state=state, master=port)
        second = self.device(b, b_name, "veth", state=state, **ends)
        self.links[first]["peer"], self.links[second]["peer"] = second, first
        return first, second

    def snapshot(self) -> Snapshot:
        """Return the network as discovery would have read it."""
        spaces = []
        for space, fields in self.spaces.items():
            own = tuple(
                Interface(index=key[1], **link | {end: self._end(link.get(end)) for end in _ENDS})
                for key, link in self.links.items()
                if key[0] == space
            )
            spaces.append(Namespace(id=space, interfaces=own, **fields))
        return Snapshot(tuple(spaces), tuple(self.warnings))

    def warn(self, key: Key, message: str = "its peer is gone") -> None:
        """Add a warning about an interface."""
        end = self._end(key)
        assert end is not None
        self.warnings.append(Caution(message, end))

    def _end(self, key: Key | None) -> Endpoint | None:
        if key is None:
            return None
        known = self.links.get(key, {"name": "gone"})["name"]
        return Endpoint(*key, self.spaces.get(key[0], {"name": "gone"})["name"], known)


_ENDS = ("master", "peer", "lower")


def address(typed: str) -> Address:
    """Return an address as ``ip address add`` takes it."""
    local, _, length = typed.partition("/")
    return Address("inet6" if ":" in local else "inet", local, int(length))


def tunnels(net: Net, some: Sequence[int], under: dict[int, Key]) -> None:
    """Lay a VXLAN between each two of some hosts."""
    number = 100
    for n, a in enumerate(some):
        for b in some[n + 1 :]:
            number += 1
            for here, there in ((a, b), (b, a)):
                ends = {
                    "local": f"192.0.2.{some.index(here)}",
                    "remote": f"192.0.2.{some.index(there)}",
                }
                net.device(
                    here, f"vx{number}", "vxlan", lower=under.get(here), at=[f"{ends['local']}/32"],
                    parameters={"id": number, "port": 4789, **ends},
                )  # fmt: skip
