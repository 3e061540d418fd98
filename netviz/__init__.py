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
    "Snapshot": "model",
    "graph": "graphs",
    "reset": "net.history",
    "snapshot": "net.discovery",
    "export": "net.exports",
    "draw": "picture.drawing",
    "check": "teach.checks",
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
