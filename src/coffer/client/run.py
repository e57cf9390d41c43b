"""Starting a command in place of this process: the same pid, no shell, nothing left in between.

Not here: what its environment holds (``environment``), and staying beside it (``supervise``).

Rule 1: the command is looked for in the caller's PATH, whatever its own environment will say.
Rule 2: what Python changed about the process for its own sake is changed back first.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]
import errno
import os

from coffer.errors import OperatorError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import NoReturn, TypeVar

    Started = TypeVar("Started")

FAILED = 125
NOT_EXECUTABLE = 126
NOT_FOUND = 127
# Python ignores these from its start on, and what is ignored stays so across exec.
PYTHONS_OWN = (_signal.SIGPIPE, _signal.SIGXFSZ)


class CommandError(OperatorError):
    """A command that cannot be started; ``exit_code`` is what a shell would exit with."""

    def __init__(self, message: str, hint: str | None, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


def replace_process(command: list[str], environment: Mapping[bytes, bytes]) -> NoReturn:
    """Become the command. Raises CommandError."""
    for number in PYTHONS_OWN:
        _signal.signal(number, _signal.SIG_DFL)
    start(command, lambda path: os.execve(path, command, environment))
    raise AssertionError("execve returned")


def start(command: list[str], execute: Callable[[str], Started]) -> Started:
    """Return ``execute(path)`` for the first path at which the command can be started. Raises CommandError."""
    if not command[0]:
        raise CommandError("the command is an empty word", "is a variable in it not set?", NOT_FOUND)
    problem: OSError | None = None
    for path in _candidates(command[0]):
        try:
            return execute(path)
        except (FileNotFoundError, NotADirectoryError) as error:
            if os.path.exists(path):
                problem = problem or error
        except PermissionError as error:
            problem = problem or error
        except OSError as error:
            problem = error
            break
    raise _refusal(command[0], problem)


def _candidates(name: str) -> list[str]:
    if "/" in name or not name:
        return [name]
    return [os.path.join(folder, name) for folder in os.environ.get("PATH", os.defpath).split(":")]


def _refusal(name: str, problem: OSError | None) -> CommandError:
    if problem is None:
        hint = None if "/" in name else "it is in no folder of PATH"
        return CommandError(f"{name}: command not found", hint, NOT_FOUND)
    reason, hint = problem.strerror, None
    if isinstance(problem, FileNotFoundError):
        reason, hint = "the interpreter that it names is missing", "look at its #! line"
    elif isinstance(problem, PermissionError):
        hint = "is it a program, and executable (chmod +x)?"
    elif problem.errno == errno.ENOEXEC:
        hint = "a script begins with a line such as #!/bin/sh"
    return CommandError(f"{name}: cannot be executed: {reason}", hint, NOT_EXECUTABLE)
