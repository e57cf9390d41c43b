"""``coffer-companion set``, ``unset``, ``get`` and ``import``: single values, without one ever being shown unasked."""

from __future__ import annotations

import re
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from terminal import CTRL_C, Terminal, settle

from coffer.envelope import parse_armour

CANARY = "canary-7f3a-never-shown"
FILE = "definition.coffer"


@pytest.fixture
def web(sealed) -> None:
    sealed(f'[web]\nPASSWORD = "{CANARY}"   # of the database\nPORT = 5432\n')


@pytest.fixture
def two(sealed, companion) -> None:
    api = companion("keygen", "-o", "api.key").out.strip()
    sealed(f'[web]\nPASSWORD = "{CANARY}"\n\n[api]\n', clients=f'api = "{api}"')


def sealed_line(tmp_path: Path, holds: str, serial: int) -> str:
    return f"sealed {FILE}: {holds}, serial {serial}, {(tmp_path / FILE).stat().st_size} bytes\n"


# ---- set


def test_a_value_from_stdin_is_set_and_said_without_being_shown(companion, web, tmp_path: Path) -> None:
    outcome = companion("set", FILE, "web.TOKEN", "--stdin", stdin="tulip\n")
    assert outcome == (0, "", sealed_line(tmp_path, "1 client, 3 values", 2) + "web.TOKEN: new\n")
    assert companion("get", FILE, "web.TOKEN") == (0, "tulip", "")
    assert "# of the database" in companion("open", FILE).out


@pytest.mark.parametrize(
    ("given", "kept"),
    [("tulip\n", "tulip"), ("tulip\r\n", "tulip"), ("tulip", "tulip"), ("a\nb\n", "a\nb\n"), ("é ", "é ")],
)
def test_one_line_loses_its_end_and_several_are_kept_byte_for_byte(companion, web, tmp_path, given, kept) -> None:
    (tmp_path / "value").write_bytes(given.encode())
    assert companion("set", FILE, "web.TOKEN", "--value-file", "value").code == 0
    assert companion("get", FILE, "web.TOKEN").out == kept


def test_one_generated_value_goes_to_all_the_names(companion, two, tmp_path: Path) -> None:
    outcome = companion("set", FILE, "web.PASSWORD", "api.PASSWORD", "--generate", "32")
    assert outcome == (
        0,
        "",
        sealed_line(tmp_path, "2 clients, 2 values", 2) + "web.PASSWORD: changed\napi.PASSWORD: new\n",
    )
    value = companion("get", FILE, "web.PASSWORD").out
    assert re.fullmatch("[A-Za-z0-9]{32}", value)
    assert companion("get", FILE, "api.PASSWORD").out == value


def test_toml_values_keep_their_kind_and_a_change_of_kind_is_said(companion, web) -> None:
    assert companion("set", FILE, "web.PORT", "--stdin", "--toml", stdin="5433").err.endswith("\nweb.PORT: changed\n")
    assert "\nPORT = 5433\n" in companion("open", FILE).out
    assert companion("set", FILE, "web.PORT", "--stdin", stdin="5433").err.endswith(
        "\nweb.PORT: changed, and a string where an integer was (--toml takes numbers, booleans and dates)\n"
    )
    assert companion("set", FILE, "web.PORT", "--stdin", "--toml", stdin='1\n[web]\nX = "2"') == (
        78,
        "",
        "coffer-companion: error: not one TOML value\n"
        "hint: --toml takes 3, 2.5, true, 2027-01-31 or a string in quotes\n",
    )


