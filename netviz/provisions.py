"""The commands for the real programs that lessons need: list them, fetch them, build one.

Each does one call of the library and shows what came back.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from netviz.text import printable

_NARROW = 79  # Columns, of a line that is written over.
_PAUSE = 30.0  # Seconds between two lines, where none can be written over.


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
@click.pass_context
def components(context: click.Context, as_json: bool) -> None:
    """List the real programs that lessons need: Docker, Open vSwitch and others.

    Each is the machine's own, where it has one that fits, or is fetched: without root, and without
    installing or starting anything. A Linux of one's own can be built as well.

    \b
    netviz components
    netviz components fetch docker ovs
    netviz components build own-kernel
    """  # noqa: D301 (for click it is a backspace)
    if context.invoked_subcommand:
        return
    from rich.console import Console

    from netviz.lab.components import known, standing, table

    found = [standing(each) for each in known().values()]
    if as_json:
        click.echo(json.dumps([each.to_dict() for each in found], indent=2))
    else:
        Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(table(found))


@components.command()
@click.argument("names", nargs=-1, required=True)
def fetch(names: tuple[str, ...]) -> None:
    """Fetch NAMES, and what they need, with the system's own package manager."""
    from netviz.lab import fetching

    with _progress() as heard:
        found = fetching.fetch(*names, heard=heard)
    click.echo("\n".join(map(str, found)))


@components.command()
@click.argument("name", type=click.Choice(["own-kernel"]))
def build(name: str) -> None:
    """Build the Linux of one's own from Debian's source: it has all that the lessons teach.

    It takes ten minutes of one processor and 2 GB on the disk, 140 MB are downloaded, and 11 MB are
    kept; nothing is built again that is as asked. Beside it lie its licence, its configuration, and
    where its source is.

    \b
    netviz components build own-kernel
    """  # noqa: D301 (for click it is a backspace)
    from netviz.lab import kernelbuild

    with _progress() as heard:
        made = kernelbuild.build(lambda doing: heard(name, doing))
    click.echo(str(made))


@contextmanager
def _progress() -> Iterator[Callable[[str, str], None]]:
    """Give what writes on one line of a terminal what is being done; elsewhere, now and then."""
    clear = "\r\x1b[K" if sys.stderr.isatty() else ""
    told = time.monotonic()

    def heard(name: str, doing: str) -> None:
        nonlocal told
        lasting = doing.endswith("to download") or (not clear and time.monotonic() > told + _PAUSE)
        if clear or lasting:
            told = time.monotonic()
            click.echo(f"{clear}{name}: {printable(doing)}"[:_NARROW], nl=lasting, err=True)

    try:
        yield heard
    finally:
        click.echo(clear, nl=False, err=True)
