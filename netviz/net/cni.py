"""Plug containers in by CNI, the Container Network Interface, version 1.0.0 of its specification.

A plugin is a program. It reads what is wanted from environment variables and from JSON on its
standard input, does it, and answers in JSON on its standard output. `call` is all of that; what
else a runtime has to do is to hand one plugin's result to the next, and to remember the last one.

    pods = nv.cni("/etc/cni/net.d/10-pods.conflist")     # or the same as a dict
    pods.add("pod1")                                     # its namespace is /run/netns/pod1
    pods.calls[0]                                        # what one would type for that
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netviz.errors import ComponentError, TopologyError
from netviz.lab.sandbox import must_be_inside
from netviz.net.names import FOLDER
from netviz.text import printable

Json = dict[str, Any]
"""What a specification says in JSON, read as it stands there."""
PLUGINS = "/usr/lib/cni:/opt/cni/bin"
"""Where plugins are looked for: as Debian has them, and as Kubernetes has. Else ``CNI_PATH``."""
MEMORY = "/run/cni"
"""What is remembered between calls: results, and by host-local, which addresses are taken."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_DEVICE = re.compile(r"(?!\.\.?$)[^/:\s\0]{1,15}")


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a plugin: what it was told, and what it answered. It shows how to repeat it."""

    plugin: str
    env: Mapping[str, str]
    config: Json
    answer: Json
    failed: bool
    node: str = ""

    def __repr__(self) -> str:
        """Return it as one would type it, and the answer below."""
        variables = (f"{name}={text}" for name, text in self.env.items())
        told = shlex.join([*_at(self.node), "env", *variables])
        lines = [f"{told} {self.plugin} <<'END'", *json.dumps(self.config, indent=2).split("\n")]
        answer = json.dumps(self.answer, indent=2) if self.answer else ""
        return "\n".join(map(printable, [*lines, "END", *answer.split("\n")])).rstrip("\n")


def _at(node: str) -> list[str]:
    """Return how a command begins that has a node's network as its own, and all else as it is."""
    return ["nsenter", f"--net={FOLDER}/{node}"] if node else []


def call(plugin: str, env: Mapping[str, str], config: Json, node: str = "") -> Call:
    """Return what a plugin answers. Equivalent to: ``env CNI_COMMAND=ADD … PLUGIN < CONFIG``.

    On a ``node``, ``nsenter --net=/run/netns/NODE`` stands before it. Raises ``ComponentError``
    where there is no such plugin, ``SandboxError`` outside a lab.
    """
    must_be_inside("call a plugin")
    folders = os.environ.get("CNI_PATH", PLUGINS)
    program = shutil.which(plugin, path=folders)
    if not program:
        raise ComponentError(
            f"there is no CNI plugin {plugin!r} in {folders}",
            command=f"ls {folders.replace(':', ' ')}",
            remedy="run: netviz components fetch cni",
        )
    told = {**env, "CNI_PATH": folders}
    asked = json.dumps(config).encode()
    try:
        words = [*_at(node), program]
        done = subprocess.run(words, env=os.environ | told, input=asked, capture_output=True)
    except (OSError, TypeError, ValueError) as error:
        raise ComponentError(f"cannot run {program!r}: {error}") from error
    try:
        answer = json.loads(done.stdout or "{}")
    except ValueError:
        answer = None
    failed = done.returncode != 0 or not isinstance(answer, dict)
    if not isinstance(answer, dict) or (failed and "msg" not in answer):
        answer = {"msg": (done.stderr or done.stdout).decode(errors="replace").strip()}
    return Call(program, told, config, answer, failed, node)


@dataclass(frozen=True, slots=True)
class Attachment:
    """What a pod got from a network: the result of its last plugin, in the specification's words.

    Of each of the ``interfaces`` the index is what ``interface`` means in ``ips``; one without a
    ``sandbox`` is the machine's own.
    """

    network: str
    pod: str
    interfaces: tuple[Json, ...] = ()
    ips: tuple[Json, ...] = ()
    routes: tuple[Json, ...] = ()
    dns: Json = field(default_factory=dict)

    def __repr__(self) -> str:
        """Return a line for each thing that it got."""
        lines = [f"{self.pod} in network {self.network}"]
        for word in ("interfaces", "ips", "routes"):
            for each in getattr(self, word):
                told = ", ".join(f"{name} {text}" for name, text in each.items())
                lines.append(f"{word.removesuffix('s')}: {told}")
        return "\n  ".join(map(printable, [*lines, *([f"dns: {self.dns}"] if self.dns else [])]))


