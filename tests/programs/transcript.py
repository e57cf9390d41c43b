"""Replay the transcripts of a page: every ```console block is typed into one shell, and has to show what it says.

``$ `` begins a command and ``> `` goes on with it; what follows is its output. One page is one shell in one empty
folder, with a network of its own where the machine allows that. A block in a comment, ``<!-- first ... -->``, is
typed too, and need only succeed. ``python tests/programs/transcript.py PAGE ...`` writes what really happened into
the page.

Rule 1: an id in a page stands for the id that really came in its place, everywhere in the page.
Rule 2: ``…`` stands for any text in a line, ``...`` alone for any lines, a number of ms or s for any other.
"""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ID = r"[A-Z2-7]{4}(?:-[A-Z2-7]{4}){13}"
TOKEN = re.compile(rf"(?P<id>{ID})|(?P<any>…)|(?P<duration>\b[0-9]+(?:\.[0-9]+)?(?= m?s\b))")
BLOCK = re.compile(r"^```console\n(?P<shown>.*?)^```$|^<!-- first\n(?P<hidden>.*?)^-->$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^\$ (?P<text>.*\n(?:> .*\n)*)(?P<output>(?:(?!\$ ).*\n)*)", re.MULTILINE)
COMMAND_SECONDS = 60
# How long what runs in the background has to print what the page says, and to fall silent afterwards.
LATE_SECONDS = 5
QUIET_SECONDS = 0.3
MARK = "\x1e"
# Reads commands from descriptor 3, each ended by NUL, and says when one is done.
LOOP = r"""while IFS= read -r -d '' -u 3 command; do eval "$command" </dev/null 3<&-; printf '\x1e%s\x1e' $?; done"""
# A network with nothing in it but its own 127.0.0.1, so that a page may use the port that it names.
ALONE = "import fcntl, socket, struct; fcntl.ioctl(socket.socket(), 0x8914, struct.pack('16sh14x', b'lo', 1))"


class Step(NamedTuple):
    """One command of a page. ``shown`` is what the page says it prints; None: it is hidden and has to succeed."""

    line: int
    start: int
    end: int
    command: str
    shown: str | None


def steps(page: str) -> Iterator[Step]:
    for block in BLOCK.finditer(page):
        if block["hidden"] is not None:
            yield Step(_line(page, block.start()), block.end(), block.end(), block["hidden"], None)
            continue
        for found in COMMAND.finditer(block["shown"]):
            start, end = (block.start("shown") + at for at in found.span("output"))
            command = found["text"].replace("\n> ", "\n")
            yield Step(_line(page, start) - 1, start, end, command, found["output"])


def _line(page: str, at: int) -> int:
    return page.count("\n", 0, at) + 1


class Shell:
    """A bash in a folder of its own. Whatever it started is gone when the ``with`` is left."""

    def __init__(self, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COFFER_")}
        path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
        own = {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "COLUMNS": "100", "NO_COLOR": "1"}
        commands, self._commands = os.pipe()
        self._output, output = os.pipe()
        command = f"{_alone()} exec 3<&{commands}; cd {folder}; {LOOP}"
        self._bash = subprocess.Popen(
            [*_namespace(), "bash", "--noprofile", "--norc", "-c", command],
            env=kept | own,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[commands],
            start_new_session=True,
        )
        os.close(commands)
        os.close(output)
        self.printed = ""

    def __enter__(self) -> Shell:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._commands)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.wait()
        while os.read(self._output, 65536):  # until whatever it had started has ended too
            pass
        os.close(self._output)

    def type_in(self, command: str) -> int:
        """Return the exit code of a command; what it printed is in ``printed``."""
        self.printed = ""
        os.write(self._commands, command.encode() + b"\0")
        deadline = time.monotonic() + COMMAND_SECONDS
        while self.printed.count(MARK) < 2:
            assert self.wait(deadline), f"{command!r} takes too long, or ended the shell: {self.printed}"
        before, code, after = self.printed.split(MARK)
        self.printed = before + after
        return int(code)

    def wait(self, deadline: float) -> bool:
        """Add to ``printed`` what comes before the deadline; false if nothing does."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._output, selectors.EVENT_READ)
            ready = selector.select(max(0, deadline - time.monotonic()))
        more = os.read(self._output, 65536).decode() if ready else ""
        self.printed += more
        return bool(more)


def _namespace() -> list[str]:
    """How to start a process with a network of its own, or nothing where that may not be."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and not subprocess.run([*command, "true"], capture_output=True).returncode:
            return command
    return []


