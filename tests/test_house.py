"""The house stands as CONTRIBUTING.md draws it: imports point down, and each floor touches only what it may."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "coffer"
CORE = PACKAGE / "_core.pyx"
PROGRAMS = ("client", "server", "companion")
MODULES = sorted(PACKAGE.rglob("*.py"))

NO_ROOMS = {"utils", "util", "common", "helpers", "helper", "types", "base", "misc", "tools", "shared"}
# Sockets, clocks, logs, processes, threads and the terminal.
OUTSIDE = {
    "_signal", "_socket", "_thread", "asyncio", "concurrent", "ctypes", "curses", "fcntl", "getpass", "logging",
    "multiprocessing", "resource", "select", "selectors", "signal", "socket", "socketserver", "ssl", "subprocess",
    "syslog", "termios", "threading", "time", "tty",
}  # fmt: skip
# Who below the programs may touch the system at all, and with what (law 2).
TOUCHES = {
    "files": {"os", "stat"},
    "identity": {"os", "stat"},
    "envelope": {"os"},
    "ending": {"os", "sys"},
    "program": {"sys"},
    "definition": {"sys"},  # sys.get_int_max_str_digits: an integer of a million digits is a finding, not a crash
}
SYSTEM = {"io", "os", "pathlib", "shutil", "stat", "sys", "tempfile"}
UNSAFE_DIRECTIVES = r"boundscheck|wraparound|initializedcheck|cdivision|overflowcheck|nonecheck"


@cache
def layers() -> dict[str, tuple[int, int]]:
    """Return the place of each module of the table: its layer, and how far to the right it stands."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ((?:`\w+` ?)+)\|", text, re.MULTILINE)
    assert len(rows) >= 6
    places = [
        (name, (int(layer), at)) for layer, names in rows for at, name in enumerate(re.findall(r"`(\w+)`", names))
    ]
    assert len(dict(places)) == len(places), "a module stands in the table once"
    return dict(places)


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(module: str) -> str:
    """Return the name in the table that a module of coffer falls under."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else "coffer"


NAMES = {name_of(path) for path in MODULES} | {"coffer._core"}


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path, *, typing: bool = True) -> Iterator[str]:
    """Yield each module that ``path`` imports, with or without those under ``if TYPE_CHECKING``."""
    for node in nodes(tree(path), typing):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parent = "." * node.level
            above = name_of(path).split(".")[: -node.level + (path.name == "__init__.py") or None] if parent else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield inner if inner in NAMES else module


def nodes(node: ast.AST, typing: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not typing and isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
            continue
        yield child
        yield from nodes(child, typing)


def below_the_programs() -> list[Path]:
    return [path for path in MODULES if layers()[room_of(name_of(path))][0] < layers()["client"][0]]


# the table


def test_every_module_stands_in_the_table_and_every_name_in_it_exists() -> None:
    assert {room_of(name) for name in NAMES} == set(layers())
    assert [name for name in layers() if name in NO_ROOMS] == []


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_point_down_the_table(path: Path) -> None:
    mine = room_of(name_of(path))
    for module in imports(path):
        if module.split(".")[0] == "coffer":
            theirs = room_of(module)
            assert theirs == mine or layers()[theirs] < layers()[mine], f"{module} is not below {mine}"
            assert not {mine, theirs} <= set(PROGRAMS) or mine == theirs, f"{mine} imports {theirs}"


def test_the_core_imports_the_errors_and_nothing_else_of_coffer() -> None:
    text = CORE.read_text(encoding="utf-8")
    assert set(re.findall(r"^(?:from|import) (coffer\S*)", text, re.MULTILINE)) == {"coffer.errors"}
    cimported = set(re.findall(r"^(?:from|cimport) ([\w.]+)(?: cimport|$)", text, re.MULTILINE))
    assert {name.split(".")[0] for name in cimported} <= {"cpython", "cython", "libc", "posix", "sodium"}
    assert not re.search(r"^[ \t]+(?:from .* )?import ", text, re.MULTILINE), "an import inside a function"


def test_no_import_goes_in_a_circle() -> None:
    graph = {name_of(path): {each for each in imports(path, typing=False) if each in NAMES} for path in MODULES}
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join([*way[way.index(name) :], name])
        if name not in done:
            for each in graph.get(name, ()):
                visit(each, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_the_protocol_sees_no_shard_and_the_loop_no_protocol() -> None:
    forbidden = {"protocol": {"shard", "codec", "definition", "envelope", "identity"}, "server/loop": {"protocol"}}
    for name, rooms in forbidden.items():
        assert not rooms & {room_of(each) for each in imports(PACKAGE / f"{name}.py") if each.startswith("coffer")}


@pytest.mark.parametrize("path", [*MODULES, CORE, *PACKAGE.glob("*.pyi")], ids=lambda path: path.name)
def test_no_room_has_a_name_that_says_nothing(path: Path) -> None:
    assert not NO_ROOMS & set(path.relative_to(PACKAGE).with_suffix("").parts)


# what each floor touches


@pytest.mark.parametrize("path", below_the_programs(), ids=name_of)
def test_below_the_programs_it_is_bytes_in_bytes_out(path: Path) -> None:
    used = {module.split(".")[0] for module in imports(path)}
    assert not used & OUTSIDE
    assert used & SYSTEM <= TOUCHES.get(path.stem, set())
    calls = {
        node.func.id for node in ast.walk(tree(path)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not calls & {"print", "input", "breakpoint", "exec", "eval"}
    assert "open" not in calls or path.stem == "files"


def test_every_exception_to_that_is_still_needed() -> None:
    for name, modules in TOUCHES.items():
        assert modules == {module for module in imports(PACKAGE / f"{name}.py") if module in SYSTEM}


def test_run_time_dependencies_are_where_they_belong() -> None:
    users = {each: {name_of(path) for path in MODULES if each in set(imports(path))} for each in ("cbor2", "tomli")}
    assert users["cbor2"] == {"coffer.codec"}
    assert {"coffer.definition"} <= users["tomli"] and not any(".client" in name for name in users["tomli"])


# how the code is


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_caught_that_nobody_expected(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ExceptHandler):
            caught = ast.unparse(node.type) if node.type else "everything"
            assert caught != "everything"
            if "BaseException" in caught:
                assert isinstance(node.body[-1], ast.Raise), f"line {node.lineno}: BaseException is kept"
            assert not re.search(r"\bException\b", caught) or in_main(path, node), f"line {node.lineno}"


def in_main(path: Path, handler: ast.ExceptHandler) -> bool:
    mains = [node for node in tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "main"]
    return any(node is handler for main in mains for node in ast.walk(main))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_says_what_it_is_and_stays_a_room(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 400
    doc = ast.get_docstring(tree(path))
    assert doc and re.match(r"[^\n]+(?:\n[^\n]+)?[.:?]", doc)
    rules = [int(number) for number in re.findall(r"^Rule (\d+): ", doc, re.MULTILINE)]
    assert all(after == before + 1 for before, after in pairwise([0, *rules]))


def test_no_cython_directive_takes_a_check_away() -> None:
    text = CORE.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert re.search(rf"\b(?:{UNSAFE_DIRECTIVES})\s*[=(]\s*(?:True|False)", text.removeprefix(first)) is None
    for directive, value in re.findall(r"(\w+(?:\.\w+)?)=(\w+)", first):
        assert (directive, value) == ("nonecheck", "True") or not re.fullmatch(UNSAFE_DIRECTIVES, directive)
    assert "include" not in re.findall(r"^\s*(include)\b", text, re.MULTILINE)
    assert list(ROOT.glob("src/**/*.pxi")) == []


def test_what_is_declared_of_libsodium_is_called() -> None:
    core = CORE.read_text(encoding="utf-8")
    declared = set(
        re.findall(r"\b((?:sodium|crypto|randombytes)_\w+)(?:\(|\n)", (ROOT / "vendor" / "sodium.pxd").read_text())
    )
    assert len(declared) > 20
    assert [name for name in sorted(declared) if not re.search(rf"\b{name}\b", core)] == []


def test_every_public_name_of_the_core_has_a_type() -> None:
    stub, core = (PACKAGE / "_core.pyi").read_text(), CORE.read_text()
    for name in re.findall(r"^(?:def|cdef class) ([a-zA-Z]\w*)", core, re.MULTILINE):
        assert re.search(rf"^(?:def|class) {name}\b", stub, re.MULTILINE), name
