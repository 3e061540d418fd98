"""What packet filters decided about packets, as the kernel itself tells while it filters.

A packet that a rule has marked (``meta nftrace set 1``) is told about at each rule that it meets
from then on, whoever made the rule. So a table of our own marks packets before any other sees
them, and ``nft monitor trace`` writes down what comes. The table belongs to that very process
(``flags owner``), which the kernel ends with the thread that began it: nothing stays behind.

Marked are 200 packets a second and a burst of 250, of each family and way in: of a flood little
more than its beginning is told, and 20,000 pings without a pause take 15 % longer. Not told is what
iptables-legacy filters, nor what filters before prerouting: at a device, in ``netdev`` tables.
"""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

from netviz.lab.sandbox import inside
from netviz.model import row
from netviz.net import nftables
from netviz.net.nftables import TRACING
from netviz.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from netviz.model import JSON
    from netviz.net.namespaces import Found

_COMMAND = ("setpriv", "--pdeathsig", "KILL", "nft", "--handle", "--interactive")
_HOOKS = dict.fromkeys(("inet", "bridge"), ("prerouting", "output")) | {"arp": ("input", "output")}
_MARK = "limit rate 200/second burst 250 packets meta nftrace set 1"
_DONE = {"drop": "dropped", "accept": "accepted"}
_PATIENCE, _GLANCE, _PAUSE = 3.0, 0.002, 0.02
_LOOKS = 3  # How often in a row all must be at rest before it is believed.
_MOST = 1 << 26  # Bytes that are kept of each namespace.
_TRACES = 0x100  # Who hears NFNLGRP_NFTRACE, in /proc/net/netlink.
_COUNTED = re.compile(r"\b(counter) packets \d+ bytes \d+")
_LINE = re.compile(
    r"trace id (?P<trace>[0-9a-f]+) (?P<family>\w+) (?P<table>\S+) (?P<chain>\S+) "
    r"(?:packet: (?P<packet>.*)|policy (?P<policy>accept|drop) (?:meta .*)?"
    r"|(?:rule (?P<rule>.*) # handle|unknown rule handle) (?P<handle>\d+)"
    r" \(verdict (?P<verdict>.*)\))"
)


@dataclass(frozen=True, slots=True)
class Traced:
    """A packet as far as a trace tells, where a chain began to look at it.

    ``protocol`` is the number that the IP header names; ``iif`` and ``oif`` are devices.
    """

    source: str | None = None
    destination: str | None = None
    ip_id: int | None = None
    protocol: int | None = None
    sport: int | None = None
    dport: int | None = None
    icmp_id: int | None = None
    icmp_sequence: int | None = None
    iif: str | None = None
    oif: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule, or the policy of a chain, said about one packet.

    ``verdict`` is ``accept``, ``drop``, ``continue``, ``return``, ``jump CHAIN``, ``goto CHAIN`` …,
    or for a policy, which has no ``rule``, ``policy accept`` or ``policy drop``. ``trace`` is the
    same for all verdicts about one packet in one namespace; a later packet may get it again.
    ``inside`` is how a command begins that looks there.
    """

    namespace: int
    trace: str
    family: str
    table: str
    chain: str
    verdict: str
    rule: str = ""
    handle: int | None = None
    packet: Traced = Traced()
    inside: tuple[str, ...] = ()

    @property
    def dropped(self) -> bool:
        """Tell whether this ended the packet's journey."""
        return self.verdict in ("drop", "policy drop")

    @property
    def text(self) -> str:
        """Return a sentence: ``dropped by a packet filter: table ip f, chain i: …``."""
        done = _DONE.get(self.verdict.removeprefix("policy "), "looked at")
        where = f"table {self.family} {self.table}, chain {self.chain}"
        return printable(f"{done} by a packet filter: {where}: {self.rule or self.verdict}")

    @property
    def command(self) -> str:
        """Return what shows the rule: ``ip netns exec net2 nft -a list chain ip f i``."""
        shown = ("nft", "-a", "list", "chain", self.family, self.table, self.chain)
        return shlex.join(self.inside + shown)

    def to_dict(self) -> JSON:
        """Return every field, the sentence and the command."""
        packet: JSON = {"packet": row(self.packet)}
        return row(self) | packet | {"text": self.text, "command": self.command}


