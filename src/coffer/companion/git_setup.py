"""``git-setup``: have git show and merge sealed definitions, in this clone."""

from __future__ import annotations

import os
import re
import shlex
import subprocess

from coffer.companion.git_files import add_lines
from coffer.companion.keys import find_companion_key
from coffer.companion.terminal import say
from coffer.errors import SettingsError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace

ATTRIBUTES = "diff=coffer merge=coffer"
# What git reads as one pattern as it stands: anything else would be another line, an attribute, or a comment.
_is_pattern = re.compile(r"[^\s!#\"\[][^\s\0]*").fullmatch


def git_setup(options: Namespace) -> int:
    """Write .gitattributes, which is for everybody, and this clone's configuration, which names the key."""
    if not _is_pattern(options.pattern):
        raise SettingsError(
            f"--pattern {options.pattern!r}: not one pattern of .gitattributes",
            "a file's name or path, with * for any of it; no blanks, and none of ! # [ \" at its beginning",
        )
    attributes = os.path.join(_git("rev-parse", "--show-toplevel"), ".gitattributes")
    flags = ["--key", os.path.abspath(find_companion_key(options, ""))]
    if options.passphrase_file is not None:
        flags += ["--passphrase-file", os.path.abspath(options.passphrase_file)]
    _git("config", "diff.coffer.textconv", shlex.join(["coffer-companion", "textconv", *flags, *_values(options)]))
    _git("config", "merge.coffer.name", "sealed definitions, by client and key")
    _git("config", "merge.coffer.driver", f"{shlex.join(['coffer-companion', 'merge', *flags])} --path %P %O %A %B")
    add_lines(attributes, f"{options.pattern} {ATTRIBUTES}\n")
    say(f"git diff, log and merge read {options.pattern} from now on, in this clone; others run git-setup in theirs")
    say(f"to keep in git: {os.path.relpath(attributes)}")
    return 0


def _values(options: Namespace) -> list[str]:
    return ["--values"] if options.values else []


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True)
    except FileNotFoundError:
        raise SettingsError("git is not installed") from None
    if done.returncode:
        raise SettingsError(f"git {arguments[0]}: {done.stderr.strip().removeprefix('fatal: ')}")
    return done.stdout.removesuffix("\n")