class Network:
    """A network as its configuration says, and in ``calls`` every call that was made for it."""

    def __init__(self, config: Json, node: str = "") -> None:
        self.config, self.node, self.calls = config, node, list[Call]()

    def __repr__(self) -> str:
        """Return its name and its chain of plugins."""
        chain = " → ".join(plugin["type"] for plugin in self.config["plugins"])
        return f"network {self.config['name']}{' on ' * bool(self.node)}{self.node}: {chain}"

    def add(
        self, pod: str, *, netns: str = "", ifname: str = "eth0", args: str = "", **runtime: object
    ) -> Attachment:
        """Plug a pod in, and return what it got; where a plugin fails, all is undone.

        Its namespace is a path, by default ``/run/netns/POD``. What this pod alone gets goes to the
        plugins with that capability: ``portMappings=[{"hostPort": 8080, "containerPort": 80,
        "protocol": "tcp"}]``, ``bandwidth={"ingressRate": …}``.

        Raises ``ComponentError`` with what the plugin answered, or where there is none;
        ``TopologyError`` for what is plugged in already; ``SandboxError`` outside a lab.
        """
        path, kept = self._path(pod, ifname), self._begun(pod, netns, ifname)
        if path.exists():
            what = f"{pod!r} is in network {self.config['name']!r} already, by {ifname!r}"
            raise TopologyError(what, remedy=f"first: delete({pod!r})")
        able = [name for each in self.config["plugins"] for name in each.get("capabilities", {})]
        for name in runtime:
            if name not in able:
                raise TopologyError(f"no plugin of network {self.config['name']!r} can {name!r}")
        kept["runtime"] = _copied(runtime, "what the pod alone gets")
        kept["env"] |= {"CNI_ARGS": args} if args else {}
        try:
            for plugin in self.config["plugins"]:
                kept["result"] = self._call("ADD", plugin, kept)
            path.parent.mkdir(parents=True, exist_ok=True)
            new = path.with_name(f".{path.name}")  # The result is whole, or not there.
            new.write_text(json.dumps(kept))
            new.rename(path)
        except BaseException:
            with suppress(ComponentError):
                self._delete(kept)
            raise
        return _attachment(kept)

    def check(self, pod: str, *, ifname: str = "eth0") -> Attachment:
        """Return what a pod got, if all of it is still as it was; ``disableCheck`` asks nobody.

        Raises ``ComponentError`` with the first difference that a plugin finds, ``TopologyError``
        for what is not plugged in.
        """
        path = self._path(pod, ifname)
        if not path.exists():
            what = f"{pod!r} is not in network {self.config['name']!r} by {ifname!r}"
            raise TopologyError(what, remedy=f"first: add({pod!r})")
        kept = json.loads(path.read_bytes())
        for plugin in [] if kept["config"].get("disableCheck") else kept["config"]["plugins"]:
            self._call("CHECK", plugin, kept)
        return _attachment(kept)

    def delete(self, pod: str, *, netns: str = "", ifname: str = "eth0") -> None:
        """Unplug a pod. What is gone already is no error, nor is a second time.

        Raises ``ComponentError`` with what a plugin answered, after all were called.
        """
        path, kept = self._path(pod, ifname), self._begun(pod, netns, ifname)
        self._delete(json.loads(path.read_bytes()) if path.exists() else kept)
        path.unlink(missing_ok=True)

    def _delete(self, kept: Json) -> None:
        """Call every plugin, the last one first, whatever the others answer."""
        refusals = []
        for plugin in reversed(kept["config"]["plugins"]):
            try:
                self._call("DEL", plugin, kept)
            except ComponentError as refusal:
                refusals.append(refusal)
        if refusals:
            raise refusals[0]

    def _call(self, command: str, plugin: Json, kept: Json) -> Json:
        """Tell a plugin its own part of the configuration, and what came of the ones before."""
        config, able = kept["config"], plugin.get("capabilities", {})
        told = {name: config[name] for name in ("cniVersion", "name")}
        told |= {name: value for name, value in plugin.items() if name != "capabilities"}
        runtime = {name: value for name, value in kept["runtime"].items() if able.get(name)}
        told |= {"runtimeConfig": runtime} if runtime else {}
        told |= {"prevResult": kept["result"]} if kept["result"] else {}
        made = call(plugin["type"], {"CNI_COMMAND": command, **kept["env"]}, told, self.node)
        self.calls.append(made)
        if made.failed:
            said = [str(made.answer[name]) for name in ("msg", "details") if made.answer.get(name)]
            code = f"code {made.answer['code']}" if "code" in made.answer else "no code"
            whom = f"{plugin['type']!r} answers {command} of {kept['env']['CNI_CONTAINERID']!r}"
            raise ComponentError(f"plugin {whom} with {code}: {': '.join(said)}")
        return made.answer

    def _begun(self, pod: str, netns: str, ifname: str) -> Json:
        """Return what is told to every plugin, and kept until the pod goes."""
        netns = str(netns) or f"{FOLDER}/{pod}"
        env = {"CNI_CONTAINERID": pod, "CNI_NETNS": netns, "CNI_IFNAME": ifname}
        return {"config": self.config, "env": env, "runtime": {}, "result": {}}

    def _path(self, pod: str, ifname: str) -> Path:
        """Return where the result is kept. Raises ``TopologyError`` for what is no name."""
        must_be_inside("plug pods in")
        if not _named(pod) or not _DEVICE.fullmatch(str(ifname)):
            raise TopologyError(f"{pod!r} cannot be plugged in by {ifname!r}: these are no names")
        return Path(MEMORY, self.node, "results", f"{self.config['name']}:{pod}:{ifname}")


