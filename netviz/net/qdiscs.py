"""Turn queues into nouns, and these into messages and words: what makes a link slow or lossy.

Numbers are those of linux/pkt_sched.h. Of the many kinds two are known to the last option, tbf (a
rate) and netem (delay and loss); of the others only that they are there. What a netem does besides
is named as ``untold``.
"""

from __future__ import annotations

import os
import struct
from typing import Any

from netviz.errors import NetvizError
from netviz.model import Qdisc
from netviz.net.links import Indexes, Names, name_of, text
from netviz.net.messages import attribute, attributes, numbered
from netviz.net.netlink import RTM_GETQDISC, Socket

_TCA_KIND, _TCA_OPTIONS = 1, 2
_PARENTS = {0xFFFFFFFF: "root", 0xFFFFFFF1: "ingress"}
_TBF_PARAMETERS, _TBF_BURST = 1, 6
_NETEM_DELAY, _NETEM_JITTER = 10, 11
_NETEM_MORE = numbered("1 correlation 3 reorder 4 corrupt 5 loss-state 6 rate 12 slot")
_ETHERNET = 1  # With it the kernel needs no table of how long packets of each size take.
_TICK = 64e-9
_ALWAYS = 0xFFFFFFFF

_header = struct.Struct("BxxxiIII")
_rate = struct.Struct("BBHhHI")
_tbf = struct.Struct("12s12sIII")
_netem = struct.Struct("6I")


def qdiscs(socket: Socket, names: Names) -> tuple[Qdisc, ...]:
    """Return the queues that somebody plugged in. Equivalent to: ``tc -j qdisc``.

    The kernel's own have no number, and are left out.
    """
    found = []
    for message in socket.dump(RTM_GETQDISC, bytes(_header.size)):
        _, index, handle, parent, _ = _header.unpack_from(message)
        if not handle:
            continue
        told = attributes(message, _header.size)
        kind, options = text(told[_TCA_KIND]), told.get(_TCA_OPTIONS, b"")
        read = {"tbf": _read_tbf, "netem": _read_netem}.get(kind)
        where = _PARENTS.get(parent) or f"{parent >> 16:x}:{parent & 0xFFFF:x}"
        found.append(
            Qdisc(
                name_of(names, index),
                kind,
                f"{handle >> 16:x}:",
                where,
                read(options) if read else {},
            )
        )
    return tuple(found)


def packed_qdisc(qdisc: Qdisc, indexes: Indexes) -> bytes:
    """Return a request's body for a queue. Equivalent to: ``tc qdisc add``.

    Raises ``NetvizError`` for a kind that is not known, or an option that is missing.
    """
    pack = {"tbf": _packed_tbf, "netem": _packed_netem, "ingress": _nothing}.get(qdisc.kind)
    if pack is None or ":" in qdisc.parent:
        raise NetvizError(
            f"cannot plug a {qdisc.kind} into {qdisc.dev} at {qdisc.parent}",
            command=f"tc qdisc add dev {qdisc.dev} …",
            remedy="tbf, netem and ingress are known, at a link's root",
        )
    parent = {name: number for number, name in _PARENTS.items()}[qdisc.parent]
    try:
        handle = int(qdisc.handle.removesuffix(":") or "0", 16) << 16
        options = pack(qdisc.options)
    except (KeyError, struct.error, ValueError, TypeError) as error:
        raise NetvizError(f"a {qdisc.kind} cannot be {dict(qdisc.options)}: {error}") from error
    data = attribute(_TCA_KIND, os.fsencode(qdisc.kind) + b"\0")
    data += attribute(_TCA_OPTIONS, options) if options else b""
    return _header.pack(0, indexes[qdisc.dev], handle, parent, 0) + data


def qdisc_words(qdisc: Qdisc) -> list[str]:
    """Return what one types after ``tc qdisc add``; of unknown kinds without their options."""
    told = ["dev", qdisc.dev]
    told += [qdisc.parent] if ":" not in qdisc.parent else ["parent", qdisc.parent]
    told += ["handle", qdisc.handle] if qdisc.handle and qdisc.kind != "ingress" else []
    told += [qdisc.kind] if qdisc.kind != "ingress" else []
    units = {"burst": "b", "limit": "b" if qdisc.kind == "tbf" else "", "rate": "bit"}
    first = {"delay": 0, "jitter": 0} if "jitter" in qdisc.options else {}
    for name, value in {**first, **qdisc.options}.items():
        if name in ("delay", "jitter"):
            told += ["delay"] * (name == "delay") + [f"{float(str(value)) * 1e6:.9g}us"]
        elif name == "loss":
            told += [name, f"{float(str(value)) * 100:.7g}%"]
        else:
            told += [name, f"{value}{units.get(name, '')}"]
    return told


def _nothing(_: Any) -> bytes:
    return b""


def _packed_tbf(options: Any) -> bytes:
    speed = int(options["rate"]) // 8
    rate = _rate.pack(0, _ETHERNET, 0, 0, 0, speed)
    burst = int(options["burst"])
    told = _tbf.pack(rate, bytes(12), int(options["limit"]), int(burst / speed / _TICK), 0)
    return attribute(_TBF_PARAMETERS, told) + attribute(_TBF_BURST, struct.pack("I", burst))


def _read_tbf(options: bytes) -> dict[str, object]:
    rate, _, limit, ticks, _ = _tbf.unpack_from(attributes(options)[_TBF_PARAMETERS])
    speed = _rate.unpack(rate)[-1]
    return {"rate": speed * 8, "burst": round(speed * ticks * _TICK), "limit": limit}


def _packed_netem(options: Any) -> bytes:
    delay, jitter = float(options.get("delay", 0)), float(options.get("jitter", 0))
    ticks = (int(delay / _TICK), int(options.get("limit", 1000)))
    loss = round(options.get("loss", 0) * _ALWAYS)
    data = _netem.pack(*ticks, loss, 0, 0, int(jitter / _TICK))
    for number, seconds in ((_NETEM_DELAY, delay), (_NETEM_JITTER, jitter)):
        data += attribute(number, struct.pack("q", round(seconds * 1e9))) if seconds else b""
    return data


def _read_netem(options: bytes) -> dict[str, object]:
    ticks, limit, loss, _, duplicate, jitter_ticks = _netem.unpack_from(options)
    told = attributes(options, _netem.size)
    seen: dict[str, object] = {"limit": limit}
    for name, number, coarse in (
        ("delay", _NETEM_DELAY, ticks),
        ("jitter", _NETEM_JITTER, jitter_ticks),
    ):
        exact = struct.unpack("q", told[number])[0] / 1e9 if number in told else coarse * _TICK
        seen |= {name: exact} if exact else {}
    seen |= {"loss": round(loss / _ALWAYS, 9)} if loss else {}
    more = [name for number, name in _NETEM_MORE.items() if any(told.get(number, b""))]
    more += ["duplicate"] if duplicate else []
    return seen | ({"untold": more} if more else {})
