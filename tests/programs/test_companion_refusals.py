"""What coffer-companion refuses at once: a slip of the command line costs neither a key nor a value."""

from __future__ import annotations

from pathlib import Path

import pytest

from coffer.ending import escape

FILE = "definition.coffer"
NAME_HINT = "hint: web.PASSWORD names a value; the value itself never comes from the command line: see set --help\n"


@pytest.fixture
def web(sealed) -> None:
    sealed('[web]\nPASSWORD = "tulip"\n')


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


# ---- what is read


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (f"set {FILE} web.PASSWORD --stdin <&-", "closed"),
        (f"import {FILE} - --client web --from json <&-", "closed"),
        ("get - web.PASSWORD <&-", "closed"),
        ("check - <&-", "closed"),
        ("open - <&-", "closed"),
        ("seal - -o s <&-", "closed"),
        ("get - web.PASSWORD 0>/dev/null", "Bad file descriptor"),
    ],
)
def test_a_stdin_that_cannot_be_read_is_one_clear_error(web, run, tmp_path: Path, command: str, why: str) -> None:
    before = contents(tmp_path)
    assert run("sh", "-c", f"coffer-companion {command}") == (
        78,
        "",
        f"coffer-companion: error: stdin: {why}\nhint: give it a file or a pipe to read\n",
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (("set", "-", "web.A", "--generate", "8"), "FILE"),
        (("unset", "-", "web.PASSWORD"), "FILE"),
        (("import", "-", "-", "--client", "web", "--from", "json"), "FILE"),
        (("edit", "-"), "FILE"),
        (("client", "add", "-", "api"), "FILE"),
        (("client", "remove", "-", "web"), "FILE"),
        (("rotate", "client", "-", "web", "--finish"), "FILE"),
        (("rotate", "server", "-", "--id", "ID"), "FILE"),
        (("seal", "definition.toml", "-o", "-"), "-o"),
        (("open", FILE, "-o", "-"), "-o"),
        (("keygen", "-o", "-"), "-o"),
    ],
)
def test_what_writes_a_file_takes_no_dash_for_it(companion, web, tmp_path: Path, arguments, argument) -> None:
    before = contents(tmp_path)
    assert companion(*arguments, stdin=before[FILE].decode()) == (
        78,
        "",
        f"coffer-companion: error: {argument}: - is for reading; this writes a file\nhint: name the file\n",
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "arguments", [("get", "d", "web.A"), ("client", "list", "d"), ("blast-radius", "d", "web"), ("diff", "d", FILE)]
)
def test_what_only_reads_says_nothing_of_changes(companion, web, tmp_path: Path, arguments) -> None:
    (tmp_path / "d").write_text("[clients")
    code, out, err = companion(*arguments)
    assert (code, out) == (3, "")
    assert err.endswith("coffer-companion: error: d: refused for 1 finding\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("get", "KEY", "web.A"),
        ("set", "KEY", "web.A", "--generate", "8"),
        ("check", "KEY"),
        ("open", "KEY"),
        ("seal", "KEY", "-o", "s"),
        ("diff", FILE, "KEY"),
        ("client", "list", "KEY"),
        ("blast-radius", "KEY", "web"),
    ],
)
def test_a_key_file_in_the_place_of_a_definition_is_called_one(companion, web, tmp_path: Path, arguments) -> None:
    before = contents(tmp_path)
    named = [argument.replace("KEY", "web.key") for argument in arguments]
    assert companion(*named) == (
        78,
        "",
        "coffer-companion: error: web.key: a key file, not a definition\nhint: name the definition, sealed or not\n",
    )
    assert contents(tmp_path) == before


def test_textconv_shows_no_key(companion, web, tmp_path: Path) -> None:
    assert companion("textconv", "web.key") == (0, "# not opened: a key file, not a definition\n", "")


# ---- what open writes


def test_open_writes_a_file_that_only_its_owner_reads(companion, web, run, tmp_path: Path) -> None:
    text = companion("open", FILE).out
    outcome = run("sh", "-c", f"umask 0; coffer-companion open {FILE} -o d.toml")
    assert outcome == (0, "", "wrote d.toml (mode 0600), which is in clear: remove it once it is sealed\n")
    assert (tmp_path / "d.toml").read_text() == text
    assert (tmp_path / "d.toml").stat().st_mode & 0o7777 == 0o600


@pytest.mark.parametrize("output", ["definition.toml", FILE, "companion.key", "link"])
def test_open_writes_over_no_file(companion, web, tmp_path: Path, output: str) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    before = contents(tmp_path)
    assert companion("open", FILE, "-o", output) == (
        78,
        "",
        f"coffer-companion: error: {output}: there is a file already, and it may hold work\n"
        "hint: choose another name\n",
    )
    assert contents(tmp_path) == before


def test_open_makes_no_file_of_what_does_not_open(companion, web, tmp_path: Path) -> None:
    assert companion("open", FILE, "--key", "web.key", "-o", "d.toml").code == 3
    assert companion("open", "web.key", "-o", "d.toml").code == 78
    assert not (tmp_path / "d.toml").exists()


def test_open_leaves_nothing_where_there_is_no_room(web, run, tmp_path: Path) -> None:
    outcome = run("sh", "-c", f"trap '' XFSZ; ulimit -f 0; coffer-companion open {FILE} -o d.toml")
    assert outcome == (78, "", "coffer-companion: error: d.toml: File too large\n")
    assert not (tmp_path / "d.toml").exists()


# ---- patterns for git


NO_PATTERNS = ["", " ", "a b.coffer", "*.coffer\n* filter=x", "!*.coffer", "#x", '"x"', "[attr]x", "a\tb"]