def test_setting_the_same_again_changes_nothing(companion, web, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    assert companion("set", FILE, "web.PASSWORD", "--stdin", stdin=CANARY) == (
        0,
        "",
        f"web.PASSWORD: the same as before\n{FILE}: unchanged\n",
    )
    assert (tmp_path / FILE).read_bytes() == before


TELLABLE = [
    ("2027-01-31T00:00:00Z", "2027-01-31T02:00:00+02:00"),
    ("-0.0", "0.0"),
    ("1", "true"),
    ("07:00:00", "07:00:00.500000"),
]


@pytest.mark.parametrize(("old", "new"), TELLABLE)
def test_a_value_that_a_program_can_tell_from_the_old_one_is_set(companion, sealed, old: str, new: str) -> None:
    sealed(f"[web]\nX = {old}\n")
    assert companion("set", FILE, "web.X", "--stdin", "--toml", stdin=new).code == 0
    assert companion("get", FILE, "web.X").out == new


@pytest.mark.parametrize(("old", "new"), TELLABLE)
def test_a_value_that_a_program_can_tell_from_the_old_one_is_imported(companion, sealed, old: str, new: str) -> None:
    sealed(f"[web]\nX = {old}\n")
    arguments = ("import", FILE, "-", "--client", "web", "--from", "toml")
    assert companion(*arguments, stdin=f"X = {new}").code == 3, "as it would be replaced"
    assert companion(*arguments, "--overwrite", stdin=f"X = {new}").err.endswith("0 new, 1 changed, 0 the same\n")
    assert companion("get", FILE, "web.X").out == new


@pytest.mark.parametrize(("old", "new"), [("nan", "+nan"), ("2027-01-31 00:00:00Z", "2027-01-31T00:00:00+00:00")])
def test_the_same_value_written_otherwise_changes_nothing(companion, sealed, tmp_path: Path, old, new) -> None:
    sealed(f"[web]\nX = {old}\n")
    before = (tmp_path / FILE).read_bytes()
    assert companion("set", FILE, "web.X", "--stdin", "--toml", stdin=new).err == (
        f"web.X: the same as before\n{FILE}: unchanged\n"
    )
    arguments = ("import", FILE, "-", "--client", "web", "--from", "toml")
    assert companion(*arguments, stdin=f"X = {new}").err == "web: 1 value from stdin: 0 new, 0 changed, 1 the same\n"
    assert (tmp_path / FILE).read_bytes() == before


def test_a_value_that_stays_the_same_keeps_its_form_while_others_change(companion, sealed) -> None:
    sealed("[web]\nMODE = 0o640\nNAME = 'tulip'\n")
    assert companion("set", FILE, "web.MODE", "web.NEW", "--stdin", "--toml", stdin="416").code == 0
    values = '{"NAME": "tulip", "MODE": 416, "OTHER": 1}'
    assert companion("import", FILE, "-", "--client", "web", "--from", "json", stdin=values).code == 0
    assert companion("open", FILE).out.endswith("[web]\nMODE = 0o640\nNAME = 'tulip'\nNEW = 416\nOTHER = 1\n")


def test_advice_on_the_value_just_set_comes_at_once(companion, web) -> None:
    assert companion("set", FILE, "web.TOKEN", "--stdin", stdin="changeme ").err.endswith(
        f"{FILE}:7:1: warning: [web] TOKEN: a value that ends with a blank (blanks)\n"
        "  hint: take it away, or allow it\n"
        f"{FILE}:7:1: warning: [web] TOKEN: a value that looks like one still to be filled in (placeholder)\n"
        "  hint: coffer-companion set --generate 32\n"
    )


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        (("wbe.A",), 1, "no client named wbe\nhint: did you mean web?\n"),
        (
            ("webA",),
            78,
            "name 1 of those to set: not of the form CLIENT.KEY\n"
            "hint: web.PASSWORD names a value; the value itself never comes from the command line: see set --help\n",
        ),
        (
            ("web.A", "--generate", "7"),
            2,
            "argument --generate: '7' is not a length from 8 to 1,024\nhint: coffer-companion set --help\n",
        ),
        (
            ("web.A", "--stdin", "--generate", "8"),
            2,
            "argument --generate: not allowed with argument --stdin\nhint: coffer-companion set --help\n",
        ),
        (
            ("web.A",),
            78,
            "value of web.A: there is no terminal to ask on\nhint: --stdin, --value-file FILE or --generate 32\n",
        ),
        (("web.A", "--value-file", "nope"), 78, "nope: No such file or directory\n"),
    ],
)
def test_a_value_that_cannot_be_set_is_one_clear_error(companion, web, tmp_path, arguments, code, err) -> None:
    before = (tmp_path / FILE).read_bytes()
    assert companion("set", FILE, *arguments) == (code, "", f"coffer-companion: error: {err}")
    assert (tmp_path / FILE).read_bytes() == before


