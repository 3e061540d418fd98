"""Run a notebook from top to bottom, in a lab of its own, and record what the network did.

What came of it is kept by its content: as long as neither the notebook nor the library is another
one, it is not run again.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient

import netviz
from netviz.picture.recording import Recording

PACKAGE = Path(netviz.__file__).parent
_PATIENCE = 120  # Seconds a cell may take: it only bounds one that never ends.
_NOTEBOOK, _RECORDING = "notebook.ipynb", "recording.json"
_RECORD = "import netviz as _netviz; _recording = _netviz.record()"


@dataclass(frozen=True)
class Executed:
    """A notebook with its outputs, and the recording of its lab.

    In its metadata each code cell has ``moments``: how many the recording had after it.
    """

    notebook: nbformat.NotebookNode
    recording: Recording


def executed(path: Path, cache: Path) -> Executed:
    """Return a notebook as it was run; run it if this very one never was."""
    notebook = nbformat.read(path, as_version=4)
    kept = cache / f"{path.stem}-{_digest(notebook)}"
    if not kept.exists():
        with tempfile.TemporaryDirectory(prefix="lesson-") as folder:
            asyncio.run(_run(notebook, Path(folder)))
            for old in cache.glob(f"{path.stem}-*"):
                shutil.rmtree(old)
            _keep(notebook, Path(folder) / _RECORDING, kept)
    run = nbformat.read(kept / _NOTEBOOK, as_version=4)
    return Executed(run, Recording.load(kept / _RECORDING))


def _keep(notebook: nbformat.NotebookNode, recording: Path, kept: Path) -> None:
    """Keep both in one folder, which is there as a whole or not at all."""
    half = kept.with_name(f".{kept.name}.{os.getpid()}")
    half.mkdir(parents=True)
    nbformat.write(notebook, half / _NOTEBOOK)
    shutil.copy(recording, half)
    half.rename(kept)


def _digest(notebook: nbformat.NotebookNode) -> str:
    """Return what stands for a notebook and for all that it runs on, but the machine."""
    told = hashlib.sha256(nbformat.writes(notebook).encode())
    for file in sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("view/*"), Path(__file__)]):
        told.update(file.read_bytes())
    return told.hexdigest()[:16]


async def _run(notebook: nbformat.NotebookNode, folder: Path) -> None:
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook,
        kernel_name="netviz",
        timeout=_PATIENCE,
        resources=resources,
        coalesce_streams=True,
        extra_arguments=["--log-level=CRITICAL"],  # That it is asked to end is no news.
        record_timing=False,
    )
    # By its path the kernel knows what the notebook asks for; results of this run stay beside the
    # copy. What is broken in a lesson is the same each time.
    copy = folder / "lesson.ipynb"
    nbformat.write(notebook, copy)
    here = {"JPY_SESSION_NAME": str(copy), "NETVIZ_SEED": "1"}
    async with client.async_setup_kernel(env=os.environ | here):
        await _ask(client, _RECORD)
        for index, cell in enumerate(notebook.cells):
            await client.async_execute_cell(cell, index)
            if cell.cell_type == "code":
                cell.metadata["moments"] = int(await _ask(client, "", "len(_recording)"))
                _forget_where(cell)
        await _ask(client, f"_recording.stop(); _recording.save({_RECORDING!r})")
    client.set_widgets_metadata()


def _forget_where(cell: nbformat.NotebookNode) -> None:
    """Let a list of processes say which programs run, and not where this machine keeps them."""
    for output in cell.outputs:
        if output.output_type == "stream":
            output.text = output.text.replace(f"{sys.prefix}/bin/", "")


async def _ask(client: NotebookClient, code: str, expression: str = "None") -> str:
    """Run code that is no cell of the notebook, and return what an expression then is."""
    told = {"silent": True, "store_history": False, "user_expressions": {"it": expression}}
    asked = client.kc.execute(code, **told)
    while True:
        answer = await client.kc.get_shell_msg(timeout=_PATIENCE)
        if answer["parent_header"]["msg_id"] == asked:
            break
    content = answer["content"]
    said = content.get("user_expressions", {}).get("it", content)
    if said["status"] != "ok":
        raise RuntimeError(f"{code or expression}: {said['ename']}: {said['evalue']}")
    return str(said["data"]["text/plain"])
