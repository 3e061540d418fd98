"""Read Open vSwitch: its bridges, ports, tags, patch cables, tunnels and flows.

The kernel knows little of it. A port's veth is plugged in nowhere, as far as the kernel tells, and
patch ports and tunnels are no devices at all. So the daemons are asked: the database for what was
configured, the switch for its flows and for what it has learned. A pair of daemons belongs to the
namespace in which the switch's process lives. What they tell is put upon what the kernel told; of a
daemon that hangs, or answers rubbish, nothing is told but a `Caution`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zlib import crc32

from netviz.model import UNREAL, Caution, Endpoint, FdbEntry, Flow, Interface
from netviz.net.ovsdb import Daemon
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Namespace

_RUN = Path("/run")  # Where /var/run leads, on any distribution of the last ten years.
_SOCKETS = "openvswitch*/db.sock"
_PATIENCE, _EACH = 0.9, 0.5  # Seconds, for all daemons together and for a pair of them.
_COLUMNS = {
    "Bridge": ("name", "ports", "fail_mode", "datapath_type", "controller"),
    "Port": ("name", "interfaces", "tag", "trunks", "vlan_mode"),
    "Interface": ("name", "type", "options", "ofport", "error", "link_state", "mac_in_use"),
    "Controller": ("target",),
}
_HIDDEN_TABLE, _HIDDEN_PRIORITY = 254, 0xFFFF  # Flows that a switch makes for itself.
_COUNTED = ("duration", "n_packets", "n_bytes", "n_offload", "idle_age", "hard_age", "cookie")
_LEARNED = re.compile(r"\s*(\S+)\s+(\d+)\s+((?:[0-9a-f]{2}:){5}[0-9a-f]{2})\s+(\S+)")
_PORTS = {"vxlan": 4789, "geneve": 6081}
_OWN = ("system", "internal", "tap", "dummy")  # The ports that are devices of the kernel.
_UP = ("UP", "LOWER_UP")


def switched(
    spaces: tuple[Namespace, ...], cautions: list[Caution], run: Path = _RUN
) -> tuple[Namespace, ...]:
    """Return namespaces with the switches that Open vSwitch has in them.

    Equivalent to: ``ovs-vsctl show; ovs-ofctl dump-flows BRIDGE; ovs-appctl fdb/show BRIDGE``, for
    each pair of daemons whose sockets are in ``/run/openvswitch*``.
    """
    until, own = time.monotonic() + _PATIENCE, {space.id: space for space in spaces}
    for path in sorted(run.glob(_SOCKETS)):
        try:
            pid, told = _asked(path.parent, min(until, time.monotonic() + _EACH))
            space = own.get(Path(f"/proc/{pid}/ns/net").stat().st_ino)
            if space and told:
                own[space.id] = _Switches(space, told, cautions).space()
        except (FileNotFoundError, ConnectionError):
            continue  # Nobody is there any more.
        except Exception as error:  # Of what a stranger answers, it may be any.
            why = getattr(error, "strerror", "") or f"{type(error).__name__}: {error}"
            why = "it does not answer in time" if isinstance(error, TimeoutError) else why
            remedy = "; run it with sudo" if isinstance(error, PermissionError) else ""
            text = f"Open vSwitch at '{path}' cannot be read: {why}"
            cautions.append(Caution(printable(text) + remedy))
    return tuple(own.values())


def _asked(folder: Path, until: float) -> tuple[int, dict[str, Any]]:
    """Return the switch's process, and what both daemons answer: rows by table, and texts."""
    pid = int((folder / "ovs-vswitchd.pid").read_text())
    with Daemon(str(folder / "db.sock"), until) as database:
        told: dict[str, Any] = database.select("Open_vSwitch", _COLUMNS)
    bridges = [bridge["name"] for bridge in told["Bridge"]]
    told |= {"flows": {}, "fdb": {}}
    if bridges:
        with Daemon(str(folder / f"ovs-vswitchd.{pid}.ctl"), until) as switch:
            for name in bridges:
                for what, method in (("flows", "bridge/dump-flows"), ("fdb", "fdb/show")):
                    try:
                        told[what][name] = switch.ask(method, name)
                    except ValueError:  # It is configured, and not made yet.
                        told[what][name] = ""
    return pid, told


