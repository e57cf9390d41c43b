"""What the companion says to a person, and asks on the terminal itself, whatever stdin and stdout are.

Not here: what is typed unseen (``prompt``), and data, which goes to stdout and is written by the verb that has it.
"""

from __future__ import annotations

import sys

from coffer.ending import escape
from coffer.prompt import TERMINAL

PROGRAM = "coffer-companion"


def say(text: str) -> None:
    """Print one line about what was done, on stderr; what could steer a terminal is made visible.

    Data that was printed before comes before it, also where both go to one log.
    """
    sys.stdout.flush()
    print(escape(text), file=sys.stderr)


def ask_to_go_on(question: str) -> bool:
    """Whether the answer on the terminal is anything but q; without a terminal, False."""
    try:
        with open(TERMINAL, encoding="utf-8", errors="replace") as source, open(TERMINAL, "w") as target:
            target.write(question)
            target.flush()
            answer = source.readline()
    except OSError:
        return False
    return answer != "" and not answer.lower().startswith("q")
