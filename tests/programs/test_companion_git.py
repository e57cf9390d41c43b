"""Sealed definitions in git: diffs that can be read, and branches that merge by client and key. All with real git."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coffer import envelope
from coffer.definition import LIMIT_BYTES

FILE = "definition.coffer"
CANARY = "canary-7f3a"
TABLES = f"""\
# the shop
[web]
PASSWORD = "{CANARY}"
PORT = 8080

# the mailer
[mail]
TOKEN = "old"
"""


@pytest.fixture
def git(run, environment: dict[str, str], tmp_path: Path):
    """Run git in the folder: ``git("merge", "theirs")``."""
    environment |= {f"GIT_{who}_{what}": "x@y" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_PAGER": "cat", "GIT_MERGE_AUTOEDIT": "no"}

    def git(*arguments: str, ok: bool = True):
        outcome = run("git", *arguments)
        assert not ok or outcome.code == 0, outcome
        return outcome

    git("init", "-q", "-b", "main")
    return git


@pytest.fixture
def repository(git, sealed, companion) -> None:
    """A repository with a sealed definition in it, and git set up for it."""
    mail = companion("keygen", "-o", "mail.key").out.strip()
    sealed(TABLES, clients=f'mail = "{mail}"')
    assert companion("git-setup").code == 0
    git("add", FILE, ".gitattributes", ".gitignore")
    git("commit", "-qm", "begin")


@pytest.fixture
def put(companion, git):
    """Set values on a branch and commit: ``put("theirs", {"web.PORT": "1"})``."""

    def put(branch: str, values: dict[str, str | None]) -> None:
        git("checkout", "-q", "-B", branch, "main") if branch != "main" else git("checkout", "-q", "main")
        for name, value in values.items():
            change = ("unset", FILE, name) if value is None else ("set", FILE, name, "--stdin")
            assert companion(*change, stdin=value or "").code == 0
        git("commit", "-qam", branch)

    return put


def serial(path: Path) -> int:
    return envelope.parse_armour(path.read_bytes(), "").serial


# ---- git-setup


def test_git_setup_says_what_it_did_and_can_be_run_twice(companion, git, started, tmp_path: Path) -> None:
    (tmp_path / ".gitattributes").write_text("*.png binary")
    said = (
        "git diff, log and merge read *.coffer from now on, in this clone; others run git-setup in theirs\n"
        "to keep in git: .gitattributes\n"
    )
    assert companion("git-setup") == (0, "", said)
    assert companion("git-setup") == (0, "", said)
    assert (tmp_path / ".gitattributes").read_text() == "*.png binary\n*.coffer diff=coffer merge=coffer\n"
    assert git("config", "diff.coffer.textconv").out == f"coffer-companion textconv --key {tmp_path}/companion.key\n"
    assert git("config", "merge.coffer.driver").out == (
        f"coffer-companion merge --key {tmp_path}/companion.key --path %P %O %A %B\n"
    )


def test_outside_of_a_repository_git_setup_says_so(companion, started) -> None:
    code, out, err = companion("git-setup")
    assert (code, out) == (78, "")
    assert err.startswith("coffer-companion: error: git rev-parse: not a git repository")


# ---- diff


def test_git_diff_shows_names_and_hashes_and_no_value(companion, repository, git) -> None:
    companion("set", FILE, "web.PASSWORD", "--stdin", stdin=f"{CANARY}-new")
    companion("set", FILE, "web.EXTRA", "--stdin", stdin="x")
    changes = [line for line in git("diff").out.splitlines() if re.match(r"[-+](?![-+])", line)]
    patterns = [
        "-# serial 1",
        r"\+# serial 3",
        "-PASSWORD = [0-9a-f]{8}",
        r"\+PASSWORD = [0-9a-f]{8}",
        r"\+EXTRA = [0-9a-f]{8}",
    ]
    assert len(changes) == len(patterns)
    assert all(re.fullmatch(pattern, line) for pattern, line in zip(patterns, changes, strict=True)), changes
    assert CANARY not in git("log", "-p").out


def test_with_values_git_diff_shows_them(companion, repository, git) -> None:
    companion("git-setup", "--values")
    companion("set", FILE, "web.PORT", "--stdin", stdin="9")
    assert f'\n PASSWORD = "{CANARY}"\n-PORT = 8080\n+PORT = "9"\n' in git("diff").out


def test_git_diff_and_log_work_for_who_has_no_key(companion, repository, git, tmp_path: Path) -> None:
    companion("set", FILE, "web.PORT", "--stdin", stdin="9")
    (tmp_path / "companion.key").rename(tmp_path / "gone")
    out = git("diff").out
    assert "\n # not opened: " in out
    assert "\n-# serial 1\n+# serial 2\n" in out
    assert re.search(r"\n-# digest [0-9a-f]{64}\n\+# digest [0-9a-f]{64}\n", out)


def test_diff_compares_two_files_a_pipe_and_a_plain_definition(companion, repository, run, tmp_path: Path) -> None:
    old = (tmp_path / FILE).read_text()
    companion("set", FILE, "web.PORT", "--stdin", stdin="9")
    companion("unset", FILE, "mail.TOKEN")
    assert re.fullmatch(
        "~ web.PORT [0-9a-f]{8} -> [0-9a-f]{8}\n- mail.TOKEN [0-9a-f]{8}\n", companion("diff", "-", FILE, stdin=old).out
    )
    assert companion("diff", "-", FILE, "--values", stdin=old).out == '~ web.PORT 8080 -> "9"\n- mail.TOKEN "old"\n'
    (tmp_path / "plain.toml").write_text(companion("open", FILE).out)
    assert companion("diff", "plain.toml", FILE) == (0, "", "")
    piped = run("bash", "-c", f"coffer-companion diff <(git show HEAD:{FILE}) {FILE} --values")
    assert piped.out == '~ web.PORT 8080 -> "9"\n- mail.TOKEN "old"\n'


def test_diff_shows_clients_ids_and_server(companion, repository, tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes((tmp_path / FILE).read_bytes())
    ids = {name: companion("keygen", "-o", f"{name}.key").out.strip() for name in ("new", "api", "server2")}
    mail = companion("id", "mail.key").out.strip()
    companion("rotate", "client", FILE, "web", "--id", ids["new"])
    companion("client", "remove", FILE, "mail")
    companion("client", "add", FILE, "api", "--id", ids["api"])
    companion("rotate", "server", FILE, "--id", ids["server2"])
    old_server = companion("id", "server.key").out.strip()
    assert companion("diff", "old", FILE, "--values").out == (
        f"~ server {old_server} -> {ids['server2']}\n"
        f"+ web id {ids['new']}\n"
        f'- client mail\n- mail id {mail}\n- mail.TOKEN "old"\n'
        f"+ client api\n+ api id {ids['api']}\n"
    )


# ---- merge


def test_branches_that_changed_different_values_merge_by_themselves(companion, repository, git, put, tmp_path) -> None:
    put("theirs", {"web.PORT": "9", "mail.NEW": "n"})
    put("main", {"web.PASSWORD": "ours", "mail.TOKEN": None, "web.X": "1", "web.Y": "2"})
    ours = companion("open", FILE).out
    merged = git("merge", "theirs")
    assert f"merged {FILE}: 2 clients, 5 values, serial 6\n" in merged.err
    assert serial(tmp_path / FILE) == 6, "above both 5 and 3"
    assert companion("open", FILE).out == ours.replace("PORT = 8080", 'PORT = "9"').replace(
        "[mail]\n", '[mail]\nNEW = "n"\n'
    )


def test_a_value_that_both_changed_is_a_conflict_that_is_named_and_ours_stays(
    companion, repository, git, put, tmp_path
) -> None:
    put("theirs", {"web.PASSWORD": f"{CANARY}-theirs", "web.PORT": "9"})
    put("main", {"web.PASSWORD": f"{CANARY}-ours"})
    merged = git("merge", "theirs", ok=False)
    assert merged.code == 1
    assert merged.err == (
        f"merged {FILE}: 2 clients, 3 values, serial 4\n"
        "  web.PASSWORD: changed on both sides\n"
        f"coffer-companion: error: {FILE}: 1 conflict; ours was kept\n"
        f"hint: give each its right value (coffer-companion set or edit), then: git add {FILE}\n"
    )
    assert f"CONFLICT (content): Merge conflict in {FILE}" in merged.out
    assert companion("get", FILE, "web.PASSWORD").out == f"{CANARY}-ours"
    assert companion("get", FILE, "web.PORT").out == "9", "what does not conflict is merged"
    assert companion("set", FILE, "web.PASSWORD", "--stdin", stdin="both").code == 0
    git("add", FILE)
    git("commit", "-qm", "merged")
    assert git("status", "--porcelain", "--untracked-files=no").out == ""


def test_a_rebase_merges_too_and_comments_that_are_lost_are_said(companion, repository, git, put, environment) -> None:
    put("theirs", {"web.PORT": "9"})
    environment["EDITOR"] = r"sed -i 's/^\[web/# theirs\n&/'"
    assert companion("edit", FILE).code == 0
    git("commit", "-qam", "comment")
    put("main", {"mail.TOKEN": "new"})
    merged = git("merge", "theirs")
    assert "1 comment line of the other side did not come along\n" in merged.err
    git("reset", "-q", "--hard", "HEAD^")
    git("checkout", "-q", "theirs")
    git("rebase", "-q", "main")
    assert companion("get", FILE, "mail.TOKEN").out == "new"
    assert companion("get", FILE, "web.PORT").out == "9"


def test_both_sides_may_add_the_file(companion, git, sealed, started) -> None:
    git("commit", "-q", "--allow-empty", "-m", "empty")
    companion("git-setup")
    git("add", ".gitattributes")
    git("commit", "-qm", "setup")
    git("checkout", "-qb", "theirs")
    sealed("[web]\nA = 1\n")
    git("add", FILE)
    git("commit", "-qm", "theirs")
    git("checkout", "-q", "main")
    sealed("[web]\nB = 2\n")
    git("add", FILE)
    git("commit", "-qm", "ours")
    git("merge", "theirs")
    assert companion("open", FILE).out.endswith("[web]\nB = 2\nA = 1\n")


def test_a_file_of_another_companion_is_left_to_people(companion, repository, git, put, started, tmp_path) -> None:
    put("theirs", {"web.PORT": "9"})
    companion("keygen", "-o", "other.key")
    text = companion("open", FILE).out
    companion("seal", "-", "--key", "other.key", "--server", started["server"], "-o", FILE, "--new", stdin=text)
    git("commit", "-qam", "sealed by another")
    put("main", {"web.PORT": "10"})
    ours = (tmp_path / FILE).read_bytes()
    merged = git("merge", "theirs", ok=False)
    assert merged.code == 1
    assert f"{FILE}: sealed by companion" in merged.err
    assert (tmp_path / FILE).read_bytes() == ours


def test_a_merge_that_would_give_two_clients_one_id_is_refused(companion, repository, git, tmp_path) -> None:
    new = companion("keygen", "-o", "new.key").out.strip()
    git("checkout", "-qb", "theirs")
    companion("client", "add", FILE, "a", "--id", new)
    git("commit", "-qam", "theirs")
    git("checkout", "-q", "main")
    companion("client", "add", FILE, "b", "--id", new)
    git("commit", "-qam", "ours")
    ours = (tmp_path / FILE).read_bytes()
    merged = git("merge", "theirs", ok=False)
    assert merged.code == 1
    assert "the id of client 'b' too" in merged.err
    assert (tmp_path / FILE).read_bytes() == ours


def test_branches_that_differ_in_the_server_follow_the_one_that_changed_it(companion, repository, git, put, tmp_path):
    new = companion("keygen", "-o", "server2.key").out.strip()
    git("checkout", "-qb", "theirs")
    companion("rotate", "server", FILE, "--id", new)
    git("commit", "-qam", "theirs")
    put("main", {"web.PORT": "9"})
    git("merge", "theirs")
    companion_id = companion("id", "companion.key").out.strip()
    assert companion("open", FILE, "--key", "server2.key", "--companion", companion_id).code == 0


# ---- merge, as git calls it


@pytest.fixture
def sides(companion, started):
    """Seal the three files that git hands in."""

    def sides(base: str, ours: str, theirs: str) -> None:
        clients = f'[clients]\nweb = "{started["web"]}"\n'
        for name, text in (("base", base), ("ours", ours), ("theirs", theirs)):
            arguments = ("-", "-o", name, "--server", started["server"], "--definition-limit", "128MiB")
            assert companion("seal", *arguments, stdin=clients + text).code == 0

    return sides


MERGE = ("merge", "base", "ours", "theirs", "--path", FILE)


def test_all_three_sides_are_read_with_the_limit_that_is_given(companion, sides, tmp_path: Path) -> None:
    sides("# " + "x" * 60_000 + "\n[web]\n", "[web]\nA = 1\n", "[web]\nB = 2\n")
    before = (tmp_path / "ours").read_bytes()
    limit = envelope.armour_limit(1000)
    assert companion(*MERGE, "--definition-limit", "1000") == (
        78,
        "",
        f"coffer-companion: error: base: over {limit:,} bytes\n",
    )
    assert (tmp_path / "ours").read_bytes() == before
    assert companion(*MERGE).code == 0
    assert companion("open", "ours").out.endswith("[web]\nA = 1\nB = 2\n")


def test_a_base_beyond_the_usual_limit_is_merged_where_the_limit_allows_it(companion, sides) -> None:
    beyond = "# " + "x" * (LIMIT_BYTES + LIMIT_BYTES // 16) + "\n"
    sides(f"{beyond}[web]\n", "[web]\nA = 1\n", "[web]\nB = 2\n")
    assert companion(*MERGE, "--definition-limit", "128MiB").code == 0
    assert companion("get", "ours", "web.B").out == "2"


@pytest.mark.parametrize("side", ["ours", "theirs"])
def test_a_side_that_is_empty_is_refused_and_only_a_base_may_be(companion, sides, tmp_path: Path, side: str) -> None:
    sides("[web]\n", "[web]\nA = 1\n", "[web]\nB = 2\n")
    (tmp_path / "base").write_bytes(b"")
    (tmp_path / side).write_bytes(b"")
    before = (tmp_path / "ours").read_bytes()
    assert companion(*MERGE) == (
        3,
        "",
        f"coffer-companion: error: {FILE}: empty\nhint: copy it again, whole\n",
    )
    assert (tmp_path / "ours").read_bytes() == before
