"""docs/security.md: every promise names a test that keeps it, and every test it names is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/security.md").read_text()
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
TABLES = re.findall(r"^\| [^|]* \| (?:kept|shown) by \|\n\|---\|---\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
ROWS = [row for table in TABLES for row in table.splitlines()]
WHO = (
    "A stranger on the network",
    "Somebody who records, and steals keys later",
    "A thief of one client's key",
    "A thief of the companion's key",
    "A thief of the server's key",
    "A reader of the disk",
    "Somebody who gets a core dump",
    "Root on the live machine",
)


@cache
def names_in(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_it_says_what_it_promises_to_whom() -> None:
    titles = re.findall(r"^### (.*)", PAGE, re.MULTILINE)
    assert set(WHO) <= set(titles)
    assert len(ROWS) > 30


@pytest.mark.parametrize("row", ROWS, ids=lambda row: re.sub(r"\W+", "-", row)[1:60])
def test_every_promise_names_tests_that_are_there(row: str) -> None:
    named = TEST.findall(row)
    assert named, "a promise without a test is a hope"
    assert [f"{file}::{name}" for file, name in named if name not in names_in(file)] == []


def test_no_test_is_named_in_a_form_that_nobody_checks() -> None:
    assert len(re.findall(r"tests/", PAGE)) == len(TEST.findall(PAGE))


@pytest.mark.parametrize(
    "plainly",
    [
        "Whoever holds `s` can open and forge definitions",
        "Operators who edit one file share one companion key",
        "The identity has no forward secrecy",
        "A recorded Hello shows whether that client is still known",
        "Root on the live machine is promised nothing",
    ],
)
def test_it_says_plainly_what_is_not_promised(plainly: str) -> None:
    assert plainly.lower() in re.sub(r"\s+", " ", PAGE).lower()
