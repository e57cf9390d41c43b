"""docs/operating.md against the programs: each line of the log, each limit with its default, each exit code and flag.

A line of the source is a template: its text, with anything where a value is filled in. A line of the page has to be one
that some template makes, and every template has to make one.
"""

from __future__ import annotations

import ast
import errno
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest

from coffer import ending, errors
from coffer.definition import LIMIT_BYTES
from coffer.server import deadlines, settings
from coffer.server.loop import LATE

ROOT = Path(__file__).parents[1]
SERVER = sorted((ROOT / "src/coffer/server").glob("*.py"))
PAGE = (ROOT / "docs/operating.md").read_text()
MODULES = [*SERVER, *(ROOT / "src/coffer" / f"{name}.py" for name in ("envelope", "files", "identity"))]
# What these raise is never the server's to say.
FOREIGN = {"open_as_companion", "save_keypair", "load_passphrase", "ask_reload", "reload"}
ANY = "\0"
CLASSES = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
KINDS = {name: kind for name, kind in CLASSES.items() if issubclass(kind, errors.CofferError)}
SYSTEM = tuple(map(os.strerror, (errno.ENOENT, errno.EACCES, errno.EADDRINUSE, errno.EBADF)))


def section(title: str) -> str:
    """Return what the page says under a heading, up to the next one of its rank or above."""
    found = re.search(rf"^(#+) {re.escape(title)}\n(.*?)(?=^\1 |^#{{1,2}} |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found, title
    return found[2]


def rows(title: str) -> list[list[str]]:
    """Return the cells of the tables under a heading, without their code marks."""
    lines = [line for line in section(title).splitlines() if line.startswith("| `")]
    cells = [re.split(r"(?<!\\)\|", line.strip("|")) for line in lines]
    return [[re.sub(r"^(`+) ?(.*?) ?\1$", r"\2", cell.strip()).replace("\\|", "|") for cell in row] for row in cells]


def template(node: ast.expr | None) -> str | None:
    """Return a text with ANY where something is filled in; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(template(part) or ANY for part in node.values)
    if isinstance(node, ast.IfExp):
        return template(node.body)
    return None


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def calls(path: Path, *names: str) -> Iterator[tuple[ast.FunctionDef, ast.Call]]:
    for function in functions(path):
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and called(node) in names:
                yield function, node


def constants(path: Path) -> dict[str, str]:
    """Return the texts that a module's own names stand for."""
    assigned = (node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Assign))
    named = {getattr(node.targets[0], "id", ""): template(node.value) for node in assigned}
    return {name: text for name, text in named.items() if text}


def texts_of(path: Path, function: ast.FunctionDef, node: ast.expr) -> Iterator[str]:
    """Return the text of an argument, or all that a variable may hold."""
    if isinstance(node, ast.Name):
        line = constants(path).get(node.id, "")
        for each in ast.walk(function):
            if isinstance(each, ast.Assign) and getattr(each.targets[0], "id", "") == node.id:
                line = template(each.value) or ""
            elif isinstance(each, ast.AugAssign) and getattr(each.target, "id", "") == node.id:
                yield line + (template(each.value) or "")
        yield line
    elif isinstance(node, ast.BinOp):
        left, right = ([*texts_of(path, function, side)] or [""] for side in (node.left, node.right))
        yield from (f"{one or ANY}{other or ANY}" for one in left for other in right)
    elif (text := template(node)) is not None:
        yield text


def arguments(paths: Iterable[Path], number: int, *names: str) -> set[str]:
    """Return the texts given to functions of these names."""
    found = set()
    for path in paths:
        for function, call in calls(path, *names):
            if function.name not in FOREIGN and len(call.args) > number:
                found |= set(texts_of(path, function, call.args[number]))
    return {text for text in found if text.strip(ANY)}


def returned(path: Path, *names: str) -> set[str]:
    """Return the texts that functions of these names return."""
    found = set()
    for function in functions(path):
        for node in ast.walk(function) if function.name in names else ():
            if isinstance(node, ast.Return) and node.value:
                found |= set(texts_of(path, function, node.value))
    return {text for text in found if text.strip(ANY + " ()")}


def said() -> set[str]:
    """What the server says of itself: ready lines, and those that are made elsewhere and said later."""
    made = arguments(SERVER, 0, "_end", "Verdict") | returned(ROOT / "src/coffer/server/master.py", "_take")
    deaths = {f"{text}{ANY}" for text in arguments(SERVER, 1, "_mourn")}
    return arguments(SERVER, 0, "say") | made | deaths


def said_of_peers() -> set[str]:
    """Why a connection came to a bad end: of the loop, of the limits on sources, and of the session."""
    explained = returned(ROOT / "src/coffer/server/worker.py", "_explain")
    limited = returned(ROOT / "src/coffer/server/sources.py", "refusal")
    return (arguments(SERVER, 1, "_drop") | set(faults()) | explained | limited) - {LATE}


