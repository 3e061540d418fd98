"""Read back what was written down: the JSON of a snapshot becomes a snapshot again.

The nouns' own fields and type hints say what a file may hold, so a noun that gains a field needs
no line here. A file may come from anybody: nothing of it is run, and what has not the type of its
field is refused with its place. A key that is not known is passed over, for a newer netviz may
have written it; a field that is missing is what the noun has without it.
"""

from __future__ import annotations

import json
import re
import reprlib
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from netviz.errors import NetvizError
from netviz.model import Address, Caution, Endpoint, Interface, Namespace, Rule, Snapshot

# Where `to_dict` has another word than Python.
_KEYS = {
    (Address, "peer"): "address",
    (Interface, "addresses"): "addr_info",
    (Rule, "source"): "from",
    (Rule, "inverted"): "not",
}
_WORDS: dict[Any, str] = {int: "number", str: "text", bool: "truth value", list: "list"}


def load(file: str | Path) -> Snapshot:
    """Return the snapshot in a file that ``netviz export --format json`` wrote.

    Raises ``NetvizError`` where the file cannot be read, or holds none.
    """
    return snapshot_of(read(file, remedy="write one: netviz export --format json -o FILE"))


def read(file: str | Path, *, remedy: str) -> Any:
    """Return the JSON in a file; nobody has looked yet whether it says what it should.

    Raises ``NetvizError`` where the file cannot be read, and, with the remedy, where it is no JSON.
    """
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        why = f"cannot read '{file}': {error.strerror}"
        raise NetvizError(why, remedy="name a file that is there") from error
    except (ValueError, RecursionError) as error:
        raise NetvizError(f"'{file}' is no JSON: {error}", remedy=remedy) from error


def write(file: str | Path, what: str, data: str | bytes) -> None:
    """Write ``what``, such as ``the picture``, to a file.

    Raises ``NetvizError`` where that cannot be.
    """
    try:
        Path(file).write_bytes(data.encode() if isinstance(data, str) else data)
    except OSError as error:
        why = f"cannot write {what} to '{file}': {error.strerror}"
        raise NetvizError(why, remedy="choose a folder that exists and is yours") from error


def snapshot_of(told: Mapping[str, object]) -> Snapshot:
    """Return the snapshot that ``told`` is the JSON of: the inverse of ``Snapshot.to_dict()``.

    Equivalent to: undoing ``netviz export --format json``. A warning comes back as its text, for
    the file does not say which interface it is about. Raises ``NetvizError`` that names the place:
    ``namespaces[2].interfaces[0].index: 'x' is no number``.
    """
    if "namespaces" not in _checked(Mapping, told, "the file"):
        raise _refusal("namespaces: missing")
    return cast("Snapshot", _noun(Snapshot, told, ""))


def _noun(kind: Any, told: Any, place: str) -> Any:
    """Return the noun of this kind that was told at this place of the file."""
    if kind is Caution:
        return Caution(_checked(str, told, place))
    _checked(Mapping, told, place)
    given = {}
    for name, (key, hint, needed) in _shape(kind).items():
        where = f"{place}.{key}".lstrip(".")
        if key in told:
            given[name] = _value(hint, told[key], where)
        elif needed:
            raise _refusal(f"{where}: missing")
    if kind is Address:
        known = {key for key, *_ in _shape(kind).values()}
        given["flags"] = tuple(key for key in told if told[key] is True and key not in known)
    noun = kind(**given)
    return _plugged(noun, told, place) if kind is Namespace else noun


@cache
def _shape(kind: Any) -> dict[str, tuple[str, Any, bool]]:
    """Return each field's key in the file, its type, and whether the noun cannot be without it."""
    hints: dict[str, Any] = get_type_hints(kind)
    if kind is Interface:
        del hints["master"]  # Told by name only, which means something in its namespace alone.
    return {
        field.name: (
            _KEYS.get((kind, field.name), field.name),
            hints[field.name],
            field.default is MISSING and field.default_factory is MISSING,
        )
        for field in fields(kind)
        if field.name in hints
    }


def _value(hint: Any, told: Any, place: str) -> Any:
    """Return what was told as a value of the type that is hinted."""
    origin, inner = get_origin(hint), get_args(hint)
    if hint is object:
        return told
    if type(None) in inner:
        return None if told is None else _value(inner[0], told, place)
    if origin is tuple:
        rows = enumerate(_checked(list, told, place))
        return tuple(_value(inner[0], row, f"{place}[{number}]") for number, row in rows)
    if origin is Mapping:
        rows = _checked(Mapping, told, place).items()
        return {key: _value(inner[1], row, f"{place}.{key}") for key, row in rows}
    return _noun(hint, told, place) if is_dataclass(hint) else _checked(hint, told, place)


def _plugged(namespace: Namespace, told: Any, place: str) -> Namespace:
    """Return the namespace with each interface plugged into its master, found by name."""
    indexes = {interface.name: interface.index for interface in namespace.interfaces}
    plugged = []
    for number, interface in enumerate(namespace.interfaces):
        where = f"{place}.interfaces[{number}].master"
        name = _value(str | None, told["interfaces"][number].get("master"), where)
        if name is not None:
            # One that was gone when it was looked for is called by its number, as by `ip`.
            gone = re.fullmatch(r"if(\d{1,10})", name)
            index = int(gone[1]) if gone and name not in indexes else indexes.get(name)
            if index is None:
                raise _refusal(f"{where}: there is no interface {reprlib.repr(name)}")
            master = Endpoint(namespace.id, index, namespace.name, name)
            interface = replace(interface, master=master)
        plugged.append(interface)
    return replace(namespace, interfaces=tuple(plugged))


def _checked(kind: Any, told: Any, place: str) -> Any:
    # True is an int to Python, and no number to anybody else.
    right = isinstance(told, kind) if kind in (list, Mapping) else type(told) is kind
    if not right:
        raise _refusal(f"{place}: {reprlib.repr(told)} is no {_WORDS.get(kind, 'object')}")
    return told


def _refusal(what: str) -> NetvizError:
    return NetvizError(what, remedy="give what `netviz export --format json` wrote")
