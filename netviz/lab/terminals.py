"""JupyterLab's terminals: each enters a lab, whoever opens it and however.

Loaded by the Jupyter server. Its own manager runs whatever program a request names, in the
environment that it names, and so would give a page that a lab has made a shell of the machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jupyter_server_terminals.terminalmanager import TerminalManager

if TYPE_CHECKING:
    from terminado.management import PtyWithClients

_MAY_BE_ASKED = ("cwd",)


class LabTerminals(TerminalManager):
    """Terminals that run the configured program and no other."""

    def new_terminal(self, **asked: Any) -> PtyWithClients:
        """Return a new terminal; of what a request asks for, only the folder is heard."""
        return super().new_terminal(
            **{name: asked[name] for name in _MAY_BE_ASKED if name in asked}
        )
