"""The command line: ``netviz COMMAND``.

Each command does one call of the library and shows what came back. What a command needs is
imported when it runs, so that ``netviz run`` starts as fast as the sandbox does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Never

import click

from netviz.errors import NetvizError
from netviz.provisions import components
from netviz.text import printable
from netviz.verbs import checkpoint, diff, down, draw, export, restore, undo, up

if TYPE_CHECKING:
    from netviz.lab.attaching import Lab

_MOMENT = 0.3  # Seconds between two looks for a lab.
_own_kernel = click.option(
    "--own-kernel", is_flag=True, help="On a Linux of its own, started as a program."
)
_ANY_COMMAND = {"ignore_unknown_options": True, "allow_interspersed_args": False}


class _Group(click.Group):
    """A group whose commands turn a ``NetvizError`` into one line and exit status 2."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except NetvizError as error:
            click.echo(f"netviz: {error}", err=True)
            ctx.exit(2)


@click.group(
    cls=_Group,
    commands=(draw, export, up, down, diff, checkpoint, restore, undo, components),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="netviz-lab", prog_name="netviz")
def main() -> None:
    """Learn container networking on the real Linux kernel, without root."""


@main.command(context_settings=_ANY_COMMAND)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@_own_kernel
def run(command: tuple[str, ...], own_kernel: bool) -> None:
    """Run COMMAND in a fresh lab, and end as it ends.

    \b
    netviz run -- ip netns add net1
    netviz run -- bash my-network.sh
    netviz run --own-kernel -- ip link add tun1 type ipip
    """  # noqa: D301 (for click it is a backspace)
    _run(list(command), own_kernel)


@main.command()
@_own_kernel
def shell(own_kernel: bool) -> None:
    """Open a shell in a fresh lab; the lab ends with it."""
    _run([os.environ.get("SHELL") or "/bin/bash"], own_kernel)


def _run(command: list[str], own_kernel: bool) -> Never:
    if own_kernel:
        from netviz.lab import ownkernel

        ownkernel.run(ownkernel.Errand(command=command))
    from netviz.lab import sandbox
    from netviz.lab.trees import trees

    sandbox.run(command, sandbox.Supervision(tools=trees()))


@main.command()
@click.argument("lab", required=False)
@click.option("-c", "--command", help="Run this in the lab, and end as it ends.")
@click.option("--wait", is_flag=True, help="If no lab is running, wait for one.")
@click.option("--list", "only_list", is_flag=True, help="Tell which labs are running.")
def attach(lab: str | None, command: str | None, wait: bool, only_list: bool) -> None:
    """Enter LAB, which is running: a notebook's, by its name or a part of it, or by its number.

    \b
    netviz attach
    netviz attach veth
    netviz attach 4 -c 'ip link'
    """  # noqa: D301 (for click it is a backspace)
    from netviz.lab import attaching

    running = attaching.labs()
    if only_list:
        click.echo("".join(f"{_line(each)}\n" for each in running), nl=False)
        return
    if wait and not running:
        if beyond := attaching.on_own_kernels():
            click.echo(f"{printable(attaching.closed(beyond))}: type !COMMAND in its cells.")
        click.echo("Open a lesson: this terminal enters its lab as soon as it runs.")
        while not running:
            time.sleep(_MOMENT)
            running = attaching.labs()
    found = attaching.matching(running, lab)
    if len(found) > 1 and sys.stdin.isatty():
        chosen = _ask(found)
    else:
        chosen = attaching.choose(running, lab)
    attaching.attach(chosen, command)


def _ask(running: list[Lab]) -> Lab:
    """Let the user choose: a terminal that waits was opened for the newest, most likely."""
    for place, each in enumerate(running, 1):
        click.echo(f"{place}: {_line(each)}")
    numbers = click.IntRange(1, len(running))
    return running[click.prompt("Which lab", default=1, type=numbers) - 1]


def _line(lab: Lab) -> str:
    seconds = max(0, int(time.time() - lab.started))
    units = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
    size, unit = next(each for each in units if seconds >= each[0] or each[0] == 1)
    return f"{lab.supervisor}  {printable(lab.name)}  {seconds // size} {unit}"


