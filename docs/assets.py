"""What all pages are served with: fonts, colours, and the script that shows films."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from netviz.picture.pages import BYTES, script
from netviz.picture.themes import night

VENDORED = Path(__file__).resolve().parent / "node_modules/@fontsource-variable"
FONTS = ("Source Serif 4", "Source Sans 3", "Source Code Pro")
STYLES = ("normal", "italic")
COLOURS = {
    "--color-background-primary": ("#ffffff", "#14191e"),
    "--color-background-secondary": ("#f8f9fb", "#191f25"),
    "--color-brand-primary": ("#00614a", "#5fd6b1"),
    "--color-brand-content": ("#00614a", "#5fd6b1"),
    "--color-brand-visited": ("#4f3183", "#c6a8ff"),
    "--color-code-background": ("#f6f7f6", "#1a1f24"),
    "--nv-quiet": ("#52606d", "#a9b5c1"),
    "--nv-rule": ("#d5dbe0", "#3c4650"),
    "--nv-tip": ("#1f2933", "#e9eef3"),
    "--nv-tip-ink": ("#ffffff", "#14191e"),
}
"""A page's own colours, by day and by night; the first ones are the theme's."""


def lay(static: Path) -> None:
    """Lay all of it out in the folder of static files."""
    (static / "palette.css").write_text(palette())
    (static / "view.js").write_text(view())
    if not VENDORED.exists():
        sys.exit("the fonts are not there: make html fetches them")
    faces = [face(font, style, static) for font in FONTS for style in STYLES]
    (static / "fonts.css").write_text("".join(faces))


def face(font: str, style: str, static: Path) -> str:
    """Lay out the file of a font, and return the rule that loads it."""
    name = font.lower().replace(" ", "-")
    file = f"{name}-latin-wght-{style}.woff2"
    shutil.copy(VENDORED / name / "files" / file, static)
    told = f'font-family:"{font}";font-style:{style};font-weight:200 900;font-display:swap'
    return f'@font-face{{{told};src:url("{file}") format("woff2")}}\n'


def palette() -> str:
    """Return each colour as a variable: the pages' own ones, and those of pictures.

    By night they are others, whether the reader chose it or her system did; paper is light.
    """
    colours = {variable(light): (light, dark) for light, dark in night().items()} | COLOURS
    day, dark = ("".join(f"{name}:{it[n]};" for name, it in colours.items()) for n in (0, 1))
    return (
        f"body{{{day}}}\n"
        f"@media screen{{body[data-theme=dark]{{{dark}}}\n"
        f"@media (prefers-color-scheme:dark){{body:not([data-theme=light]){{{dark}}}}}}}\n"
    )


def variable(colour: str) -> str:
    """Return the name of the variable that a picture's colour becomes."""
    return f"--nv-{colour[1:]}"


def view() -> str:
    """Return the script that shows films. It is no module: a page from a file may load none."""
    code = script().replace("export async function render", "async function render")
    return f"globalThis.netviz = (() => {{\n{code}\n{BYTES}\nreturn {{ render, bytes }};\n}})();\n"
