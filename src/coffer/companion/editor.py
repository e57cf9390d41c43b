"""The editor of whoever sits at the terminal: which it is, how it is started, and how it ends.

Rule: it is told to leave no copy of the text behind, where it can be told. What it writes beside the text or into
TMPDIR lies in the scratch folder, and goes with it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from functools import partial

from coffer.companion.scratch import ENDING
from coffer.ending import SIGNALLED
from coffer.errors import OperatorError, SettingsError

FALLBACKS = ("editor", "nano", "vim", "vi")
GRACE_SECONDS = 2.0

# What follows -c is done last, after the settings of whoever edits.
_VIM = ("-n", "-i", "NONE", "-c", "silent! set nobackup nowritebackup noundofile | silent! set viminfofile=NONE")
# By how the program's name begins, once links are followed: vi is a link to another in most places.
_FLAGS = {
    "vim": _VIM,
    "nvim": _VIM,
    "gvim": (*_VIM, "--nofork"),
    "nano": ("--restricted",),
    "emacs": ("--eval", "(setq make-backup-files nil auto-save-default nil create-lockfiles nil)"),
    "micro": ("-backup", "false", "-savehistory", "false"),
    # These would return at once, and the text would be gone before it is seen.
    "code": ("--wait",),
    "codium": ("--wait",),
    "subl": ("--wait",),
    "zed": ("--wait",),
}


def edit(path: str, folder: str, mask: set[int]) -> None:
    """Have a person edit the file at ``path``. Raises OperatorError if the editor fails, SystemExit if we are ended.

    The caller holds signals back; ``mask`` is the mask before that, which the editor gets.
    """
    command = _command()
    child = subprocess.Popen(
        [*command, path],
        env={**os.environ, "TMPDIR": folder},
        preexec_fn=partial(_set_mask, mask),
    )
    code = _wait(child)
    if code:
        how = f"exit code {code}" if code > 0 else f"signal {-code}"
        raise OperatorError(f"{command[0]}: ended with {how}; nothing was changed")


def _set_mask(mask: set[int]) -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def _command() -> list[str]:
    chosen = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    try:
        command = shlex.split(chosen) if chosen else [name for name in FALLBACKS if shutil.which(name)][:1]
    except ValueError:
        command = []
    program = shutil.which(command[0]) if command else None
    if program is None:
        raise SettingsError(
            f"{chosen}: no such editor" if chosen else "no editor found", "for example: export EDITOR=vim"
        )
    name = os.path.basename(os.path.realpath(program))
    return [*command, *next((flags for begin, flags in _FLAGS.items() if name.startswith(begin)), ())]


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Return how the editor ended. When we are ended first, end it too, and go."""
    code = child.poll()
    while code is None:
        came = signal.sigwaitinfo(ENDING | {signal.SIGCHLD})
        # What is typed at the terminal comes from the kernel, and to the editor as well, whose business it is.
        typed = came.si_code > 0 and came.si_signo in (signal.SIGINT, signal.SIGQUIT)
        if came.si_signo != signal.SIGCHLD and not typed:
            _end(child)
            sys.exit(SIGNALLED + came.si_signo)
        code = child.poll()
    return code


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
