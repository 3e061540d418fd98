"""The commands that draw, write, build, compare and take back networks.

Each does one call of the library and shows what came back.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from netviz.errors import NetvizError

if TYPE_CHECKING:
    from netviz.model import Snapshot
    from netviz.net.topology import Topology

_PICTURES = ("svg", "png", "pdf")
_TEXTS = ("containerlab", "dot", "json", "mermaid", "script")
_ENDINGS = {"sh": "script", "yml": "containerlab", "yaml": "containerlab", "mmd": "mermaid"}
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option("-o", "--output", type=_FILE, help="Write to this file.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice((*_PICTURES, *_TEXTS)),
    help="Default: by the file's name, else svg.",
)
@click.option("--title", help="A line above the picture.")
@click.option("--dark", is_flag=True, help="Light on dark.")
@click.option("--watch", is_flag=True, help="Follow it: on a page, or with -o in the file.")
@click.option("--packets", is_flag=True, help="With --watch, on a page: some of those that pass.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Of the page; else any.")
@click.option(
    "--lab",
    is_flag=False,
    flag_value="",
    help="With --watch, on a page: a lab that is running, named as for netviz attach.",
)
def draw(
    file: Path | None,
    output: Path | None,
    fmt: str | None,
    title: str | None,
    dark: bool,
    watch: bool,
    packets: bool,
    port: int,
    lab: str | None,
) -> None:
    """Draw every namespace, interface, bridge and cable of this machine, or of the lab.

    With FILE, draw the network in it: one declared in Python, as a plan, or one exported as JSON.
    With --watch, draw it anew as soon as it changes, until Ctrl-C.

    It only reads. On a real machine run it with sudo, to see the namespaces of other users.
    """
    chosen, theme = _format(output, fmt, "svg"), "dark" if dark else "light"
    only_page = bool(port) or packets or lab is not None
    if not watch:
        _refuse_if(only_page, "--lab, --packets and --port go with --watch")
        _draw_once(_network(file), output, chosen, title, theme)
        return
    unfit = file or chosen not in _PICTURES
    _refuse_if(unfit, "--watch follows what is there, and draws a picture")
    if output:
        _refuse_if(only_page, "--lab, --packets and --port are for a page; -o writes a file")
        _keep_drawn(output, chosen, title, theme)
    else:
        _refuse_if(dark or fmt, "a page has its reader's theme, and no format")
        _serve(title, port, lab, packets)


def _refuse_if(wrong: object, why: str) -> None:
    if wrong:
        raise click.UsageError(why)


def _draw_once(
    network: Snapshot | Topology, output: Path | None, fmt: str, title: str | None, theme: str
) -> None:
    if fmt in _PICTURES:
        from netviz.picture.drawing import draw as picture_of

        _write(picture_of(network, title=title, theme=theme).render(fmt), output)
    else:
        _write(_exported(network, fmt), output)


def _keep_drawn(output: Path, fmt: str, title: str | None, theme: str) -> None:
    """Follow the network in a file, until an interrupt."""
    from netviz.picture import watching
    from netviz.picture.live import Live

    live = Live()
    with suppress(KeyboardInterrupt):
        watching.keep_drawn(live, output, fmt, theme, title)
    live.stop()


def _serve(title: str | None, port: int, lab: str | None, packets: bool) -> None:
    """Follow the network, or that of a lab that is running, on a page until an interrupt."""
    from netviz.lab import attaching, sandbox

    if sandbox.inside():
        raise NetvizError(
            "a page that is served in a lab is seen by nobody outside",
            remedy="on the machine: netviz draw --watch --lab; here: netviz draw --watch -o FILE",
        )
    heard = attaching.listener(port)
    if lab is not None:
        # The page stays on the machine's loopback, where the browser is.
        attaching.enter(attaching.choose(attaching.labs(), lab or None))
    from netviz.picture.live import Live
    from netviz.picture.watching import Page

    live = Live()
    live.traffic.switch(packets)
    with suppress(KeyboardInterrupt), Page(live, heard, title) as page:
        click.echo(f"The picture is at {page.url}\nCtrl-C ends it.")
        page.serve_forever()
    live.stop()


@click.command()
@click.argument("file", type=_FILE, required=False)
@click.option("-o", "--output", type=_FILE, help="Write to this file.")
@click.option(
    "--format", "fmt", type=click.Choice(_TEXTS), help="Default: by the file's name, else script."
)
def export(file: Path | None, output: Path | None, fmt: str | None) -> None:
    """Write the network of this machine, of the lab, or in FILE, in the format of others.

    \b
    netviz export                            # the shell commands that rebuild it
    netviz export --format json -o lab.json  # to draw, to compare, to bring up again
    netviz export net.py -o net.clab.yml     # for containerlab
    """  # noqa: D301 (for click it is a backspace)
    _write(_exported(_network(file), _format(output, fmt, "script")), output)


@click.command()
@click.argument("file", type=_FILE)
def up(file: Path) -> None:
    """Build the network in FILE in this lab: all of it, or nothing.

    FILE is a program that declares one with netviz.Topology, or JSON of netviz export.
    """
    from netviz.net import history
    from netviz.net.files import read
    from netviz.net.scripts import steps_of

    network = read(file)
    with _ended_gently():
        history.change(lambda lab: steps_of(network, lab), f"up {file.name}")


@click.command()
@click.argument("file", type=_FILE)
def down(file: Path) -> None:
    """Take away the network that FILE, a program in Python, declares, as far as it is there."""
    from netviz.net.entries import SetFilters, SetSysctl
    from netviz.net.files import read
    from netviz.net.topology import Topology

    network = read(file)
    if not isinstance(network, Topology):
        raise NetvizError(
            f"'{file}' declares no network", remedy="go back to an earlier state: netviz undo"
        )
    with _ended_gently():
        network.down()
    steps = (each.what for each in network.declared if each.namespace not in network.namespaces)
    for step in steps:
        if isinstance(step, SetSysctl | SetFilters):
            # What it was before, only the process knows that moved it.
            click.echo(f"left as it is: {step.command().splitlines()[0]}", err=True)


@click.command()
@click.argument("before", type=_FILE)
@click.argument("after", type=_FILE, required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
def diff(before: Path, after: Path | None, as_json: bool) -> None:
    """Tell what is different in AFTER, or in this lab, from what was BEFORE.

    Both are files: JSON of netviz export, or programs that declare a network. The exit status is 0
    where nothing is different, else 1.
    """
    from netviz.net.exports import seen

    changes = seen(_network(before)).diff(seen(_network(after)))
    if as_json:
        click.echo(json.dumps([change.to_dict() for change in changes], indent=2))
    elif changes:
        click.echo(repr(changes))
    raise click.exceptions.Exit(1 if changes else 0)


@click.command()
@click.argument("name")
@click.option("-o", "--output", type=_FILE, help="Write it to this file too, for another lab.")
def checkpoint(name: str, output: Path | None) -> None:
    """Keep this lab's network as it is now, under NAME."""
    from netviz.net import history

    kept = history.checkpoint(name)
    if output:
        kept.save(output)


