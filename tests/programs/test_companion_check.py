"""``coffer-companion check``: what it advises, as text and as JSON, and the exit codes that CI goes by."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CANARY = "canary-7f3a"


@pytest.fixture
def unwise(started: dict[str, str], tmp_path: Path) -> Path:
    """A definition that is allowed, with three things to say about it."""
    path = tmp_path / "unwise.toml"
    path.touch(0o600)
    path.write_text(
        f'[clients]\nweb = "{started["web"]}"\n\n[web]\nPATH = "{CANARY}"\nTOKEN = "{CANARY}\\n"\nKEY = "TODO"\n'
    )
    return path


TEXT = """\
unwise.toml:5:1: warning: [web] PATH: a name that changes what a command does, so that coffer-client run refuses it \
(reserved-name)
  hint: choose another name, or allow it where it is used: coffer-client run --allow-reserved PATH
unwise.toml:6:1: warning: [web] TOKEN: a value that ends with a line end (blanks)
  hint: take it away, or allow it
unwise.toml:7:1: warning: [web] KEY: a value that looks like one still to be filled in (placeholder)
  hint: coffer-companion set --generate 32
"""


def test_warnings_are_told_and_refuse_nothing(companion, unwise) -> None:
    assert companion("check", "unwise.toml") == (0, TEXT, "unwise.toml: 1 client, 3 values; 3 warnings\n")


def test_strict_makes_warnings_count(companion, unwise) -> None:
    assert companion("check", "unwise.toml", "--strict").code == 3


def test_a_rule_can_be_allowed_by_name(companion, unwise) -> None:
    allowed = ("--allow", "reserved-name", "--allow", "blanks", "--allow", "placeholder")
    assert companion("check", "unwise.toml", "--strict", *allowed) == (
        0,
        "",
        "unwise.toml: 1 client, 3 values; no warnings\n",
    )
    code, _, err = companion("check", "unwise.toml", "--allow", "everything")
    assert code == 2
    assert "invalid choice: 'everything'" in err


def test_json_says_the_same_for_machines(companion, unwise) -> None:
    code, out, _ = companion("check", "unwise.toml", "--format", "json")
    report = json.loads(out)
    assert (code, report["schema"], len(report["findings"])) == (0, 1, 3)
    assert report["findings"][1] == {
        "severity": "warning",
        "rule": "blanks",
        "file": "unwise.toml",
        "line": 6,
        "column": 1,
        "table": "web",
        "key": "TOKEN",
        "message": "a value that ends with a line end",
        "hint": "take it away, or allow it",
    }
    assert CANARY not in out


def test_json_of_a_refused_definition_has_its_errors(companion, started, tmp_path: Path) -> None:
    code, out, _ = companion("check", "-", "--format", "json", stdin="[clients]\nweb = 3\n")
    (finding,) = json.loads(out)["findings"]
    assert code == 3
    assert (finding["severity"], finding["rule"], finding["file"]) == ("error", "definition", "stdin")
    assert (finding["line"], finding["column"], finding["table"], finding["key"]) == (2, 1, "clients", "web")


def test_a_sealed_definition_gets_the_same_advice_and_sealing_mentions_it(companion, started, unwise) -> None:
    code, _, err = companion("seal", "unwise.toml", "--server", started["server"], "-o", "s")
    assert code == 0
    assert err.endswith("3 warnings; to see them: coffer-companion check s\n")
    assert companion("check", "s").out == TEXT.replace("unwise.toml", "s")


def test_files_that_others_can_read_are_told(companion, started, unwise, tmp_path: Path) -> None:
    (tmp_path / "web.key").chmod(0o640)
    unwise.chmod(0o644)
    code, out, _ = companion("check", "unwise.toml")
    assert code == 0
    assert "unwise.toml: warning: others can read it (mode 0644) (open-file)\n  hint: chmod 0600 unwise.toml\n" in out
    assert "web.key: warning: others can read it (mode 0640) (open-file)\n  hint: chmod 0600 web.key\n" in out
    assert companion("check", "unwise.toml", "--allow", "open-file").out == TEXT


def test_a_sealed_definition_for_another_server_than_the_one_named_is_refused(companion, started, unwise) -> None:
    assert companion("seal", "unwise.toml", "--server", started["server"], "-o", "s").code == 0
    assert companion("check", "s", "--server", started["server"]) == companion("check", "s")
    other = companion("keygen", "-o", "other.key").out.strip()
    for form in ("text", "json"):
        assert companion("check", "s", "--server", other, "--format", form) == (
            3,
            "",
            f"coffer-companion: error: s: sealed for server {started['server']}, not for {other}\n"
            "hint: to seal it for another server: coffer-companion rotate server FILE --id ID\n",
        )


def test_no_client_may_have_the_id_of_the_server_named(companion, started, unwise) -> None:
    code, out, _ = companion("check", "unwise.toml", "--server", started["web"])
    assert code == 3
    assert out.startswith("unwise.toml:2:1: error: [clients] web: the id of the server\n")