def cni(config: Mapping[str, object] | str | Path, *, node: str = "") -> Network:
    """Return a network to plug pods into; no plugin is called yet.

    ``config`` is what a file in ``/etc/cni/net.d`` holds, a chain of plugins or a single one, or
    the file's path. On a ``node``, a namespace by its name, plugins find its network, and make
    bridges and rules there; what is remembered is the node's own, too. Where ``host-local`` is told
    no ``dataDir`` it gets ``/run/cni/ipam``, or ``/run/cni/NODE/ipam``: what it would choose itself
    cannot be written to in a lab.

    Raises ``TopologyError`` for what is no such configuration.
    """
    if node and not _named(node):
        raise TopologyError(f"{node!r} is no node: it is no name")
    where = "this" if isinstance(config, Mapping) else repr(str(config))
    try:
        told = config if isinstance(config, Mapping) else json.loads(Path(config).read_bytes())
    except (OSError, TypeError, ValueError) as error:
        raise TopologyError(f"cannot read {where}: {error}") from error
    told = _copied(told, where)
    chain: Any = told.get("plugins", [told]) if isinstance(told, dict) else None
    plugins = isinstance(chain, list) and chain and all(map(_is_plugin, chain))
    if not (plugins and _named(told.get("name")) and _named(told.get("cniVersion"))):
        what = f"{where} is no network of CNI"
        raise TopologyError(what, remedy="it has a cniVersion, a name, and plugins with a type")
    for plugin in chain:
        if plugin.get("ipam", {}).get("type") == "host-local":
            plugin["ipam"].setdefault("dataDir", str(Path(MEMORY, node, "ipam")))
    return Network({"plugins": chain, **told}, node)


def _is_plugin(told: Any) -> bool:
    """Tell whether it can be called; what else is in it, a plugin judges itself."""
    if not isinstance(told, dict) or not _named(told.get("type")):
        return False
    return all(isinstance(told.get(part, {}), dict) for part in ("capabilities", "ipam"))


def _named(name: object) -> bool:
    return isinstance(name, str) and bool(_NAME.fullmatch(name))


def _copied(told: object, where: str) -> Any:
    """Return a copy of its own. Raises ``TopologyError`` for what JSON cannot say."""
    try:
        return json.loads(json.dumps(told))
    except (TypeError, ValueError) as error:
        raise TopologyError(f"{where} cannot be said in JSON: {error}") from error


def _attachment(kept: Json) -> Attachment:
    told = kept["result"]
    lists = {name: tuple(told.get(name, ())) for name in ("interfaces", "ips", "routes")}
    pod, dns = kept["env"]["CNI_CONTAINERID"], told.get("dns", {})
    return Attachment(kept["config"]["name"], pod, dns=dns, **lists)
