"""The primitive changes of links and namespaces, each in two voices.

A step says itself as the command that one would type, and as what the kernel is told: a netlink
`Request`, or an act where netlink has none. What it needs to know of the place comes from a `Site`:
the kernel wants numbers for interfaces, and descriptors for namespaces. The steps that set
links are in `netviz.net.settings`, those that fill tables in `netviz.net.entries`.

An endpoint is written ``namespace:device``; without a namespace it lies in the lab's root.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Protocol

from netviz.net import links, names, parameters
from netviz.net.netlink import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    RTM_NEWLINK,
    Request,
)

if TYPE_CHECKING:
    from netviz.net.links import Indexes

ROOT = "root"
_HERE = "\0"  # No word of a command can hold it.
_NEW = NLM_F_CREATE | NLM_F_EXCL
# `ip` takes any other for a word of its own, or for the beginning of one.
_PLAIN = re.compile(r"lo|[A-Za-z][\w.-]*\d[\w.-]*", re.ASCII)
_TUNSETIFF, _TUNSETPERSIST = 0x400454CA, 0x400454CB
_TUN_MODES = {"tun": 0x1001, "tap": 0x1002}  # Without the four bytes before each packet.


class Site(Protocol):
    """Where steps are carried out: what their messages need to know."""

    indexes: Indexes
    """The interfaces of the namespace in which the step is carried out."""

    def descriptor(self, namespace: str) -> int:
        """Return an open descriptor of a namespace, which closes by itself."""

    def number(self, namespace: str, device: str, *, chosen: bool = True) -> int:
        """Return the index that a new interface gets; 0 where the kernel chooses."""

    def remember(self, step: Step) -> None:
        """Keep what would take back the step that is carried out."""


class Step(Protocol):
    """One change: ``namespace`` is where the command runs and the request is sent."""

    @property
    def namespace(self) -> str:
        """Return the name of the namespace, ``root`` for the lab's own."""

    def command(self) -> str:
        """Return what one would type in the lab's root, quoted for a shell."""


def split(endpoint: str) -> tuple[str, str]:
    """Return namespace and device of an endpoint: ``("net1", "veth0")`` for ``net1:veth0``."""
    namespace, colon, device = endpoint.rpartition(":")
    return (namespace, device) if colon else (ROOT, device)


def typed(namespace: str, *words: str, program: str = "ip") -> str:
    """Return a command of ``ip``, ``bridge`` or ``tc``, for a shell in the lab's root."""
    there = ["-n", namespace] if namespace != ROOT else []
    return shlex.join([program, *there, *words]).replace(shlex.quote(_HERE), "$$")


def into(namespace: str) -> list[str]:
    """Return how one types where a link goes; to the root, by the shell, for it has no name."""
    return ["netns", namespace if namespace != ROOT else _HERE]


def named(device: str, keyword: str = "dev") -> list[str]:
    """Return a device as one types it, after a keyword where `ip` could misread its name."""
    return [device] if _PLAIN.fullmatch(device) else [keyword, device]


@dataclass(frozen=True, slots=True)
class AddNamespace:
    """Equivalent to: ``ip netns add NAME``."""

    name: str

    @property
    def namespace(self) -> str:
        """Return its own name: who adds it stands in it afterwards."""
        return self.name

    def command(self) -> str:
        """Return the command."""
        return shlex.join(["ip", "netns", "add", self.name])

    def act(self, _: Site) -> None:
        """Do it. Raises ``OSError`` where the kernel refuses."""
        names.add(self.name)


@dataclass(frozen=True, slots=True)
class DeleteNamespace:
    """Equivalent to: ``ip netns delete NAME``."""

    name: str
    namespace: ClassVar[str] = ROOT

    def command(self) -> str:
        """Return the command."""
        return shlex.join(["ip", "netns", "delete", self.name])

    def act(self, _: Site) -> None:
        """Do it. Raises ``OSError`` where the kernel refuses."""
        names.delete(self.name)


@dataclass(frozen=True, slots=True)
class AddVeth:
    """A cable. Equivalent to: ``ip link add DEVICE type veth peer name DEVICE netns NAME``.

    An end in the root is named first, so that the command is typed there.
    """

    one: str
    other: str

    @property
    def namespace(self) -> str:
        """Return where the end lies that is named first."""
        return split(self._ends[0])[0]

    @property
    def _ends(self) -> tuple[str, str]:
        return (self.other, self.one) if split(self.other)[0] == ROOT else (self.one, self.other)

    def command(self) -> str:
        """Return the command."""
        (here, one), (there, other) = map(split, self._ends)
        far = into(there) if there != here else []
        near = named(one, "name")
        return typed(here, "link", "add", *near, "type", "veth", "peer", "name", other, *far)

    def request(self, site: Site) -> Request:
        """Return the message."""
        (here, one), (there, other) = map(split, self._ends)
        chosen: dict[str, object] = {"name": other}
        if there != here:
            chosen["netns"] = site.descriptor(there)
        # The kernel gives the far end a chosen number only where the near one has such.
        near = links.setting(site.number(here, one), {"name": one})
        peer = links.setting(site.number(there, other), chosen)
        return Request(RTM_NEWLINK, near + links.described("veth", peer=peer), _NEW)


