"""``!command`` in a cell: run it on a pseudo-terminal of its own and show what it prints.

IPython's way costs 0.1 s a command and refuses ``&``. Here the command gets a terminal, as its
standard input and output but not as its controlling one: so what it leaves running in the
background is not hung up when the shell ends.

Nobody types there. So a command that reads its terminal is told that its input has ended, as it
would be with Ctrl-D; it does not hang the notebook.
"""

from __future__ import annotations

import codecs
import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading

_ROWS, _COLUMNS = 40, 100
_OUTPUT_FLAGS = 1  # Their place in what tcgetattr returns.
_LOCAL_FLAGS = 3
_END_OF_INPUT = b"\x04"  # Ctrl-D.
_INTERRUPT = b"\x03"  # Ctrl-C.
_ENDS_AHEAD = 64  # Each reader takes one, and a script may have several.


def run(command: str) -> int:
    """Run a shell command, print its output as it comes, and return its exit status.

    The status is negative for a command ended by a signal, as in ``subprocess``. An interrupt
    goes to the command, as Ctrl-C does on a terminal; a second one kills it. What it leaves in the
    background runs on, and its output still arrives in the cell.
    """
    master, slave = pty.openpty()
    _be_plain(slave)
    os.write(master, _END_OF_INPUT * _ENDS_AHEAD)
    process = subprocess.Popen(
        ["/bin/bash", "-c", command],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        # Not a new session: bash, as its leader, would take the terminal for a controlling one.
        process_group=0,
    )
    os.close(slave)
    output = _Output(master)
    exited = os.pidfd_open(process.pid)
    try:
        _follow(process, output, exited)
    finally:
        os.close(exited)
    if not output.ended:
        threading.Thread(target=output.follow_to_the_end, daemon=True).start()
    return process.wait()


def _follow(process: subprocess.Popen[bytes], output: _Output, exited: int) -> None:
    """Print until the command ends, whoever else still holds its terminal."""
    interrupts = 0
    waiting = select.poll()  # A lab of many namespaces has more descriptors than select(2) can.
    for fd in (output.master, exited):
        waiting.register(fd, select.POLLIN)
    while not output.ended:
        try:
            ready = dict(waiting.poll())
            if output.master in ready:
                output.copy()
            elif exited in ready:
                return
        except KeyboardInterrupt:
            interrupts += 1
            if interrupts == 1 and output.takes_keys(termios.ISIG):
                os.write(output.master, _INTERRUPT)  # For `docker exec -ti`, a key like others.
                continue
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGINT if interrupts == 1 else signal.SIGKILL)


class _Output:
    """What arrives at the near end of the terminal."""

    def __init__(self, master: int) -> None:
        self.master = master
        self.ended = False
        self.told_raw = False
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def copy(self) -> None:
        """Print what is there; wait if nothing is."""
        try:
            data = os.read(self.master, 65536)
        except OSError:
            # EIO: the last process that held the terminal is gone.
            os.close(self.master)
            self.ended = True
            return
        sys.stdout.write(self.decoder.decode(data))
        sys.stdout.flush()
        self.end_raw_input()

    def end_raw_input(self) -> None:
        """Give Ctrl-D once more to a program that now takes its keys unread: a shell, docker."""
        if not self.told_raw and self.takes_keys(termios.ICANON):
            self.told_raw = True
            os.write(self.master, _END_OF_INPUT)

    def takes_keys(self, unread: int) -> bool:
        """Tell whether a program takes those keys itself that the terminal else reads."""
        return not termios.tcgetattr(self.master)[_LOCAL_FLAGS] & unread

    def follow_to_the_end(self) -> None:
        """Print until nobody holds the terminal any more."""
        while not self.ended:
            self.copy()


def _be_plain(terminal: int) -> None:
    """No echo and no carriage returns; a size that programs may ask for."""
    attributes = termios.tcgetattr(terminal)
    attributes[_OUTPUT_FLAGS] &= ~termios.ONLCR
    attributes[_LOCAL_FLAGS] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, attributes)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", _ROWS, _COLUMNS, 0, 0))
