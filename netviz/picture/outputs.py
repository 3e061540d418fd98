"""What a cell shows as a widget, with HTML and text beside it for whoever has no widgets."""

from __future__ import annotations

import uuid
from typing import Any

from IPython import get_ipython

_VIEW = "application/vnd.jupyter.widget-view+json"


class Output:
    """A widget as the output of a cell; in plain Python, where no cell runs, of nothing."""

    def __init__(self, widget: Any) -> None:
        self._widget = widget
        self._place = ""
        self._cell: object = None

    def show(self, html: str, text: str) -> None:
        """Show it below the cell that runs, once. An earlier output is left as it is."""
        cell = getattr(get_ipython(), "execution_count", None)
        if cell is not None and cell != self._cell:
            self._place, self._cell = uuid.uuid4().hex, cell
            self._publish(html, text, update=False)

    def keep(self, html: str, text: str) -> None:
        """Let what stands beside the widget be another one; a terminal has no such thing."""
        if self._place and hasattr(get_ipython(), "kernel"):
            self._publish(html, text, update=True)

    def _publish(self, html: str, text: str, *, update: bool) -> None:
        shell: Any = get_ipython()
        view = {"version_major": 2, "version_minor": 0, "model_id": self._widget.model_id}
        data = {_VIEW: view, "text/html": html, "text/plain": text}
        told = {"display_id": self._place}
        shell.display_pub.publish(data=data, metadata={}, transient=told, update=update)