@pytest.mark.parametrize("pattern", NO_PATTERNS)
def test_git_setup_writes_no_line_that_git_reads_as_something_else(companion, web, run, tmp_path, pattern) -> None:
    run("git", "init", "-q")
    code, out, err = companion("git-setup", "--pattern", pattern)
    assert (code, out) == (78, "")
    assert err == (
        f"coffer-companion: error: --pattern {escape(repr(pattern))}: not one pattern of .gitattributes\n"
        "hint: a file's name or path, with * for any of it; no blanks, and none of ! # [ \" at its beginning\n"
    )
    assert not (tmp_path / ".gitattributes").exists()
    assert run("git", "config", "diff.coffer.textconv").code == 1


# ---- ids


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (("seal", "definition.toml", "-o", "s", "--server"), "--server"),
        (("seal", "definition.toml", "-o", FILE, "--server"), "--server"),
        (("rotate", "server", FILE, "--id"), "--id"),
    ],
)
def test_the_companions_own_id_is_no_servers(companion, web, started, tmp_path: Path, arguments, flag: str) -> None:
    before = contents(tmp_path)
    assert companion(*arguments, started["companion"]) == (
        78,
        "",
        f"coffer-companion: error: {flag}: the companion's own id\n"
        "hint: coffer-companion id server.key prints the server's\n",
    )
    assert contents(tmp_path) == before


# ---- names


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("a b", " a b: a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        ("", " : a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        ("a\nb", " a\\nb: a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -"),
        (b"\xff", ": a name that is not UTF-8"),
    ],
)
def test_init_names_the_flag_that_it_cannot_take(companion, tmp_path: Path, name: str | bytes, why: str) -> None:

    assert companion("init", "new", "--client", name) == (
        78,
        "",
        f"coffer-companion: error: --client{why}\nhint: give it another name\n",
    )
    assert not (tmp_path / "new").exists()


def test_init_names_the_client_that_has_the_servers_id(companion) -> None:
    server = companion("keygen", "-o", "server.key").out.strip()
    assert companion("init", "new", "--server", server, "--client", f"web={server}") == (
        78,
        "",
        "coffer-companion: error: --client web: the id of the server\n"
        "hint: each client has a key of its own: coffer-companion keygen makes one\n",
    )


@pytest.mark.parametrize("value", ["s3cret", "postgres://web:s3cret@db", "postgres://web:s3cret@db.local", "s3 cret.x"])
def test_a_value_on_the_command_line_is_refused_and_not_shown(companion, web, tmp_path: Path, value: str) -> None:
    before = contents(tmp_path)
    assert companion("set", FILE, "web.URL", value, "--stdin", stdin="x") == (
        78,
        "",
        f"coffer-companion: error: name 2 of those to set: not of the form CLIENT.KEY\n{NAME_HINT}",
    )
    outcome = companion("set", FILE, f"web.PASSWORD={value}", "--stdin", stdin="x")
    assert outcome == (78, "", f"coffer-companion: error: name 1 of those to set: = in a name\n{NAME_HINT}")
    assert contents(tmp_path) == before


def test_a_name_that_is_not_utf_8_is_one_clear_error(companion, web) -> None:
    assert companion("set", FILE, b"web.\xff", "--stdin", stdin="x") == (
        78,
        "",
        f"coffer-companion: error: name 1 of those to set: not UTF-8\n{NAME_HINT}",
    )
    assert companion("client", "add", FILE, b"\xff") == (
        78,
        "",
        "coffer-companion: error: the client's name is not UTF-8\n"
        "hint: a client name is 1 to 64 of A-Z, a-z, 0-9, _ and -\n",
    )


@pytest.mark.parametrize("text", ['{"A": "\\ud800"}', '{"\\ud800": "a"}', '{"A": "a\\udfff"}'])
def test_half_a_character_in_json_is_one_clear_error(companion, web, text: str) -> None:
    code, out, err = companion("import", FILE, "-", "--client", "web", "--from", "json", stdin=text)
    assert (code, out) == (3, "")
    assert err.splitlines()[0].endswith(": half of a character (a lone surrogate)")
    assert err.endswith("coffer-companion: error: stdin: refused for 1 finding; nothing was changed\n")


# ---- what seal replaces


@pytest.mark.parametrize("output", ["companion.key", "server.key", "notes"])
@pytest.mark.parametrize("new", [(), ("--new",)])
def test_seal_replaces_nothing_but_a_sealed_definition(companion, started, tmp_path: Path, output, new) -> None:
    (tmp_path / "notes").write_text("notes\n")
    before = contents(tmp_path)
    key = ("--key", "companion.key")
    assert companion("seal", "definition.toml", "-o", output, "--server", started["server"], *key, *new) == (
        78,
        "",
        f"coffer-companion: error: {output}: not a sealed definition, and nothing else is replaced\n"
        "hint: name another file with -o\n",
    )
    assert contents(tmp_path) == before


@pytest.mark.parametrize("new", [(), ("--new",)])
def test_seal_fills_an_empty_file(companion, started, tmp_path: Path, new) -> None:
    (tmp_path / "s").touch()
    assert companion("seal", "definition.toml", "-o", "s", "--server", started["server"], *new).code == 0
    assert companion("open", "s").out == (tmp_path / "definition.toml").read_text()


def test_new_replaces_a_sealed_definition_that_is_damaged(companion, web, started, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((tmp_path / FILE).read_bytes()[:100])
    arguments = ("seal", "definition.toml", "-o", FILE, "--server", started["server"])
    assert companion(*arguments) == (
        3,
        "",
        f"coffer-companion: error: {FILE}: cut off: a sealed definition ends with -----END COFFER DEFINITION-----\n"
        "hint: name another file, or replace this one with --new\n",
    )
    assert companion(*arguments, "--new").code == 0
