"""HTML pages that show films: one file that replays a recording, and one that follows a lab.

Each is whole: style, script and pictures are in it, and nothing else may be loaded (a policy says
so to the browser). The last picture stands in it as it is, for who has no JavaScript.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Sequence
from functools import cache
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from netviz.picture.film import film
from netviz.picture.themes import night

if TYPE_CHECKING:
    from netviz.picture.film import Frame

_VIEW = Path(__file__).parent / "view"
_MODULES = (
    *("kit", "theme", "lens", "card", "glow", "headers", "plan", "saving", "stage", "timeline"),
    *("traffic", "view"),
)
_IMPORT = re.compile("^import .*\n|^export (?!async function render)|^ +", re.MULTILINE)
_SILENT = re.compile("^ *//.*\n| +// .*$", re.MULTILINE)
_LOOSE = re.compile(r"\s*([{};,])\s*|(?<=:)\s+")
BYTES = "const bytes = (text) => Uint8Array.from(atob(text), (each) => each.charCodeAt(0));"
_PLAY = """
const film = bytes(document.getElementById("film").textContent);
el.replaceChildren();
const view = await render({ model: { get: () => film, on: () => {} }, el });
// In a page of its own the keys that step need no focus.
addEventListener("keydown", (event) => event.target === document.body && view.key(event));
"""
_FOLLOW = """
const told = {};
const acts = { "change:film": () => { el.replaceChildren(); render({ model, el }); } };
const model = { get: (name) => told[name], on: (name, act) => { acts[name] = act; } };
const heard = new EventSource(`events${location.search}`);
const hear = (name, news) => { told[name] = news; acts[`change:${name}`]?.(); };
heard.onmessage = (event) => hear("film", bytes(event.data));
heard.addEventListener("traffic", (event) => hear("traffic", JSON.parse(event.data)));
heard.onerror = () => { document.getElementById("end").hidden = false; };
heard.onopen = () => { document.getElementById("end").hidden = true; };
"""
_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
body {{ margin: 0; padding: 12px 20px; font: 15px/1.5 system-ui, sans-serif; color-scheme: light; }}
h1 {{ font-size: 18px; margin: 0 0 6px; }}
main pre {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
main > table {{ margin: 18px 0; border-collapse: collapse; }}
main > table caption {{ padding: 4px 0; font-weight: 700; text-align: left; }}
main > table :is(th, td) {{ padding: 3px 14px 3px 0; text-align: left; vertical-align: top; }}
@media (prefers-color-scheme: dark) {{
  .js body {{ background: #111418; color: #e9eef3; color-scheme: dark; }}
}}
</style>
</head>
<body>
<h1>{title}</h1>
<main id="nv">
{still}</main>
{rest}
<script type="module">{script}</script>
</body>
</html>
"""


@cache
def script() -> str:
    """Return the view as one module, with the colours of the dark theme and the style in it.

    Its own modules import each other when they are read by themselves; here they stand in one file.
    """
    text = "".join((_VIEW / f"{name}.js").read_text(encoding="utf-8") for name in _MODULES)
    text = _IMPORT.sub("", _SILENT.sub("", text))
    text = text.replace("const DARK = {};", f"const DARK = {json.dumps(night())};")
    style = _LOOSE.sub(r"\1", " ".join((_VIEW / "view.css").read_text(encoding="utf-8").split()))
    return text.replace('const STYLE = "";', f"const STYLE = {json.dumps(style)};")


def encoded(frames: Sequence[Frame]) -> str:
    """Return a film as text; ``BYTES`` makes of it what the view reads."""
    return base64.b64encode(film(frames)).decode()


def player(frames: Sequence[Frame], title: str, still: str | None = None) -> str:
    """Return a page that replays some frames, without a kernel and without a network.

    ``still`` is HTML that stands there without JavaScript, if it is not only the last picture.
    """
    rest = f'<script type="text/plain" id="film">{encoded(frames)}</script>'
    return _page(title, still or frames[-1].svg, rest, _PLAY, "")


def follower(frame: Frame, title: str) -> str:
    """Return a page that shows what its server tells it next: see `netviz.picture.watching`."""
    rest = '<p id="end" role="status" hidden>The program that draws has ended, or is busy.</p>'
    return _page(title, frame.svg, rest, _FOLLOW, "connect-src 'self';")


def _page(title: str, still: str, rest: str, start: str, more: str) -> str:
    begin = 'const el = document.getElementById("nv");\ndocument.documentElement.className = "js";'
    whole = "\n".join((script(), BYTES, begin, start))
    digest = base64.b64encode(hashlib.sha256(whole.encode()).digest()).decode()
    policy = f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
    policy += f"img-src data: blob:; base-uri 'none'; form-action 'none'; {more}"
    shown = {"policy": policy.strip(), "title": escape(title), "still": still}
    return _PAGE.format(**shown, rest=rest, script=whole)