class _Switches:
    """What one pair of daemons tells, put upon the namespace that it belongs to."""

    def __init__(self, space: Namespace, told: dict[str, Any], cautions: list[Caution]) -> None:
        self._space, self._told, self._cautions = space, told, cautions
        self._links = {link.name: link for link in space.interfaces}
        self._rows = {
            name: {row["_uuid"]: row for row in told[name]}
            for name in ("Port", "Interface", "Controller")
        }
        self._peers: dict[str, str] = {}
        self._numbers: dict[tuple[str, str], str] = {}

    def space(self) -> Namespace:
        """Return the namespace with the switches."""
        bridges = sorted(self._told["Bridge"], key=lambda row: str(row["name"]))
        names = [row["name"] for row in bridges]
        for row in bridges:
            self._bridge(row, self._made(row["name"]))
        for name, peer in self._peers.items():
            if peer in self._links and self._peers.get(peer) == name:
                self._links[name] = replace(self._links[name], peer=self._at(peer))
            else:
                there = f"its peer '{printable(peer)}' is not there"
                self._cautions.append(Caution(there, self._at(name)))
        return replace(
            self._space,
            interfaces=tuple(sorted(self._links.values(), key=lambda link: link.index)),
            fdb=(*self._space.fdb, *(entry for name in names for entry in self._learned(name))),
            flows=tuple(flow for name in names for flow in self._flows(name)),
        )

    def _made(self, name: str) -> Endpoint:
        """Return where an interface is; one that the kernel does not know is made up."""
        if name not in self._links:
            known, index = {it.index for it in self._links.values()}, UNREAL | crc32(name.encode())
            while index in known:
                index += 1
            self._links[name] = Interface(index, name, "internal", None, 0)
        return self._at(name)

    def _at(self, name: str) -> Endpoint:
        return Endpoint(self._space.id, self._links[name].index, self._space.name, name)

    def _bridge(self, row: dict[str, Any], where: Endpoint) -> None:
        """Take in a bridge, with its ports."""
        for port in map(self._rows["Port"].get, _several(row["ports"])):
            for one in map(
                self._rows["Interface"].get, _several(port["interfaces"] if port else [])
            ):
                if one and port:
                    self._plug(where, port, one)
        aims = [self._rows["Controller"].get(it, {}) for it in _several(row["controller"])]
        told: dict[str, object] = {"datapath": row["datapath_type"] or "system"}
        told["fail_mode"] = next(iter(_several(row["fail_mode"])), "standalone")
        told |= {"controllers": sorted(str(it.get("target")) for it in aims)} if aims else {}
        link = self._links[where.name]
        # The other end of its tap is the switch itself.
        link = replace(link, kind="openvswitch", parameters=told, programs=())
        self._links[where.name] = replace(link, flags=link.flags or (_UP if link.unreal else ()))

    def _plug(self, bridge: Endpoint, port: dict[str, Any], row: dict[str, Any]) -> None:
        """Plug an interface into a bridge; one that is the bridge's own is itself."""
        name, kind, is_own = row["name"], row["type"] or "system", row["name"] == bridge.name
        number = next(iter(_several(row["ofport"])), -1)
        self._numbers[bridge.name, "LOCAL" if is_own else str(number)] = name
        error, lacks = "".join(_several(row["error"])), kind in _OWN and name not in self._links
        if (error or lacks) and not is_own:
            why = printable(error or "the kernel has no such device")
            text = f"its port '{printable(name)}' carries nothing: {why}"
            self._cautions.append(Caution(text, bridge))
            if kind in _OWN:
                return
        told: dict[str, object] = {"ofport": number} | {
            word: values if word == "trunks" else values[0]
            for word in ("tag", "trunks", "vlan_mode")
            if (values := _several(port[word]))
        }
        told |= {"bond": port["name"]} if len(_several(port["interfaces"])) > 1 else {}
        self._made(name)
        link = replace(self._links[name], port=told, master=None if is_own else bridge)
        if link.unreal and not is_own:
            link = replace(link, **_unreal(kind, row))
            if kind == "patch":
                self._peers[name] = str(row["options"].get("peer"))
        elif kind == "internal":
            link = replace(link, kind="internal", programs=())
        self._links[name] = link

    def _flows(self, name: str) -> Iterator[Flow]:
        """Yield the flows of a bridge, as they are tried: by table, the highest priority first."""
        found = [_flow(name, line) for line in self._told["flows"][name].splitlines() if line]
        shown = [
            it for it in found if it.table != _HIDDEN_TABLE and it.priority <= _HIDDEN_PRIORITY
        ]
        yield from sorted(shown, key=lambda it: (it.table, -it.priority, it.match, it.actions))

    def _learned(self, name: str) -> Iterator[FdbEntry]:
        """Yield what a bridge has learned: which card is behind which port."""
        lines = map(_LEARNED.match, self._told["fdb"][name].splitlines())
        for number, vlan, mac, age in sorted(it.groups() for it in lines if it):
            state = "static" if age == "static" else ""
            port = self._numbers.get((name, number), number)
            yield FdbEntry(mac, port, name, int(vlan), state=state)


def _unreal(kind: str, row: dict[str, Any]) -> dict[str, Any]:
    """Return what is told of an interface that the kernel does not know."""
    options, keys = row["options"], {"remote": "remote_ip", "local": "local_ip"}
    told: dict[str, object] = {
        ours: options[theirs]
        for ours, theirs in keys.items()
        if options.get(theirs, "flow") != "flow"
    }
    if kind in _PORTS:
        key = options.get("key") or options.get("out_key") or options.get("in_key") or "0"
        port = options.get("dst_port") or str(_PORTS[kind])
        told |= {"id": int(key) if key.isdecimal() else key}
        told |= {"port": int(port)} if port.isdecimal() else {}
    up = _UP if row["link_state"] != "down" else ()
    mac = next(iter(_several(row["mac_in_use"])), None)
    return {"kind": kind, "parameters": told, "flags": up, "mac": mac}


def _flow(bridge: str, line: str) -> Flow:
    """Return one line of ``bridge/dump-flows``. Raises ``ValueError`` for what is none."""
    before, found, actions = line.partition("actions=")
    if not found:
        raise ValueError(f"{line!r} is no flow")
    fields = [field.strip() for field in before.split(",") if field.strip()]
    told = {"table": "0", "priority": "32768"}
    match = []
    for each in fields:
        name, _, value = each.partition("=")
        name = "table" if name == "table_id" else name
        if name in told:
            told[name] = value
        elif not name.startswith(_COUNTED):
            match.append(each)
    return Flow(bridge, int(told["table"]), int(told["priority"]), ",".join(match), actions.strip())


def _several(value: Any) -> list[Any]:
    """Return the members of a set; of one with a single member the database tells that alone."""
    return value if isinstance(value, list) else [value]
