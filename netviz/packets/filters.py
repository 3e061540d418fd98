"""What the packet filters of a namespace do to a packet, told without sending it. Pure.

As in the kernel the base chains of a hook go by priority, each until a verdict; what one accepts
the next still sees. Where a rule's answer is not known both are tried: only if that makes a
difference is there a doubt. Of iptables' own matches (``xt``) two are known, of its targets those
that refuse, log and translate; iptables-legacy is not seen at all.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from netviz.journeys import Reason
from netviz.packets.deals import Deals
from netviz.packets.facts import typed
from netviz.packets.lookup import Stack
from netviz.packets.rules import ABSENT, Flowing, Matcher, Place, words
from netviz.packets.targets import statement
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.model import Namespace

__all__ = ["Filters", "Flowing", "Judgement"]

_Told = Mapping[str, Any]
_FAMILIES = {"inet": ("ip", "inet"), "inet6": ("ip6", "inet")}
# A hook translates at its own time, whatever priority its chains have among each other.
_NAT = {"prerouting": -100, "output": -100, "input": 100, "postrouting": 100}
_DEVICES = {"prerouting": "ingress", "postrouting": "egress"}
_VERDICTS = ("accept", "drop", "reject", "return", "jump", "goto")
_WITHOUT_EFFECT = ("counter", "log", "set", "map", "flow", "dup", "last", "continue")
_MAY_HOLD = ("limit", "quota", "ct count", "meter")
_XT = {
    "conntrack": ("--ctstate", {"ct": {"key": "state"}}),
    "addrtype": ("--dst-type", {"fib": {"result": "type", "flags": ["daddr"]}}),
}
_TRACKS = re.compile(r"'(ct|[sd]nat|masquerade|redirect|flow|synproxy|xt)'")
_MOST = 64  # Combinations that are tried of what is not known.


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the filters at a hook do: ``packet`` is as it leaves them, after NAT and marks.

    ``dropped`` is None where that cannot be told, and ``doubt`` says why. ``reason`` is the rule or
    policy that drops or translates; ``mend`` is a command that takes it away.
    """

    packet: Flowing
    dropped: bool | None = False
    reason: Reason | None = None
    mend: str | None = None
    doubt: str | None = None


class Filters:
    """The packet filters of one namespace, as ``nft -j list ruleset`` tells them."""

    def __init__(self, namespace: Namespace, deals: Deals | None = None) -> None:
        self.space = namespace
        self.stack = Stack(namespace)
        self.rules: dict[Place, list[_Told]] = defaultdict(list)
        sets: dict[Place, Any] = {}
        self._bases: list[_Told] = []
        asleep: set[tuple[str, str]] = set()
        items: list[tuple[str, Any]] = [pair for item in namespace.nft for pair in item.items()]
        for kind, told in items:
            match kind, told:
                case "table", {"family": family, "name": name, "flags": flags}:
                    # Some versions of nft write the table's name where "dormant" should be.
                    if not {"owner", "persist"} & {*([flags] if isinstance(flags, str) else flags)}:
                        asleep.add((family, name))
                case "chain", {"family": family, "table": table, "hook": _}:
                    if (family, table) not in asleep:
                        self._bases.append(told)
                case "rule", {"family": family, "table": table, "chain": chain}:
                    self.rules[family, table, chain].append(told)
                case "set" | "map", {"family": family, "table": table, "name": name}:
                    sets[family, table, f"@{name}"] = told.get("elem", [])
        self.matcher = Matcher(sets, self.stack, deals or Deals())
        # Who asks for it turns connection tracking on, and without it nothing is translated.
        self.tracks = bool(_TRACKS.search(repr(self.rules)))

    def judge(self, hook: str, packet: Flowing, family: str | None = None) -> Judgement:
        """Return what happens to a packet at a hook: ``prerouting``, ``input``, ``forward`` ….

        Without a ``family`` the chains judge that see what is the namespace's own or routed;
        ``bridge`` are those that see it cross a bridge. Only what is new is translated. ARP is
        judged too, at ``input`` and ``output``.
        """
        bases = self._at(hook, packet, family)
        answers: list[bool] = []
        found: list[Judgement] = []
        question, doubt = "", None
        while len(found) < _MOST:
            run = _Run(self, packet, answers)
            found.append(run.through(bases))
            if _outcome(found[-1]) != _outcome(found[0]):
                doubt = doubt or question
            # The next combination: as one counts in binary.
            while answers and answers[-1]:
                answers.pop()
            if not answers:
                break
            answers[-1], question = True, run.questions[len(answers) - 1]
        if not answers and not doubt:
            return found[0]
        same = not answers and len({it.dropped for it in found}) == 1
        dropped = found[0].dropped if same else None
        return replace(found[0], dropped=dropped, doubt=doubt or question)

    def _at(self, hook: str, packet: Flowing, family: str | None) -> list[_Told]:
        """Return the base chains that see a packet there, in order."""
        families = (family,) if family else _FAMILIES[packet.family]
        if packet.protocol == "arp" and not family:
            families = ("arp",)
        devices = [each for each in self._bases if each["hook"] == _DEVICES.get(hook)]
        # Of equal ones the newest comes first.
        own = [it for it in self._bases[::-1] if it["hook"] == hook and it["family"] in families]
        own.sort(key=lambda it: (_NAT[hook] if it.get("type") == "nat" else it["prio"], it["prio"]))
        return [*devices, *own] if hook == "prerouting" else [*own, *devices]

    def primary(self, packet: Flowing, *, outward: bool) -> str | None:
        """Return the address that masquerading gives a packet, or else redirecting; None: unclear.

        It is the device's first, or of several the one for the way.
        """
        dev = packet.oif if outward else packet.iif
        if not outward and not dev:
            return "::1" if packet.family == "inet6" else "127.0.0.1"
        link, way = self.stack.interface(dev), self.stack.route(packet.to, oif=dev)
        own = [it for it in (link.addresses if link else ()) if it.family == packet.family]
        own = [it for it in own if it.scope == "global" and "secondary" not in it.flags]
        return way.source if outward and len(own) > 1 else own[0].local if own else None