@click.command()
@click.argument("name", required=False)
def restore(name: str | None) -> None:
    """Bring this lab's network back to NAME: a checkpoint, or a file; without NAME, list them."""
    from netviz.net import history

    if name is None:
        for each in history.checkpoints():
            click.echo(repr(each))
        return
    with _ended_gently():
        click.echo(repr(history.restore(name)))


@click.command()
def undo() -> None:
    """Take back the latest change of this lab's network that netviz made or knows of."""
    from netviz.net import history

    with _ended_gently():
        click.echo(repr(history.undo()))


@contextmanager
def _ended_gently() -> Iterator[None]:
    """Let `kill` interrupt as Ctrl-C does: what is half done is taken back first."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        click.echo("netviz: interrupted; all is as it was before", err=True)
        raise
    finally:
        signal.signal(signal.SIGTERM, before)


def _network(file: Path | None) -> Snapshot | Topology:
    if file:
        from netviz.net.files import read

        return read(file)
    from netviz.net.discovery import snapshot

    return snapshot()


def _exported(network: Snapshot | Topology, fmt: str) -> bytes:
    from netviz.net.exports import export

    return export(network, fmt).encode("utf-8", "surrogateescape")


def _format(output: Path | None, fmt: str | None, usual: str) -> str:
    ending = output.suffix.lstrip(".").lower() if output else usual
    chosen = fmt or _ENDINGS.get(ending, ending)
    if chosen not in (*_PICTURES, *_TEXTS):
        raise click.UsageError(f"'{output}' names no format that is known; add --format")
    return chosen


def _write(data: bytes, output: Path | None) -> None:
    if output is None:
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        return
    try:
        output.write_bytes(data)
    except OSError as error:
        raise NetvizError(
            f"cannot write '{output}': {error.strerror}", remedy="name another file with -o"
        ) from error