class Watch:
    """Let the kernel tell what it filters, in every namespace that has packet filters.

    Equivalent to: ``nft -i`` in each, with a table that marks packets, and ``monitor trace``. That
    changes the rules: so it does nothing outside a lab; nor where nft is missing, or refused.
    """

    def __init__(self, found: list[Found]) -> None:
        self._found = found
        self._listeners: list[_Listener] = []
        self._on, self._over = Event(), Event()
        # A child that dies with its parent dies with the thread that began it: one that stays.
        self._thread = Thread(target=self._watch, name="netviz-verdicts", daemon=True)

    def __enter__(self) -> Self:
        """Return when traces are being told."""
        self._thread.start()
        try:
            self._on.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """Return when all that was told is read, and the tables are gone."""
        self._over.set()
        self._thread.join()

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return what was decided, by namespace, then in its order; once the watch is over."""
        told = ((each.told.decode(errors="replace"), each.found) for each in self._listeners)
        return tuple(verdict for text, found in told for verdict in verdicts(text, found))

    def _watch(self) -> None:
        try:
            if inside() and nftables.available():
                self._begin()
            self._on.set()
            self._listen()
        finally:
            self._on.set()
            for each in self._listeners:
                each.process.kill()  # One that leaves by itself would write a history.
            for each in self._listeners:
                each.process.communicate()

    def _begin(self) -> None:
        for found in self._found:
            with suppress(OSError):  # It is gone, or refuses; or there is no nft.
                found.enter()
                if families := nftables.families():
                    self._listeners.append(_Listener(found, families))
        # From then on it cannot outlive us.
        self._until(lambda each: each.proc("comm") == "nft\n")
        for each in self._listeners:
            with suppress(OSError):  # It has ended.
                each.stdin.write(each.commands.encode())
        self._until(lambda each: each.unread() is not None)

    def _until(self, done: Callable[[_Listener], bool]) -> None:
        """Wait, but not for ever, until something holds for each nft that has not ended."""
        end = time.monotonic() + _PATIENCE
        while time.monotonic() < end and not all(
            each.process.poll() is not None or done(each) for each in self._listeners
        ):
            time.sleep(_GLANCE)

    def _listen(self) -> None:
        while self._listeners and not self._over.wait(_PAUSE):
            for each in self._listeners:
                each.read()
        looks, end = 0, time.monotonic() + _PATIENCE
        while looks < _LOOKS and time.monotonic() < end:
            quiet = [each.rests() and not each.read() for each in self._listeners]
            looks = looks + 1 if all(quiet) else 0
            time.sleep(_GLANCE)


class _Listener:
    """An nft that traces where the thread stands, and what it has told so far."""

    def __init__(self, found: Found, families: set[str]) -> None:
        self.found, self.commands, self.told = found, _commands(families), bytearray()
        self.process = subprocess.Popen(_COMMAND, stdin=-1, stdout=-1, stderr=-3, bufsize=0)
        assert self.process.stdin
        assert self.process.stdout
        self.stdin, self._stdout = self.process.stdin, self.process.stdout
        os.set_blocking(self._stdout.fileno(), False)

    def unread(self) -> int | None:
        """Return how many bytes of traces it has yet to read; None where it does not trace."""
        for line in self.proc("net/netlink").split("\n")[1:-1]:
            _, protocol, number, groups, unread, *_ = line.split()
            if (protocol, number) == ("12", str(self.process.pid)) and int(groups, 16) & _TRACES:
                return int(unread)
        return None

    def rests(self) -> bool:
        """Tell whether it has read all there was, and sleeps; or has ended."""
        return not self.unread() and self.proc("stat").rpartition(") ")[2][:1] in "SZ"

    def read(self) -> bool:
        """Take what it has told meanwhile; tell whether it was anything."""
        data = self._stdout.read(1 << 16) or b""
        self.told += data[: _MOST - len(self.told)]
        return bool(data)

    def proc(self, name: str) -> str:
        """Return what /proc says of it."""
        with suppress(OSError):  # It has ended.
            return Path(f"/proc/{self.process.pid}", name).read_text(errors="replace")
        return ""


def _commands(families: set[str]) -> str:
    lines = []
    for family, hooks in _HOOKS.items():
        if family == "inet" or family in families:
            lines.append(f"add table {family} {TRACING} {{ flags owner; }}")
            for hook in hooks:
                chain = f"{family} {TRACING} {hook}"
                lines.append(f"add chain {chain} {{ type filter hook {hook} priority -350; }}")
                lines.append(f"add rule {chain} {_MARK}")
    return "\n".join([*lines, "monitor trace", ""])


def verdicts(told: str, found: Found) -> Iterator[Verdict]:
    """Yield what ``nft -a monitor trace`` told in a namespace; pass over what is no such line."""
    packets: dict[str, Traced] = defaultdict(Traced)
    for match in filter(None, map(_LINE.fullmatch, told.split("\n"))):
        it = match.groupdict()
        trace, packet = it["trace"], packets[it["trace"]]
        if it["packet"] is not None:
            packets[trace] = _traced(it["packet"], packet)
        elif it["table"] != TRACING:
            verdict = f"policy {it['policy']}" if it["policy"] else it["verdict"]
            handle = int(it["handle"]) if it["handle"] else None
            rule = _COUNTED.sub(r"\1", it["rule"] or "")  # So it stood when the watch began.
            place = (found.id, trace, it["family"], it["table"], it["chain"])
            yield Verdict(*place, verdict, rule, handle, packet, found.inside)


def _traced(told: str, before: Traced) -> Traced:
    words = told.split()
    said = dict(pairwise(words))
    said |= {f"{a} {b}": c for a, b, c in zip(words, words[1:], words[2:], strict=False)}

    def number(*names: str) -> int | None:
        return next((int(said[name]) for name in names if said.get(name, "").isdecimal()), None)

    ping, sequence = number("icmp id"), number("icmp sequence")
    both = number("icmpv6 parameter-problem")
    if both is not None and said.get("icmpv6 type", "").startswith("echo-"):
        ping, sequence = both >> 16, both & 0xFFFF  # So nft calls the two numbers of a ping.
    # A table of IP alone does not say the protocol again.
    protocol = said.get("ip protocol") or said.get("ip6 nexthdr")
    return Traced(
        said.get("ip saddr") or said.get("ip6 saddr"),
        said.get("ip daddr") or said.get("ip6 daddr"),
        number("ip id"),
        _protocol(protocol) if protocol else before.protocol,
        number("tcp sport", "udp sport"),
        number("tcp dport", "udp dport"),
        ping,
        sequence,
        *(said[name][1:-1] if name in said else None for name in ("iif", "oif")),
    )


def _protocol(word: str) -> int | None:
    with suppress(OSError):
        return int(word) if word.isdecimal() else socket.getprotobyname(word)
    return None
