"""Films in a notebook: a widget, and beside it the picture itself for whoever shows no widgets.

A saved notebook has a copy of a widget for each one that was shown. So the widget's own script is a
few lines that unpack the rest; that, and the film, are sent and saved deflated.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import anywidget
import traitlets
from IPython import get_ipython

from netviz.picture.film import film
from netviz.picture.outputs import Output
from netviz.picture.pages import script
from netviz.picture.svg import boxed

if TYPE_CHECKING:
    from netviz.model import JSON
    from netviz.picture.film import Frame

# The module is loaded once for a page, whatever it shows.
_LOADER = """
const unpacked = async (data) => new Response(
  new Blob([data]).stream().pipeThrough(new DecompressionStream("deflate"))).text();
const load = async (code) => import(
  URL.createObjectURL(new Blob([await unpacked(code)], { type: "text/javascript" })));
export default { async render({ model, el }) {
  const code = model.get("code");
  const views = (globalThis.netviz ??= new Map());
  if (!views.has(code.byteLength)) views.set(code.byteLength, load(code));
  const view = await (await views.get(code.byteLength)).render({ model, el });
  return () => view.leave(el);
} };
"""


@cache
def _code() -> bytes:
    return zlib.compress(script().encode(), 9)


class Projector(anywidget.AnyWidget):
    """The widget: it has a film, the script that shows it, and what passes just now."""

    _esm = _LOADER
    code = traitlets.Bytes().tag(sync=True)
    film = traitlets.Bytes().tag(sync=True)
    traffic = traitlets.Dict().tag(sync=True)


class Shown:
    """Frames in a notebook. The picture beside the widget is the one that was last `kept`.

    Where there are no widgets, ``html`` and ``text`` stand for what does not change any more.
    """

    def __init__(
        self, frames: Sequence[Frame], *, html: str | None = None, text: str | None = None
    ) -> None:
        self._frame = frames[-1]
        self._html, self._text = html, text
        self._kept: tuple[str, ...] = ()
        self._widget = Projector(code=_code(), film=film(frames))
        self._output = Output(self._widget)

    def update(self, frames: Sequence[Frame]) -> None:
        """Show other frames; from any thread."""
        self._frame = frames[-1]
        self._widget.film = film(frames)

    def tell(self, traffic: JSON) -> None:
        """Show packets on their way over the picture; from any thread."""
        self._widget.traffic = traffic

    def display(self) -> None:
        """Show it as the output of the cell that runs. An earlier output is left as it is."""
        self._output.show(*self._beside())

    def keep(self) -> None:
        """Let the output have the picture of now, should the notebook be saved."""
        if self._kept != self._frame.parts:
            self._output.keep(*self._beside())

    def _beside(self) -> tuple[str, str]:
        """Return the picture as HTML and in words."""
        frame = self._frame
        self._kept = frame.parts
        return self._html or boxed(frame.svg), self._text or frame.alt


def at_the_end_of_each_cell(act: Callable[[], None]) -> Callable[[], None]:
    """Call ``act()`` when a cell has ended; return what ends that."""

    def hear(*_: object) -> None:
        act()

    events: Any = get_ipython().events
    events.register("post_run_cell", hear)
    return lambda: events.unregister("post_run_cell", hear)
