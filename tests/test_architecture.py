"""The table of the design, held as data: who may import whom, and what only one may do."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import netviz

LIBRARY = Path(netviz.__file__).parent
MODULES = {
    path.relative_to(LIBRARY).with_suffix("").as_posix().replace("/", "."): path
    for path in sorted(LIBRARY.rglob("*.py"))
    if "notebooks" not in path.parts
}

# A room may import the rooms above it, and itself.
ROOMS = {
    "ground": (
        *("text", "tables", "model", "journeys", "explanations", "errors", "graphs", "changes"),
        *("likeness", "records"),
    ),
    "lab": ("lab.",),
    "net": ("net.",),
    "packets": ("packets.",),
    "picture": ("picture.",),
    "teach": ("teach.",),
    "roof": ("cli", "provisions", "verbs", "__init__"),
}
# What is imported, or called, by these alone.
ONLY_IMPORTERS = {
    "pyroute2": ("net.netlink",),
    "matplotlib": ("picture.drawing", "picture.artists"),
    "ipywidgets": ("picture.widgets",),
    "anywidget": ("picture.widgets", "picture.questions"),
    "ctypes": ("lab.syscalls",),
    "click": ("cli", "provisions", "verbs"),
    "yaml": ("net.containerlab",),
    "IPython": ("lab.kernel", "lab.magics", "picture.widgets", "picture.outputs"),
    "ipykernel": ("lab.kernel",),
}
ONLY_CALLERS = {
    # The machinery of a lab; and who reads namespaces must step into them, on a thread of its own.
    "setns": (
        *("lab.", "net.namespaces", "net.containers", "net.names", "net.building", "net.reset"),
    ),
    "unshare": ("lab.", "net.names", "net.worker"),
    "mount": ("lab.", "net.names"),
    "umount": ("lab.", "net.names", "net.reset"),
    # Programs, which `python -m` and the command line start; the library never ends its caller.
    "print": (),
    "sys.exit": ("lab.launcher",),
    "exit": (),
    "click.echo": ("cli", "provisions", "verbs"),
    "os.system": (),
}
LINES_OF_A_MODULE = 300
LINES_OF_A_FUNCTION = 40
# The aim was 5,000, for then it can be read in an evening. It has outgrown that with what declares
# and restores networks, with the living picture and recordings, with the journeys of packets (4,200
# lines: 2,700 that follow and explain them, 1,500 that draw and play them), and with what answers
# "why not?" and "did I get it?" (2,900: 1,700 that walk through tables, filters and switches as the
# kernel does, 1,200 that ask, judge and break), and with real programs (2,500: 600 that fetch and
# start them, 350 for Docker and CNI, 450 that name containers, 950 that read Open vSwitch and
# follow packets through its flows), and with a kernel of one's own (1,600: 900 that boot it, talk
# with it, choose and build it, 700 for what only it has: VLANs in bridges and on devices, VRFs and
# tunnels), and with networks across hosts (530: overlays and tunnels for many, what stands on a
# card, Services that deal out, what iptables translates, and the size of what is sent), and with
# servers that others start, as Binder does (15). Between such steps it grows no further: for each
# line that comes one goes.
LINES_OF_THE_LIBRARY = 23192


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def room(module: str) -> int:
    """Return the place of a module's room, counted from the ground."""
    for place, members in enumerate(ROOMS.values()):
        if matches(module, members):
            return place
    raise AssertionError(f"{module} is in no room")


def matches(module: str, members: tuple[str, ...]) -> bool:
    return any(module == each or (each[-1] == "." and module.startswith(each)) for each in members)


def imports(module: str) -> Iterator[str]:
    """Yield every import, those inside of functions too: ``netviz.net.links``, ``os.path``."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module} imports from a dot"
            yield str(node.module)
            yield from (f"{node.module}.{name.name}" for name in node.names)


def calls(module: str) -> set[str]:
    """Return what is called: ``print``, ``sys.exit``; of a method, its last name too."""
    names = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            names |= {called} | ({called.rpartition(".")[2]} if "syscalls" in called else set())
    return names


def functions(module: str) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node.end_lineno - node.lineno + 1


def lines_of_code(path: Path) -> int:
    """Count the lines of a file that say something: no blanks, no comments, no docstrings."""
    text = path.read_text()
    if path.suffix != ".py":
        without = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL).split("\n")
        return sum(not line.strip().startswith("//") and bool(line.strip()) for line in without)
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    told: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent | {tokenize.ENDMARKER}:
            told |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str):
            told -= set(range(node.lineno, node.end_lineno + 1))
    return len(told)


def test_every_module_is_in_one_room() -> None:
    packages = {"lab.__init__", "net.__init__", "packets.__init__", "picture.__init__"}
    for module in MODULES.keys() - packages:
        assert room(module) >= 0


@pytest.mark.parametrize("module", MODULES)
def test_module_imports_only_rooms_above_its_own(module: str) -> None:
    for imported in imports(module):
        name = imported.removeprefix("netviz.")
        if imported.startswith("netviz.") and name in MODULES:
            assert room(name) <= room(module), f"{module} imports {name}, which is below it"


@pytest.mark.parametrize("imported", ONLY_IMPORTERS)
def test_only_these_modules_import(imported: str) -> None:
    importers = {m for m in MODULES if imported in {name.partition(".")[0] for name in imports(m)}}
    assert [m for m in importers if not matches(m, ONLY_IMPORTERS[imported])] == []


@pytest.mark.parametrize("called", ONLY_CALLERS)
def test_only_these_modules_call(called: str) -> None:
    callers = [module for module in MODULES if called in calls(module)]
    assert [m for m in callers if not matches(m, ONLY_CALLERS[called])] == []


@pytest.mark.parametrize("module", MODULES)
def test_module_and_its_functions_are_short(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= LINES_OF_A_MODULE
    assert [name for name, lines in functions(module) if lines > LINES_OF_A_FUNCTION] == []


def test_whole_library_grows_no_further() -> None:
    files = (*MODULES.values(), *LIBRARY.rglob("*.js"))
    sizes = [(lines_of_code(path), str(path.relative_to(LIBRARY))) for path in files]
    total = sum(lines for lines, _ in sizes)
    assert total < LINES_OF_THE_LIBRARY, f"the longest: {sorted(sizes, reverse=True)[:10]}"


def test_importing_a_module_does_nothing_else() -> None:
    defined = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    allowed = (ast.Import, ast.ImportFrom, *defined)
    for module in MODULES:
        for node in tree(module).body:
            spoken = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            guard = isinstance(node, ast.If) and ast.unparse(node.test) in (
                "TYPE_CHECKING",
                "__name__ == '__main__'",
            )
            assert isinstance(node, allowed) or spoken or guard, f"{module}:{node.lineno}"
