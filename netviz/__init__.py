"""Container networking on the real Linux kernel, in a notebook, without root.

This module is one table: each public name and the module that it lives in. A name is loaded when
it is first used (PEP 562), so ``import netviz`` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module

_HOMES = {
    "DiscoveryError": "errors",
    "ComponentError": "errors",
    "ExerciseError": "errors",
    "KernelError": "errors",
    "NetvizError": "errors",
    "SandboxError": "errors",
    "TopologyError": "errors",
    "TraceError": "errors",
    "Snapshot": "model",
    "Journey": "journeys",
    "Explanation": "explanations",
    "graph": "graphs",
    "needs": "lab.components",
    "service": "lab.services",
    "snapshot": "net.discovery",
    "Topology": "net.topology",
    "cni": "net.cni",
    "bridge": "net.networks",
    "docker": "net.networks",
    "nodes": "net.networks",
    "router": "net.networks",
    "two_hosts": "net.networks",
    "script": "net.scripts",
    "export": "net.exports",
    "checkpoint": "net.history",
    "checkpoints": "net.history",
    "restore": "net.history",
    "undo": "net.history",
    "reset": "net.reset",
    "Recording": "picture.recording",
    "record": "picture.recording",
    "draw": "picture.drawing",
    "Flow": "packets.tracer",
    "Trace": "picture.traces",
    "trace": "picture.traces",
    "explain": "packets.explainer",
    "live": "picture.live",
    "check": "teach.checks",
    "break_something": "teach.breaking",
    "mended": "teach.breaking",
    "predict": "teach.predict",
    "progress": "teach.progress",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> object:
    """Load a public name from its home, once."""
    if name not in _HOMES:
        raise AttributeError(f"module 'netviz' has no attribute {name!r}")
    value = getattr(import_module(f"netviz.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, for completion."""
    return __all__
