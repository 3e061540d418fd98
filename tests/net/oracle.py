"""What ``ip`` and ``bridge`` tell, in the shape of a snapshot: the judge of every reading.

``ip`` is asked before and after the snapshot is taken; only where both answers are the same was
the network at rest, and is the snapshot held against them. So no sleep is needed.
"""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from netviz.net.discovery import snapshot

if TYPE_CHECKING:
    from netviz.model import Namespace, Snapshot

Answer = dict[str, object]
_VERSIONS = {"inet": "ipv4", "inet6": "ipv6"}
TABLES = {"local": 255, "main": 254, "default": 253}
# What `ip -d` adds and a snapshot leaves out: running timers, and what no lesson needs.
NOT_TOLD = {
    *("hello_timer", "tcn_timer", "topology_change_timer", "gc_timer", "hold_timer"),
    *("message_age_timer", "forward_delay_timer", "topology_change_ack", "config_pending"),
    *("vlan_stats_enabled", "vlan_stats_per_port", "no_linklocal_learn", "mcast_vlan_snooping"),
    *("mcast_query_use_ifaddr", "mcast_hash_elasticity", "mcast_hash_max", "mcast_igmp_version"),
    *("mcast_last_member_cnt", "mcast_startup_query_cnt", "mcast_last_member_intvl"),
    *("mcast_membership_intvl", "mcast_querier_intvl", "mcast_query_intvl", "mcast_mld_version"),
    *("mcast_query_response_intvl", "mcast_startup_query_intvl", "mcast_stats_enabled"),
    *("proxy_arp_wifi", "mcast_to_unicast", "group_fwd_mask_str", "port_range", "df", "udp_csum"),
    *("udp_zero_csum6_tx", "udp_zero_csum6_rx", "encap_limit", "tclass", "flowlabel", "bcqueuelen"),
    *("usedbcqueuelen", "bridge"),
    # Some versions of `ip` show a bridge's own id for it.
    "root_id",
}
ADDRESS = {
    *("family", "local", "address", "prefixlen", "broadcast", "scope", "label"),
    *("secondary", "temporary", "nodad", "optimistic", "dadfailed", "home", "deprecated"),
    *("tentative", "dynamic", "mngtmpaddr", "noprefixroute", "autojoin", "stable-privacy"),
}


def sh(script: str) -> str:
    """Run a shell script; the first command that fails fails the test."""
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def can(script: str) -> bool:
    """Tell whether the kernel can do it, by doing it in a namespace that is then thrown away."""
    command = ["unshare", "-n", "sh", "-ec", script]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def at_rest() -> tuple[Snapshot, list[Answer], list[Answer]]:
    """Return a snapshot of a network at rest, what it says, and what ``ip`` and ``bridge`` say."""
    for _ in range(50):
        spaces = snapshot().namespaces
        before = [told(namespace) for namespace in spaces]
        seen = snapshot()
        if before == [told(namespace) for namespace in spaces]:
            return seen, [reading(namespace) for namespace in seen.namespaces], before
    raise AssertionError("this network never comes to rest")


def reading(namespace: Namespace) -> Answer:
    """Return the part of a namespace that can be held against `told`."""
    seen = namespace.to_dict()
    links = []
    for link in seen["interfaces"]:
        for told_wrong in (link["parameters"], link["port"]):
            told_wrong.pop("root_id", None)
        for address in link["addr_info"]:
            address.pop("protocol", None)  # Not every version of `ip` tells it.
        below = link.pop("peer") or link.pop("lower", None)
        link.pop("lower", None)
        link.pop("programs")  # Of a program `ip` tells nothing.
        links.append(link | {"link": below["index"] if below else None})
    return {
        "interfaces": links,
        **{table: seen[table] for table in ("routes", "rules", "neighbours", "fdb")},
        "netconf": {
            (version, name): (settings["forwarding"], settings.get("rp_filter"))
            for version in ("ipv4", "ipv6")
            for name, settings in seen["sysctls"][version].items()
        },
    }