def _outcome(it: Judgement) -> tuple[object, ...]:
    return it.packet, it.dropped, it.doubt


class _Run:
    """One way of a packet through the base chains of a hook, with one answer to each question.

    ``answers`` are those to the ``questions`` that no snapshot answers; where they end, it is no.
    """

    def __init__(self, filters: Filters, packet: Flowing, answers: list[bool]) -> None:
        self.questions: list[str] = []
        self._filters = filters
        self._answers = answers
        self._packet = packet
        self._translation: Reason | None = None
        self._undone: str | None = None
        self._last: tuple[Place, _Told] = (("", "", ""), {})

    def through(self, bases: list[_Told]) -> Judgement:
        """Return what became of it."""
        for base in bases:
            tracked = self._filters.tracks and self._packet.state == "new"
            if base.get("type") == "nat" and (self._translation or not tracked):
                continue
            place = (base["family"], base["table"], base["name"])
            if base["hook"] in _DEVICES.values() and not self._guess(place, "its device"):
                continue
            match self._walk(place):
                case "unknown":
                    return Judgement(self._packet, None, doubt=self.questions[-1])
                case "drop":
                    return self._dropped(*self._last)
                case "" if base.get("policy") == "drop":
                    return self._dropped(place)
        return Judgement(self._packet, reason=self._translation, mend=self._undone)

    def _dropped(self, place: Place, rule: _Told | None = None) -> Judgement:
        space, (family, table, chain) = self._filters.space, place
        said = words(rule) if rule else "policy drop"
        text = f"dropped by a packet filter: table {family} {table}, chain {chain}: {said}"
        policy = typed(space, "nft", "chain", *place, "{ policy accept; }")
        mend = self._deleted(place, rule) if rule else policy
        return Judgement(self._packet, True, Reason(printable(text), self._shows(place)), mend)

    def _deleted(self, place: Place, rule: _Told) -> str:
        handle = str(rule.get("handle"))
        return typed(self._filters.space, "nft", "delete", "rule", *place, "handle", handle)

    def _shows(self, place: Place) -> str:
        return typed(self._filters.space, "nft", "-a", "list", "chain", *place)

    def _guess(self, place: Place, what: str) -> bool:
        family, table, chain = place
        text = f"a snapshot cannot tell {what} in table {family} {table}, chain {chain}"
        self.questions.append(printable(text))
        if len(self._answers) < len(self.questions):
            self._answers.append(False)
        return self._answers[len(self.questions) - 1]

    def _walk(self, place: Place) -> str:
        """Return a chain's verdict: accept, drop, unknown; empty where it comes to none."""
        for rule in self._filters.rules.get(place, ()):
            match self._verdict(rule, place):
                case {"accept": _}:
                    return "accept"
                case {"drop": _} | {"reject": _}:
                    self._last = place, rule
                    return "drop"
                case {"unknown": _}:
                    return "unknown"
                case {"return": _}:
                    return ""
                case {"goto": {"target": str(target)}}:
                    return self._walk((*place[:2], target))
                case {"jump": {"target": str(target)}}:
                    if verdict := self._walk((*place[:2], target)):
                        return verdict
        return ""

    def _verdict(self, rule: _Told, place: Place) -> _Told:
        """Return what one rule decides; nothing where it does not match, or only counts."""
        for told in rule.get("expr", ()):
            done = self._does(told, rule, place)
            if done is not None:
                return done
        return {}

    def _does(self, told: _Told, rule: _Told, place: Place) -> _Told | None:
        """Return what a statement decides, nothing where it does not match; None: go on."""
        matcher, kind = self._filters.matcher, next(iter(told), "")
        if kind in _VERDICTS:
            return told
        holds = None
        match kind, told.get(kind):
            case "snat" | "dnat" | "masquerade" | "redirect", how:
                return self._translates(kind, how or {}, rule, place)
            case "xt", dict(part) if known := statement(part):
                return self._does(known, rule, place)
            case "vmap", {"key": key, "data": data}:
                found = matcher.entry(data, matcher.dealt(key, self._packet, place), place)
                if found is not None:
                    return found if isinstance(found, dict) else None
            case "mangle", {"key": {"meta": {"key": "mark"}}, "value": value}:
                mark = matcher.value(value, self._packet, place)
                if isinstance(mark, int):
                    self._packet = replace(self._packet, mark=mark)
                    return None
            case "match", dict(asked):
                holds = matcher.holds(asked, self._packet, place)
            case "xt", {"type": "match", "name": str(name), "said": str(said)} if name in _XT:
                holds = matcher.asked(_XT[name], said, self._packet, place)
            case ("xt", {"name": "comment"}) | ("mangle", {"key": {"ct": _} | {"meta": _}}):
                return None
            case kind, _ if kind in _WITHOUT_EFFECT:
                return None
        xt = kind == "xt" and told[kind].get("type") == "match"
        if holds is None and (kind == "match" or kind in _MAY_HOLD or xt):
            holds = self._guess(place, f"if {words({'expr': [told]})!r} holds")
        elif holds is None:
            self._guess(place, f"what {words({'expr': [told]})!r} does")
            return {"unknown": None}
        return None if holds else {}

    def _translates(self, kind: str, told: _Told, rule: _Told, place: Place) -> _Told:
        """Give the packet its new address and port."""
        it, matcher, outward = self._packet, self._filters.matcher, kind in ("snat", "masquerade")
        if told.get("family", place[0]) not in (*_FAMILIES[it.family],):
            return {}
        address: object = it.source if outward else it.to
        if kind in ("masquerade", "redirect"):
            address = self._filters.primary(it, outward=outward)
        elif "addr" in told:
            address = matcher.value(told["addr"], it, place)
        port = told.get("port", it.sport if outward else it.dport)
        match address:
            case {"concat": [both, int(own)]}:
                address, port = both, own
        if address is ABSENT:
            return {}
        if not isinstance(address, str):
            self._guess(place, f"the new address of {words(rule)}")
            return {"unknown": None}
        port = port if isinstance(port, int) else None
        if outward:
            self._packet = replace(it, source=address, sport=port, status=it.status | {"snat"})
        else:
            self._packet = replace(it, to=address, dport=port, status=it.status | {"dnat"})
        family, table, chain = place
        text = f"NAT rule of table {family} {table}, chain {chain}: {words(rule)}"
        if isinstance(told.get("addr"), dict) or "xt target" in text:
            text += f", here {address}" + (f" port {port}" if "port" in told else "")
        self._translation = Reason(printable(text), self._shows(place))
        self._undone = self._deleted(place, rule)
        return {"accept": None}
