"""What the three programs share: how the command line is read and completed, and how they count.

Not here: any verb but ``completion``.
"""

from __future__ import annotations

import argparse
import re
import sys

from coffer.ending import USAGE, report, run
from coffer.version import VERSION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    Verbs = argparse._SubParsersAction[Any]

SHELLS = ("bash", "zsh", "fish")
COMPLETION_LIMIT_BYTES = 1 << 20
SIZE_LIMIT_BYTES = 1 << 40
UNITS = {"": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}


class Parser(argparse.ArgumentParser):
    """argparse, without abbreviated flags, and with its errors in the form of all other errors."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        options.setdefault("allow_abbrev", False)
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*arguments, **options)

    def add_version(self) -> None:
        """Add ``--version``."""
        self.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Print help and version, which argparse takes for printed even if they could not be."""
        if message and (file or sys.stderr) is not None:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        """Report a usage error, with the way to the help as its hint, and exit."""
        program = self.prog.split()[0]
        report(program, message, f"{_meant(message)}{self.prog} --help")
        sys.exit(USAGE)


def _meant(message: str) -> str:
    """Of a word that is none of those that there are: the one that comes closest, as the beginning of a hint."""
    found = re.search(r"invalid choice: '?([^' ]+)'? \(choose from (.+)\)", message)
    if not found:
        return ""
    from difflib import get_close_matches

    close = get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
    return f"did you mean {close[0]}? All there are: " if close else ""


def counted(number: int, thing: str) -> str:
    """Return ``1 client``, ``1,234 clients``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"


def read_size(text: str) -> int:
    """Return the bytes in ``1000000`` or ``64MiB``. Raises ValueError."""
    match = re.fullmatch(r"([0-9]{1,18}) ?(|kib|mib|gib)", text.lower())
    size = int(match[1]) * UNITS[match[2]] if match else 0
    if not size:
        raise ValueError(f"{text!r} is not a size such as 1000000 or 64MiB")
    if size > SIZE_LIMIT_BYTES:
        raise ValueError(f"at most {SIZE_LIMIT_BYTES >> 30}GiB")
    return size


def readable(read: Callable[[str], object]) -> Callable[[str], object]:
    """Let argparse say what ``read`` says; of a ValueError it would only say that there was one."""

    def convert(text: str) -> object:
        try:
            return read(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def add_completion(verbs: Verbs) -> None:
    """Add the verb ``completion``, which prints a file of ``completions/`` and ends the program."""
    summary = "print what completes this program in a shell"
    verb = verbs.add_parser("completion", help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
    verb.epilog = _COMPLETION_EPILOG.format(program=verb.prog.split()[0])
    verb.add_argument("shell", choices=SHELLS, action=_ShowCompletion, help="for which shell")


class _ShowCompletion(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, shell: Any, option: Any = None) -> None:
        from coffer.files import load

        program = parser.prog.split()[0]
        path = f"{__file__.rpartition('/')[0]}/completions/{program}.{shell}"
        parser.exit(run(program, lambda: sys.stdout.write(load(path, COMPLETION_LIMIT_BYTES).decode()) and 0))


_COMPLETION_EPILOG = """\
bash: {program} completion bash > ~/.local/share/bash-completion/completions/{program}
zsh:  {program} completion zsh > FOLDER/_{program}, where FOLDER stands in $fpath
fish: {program} completion fish > ~/.config/fish/completions/{program}.fish
"""