def _alone() -> str:
    return f'{sys.executable} -c "{ALONE}";' if _namespace() else ""


class Mismatch(NamedTuple):
    step: Step
    printed: str


def replay(page: str, folder: Path) -> Iterator[Mismatch]:
    """Type in the whole page; yield each step that does not do what the page says, with what it printed."""
    real: dict[str, str] = {}
    with Shell(folder) as shell:
        for step in steps(page):
            command = re.sub(ID, lambda found: real.get(found[0], found[0]), step.command)
            code = shell.type_in(command)
            if step.shown is None:
                if code:
                    yield Mismatch(step, shell.printed)
            elif not _comes_true(step.shown, shell, real, in_background=command.rstrip().endswith("&")):
                yield Mismatch(step, _in_the_words_of_the_page(step.shown, shell.printed, real))


def _comes_true(shown: str, shell: Shell, real: dict[str, str], in_background: bool) -> bool:
    deadline = time.monotonic() + LATE_SECONDS
    as_shown = matches(shown, shell.printed, real)
    while in_background and not as_shown and shell.wait(deadline):
        as_shown = matches(shown, shell.printed, real)
    while in_background and shell.wait(time.monotonic() + QUIET_SECONDS):
        as_shown = matches(shown, shell.printed, real)
    return as_shown


def matches(shown: str, printed: str, real: dict[str, str]) -> bool:
    """Compare, and learn from ``printed`` which real ids those of the page stand for."""
    ids: list[str] = []
    found = re.fullmatch("".join(_pattern(line, real, ids) for line in shown.splitlines()), printed)
    if not found:
        return False
    learned = {shown_id: found[f"id{number}"] for number, shown_id in enumerate(ids)}
    if set(learned.values()) & set(real.values()):
        return False
    real.update(learned)
    return True


def _pattern(line: str, real: dict[str, str], ids: list[str]) -> str:
    if line == "...":
        return r"(?:.*\n)*"
    pattern, at = "", 0
    for token in TOKEN.finditer(line):
        pattern += re.escape(line[at : token.start()]) + _token(token, real, ids)
        at = token.end()
    return pattern + re.escape(line[at:]) + "\n"


def _token(token: re.Match[str], real: dict[str, str], ids: list[str]) -> str:
    if token["any"]:
        return ".*"
    if token["duration"]:
        return r"[0-9]+(?:\.[0-9]+)?"
    if token[0] in real:
        return re.escape(real[token[0]])
    if token[0] in ids:
        return f"(?P=id{ids.index(token[0])})"
    ids.append(token[0])
    return f"(?P<id{len(ids) - 1}>{ID})"


def _in_the_words_of_the_page(shown: str, printed: str, real: dict[str, str]) -> str:
    """``printed`` with real ids written as the page writes them; new ones keep the names the page gave them."""
    known = {real_id: page_id for page_id, real_id in real.items()}
    fresh = [page_id for page_id in dict.fromkeys(re.findall(ID, shown)) if page_id not in real]
    for real_id in dict.fromkeys(re.findall(ID, printed)):
        if real_id not in known:
            known[real_id] = fresh.pop(0) if fresh else real_id
            real[known[real_id]] = real_id
    return re.sub(ID, lambda found: known[found[0]], printed)


def rewrite(path: Path) -> None:
    """Write into a page what its commands really print, where that differs."""
    page = path.read_text()
    with tempfile.TemporaryDirectory() as folder:
        for step, printed in reversed(list(replay(page, Path(folder)))):
            if step.shown is None:
                sys.exit(f"{path}:{step.line}: {step.command}{printed}")
            page = page[: step.start] + printed + page[step.end :]
    path.write_text(page)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        rewrite(Path(name))