@main.command(context_settings=_ANY_COMMAND)
@click.argument("where")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option(
    "-o",
    "--output",
    "files",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to this file as well: .html, .pcapng, .json, .svg, .png or .pdf.",
)
@click.option("--timeout", default=30.0, show_default=True, help="Seconds, for COMMAND.")
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
def trace(
    where: str, command: tuple[str, ...], files: tuple[Path, ...], timeout: float, as_json: bool
) -> None:
    """Run COMMAND in the namespace WHERE, and tell what became of its packets, hop by hop.

    Ctrl-C ends COMMAND, and what was seen is told. It ends as COMMAND ends.

    \b
    netviz trace net1 ping -c1 10.1.1.3
    netviz trace -o ping.html -o ping.pcapng net1 ping -c1 10.1.1.3
    """  # noqa: D301 (for click it is a backspace)
    from rich.console import Console

    from netviz.picture.traces import WRITTEN
    from netviz.picture.traces import trace as traced

    for file in files:
        if file.suffix.lstrip(".").lower() not in WRITTEN:
            known = ", ".join(f".{ending}" for ending in WRITTEN)
            raise click.UsageError(f"'{file}' names no format that is known: {known}")
    words = command[1:] if command[0] == "--" else command
    line = words[0] if len(words) == 1 else words
    say = (lambda _: None) if as_json else (lambda piece: click.echo(piece, nl=False))
    seen = traced(where, line, timeout=timeout, heard=say)
    if as_json:
        click.echo(seen.exported("json"), nl=False)
    else:
        click.echo()
        Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(seen)
    for file in files:
        seen.save(file)
    raise click.exceptions.Exit(seen.status)


@main.command()
@click.argument("where")
@click.argument("to")
@click.option("--proto", type=click.Choice(("icmp", "tcp", "udp")), default="icmp")
@click.option("--port", type=click.IntRange(1, 65535), help="For tcp and udp.")
@click.option("--size", type=click.IntRange(28, 65535), help="Bytes that must not be cut.")
@click.option("--verify", is_flag=True, help="Send a packet as well, and compare.")
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
def explain(where: str, to: str, as_json: bool, **asked: Any) -> None:
    """Tell why a packet from the namespace WHERE reaches the address TO, or why not.

    Step by step, there and back, and the command that mends the first that breaks. Nothing is sent.
    The exit status is 0 where it works, else 1.

    \b
    netviz explain net1 10.1.1.3
    netviz explain --proto tcp --port 80 --verify net1 10.1.1.3
    netviz explain --size 1500 pod1 10.244.2.2
    """  # noqa: D301 (for click it is a backspace)
    from netviz.packets.explainer import explain as explained

    told = explained(where, to, **asked)
    click.echo(json.dumps(told.to_dict(), indent=2) if as_json else str(told))
    raise click.exceptions.Exit(0 if told.works else 1)


@main.command()
@click.argument("lesson", default="00")
@click.option("--browser/--no-browser", default=True, help="Open a browser, or print the URL only.")
@click.option("--port", default=8888, show_default=True, help="If it is taken, another is used.")
@click.option("--fresh", is_flag=True, help="Put LESSON back as published; yours is kept beside.")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default="~/netviz-lessons",
    show_default=True,
    help="Your copies of the lessons.",
)
def lab(lesson: str, browser: bool, port: int, fresh: bool, folder: Path) -> None:
    """Open LESSON (a number or a name) in JupyterLab, on your own copy.

    \b
    netviz lab
    netviz lab 4 --no-browser
    """  # noqa: D301 (for click it is a backspace)
    from netviz.lab import lessons
    from netviz.lab.jupyter import Server
    from netviz.lab.resources import notebooks

    folder = folder.expanduser().absolute()
    chosen = lessons.find(notebooks(), lesson)
    if fresh and (kept := lessons.restore(chosen, folder)):
        click.echo(f"Your own {chosen.name} is kept as {kept.name}.")
    lessons.copy_missing(notebooks(), folder)
    Server(folder=folder, lesson=chosen.name, port=port, browser=browser).start()


@main.command()
@click.option("--json", "as_json", is_flag=True, help="For programs; the keys are stable.")
def doctor(as_json: bool) -> None:
    """Tell what this machine can do for the lessons, what it cannot, and what mends that.

    Everything is tried for real, in a lab that is thrown away. The exit status is 0 where every
    lesson can run, else 1.

    \b
    netviz doctor
    netviz doctor --json | jq '.findings[] | select(.works | not) | .remedy'
    """  # noqa: D301 (for click it is a backspace)
    from rich.console import Console

    from netviz.lab.doctor import examine

    report = examine()
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=2))
    else:
        # A pipe has no width: show there what a notebook shows.
        Console(width=None if sys.stdout.isatty() else 100, highlight=False).print(report)
    raise click.exceptions.Exit(0 if report.ready else 1)
