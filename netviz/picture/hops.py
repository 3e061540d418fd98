"""What is told of the hops of a packet: in a table, beside a picture, and of the headers. Pure.

What a name may be made of, and what a packet has in it, is anybody's: all is made printable here.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from html import escape
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table
from rich.text import Text

from netviz.journeys import DELIVERED, HANDED, LOST
from netviz.picture.words import short
from netviz.text import printable

if TYPE_CHECKING:
    from netviz.journeys import Header, Hop, Journey, Reason
    from netviz.model import JSON

COLUMNS = ("hop", "where", "way", "what changed", "why")
_MOST_BYTES = 256


def title(journey: Journey, limit: int = 1000) -> str:
    """Return what a journey was of, in so many letters at most, and how it ended."""
    return f"{short(journey.title, limit)} · {_ended(journey)}"


def where(hop: Hop) -> str:
    """Return the device of a hop, or where it has none, as in a stack, its namespace."""
    return printable(str(hop.where).removesuffix(":"))


def place(hop: Hop) -> str:
    """Return where a hop is, which way the packet goes there, and what the place is."""
    return " · ".join(filter(None, (where(hop), hop.direction, printable(hop.role))))


def said(hop: Hop) -> str:
    """Return a hop in one line."""
    return " · ".join((f"{hop.number}", place(hop), *changed(hop), *why(hop)))


def changed(hop: Hop) -> list[str]:
    """Return what is otherwise than at the hop before, a line each."""
    return [printable(str(change)) for change in hop.changes]


def why(hop: Hop) -> list[str]:
    """Return why the packet came here, and why it went no further, a line each."""
    return [text for text, _ in _reasons(hop)]


def told(journey: Journey) -> str:
    """Return a journey in one sentence."""
    places = ", ".join(where(hop) for hop in journey)
    return printable(f"The journey of {journey.title}: {places}; {_ended(journey)}.")


def table(journey: Journey) -> Table:
    """Return the hops as a table for a terminal."""
    heading = Text(title(journey), "bold red" if journey.fate == LOST else "bold")
    look = {"title_justify": "left", "title_style": "", "pad_edge": False}
    made = Table(title=heading, box=box.SIMPLE_HEAD, **look)  # type: ignore[arg-type]
    for number, column in enumerate(COLUMNS):
        made.add_column(column, no_wrap=number in (0, 2), overflow="fold")
    for hop in journey:
        *cells, reasons = _cells(hop)
        made.add_row(*map(Text, cells), Text(reasons, "red" if hop.fate == LOST else ""))
    return made


def html(journey: Journey) -> str:
    """Return the hops as a table of a page."""
    head = "".join(f'<th scope="col">{column}</th>' for column in COLUMNS)
    rows = []
    for hop in journey:
        first, *rest = (escape(cell).replace("\n", "<br>") for cell in _cells(hop))
        cells = "".join(f"<td>{cell}</td>" for cell in rest)
        rows.append(f'<tr><th scope="row">{first}</th>{cells}</tr>')
    body, caption = "\n".join(rows), escape(title(journey))
    table = f"<table>\n<caption>{caption}</caption>\n<thead><tr>{head}</tr></thead>\n"
    return f"{table}<tbody>\n{body}\n</tbody></table>\n"


def headers(journey: Journey, hop: Hop) -> JSON:
    """Return the packet at a hop for the view: its headers, those that it had, and its bytes."""
    before = _before(journey, hop)
    layers, spans = [], list[tuple[int, int]]()
    for was, now in _pairs(before, hop.headers if hop.packet else before):
        either = now or was
        known = dict(was.fields if was else ())
        fields = []
        for n, (name, value) in enumerate(either.fields if either else ()):
            is_new = bool(was and now and _moved(hop, now, name) and known.get(name, "") != value)
            old = printable(known.get(name, "")) if is_new else None
            fields.append((printable(name), printable(value), old))
            spans += now.spans[n : n + 1] if now and is_new else ()
        note = "" if (now and was) or not before else "put around" if now else "taken off"
        spans += [(now.start, now.end)] if now and note else ()
        layers.append({"name": either and printable(either.name), "note": note, "fields": fields})
    about: JSON = {"title": title(journey), "prelude": journey.prelude, "number": hop.number}
    about |= {"place": place(hop), "why": [*_reasons(hop)]}
    packet = hop.packet
    data, length = (packet.data[:_MOST_BYTES].hex(), packet.length) if packet else ("", 0)
    return about | {"layers": layers, "changed": sorted(spans), "bytes": data, "length": length}


def _cells(hop: Hop) -> tuple[str, ...]:
    number = str(hop.number)
    if hop.after and hop.after != (hop.number - 1,):
        number += " ← " + ", ".join(map(str, hop.after))
    reasons = why(hop)
    if hop.fate == LOST and hop.end and hop.end.command:
        reasons.append(f"see: {printable(hop.end.command)}")
    return number, where(hop), hop.direction, "\n".join(changed(hop)), "\n".join(reasons)


def _reasons(hop: Hop) -> Iterator[tuple[str, str | None]]:
    """Yield why the packet came here and why it ended here, each with the command that shows it."""
    if hop.packet is None:
        yield "worked out from the tables: it is not seen there", None
    for reason in hop.reasons:
        yield _printed(reason.text, reason)
    if hop.fate:
        told = ["" if _handed(hop) else _fate(hop.fate), hop.end.text if hop.end else ""]
        yield _printed(": ".join(filter(None, told)), hop.end)


def _printed(text: str, reason: Reason | None) -> tuple[str, str | None]:
    command = reason.command if reason else None
    return printable(text), None if command is None else printable(command)


def _ended(journey: Journey) -> str:
    """Return how a journey ended; what only programs got may be lost by them all the same."""
    handed = [_handed(hop) for hop in journey if hop.fate == journey.fate]
    return handed[-1] if handed and all(handed) else _fate(journey.fate)


def _handed(hop: Hop) -> str:
    """Return to which program a packet was handed at its end; an empty text for another end."""
    said = str(hop.end).partition(",")[0]
    return printable(said) if hop.fate == DELIVERED and said.startswith(HANDED) else ""


def _fate(fate: str) -> str:
    return fate.upper() if fate == LOST else fate


def _before(journey: Journey, hop: Hop) -> tuple[Header, ...]:
    """Return the headers where the packet was last seen before a hop."""
    known = {each.number: each for each in journey}
    sources = [number for number in hop.after if number < hop.number]
    while sources and sources[0] in known:
        one = known[sources[0]]
        if one.headers:
            return one.headers
        sources = [number for number in one.after if number < one.number]
    return ()


def _pairs(
    before: tuple[Header, ...], now: tuple[Header, ...]
) -> Iterator[tuple[Header | None, Header | None]]:
    """Yield the headers of two hops side by side: what is inside stays, what is around changes."""
    a, b = ([header.name for header in reversed(some)] for some in (before, now))
    pairs: list[tuple[Header | None, Header | None]] = []
    for kind, *ends in SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        old, new = before[::-1][slice(*ends[:2])], now[::-1][slice(*ends[2:])]
        if kind == "equal":
            pairs += zip(old, new, strict=True)
        else:
            pairs += [*((header, None) for header in old), *((None, header) for header in new)]
    yield from reversed(pairs)


def _moved(hop: Hop, header: Header, field: str) -> bool:
    return any((it.header, it.field) == (header.name, field) for it in hop.changes)