def test_a_plain_definition_is_left_to_the_editor(companion, started) -> None:
    assert companion("set", "definition.toml", "web.A", "--generate", "8") == (
        3,
        "",
        "coffer-companion: error: definition.toml: not sealed\n"
        "hint: a plain definition is changed with any editor, and then sealed: coffer-companion seal\n",
    )


def test_a_value_that_makes_the_shard_too_large_is_refused(companion, web, tmp_path: Path) -> None:
    code, out, err = companion("set", FILE, "web.BIG", "--stdin", stdin="y" * 65_279)
    assert (code, out) == (3, "")
    assert re.match(rf"{FILE}:4:1: error: \[web\]: [0-9,]+ bytes of CBOR, [0-9]+ over the limit of 65,279\n", err)
    assert err.endswith(f"coffer-companion: error: {FILE}: refused for 1 finding; nothing was changed\n")


def test_a_value_is_typed_unseen(web, environment, tmp_path: Path, companion) -> None:
    terminal = Terminal(["coffer-companion", "set", FILE, "web.TOKEN"], environment, tmp_path)
    terminal.wait_for("value of web.TOKEN: ")
    assert not terminal.echoes
    terminal.type(b"typed-7f3a\n")
    assert terminal.end() == 0
    assert terminal.screen == (
        "value of web.TOKEN: \n10 characters\n" + sealed_line(tmp_path, "1 client, 3 values", 2) + "web.TOKEN: new\n"
    )
    assert companion("get", FILE, "web.TOKEN").out == "typed-7f3a"


