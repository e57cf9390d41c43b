"""The load generator beside a test: it ends with its ``with`` block, whatever becomes of the test."""

import subprocess
from pathlib import Path
from types import TracebackType

from running import Loaded, finish_load, start_load

from .serving import Server

FOREVER_SECONDS = 600


class Load:
    """load against a server, with these options; without ``--seconds`` it goes on until ``stop``."""

    def __init__(self, programs: Path, server: Server, *options: object) -> None:
        self._programs, self._target = programs, server.target
        self._options = options if "--seconds" in options else (*options, "--seconds", FOREVER_SECONDS)
        self.process: subprocess.Popen[str]

    def __enter__(self) -> "Load":
        self.process = start_load(self._programs, self._target, *self._options)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def stop(self) -> Loaded:
        """Let it begin no more sessions, end those under way, and say how all went."""
        self.process.terminate()
        return self.finish()

    def finish(self) -> Loaded:
        """Wait until its seconds are over and return what it says."""
        return finish_load(self.process)