def faults() -> Iterator[str]:
    """What a client can do wrong: the server's half of ``protocol``, and the steps that the core names."""
    for node in ast.parse((ROOT / "src/coffer/protocol.py").read_text()).body:
        if isinstance(node, ast.ClassDef) and node.name != "ClientSession":
            for call in ast.walk(node):
                if isinstance(call, ast.Call) and called(call) in ("OrderError", "FrameError", "OpenError"):
                    yield template(call.args[0]) or ""
    core = (ROOT / "src/coffer/_core.pyx").read_text()
    for text in re.findall(r'raise (?:OrderError|FrameError|OpenError)\(f?"([^"]+)"\)', core):
        if text.startswith(("Hello: ", "a frame of")) or text == "the box does not open":
            yield re.sub(r"\{[^}]*\}", ANY, text)


def refusals() -> set[str]:
    """Why the server does not start, or refuses a definition: every OperatorError but those about its text."""
    kinds = [name for name, kind in KINDS.items() if issubclass(kind, errors.OperatorError)]
    core = (ROOT / "src/coffer/_core.pyx").read_text()
    of_keys = {re.sub(r"\{[^}]*\}", ANY, text) for text in re.findall(r'raise KeyFileError\(f"([^"]+)"', core)}
    asked = {text for text in of_keys if "the passphrase" in text or "unlocking takes" in text}
    answered = {f"{ANY}: {text}" for text in arguments(SERVER, 1, "_refusal")}
    of_sizes = {f"{ANY}: {text}" for text in arguments([ROOT / "src/coffer/program.py"], 0, "ValueError")}
    return arguments(MODULES, 0, *kinds) | answered | of_sizes | of_keys - asked


def is_the_systems(text: str) -> bool:
    """Whether it is nothing but places and what the system says."""
    return not re.search("[a-z]", text)


def compare(templates: set[str], lines: list[str]) -> None:
    patterns = {text: re.compile(".*".join(map(re.escape, text.split(ANY)))) for text in templates}
    unexplained = {text for text, pattern in patterns.items() if not any(map(pattern.fullmatch, lines))}
    telling = [pattern for text, pattern in patterns.items() if not is_the_systems(text)]
    unknown = [
        line for line in lines if not line.endswith(SYSTEM) and not any(pattern.fullmatch(line) for pattern in telling)
    ]
    assert len(templates) > 5 and (unexplained, unknown) == (set(), [])


def test_every_line_of_the_log_is_explained_and_every_explained_line_exists() -> None:
    compare(said(), [row[0] for row in rows("What it says of itself")])


def test_every_end_of_a_connection_is_explained_and_every_explained_end_exists() -> None:
    lines = [row[0] for row in rows("What it says of clients")]
    later = f"after {ANY}: {ANY}"
    assert later in said_of_peers() and any(line.startswith("after Link: ") for line in lines)
    compare(said_of_peers() - {later}, [re.sub(r"^after [A-Z]\w+: ", "", line) for line in lines])


def test_every_refusal_is_explained_and_every_explained_refusal_exists() -> None:
    compare(refusals(), [row[0] for row in rows("Why it does not start, or refuses a definition")])


def test_every_limit_that_has_a_flag_is_listed_with_its_default() -> None:
    listed = {row[0]: row[1] for row in rows("Limits that have a flag")}
    numbers = ("N", "SIZE", "RATE:BURST")
    shown = {f"--{name}": str(flag[0]) for name, flag in settings.FLAGS.items() if flag[1] in numbers}
    shown["--definition-limit"] = f"{LIMIT_BYTES >> 20}MiB"
    shown["--workers"] = "one a core"
    assert listed == shown


@pytest.mark.parametrize("name", set(re.findall(r"\w+_SECONDS", " ".join(vars(deadlines)))) - {"LOOK_SECONDS"})
def test_every_deadline_is_listed(name: str) -> None:
    listed = {row[0]: row[1] for row in rows("Limits that are fixed")}
    assert listed[name.removesuffix("_SECONDS").lower()] == f"{getattr(deadlines, name):g} s"


def test_every_exit_code_is_explained() -> None:
    codes = {0, 125, 126, 127, ending.USAGE, ending.INTERRUPTED, ending.READER_GONE}
    codes |= {kind.exit_code for kind in KINDS.values()}
    assert {int(row[0]) for row in rows("Exit codes")} == codes


@cache
def flags(program: str, verb: str) -> set[str]:
    command = [sys.executable, "-m", "coffer", program, *verb.split(), "--help"]
    told = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return set(re.findall(r"(?<!\S)\[?(--[-a-z]+)", told))


def test_every_command_on_the_page_has_flags_that_exist() -> None:
    code = PAGE.replace("\n   ", " ")
    commands = re.findall(r"coffer-(server|client|companion) ((?:(?:rotate |client )?[a-z]+\b)?)([^\n`|#]*)", code)
    used = [(program, verb, re.findall(r"(?<!\S)--[a-z-]+", rest)) for program, verb, rest in commands]
    asked = [(program, verb, flag) for program, verb, named in used for flag in named]
    assert len(asked) > 20
    assert [each for each in asked if each[2] not in flags(each[0], each[1])] == []


def anchors(text: str) -> list[str]:
    titles = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return [re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles]


def test_every_link_on_the_page_leads_somewhere() -> None:
    links = re.findall(r"\]\(([\w.]*)#?([\w-]*)\)", PAGE)
    assert len(links) > 10
    for file, anchor in links:
        text = (ROOT / "docs" / file).read_text() if file else PAGE
        assert not anchor or anchor in anchors(text), (file, anchor)
