"""Open JupyterLab on a lesson: what ``netviz lab`` does.

The server is plain JupyterLab with the user's own configuration; it replaces this process, so
signals reach it as always. Our few defaults come first in Jupyter's configuration path, and a
setting that the user chose in JupyterLab still wins over them. No kernel but the lab's is offered,
and a terminal's only program is ``netviz attach``: nothing that is opened there changes the
machine, not even for root.

The server and the browser live on the machine; the lab is made by each notebook's kernel, and
entered by the terminals.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Never

KERNEL = "netviz"
SETTINGS = Path(__file__).resolve().parent / "settings"

# -P: a learner's file called json.py must not be taken for Python's.
_PYTHON = (sys.executable, "-P")
_ATTACH = "from netviz.cli import main; main(prog_name='netviz')"
_LOOPBACK = "127.0.0.1"
_OTHER_PORTS_TRIED = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """How JupyterLab is started: on which folder and lesson, which port, with a browser or not."""

    folder: Path
    lesson: str
    port: int = 8888
    browser: bool = True

    def command(self) -> list[str]:
        """Return the command line. Equivalent to: ``jupyter lab --ip=127.0.0.1 LESSON``."""
        options = {
            "ServerApp.ip": _LOOPBACK,
            "ServerApp.port": self.port,
            "ServerApp.port_retries": _OTHER_PORTS_TRIED,
            "ServerApp.root_dir": self.folder,
            "ServerApp.allow_root": os.geteuid() == 0,
            "ExtensionApp.open_browser": self.browser,
            "LabApp.default_url": f"/lab/workspaces/netviz/tree/{self.lesson}",
            **everywhere(),
        }
        program = [*_PYTHON, "-m", "jupyterlab"]
        return program + [f"--{name}={value}" for name, value in options.items()]

    def environment(self, outside: Mapping[str, str]) -> dict[str, str]:
        """Return the server's environment: ours first where Jupyter looks for configuration."""
        path = [str(SETTINGS), outside.get("JUPYTER_CONFIG_PATH", "")]
        return {**outside, "JUPYTER_CONFIG_PATH": os.pathsep.join(filter(None, path))}

    def start(self) -> Never:
        """Become JupyterLab."""
        sys.stdout.flush()
        sys.stderr.flush()
        command = self.command()
        os.execve(command[0], command, self.environment(os.environ))


def everywhere() -> dict[str, object]:
    """Return the options of every server, whoever starts it: its terminals, and its kernel."""
    return {
        "ServerApp.terminals_enabled": True,
        "ServerApp.terminado_settings": {
            "shell_command": [*_PYTHON, "-c", _ATTACH, "attach", "--wait"]
        },
        "TerminalsExtensionApp.terminal_manager_class": "netviz.lab.terminals.LabTerminals",
        "MultiKernelManager.default_kernel_name": KERNEL,
    }


def configure(folder: Path) -> None:
    """Let a server that another starts, Binder's or a hub's, be as ``netviz lab`` starts it.

    ``folder`` is one where Jupyter looks for configuration: ``PREFIX/etc/jupyter``, of the Python
    that has netviz. Our settings and the options of every server are written there.
    """
    shutil.copytree(SETTINGS, folder, dirs_exist_ok=True)
    file = folder / "jupyter_server_config.json"
    told = json.loads(file.read_text())
    for option, value in everywhere().items():
        owner, _, name = option.partition(".")
        told.setdefault(owner, {})[name] = value
    file.write_text(json.dumps(told, indent=2) + "\n")
