"""docs/library.md against the library: every block runs, every table says what is so."""

from __future__ import annotations

import ast
import builtins
import datetime
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest

import coffer
from coffer import errors, shard
from coffer.client.verdict import may_pass

from .conftest import address_of, serving

PAGE = (Path(__file__).parents[2] / "docs" / "library.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
USE, TESTS = [each for each in BLOCKS if "pytest" not in each], [each for each in BLOCKS if "pytest" in each]
VALUES = {"DATABASE_URL": "postgres://web", "PORT": 8080, "DEBUG": True, "SINCE": "2026"}


def rows(head: str) -> list[list[str]]:
    """Return the cells of the table with this head, without code marks."""
    (table,) = re.findall(rf"^\| {re.escape(head)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    return [[cell.strip().strip("`") for cell in line.split("|")[1:-1]] for line in table.splitlines()]


def test_the_blocks_run_one_after_the_other(
    key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, object] = {}
    with serving(values=VALUES) as server:
        monkeypatch.chdir(Path(key).parent)
        monkeypatch.setenv("COFFER_SERVER", address_of(server))
        monkeypatch.setenv("COFFER_KEY", key)
        for block in USE:
            real = re.sub(r"coffer://SERVER-ID@[a-z.]+(?::26333)?", address_of(server), block)
            exec(compile(real, "library.md", "exec"), names)
    assert (names["port"], names["url"], names["debug"], names["rate"]) == (8080, "postgres://web", True, 0.5)
    assert capsys.readouterr().out == "<Shard of 4 values>\n"
    assert names["shard"] == VALUES and len(USE) >= 7


def test_the_tests_that_it_shows_pass(tmp_path: Path) -> None:
    (block,) = TESTS
    (tmp_path / "test_shop.py").write_text(block)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("COFFER_", "PYTEST"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "coffer.testing", "-W", "error", f"--basetemp={tmp_path}/base"],
        cwd=tmp_path,
        env=environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_the_arguments_and_their_defaults_are_those_of_the_client() -> None:
    parameters = inspect.signature(coffer.Client).parameters
    table = rows("argument")
    assert [name for name, *_ in table] == list(parameters)
    said = {"timeout": "5.0", "retries": "2", "cache": "None", "offline": "False"}
    for name, _, default in table:
        if name in said:
            assert default == said[name] == repr(parameters[name].default)
    assert parameters["max_stale"].default == 14 * 86_400
    assert [default for name, _, default in table if name == "max_stale"] == ["14 days"]


def test_every_error_that_is_public_is_explained_and_stands_under_its_parent() -> None:
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type)}
    known = {name: kind for name, kind in classes.items() if issubclass(kind, errors.CofferError)}
    public = {name for name in known if name in coffer.__all__}
    assert public == known.keys()
    table = [name for name, *_ in rows("error")]
    assert {*table, "CofferError", "DefinitionError", "EnvelopeError", "IdError"} == public
    parent = errors.CofferError
    for name in table:
        if known[name].__base__ is errors.CofferError:
            parent = known[name]
        assert issubclass(known[name], parent)


def test_what_is_tried_again_is_what_the_table_says() -> None:
    for name, _, again in rows("error"):
        kind = getattr(errors, name)
        if again in ("yes", "no"):
            assert may_pass(kind("x")) is (again == "yes"), name
    assert may_pass(errors.RefusedError("x", reason="busy")) and not may_pass(errors.RefusedError("x"))


def test_every_public_name_is_there_and_in_the_documentation() -> None:
    for name in coffer.__all__:
        assert getattr(coffer, name) is not None
        assert name in PAGE or name in ("Value", "__version__"), name
    assert set(coffer.__all__) <= set(dir(coffer))
    with pytest.raises(AttributeError, match="module 'coffer' has no attribute 'fecth'"):
        coffer.fecth  # noqa: B018


def test_value_is_a_type_for_annotations_that_are_not_postponed() -> None:
    assert coffer.Value == eval(shard.Value, vars(builtins) | vars(datetime))
    assert int in get_args(coffer.Value | None)


def test_the_public_names_are_what_a_type_checker_sees() -> None:
    tree = ast.parse(Path(coffer.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imported = [alias.asname or alias.name for node in block.body for alias in node.names]  # type: ignore[attr-defined]
    assert sorted(imported) == sorted(coffer.__all__)