def told(namespace: Namespace) -> Answer:
    """Return what ``ip`` and ``bridge`` tell about a namespace."""
    if namespace.held_by == "name":
        where = f"/run/netns/{namespace.names[0]}"
    else:
        where = f"/proc/{namespace.pids[0]}/ns/net" if namespace.pids else "/proc/self/ns/net"

    def ask(*command: str) -> list[dict]:
        enter = ["nsenter", f"--net={where}", *command]
        return json.loads(subprocess.run(enter, capture_output=True, check=True).stdout or "[]")

    links = ask("ip", "-d", "-s", "-j", "address")
    indexes = {link["ifname"]: link["ifindex"] for link in links}
    families = (("-4", "inet"), ("-6", "inet6"))

    def both(*command: str) -> list[tuple[str, dict]]:
        return [(family, row) for option, family in families for row in ask("ip", option, *command)]

    return {
        "interfaces": [_link(link, indexes) for link in links],
        "routes": [_route(*row) for row in both("-d", "-j", "route", "show", "table", "all")],
        "rules": [_rule(*row) for row in both("-j", "rule")],
        "neighbours": sorted(
            (_neighbour(*row) for row in both("-j", "neighbour")),
            key=lambda row: (row["dev"], row["family"], row["to"]),
        ),
        "fdb": sorted(
            map(_entry, ask("bridge", "-d", "-j", "fdb")),
            key=lambda row: (row["dev"], row["mac"], row["vlan"] or 0, row["dst"] or ""),
        ),
        "netconf": {
            _conf(row): _conf_values(row)
            for row in ask("ip", "-j", "netconf")
            if row["family"] in _VERSIONS  # Some kernels forward MPLS as well.
        },
    }


def _link(link: dict, indexes: dict[str, int]) -> dict[str, object]:
    info = link.get("linkinfo", {})
    own, port = info.get("info_data") or {}, info.get("info_slave_data") or {}
    kind = info.get("info_kind", "device")
    found = [
        {key: value for key, value in address.items() if key in ADDRESS}
        for address in link["addr_info"]
    ]
    below = link.get("link") or own.get("link")
    return {
        "index": link["ifindex"],
        "name": link["ifname"],
        "kind": "loopback" if link["link_type"] == "loopback" else own.get("type", kind),
        "mac": link.get("address"),
        "mtu": link["mtu"],
        "up": "UP" in link["flags"],
        "running": {"UP", "LOWER_UP"} <= set(link["flags"]),
        "state": link["operstate"],
        # M-DOWN is no flag of its own: the link's other end in this namespace is down.
        "flags": [flag for flag in link["flags"] if flag != "M-DOWN"],
        "addresses": [f"{address['local']}/{address['prefixlen']}" for address in found],
        "addr_info": found,
        "master": link.get("master"),
        "link": link.get("link_index") or indexes.get(below),
        "parameters": _known(own),
        "port": _known(port) if info.get("info_slave_kind") == "bridge" else {},
        "statistics": {
            way: {name: counts[name] for name in ("packets", "bytes", "errors", "dropped")}
            for way, counts in link["stats64"].items()
        },
        "alias": link.get("ifalias"),
    }


def _known(parameters: dict) -> dict[str, object]:
    return {name: value for name, value in parameters.items() if name not in NOT_TOLD}


def _route(family: str, route: dict) -> dict[str, object]:
    return {
        "to": route["dst"],
        "via": route.get("gateway") or route.get("via", {}).get("host"),
        "dev": route.get("dev"),
        "table": _table(route.get("table", "main")),
        "family": family,
        "metric": route.get("metric"),
        "scope": route["scope"],
        "type": route["type"],
        "protocol": route["protocol"],
        "prefsrc": route.get("prefsrc"),
        "nexthops": route.get("nexthops", []),
        "flags": route["flags"],
    }


def _table(name: str) -> int:
    return TABLES.get(name) or int(name)


def _rule(family: str, rule: dict) -> dict[str, object]:
    def prefix(name: str) -> str:
        length = rule.get(f"{name}len")
        return f"{rule[name]}/{length}" if length else rule.get(name, "all")

    return {
        "priority": rule["priority"],
        "family": family,
        "from": prefix("src"),
        "to": prefix("dst"),
        "iif": rule.get("iif"),
        "oif": rule.get("oif"),
        "fwmark": int(rule["fwmark"], 16) if "fwmark" in rule else None,
        "table": _table(rule["table"]) if "table" in rule else None,
        "action": rule.get("action", "lookup"),
        "not": "not" in rule,
        "fwmask": int(rule["fwmask"], 16) if "fwmask" in rule else None,
        "suppress_prefixlength": rule.get("suppress_prefixlen"),
    }


def _neighbour(family: str, entry: dict) -> dict[str, object]:
    flags = ("router", "proxy", "extern_learn", "offload")
    return {
        "to": entry["dst"],
        "dev": entry["dev"],
        "family": family,
        "mac": entry.get("lladdr"),
        "state": entry["state"],
        "flags": [flag for flag in flags if flag in entry],
    }


def _entry(entry: dict) -> dict[str, object]:
    names = ("mac", "master", "vlan", "dst", "port", "vni", "state", "flags")
    return {"dev": entry["ifname"]} | {name: entry.get(name) for name in names}


def _conf(row: dict) -> tuple[str, str]:
    return _VERSIONS[row["family"]], row["interface"]


def _conf_values(row: dict) -> tuple[int, int | None]:
    filtering = {"off": 0, "strict": 1, "loose": 2}.get(row.get("rp_filter"))
    return int(row["forwarding"]), filtering