def test_ctrl_c_at_the_prompt_ends_it_and_puts_the_terminal_right(web, environment, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    script = f"coffer-companion set {FILE} web.TOKEN; echo exit $?; stty -a | grep -ow -e '-\\?echo'"
    terminal = Terminal(["sh", "-c", f"trap : INT; {script}"], environment, tmp_path)
    terminal.wait_for("value of web.TOKEN: ")
    terminal.type(CTRL_C)
    assert terminal.end() == 0
    assert terminal.screen == "value of web.TOKEN: \nexit 130\necho\n"
    assert (tmp_path / FILE).read_bytes() == before


def test_a_kill_at_the_prompt_puts_the_terminal_right_too(web, environment, tmp_path: Path) -> None:
    terminal = Terminal(["coffer-companion", "set", FILE, "web.TOKEN"], environment, tmp_path)
    terminal.wait_for("value of web.TOKEN: ")
    assert not terminal.echoes
    terminal.process.terminate()
    settle(lambda: terminal.process.poll() is not None)
    assert terminal.echoes
    assert terminal.end() == 128 + signal.SIGTERM


def test_a_set_that_fails_says_nothing_of_what_it_would_have_set(web, run, tmp_path: Path) -> None:
    """Somebody else changes the definition while the value is on its way through a pipe."""
    script = f"mkfifo v; {{ echo >> {FILE}; echo tulip; }} > v & coffer-companion set {FILE} web.TOKEN --value-file v"
    assert run("sh", "-c", script) == (
        78,
        "",
        f"coffer-companion: error: {FILE}: somebody changed it meanwhile; it is left as they made it\n"
        "hint: do it again\n",
    )


@pytest.mark.parametrize("given", ["", "\n", "\r\n"])
def test_an_empty_value_replaces_another_only_when_told(companion, web, tmp_path: Path, given: str) -> None:
    (tmp_path / "value").write_text(given)
    before = (tmp_path / FILE).read_bytes()
    for source, way in (("stdin", ("--stdin",)), ("value", ("--value-file", "value"))):
        assert companion("set", FILE, "web.PASSWORD", *way, stdin=given) == (
            78,
            "",
            f"coffer-companion: error: {source}: an empty value\nhint: if it is to be empty: --allow-empty\n",
        )
    assert (tmp_path / FILE).read_bytes() == before
    assert companion("set", FILE, "web.PASSWORD", "--stdin", "--allow-empty", stdin=given).code == 0
    assert companion("get", FILE, "web.PASSWORD") == (0, "", "")


def test_a_value_that_is_empty_in_quotes_is_meant(companion, web) -> None:
    assert companion("set", FILE, "web.PASSWORD", "--stdin", "--toml", stdin='""\n').code == 0
    assert companion("get", FILE, "web.PASSWORD") == (0, "", "")


def test_enter_alone_at_the_prompt_is_no_value(web, environment, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    terminal = Terminal(["coffer-companion", "set", FILE, "web.PASSWORD"], environment, tmp_path)
    terminal.wait_for("value of web.PASSWORD: ")
    terminal.type(b"\n")
    assert terminal.end() == 78
    assert "value of web.PASSWORD: an empty value\nhint: if it is to be empty: --allow-empty" in terminal.screen
    assert (tmp_path / FILE).read_bytes() == before


# ---- unset, get


def test_a_reader_that_goes_away_is_no_error_worth_a_word(sealed, run) -> None:
    sealed(f'[web]\nBIG = "{"y" * 60_000}"\n' + "# more than a pipe holds\n" * 10_000)
    piped = run("bash", "-c", f"coffer-companion open {FILE} | true; echo ${{PIPESTATUS[0]}}")
    assert (piped.out, piped.err) == ("141\n", "")


def test_values_are_taken_away_all_or_none(companion, web, tmp_path: Path) -> None:
    assert companion("unset", FILE, "web.PORT", "web.PROT") == (
        1,
        "",
        "coffer-companion: error: web has no value named PROT\nhint: values: PASSWORD\n",
    )
    assert companion("unset", FILE, "web.PORT") == (0, "", sealed_line(tmp_path, "1 client, 1 value", 2))


def test_get_prints_a_value_as_it_is_and_on_a_terminal_ends_the_line(web, companion, environment, tmp_path) -> None:
    assert companion("get", FILE, "web.PORT") == (0, "5432", "")
    terminal = Terminal(["coffer-companion", "get", FILE, "web.PORT"], environment, tmp_path)
    assert terminal.end() == 0
    assert terminal.screen == "5432\n"


@pytest.mark.parametrize(
    ("name", "err"),
    [
        ("web.PASWORD", "web has no value named PASWORD\nhint: did you mean PASSWORD?\n"),
        ("web.X", "web has no value named X\nhint: values: PASSWORD, PORT\n"),
        ("wbe.X", "no client named wbe\nhint: did you mean web?\n"),
    ],
)
def test_a_name_that_is_not_there_is_exit_code_1_with_those_that_are(companion, web, name, err) -> None:
    assert companion("get", FILE, name) == (1, "", f"coffer-companion: error: {err}")


# ---- import


def test_an_import_says_what_came_and_that_the_source_is_still_there(companion, web, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"export TOKEN='tulip'  # new\nPASSWORD={CANARY}\n")
    assert companion("import", FILE, ".env", "--client", "web") == (
        0,
        "",
        sealed_line(tmp_path, "1 client, 3 values", 2)
        + "web: 2 values from .env: 1 new, 0 changed, 1 the same\n.env still holds them in clear\n",
    )


def test_values_that_differ_are_listed_and_replaced_only_when_told(companion, web, tmp_path: Path) -> None:
    arguments = ("import", FILE, "-", "--client", "web", "--from", "json")
    values = '{"PASSWORD": "tulip", "PORT": 1, "NEW": true}'
    assert companion(*arguments, stdin=values) == (
        3,
        "",
        f"{FILE}: error: [web] PASSWORD: has another value already\n  hint: --overwrite takes the new one\n"
        f"{FILE}: error: [web] PORT: has another value already\n  hint: --overwrite takes the new one\n"
        f"coffer-companion: error: {FILE}: refused for 2 findings; nothing was changed\n",
    )
    outcome = companion(*arguments, "--overwrite", stdin=values)
    assert outcome.code == 0
    assert outcome.err.endswith("web: 3 values from stdin: 1 new, 2 changed, 0 the same\n")
    assert companion("open", FILE).out.endswith('[web]\nPASSWORD = "tulip"   # of the database\nPORT = 1\nNEW = true\n')


def test_an_import_that_changes_nothing_seals_nothing(companion, web, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    assert companion("import", FILE, "-", "--client", "web", "--from", "toml", stdin="PORT = 5432\n") == (
        0,
        "",
        "web: 1 value from stdin: 0 new, 0 changed, 1 the same\n",
    )
    assert (tmp_path / FILE).read_bytes() == before


def test_an_import_and_a_value_have_the_limit_that_their_error_names(companion, web, tmp_path: Path) -> None:
    for limit, change in (
        (1 << 20, ("import", FILE, "big", "--client", "web", "--from", "dotenv")),
        (65_279, ("set", FILE, "web.A", "--value-file", "big")),
    ):
        (tmp_path / "big").write_text("#" * (limit + 1))
        assert companion(*change) == (78, "", f"coffer-companion: error: big: over {limit:,} bytes\n")
    (tmp_path / "big").write_text("A=1\n" + "#" * ((1 << 20) - 4))
    assert companion("import", FILE, "big", "--client", "web", "--from", "dotenv").code == 0


@pytest.mark.parametrize(
    ("arguments", "code", "err"),
    [
        (
            ("-", "--client", "web"),
            78,
            "coffer-companion: error: stdin: of which format?\nhint: --from dotenv, json, yaml or toml\n",
        ),
        (
            ("-", "--client", "wbe", "--from", "json"),
            1,
            "coffer-companion: error: no client named wbe\nhint: did you mean web?\n",
        ),
        (
            ("-", "--client", "web", "--from", "dotenv"),
            3,
            "stdin:1:1: error: not NAME=value\n"
            "coffer-companion: error: stdin: refused for 1 finding; nothing was changed\n",
        ),
        (("no.env", "--client", "web"), 78, "coffer-companion: error: no.env: No such file or directory\n"),
    ],
)
def test_an_import_that_cannot_be_is_one_clear_error(companion, web, arguments, code, err) -> None:
    assert companion("import", FILE, *arguments, stdin=f"{CANARY}\n") == (code, "", err)


# ---- all at once


MEANWHILE = f"coffer-companion: error: {FILE}: somebody changed it meanwhile; it is left as they made it\n"


def test_of_changes_at_the_same_time_each_is_whole_or_says_that_it_is_not_made(companion, web, tmp_path: Path) -> None:
    def change(number: int) -> tuple[int, str]:
        if number % 2:
            outcome = companion("set", FILE, f"web.A{number}", f"web.B{number}", "--stdin", stdin="tulip")
        else:
            values = f"A{number}=tulip\nB{number}=tulip\n"
            outcome = companion("import", FILE, "-", "--client", "web", "--from", "dotenv", stdin=values)
        return outcome.code, outcome.err

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(change, range(16)))
    made = [number for number, (code, _) in enumerate(outcomes) if code == 0]
    assert made
    assert all(MEANWHILE in err for code, err in outcomes if code != 0), outcomes
    found = re.findall("^([AB][0-9]+) = ", companion("open", FILE).out, re.MULTILINE)
    assert sorted(found) == sorted(f"{letter}{number}" for number in made for letter in "AB")
    assert parse_armour((tmp_path / FILE).read_bytes(), FILE).serial == 1 + len(made)
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is missing")
@pytest.mark.parametrize(
    ("call", "left"),
    [
        ("flock", {"old"}),
        ("fchmod", {"old"}),
        ("fsync", {"old"}),
        ("/^rename", {"old", "new"}),  # killed in it: before or after, nobody knows
        ("fsync:when=2", {"new"}),
    ],
)
def test_a_set_that_is_killed_leaves_the_old_file_or_the_new(web, companion, run, call: str, left: set[str]) -> None:
    old = companion("open", FILE).out
    texts = {old: "old", f'{old}NEW = "x"\n': "new"}
    strace = ("strace", "-qq", "-o", "/dev/null", "-e", f"inject={call}:signal=KILL")
    assert run(*strace, "coffer-companion", "set", FILE, "web.NEW", "--stdin", stdin="x").code in (-9, 137)
    assert texts[companion("open", FILE).out] in left
    assert companion("set", FILE, "web.LAST", "--stdin", stdin="x").code == 0