@dataclass(frozen=True, slots=True)
class AddLink:
    """Any other link. Equivalent to: ``ip link add DEVICE type KIND …``.

    ``lower`` is the endpoint of the device that it travels over. ``origin`` is the namespace that
    keeps a tunnel's underlay; the link is made there, or where ``lower`` is, and handed over.
    """

    at: str
    kind: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    lower: str | None = None
    origin: str | None = None

    @property
    def namespace(self) -> str:
        """Return the namespace of what it travels over, else its own."""
        return split(self.lower)[0] if self.lower else self.origin or split(self.at)[0]

    def command(self) -> str:
        """Return the command."""
        there, device = split(self.at)
        far = into(there) if there != self.namespace else []
        lower = split(self.lower)[1] if self.lower else None
        inside = lower is not None and "link" in parameters.settable(self.kind)
        over = ["link", lower] if lower and not inside else []
        said = [*named(device, "name"), *over, *far, "type", self.kind]
        said += parameters.words(self.kind, self.parameters)
        said += ["dev", lower] if lower and inside else []
        return typed(self.namespace, "link", "add", *said)

    def request(self, site: Site) -> Request:
        """Return the message. Raises ``NetvizError`` for a parameter that the kind has not."""
        there, device = split(self.at)
        chosen: dict[str, object] = {"name": device}
        if there != self.namespace:
            chosen["netns"] = site.descriptor(there)
        lower = site.indexes[split(self.lower)[1]] if self.lower else 0
        own = dict(self.parameters)
        if lower and "link" in parameters.settable(self.kind):
            own["link"], lower = lower, 0
        # A number would be looked up where the request is sent, not where the link goes.
        index = site.number(there, device, chosen=there == self.namespace)
        described = links.described(self.kind, parameters.packed(self.kind, own), lower=lower)
        return Request(RTM_NEWLINK, links.setting(index, chosen) + described, _NEW)


@dataclass(frozen=True, slots=True)
class OnLink:
    """A step for the link at an endpoint, in its namespace."""

    at: str

    @property
    def namespace(self) -> str:
        """Return where the link lies."""
        return split(self.at)[0]


@dataclass(frozen=True, slots=True)
class AddFallback(OnLink):
    """A device that many kernels put into every namespace, and others only where one asks for it.

    Equivalent to: ``ip link show DEVICE || ip link add DEVICE type KIND``.
    """

    kind: str

    def command(self) -> str:
        """Return the command."""
        show = typed(self.namespace, "link", "show", "dev", split(self.at)[1])
        return f"{show} >/dev/null 2>&1 || {AddLink(self.at, self.kind).command()}"

    def request(self, site: Site) -> Request:
        """Return the message; where the device is there, one that changes nothing of it."""
        index = site.indexes.get(split(self.at)[1])
        if index is None:
            return AddLink(self.at, self.kind).request(site)
        return Request(RTM_NEWLINK, links.setting(index, {}), 0)


@dataclass(frozen=True, slots=True)
class AddTap(OnLink):
    """A lasting tun or tap. Equivalent to: ``ip tuntap add dev DEVICE mode MODE``."""

    mode: str = "tap"

    def command(self) -> str:
        """Return the command."""
        return typed(self.namespace, "tuntap", "add", "dev", split(self.at)[1], "mode", self.mode)

    def act(self, site: Site) -> None:
        """Do it. Raises ``OSError`` where /dev/net/tun is closed, or the kernel refuses."""
        device = os.fsencode(split(self.at)[1])
        fd = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", device, _TUN_MODES[self.mode]))
            fcntl.ioctl(fd, _TUNSETPERSIST, 1)
        finally:
            os.close(fd)
        site.number(self.namespace, split(self.at)[1], chosen=False)


@dataclass(frozen=True, slots=True)
class DeleteLink(OnLink):
    """Equivalent to: ``ip link delete DEVICE``; of a cable the other end goes too."""

    def command(self) -> str:
        """Return the command."""
        return typed(self.namespace, "link", "delete", *named(split(self.at)[1]))
