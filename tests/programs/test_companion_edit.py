"""``coffer-companion edit``: nothing in clear outlives the editor, whatever ends it, and none is on disk."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from terminal import Terminal, settle
from watch import Watch

from coffer import envelope
from coffer.companion.scratch import PREFIX
from coffer.identity import load_keypair

FILE = "definition.coffer"
CANARY = "canary-7f3a"
TABLES = f'# who asks\n[web]\nPASSWORD = "{CANARY}"\n'


@pytest.fixture
def memory(environment: dict[str, str]) -> Iterator[Path]:
    """A place in memory of this test's own, for the folder that the text is edited in."""
    place = Path("/dev/shm") / f"coffer-test-{os.getpid()}"
    place.mkdir(mode=0o700)
    environment["XDG_RUNTIME_DIR"] = str(place)
    yield place
    shutil.rmtree(place)


@pytest.fixture
def web(sealed, memory: Path) -> None:
    sealed(TABLES)


@pytest.fixture
def edit(companion, tmp_path: Path):
    """Run ``edit`` with a shell script as the editor; the text is "$1"."""

    def edit(script: str, **options):
        path = tmp_path / "editor.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return companion("edit", FILE, env={"EDITOR": str(path)}, **options)

    return edit


# ---- what it does


def test_an_edit_is_sealed_with_the_next_serial_and_keeps_every_other_byte(companion, web, edit, tmp_path) -> None:
    before = companion("open", FILE).out
    outcome = edit('sed -i s/PASSWORD/PASSPHRASE/ "$1"')
    size = (tmp_path / FILE).stat().st_size
    assert outcome == (0, "", f"sealed {FILE}: 1 client, 1 value, serial 2, {size} bytes\n")
    assert companion("open", FILE).out == before.replace("PASSWORD", "PASSPHRASE")


def test_an_edit_without_a_change_leaves_the_file_untouched(web, edit, tmp_path: Path) -> None:
    before = (tmp_path / FILE).stat()
    assert edit("true") == (0, "", f"{FILE}: unchanged\n")
    after = (tmp_path / FILE).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_text_is_in_a_folder_of_ours_alone_in_memory(web, edit, memory: Path, tmp_path: Path) -> None:
    edit('stat -c "%a %n" "$1" "$(dirname "$1")" > seen; echo "$TMPDIR" >> seen')
    text, folder, temporary = (tmp_path / "seen").read_text().splitlines()
    assert re.fullmatch(rf"700 {memory}/{PREFIX}\w+", folder)
    assert text == f"600 {folder[4:]}/definition.toml"
    assert temporary == folder[4:]


def test_an_editor_that_replaces_the_file_instead_of_writing_it_is_fine(companion, web, edit) -> None:
    assert edit('sed s/PASSWORD/P/ "$1" > "$1.new" && mv "$1.new" "$1"').code == 0
    assert companion("get", FILE, "web.P").out == CANARY


def test_advice_on_what_was_edited_is_mentioned(web, edit) -> None:
    assert edit('sed -i s/PASSWORD/PATH/ "$1"').err.endswith(f"1 warning; to see it: coffer-companion check {FILE}\n")


def test_what_somebody_else_sealed_meanwhile_stays_and_the_edit_is_kept_beside_it(
    companion, web, edit, tmp_path
) -> None:
    other = f"EDITOR=true coffer-companion set {FILE} web.THEIRS --generate 8"
    code, out, err = edit(f'{other} 2>/dev/null; sed -i s/PASSWORD/OURS/ "$1"')
    (aside,) = [path.name for path in tmp_path.glob(f"{FILE}.edited-*")]
    assert (code, out) == (78, "")
    assert err.endswith(
        f"coffer-companion: error: {FILE}: somebody changed it meanwhile; it is left as they made it\n"
        f"hint: your edit is in {aside}: coffer-companion diff {FILE} {aside}\n"
    )
    assert "THEIRS" in companion("open", FILE).out
    assert companion("get", aside, "web.OURS").out == CANARY


def test_what_was_sealed_unchecked_by_something_else_can_be_mended(companion, web, edit, tmp_path: Path) -> None:
    keypair, path = load_keypair(str(tmp_path / "companion.key")), tmp_path / FILE
    old = envelope.parse_armour(path.read_bytes(), FILE)
    text = old.open_as_companion(keypair) + b"LIST = [1]\n"
    path.write_bytes(envelope.format_armour(envelope.seal(text, keypair, old.server, 2)))
    code, _, err = companion("set", FILE, "web.A", "--generate", "8")
    assert code == 3
    assert "[web] LIST: an array is not a value" in err
    assert edit('sed -i /LIST/d "$1"').code == 0
    assert companion("check", FILE).code == 0


# ---- what goes wrong


def test_without_a_terminal_to_ask_on_a_mistake_is_told_and_nothing_changes(web, edit, memory, tmp_path) -> None:
    before = (tmp_path / FILE).read_bytes()
    code, out, err = edit('echo "LIST = [1]" >> "$1"')
    assert (code, out) == (3, "")
    assert err.startswith(f"{FILE}:7:1: error: [web] LIST: an array is not a value\n  hint: ")
    assert err.endswith(f"\ncoffer-companion: error: {FILE}: given up; nothing was changed\n")
    assert (tmp_path / FILE).read_bytes() == before
    assert not os.listdir(memory)


def test_a_mistake_is_shown_and_the_text_offered_again(web, environment, memory, tmp_path: Path, companion) -> None:
    script = tmp_path / "editor.sh"
    script.write_text('#!/bin/sh\nif grep -q BAD "$1"; then sed -i /BAD/d "$1"; else echo "BAD = [1]" >> "$1"; fi\n')
    script.chmod(0o755)
    terminal = Terminal(["coffer-companion", "edit", FILE], environment | {"EDITOR": str(script)}, tmp_path)
    terminal.wait_for("[web] BAD: an array is not a value")
    terminal.wait_for("Enter edits it again, q gives it up: ")
    assert not os.listdir(memory), "there is a question, and a file in clear"
    terminal.type(b"\n")
    assert terminal.end() == 0
    assert terminal.screen.endswith(f"{FILE}: unchanged\n")


def test_giving_up_leaves_the_old_file(web, environment, memory, tmp_path: Path) -> None:
    before = (tmp_path / FILE).read_bytes()
    environment |= {"EDITOR": "sed -i s/PASSWORD/[/"}
    terminal = Terminal(["coffer-companion", "edit", FILE], environment, tmp_path)
    terminal.wait_for("q gives it up: ")
    terminal.type(b"q\n")
    assert terminal.end() == 3
    assert terminal.screen.endswith(f"coffer-companion: error: {FILE}: given up; nothing was changed\n")
    assert (tmp_path / FILE).read_bytes() == before


@pytest.mark.parametrize(
    ("script", "err"),
    [
        ("exit 3", "{editor}: ended with exit code 3; nothing was changed\n"),
        ("kill -ABRT $$", "{editor}: ended with signal 6; nothing was changed\n"),
        ('rm "$1"', "definition.toml: No such file or directory after the editor; nothing was changed\n"),
    ],
)
def test_an_editor_that_fails_leaves_no_text_and_the_old_file(web, edit, memory, tmp_path, script, err) -> None:
    before = (tmp_path / FILE).read_bytes()
    wanted = f"coffer-companion: error: {err.format(editor=tmp_path / 'editor.sh')}"
    assert edit(f'echo "A = 1" >> "$1"; {script}') == (78, "", wanted)
    assert (tmp_path / FILE).read_bytes() == before
    assert not os.listdir(memory)
    assert not list(tmp_path.glob("core*"))


@pytest.mark.parametrize(
    ("editor", "err"),
    [
        ("no-such-editor -w", "no-such-editor -w: no such editor\nhint: for example: export EDITOR=vim\n"),
        ("'", "': no such editor\nhint: for example: export EDITOR=vim\n"),
    ],
)
def test_an_editor_that_is_not_there_is_one_clear_error(companion, web, memory, editor, err) -> None:
    assert companion("edit", FILE, env={"EDITOR": editor}) == (78, "", f"coffer-companion: error: {err}")
    assert not os.listdir(memory)


# ---- what ends it


class Editing:
    """An edit whose editor waits, with the text changed."""

    def __init__(self, environment: dict[str, str], folder: Path, memory: Path, script: str = "") -> None:
        path = folder / "editor.sh"
        path.write_text(f'#!/bin/sh\n{script}\necho "A = 1" >> "$1"\ntouch {folder}/waiting\nexec sleep 60\n')
        path.chmod(0o755)
        self.process = subprocess.Popen(
            ["coffer-companion", "edit", FILE],
            cwd=folder,
            env=environment | {"EDITOR": str(path)},
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        settle(lambda: (folder / "waiting").exists(), 20)
        assert CANARY in next(memory.glob("*/definition.toml")).read_text()

    def end(self) -> int:
        self.process.communicate(timeout=20)
        return self.process.returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1])
def test_a_signal_leaves_no_text_and_the_old_file(web, environment, memory, tmp_path, number) -> None:
    before = (tmp_path / FILE).read_bytes()
    editing = Editing(environment, tmp_path, memory)
    editing.process.send_signal(number)
    assert editing.end() == 128 + number
    assert not os.listdir(memory)
    assert (tmp_path / FILE).read_bytes() == before


def test_an_editor_that_will_not_go_is_made_to(web, environment, memory, tmp_path) -> None:
    editing = Editing(environment, tmp_path, memory, script="trap '' TERM")
    editing.process.terminate()
    assert editing.end() == 128 + signal.SIGTERM
    assert not os.listdir(memory)


def test_what_sigkill_leaves_behind_the_next_run_removes(companion, web, environment, memory, tmp_path) -> None:
    before = (tmp_path / FILE).read_bytes()
    editing = Editing(environment, tmp_path, memory)
    os.killpg(editing.process.pid, signal.SIGKILL)
    assert editing.end() == -signal.SIGKILL
    (left,) = memory.iterdir()
    assert companion("id", "web.key").err == f"removed {left}, left behind by an edit that was killed\n"
    assert not os.listdir(memory)
    assert (tmp_path / FILE).read_bytes() == before


def test_the_text_of_an_editor_at_work_is_left_alone(companion, web, environment, memory, tmp_path) -> None:
    editing = Editing(environment, tmp_path, memory)
    assert companion("id", "web.key").err == ""
    assert len(os.listdir(memory)) == 1
    editing.process.terminate()
    editing.end()


def test_ctrl_c_in_the_editor_is_the_editors(web, environment, memory, tmp_path: Path, companion) -> None:
    script = tmp_path / "editor.sh"
    script.write_text(
        '#!/bin/sh\ntrap "echo caught" INT\necho ready\nread line\nread line\nsed -i s/PASSWORD/P/ "$1"\n'
    )
    script.chmod(0o755)
    terminal = Terminal(["coffer-companion", "edit", FILE], environment | {"EDITOR": str(script)}, tmp_path)
    terminal.wait_for("ready")
    terminal.type(b"\x03")
    terminal.wait_for("caught")
    terminal.type(b"\n\n")
    assert terminal.end() == 0
    assert "sealed" in terminal.screen
    assert companion("get", FILE, "web.P").out == CANARY


# ---- where text goes


def holds_canary(path: Path) -> bool:
    try:
        return CANARY.encode() in path.read_bytes()
    except OSError:
        return False


def test_no_verb_writes_a_value_in_clear_anywhere(companion, web, edit, memory, tmp_path: Path, environment) -> None:
    """Every file that is made or written on disk, wherever programs leave such, is a sealed one or its scratch."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    environment["TMPDIR"] = str(temporary)
    (tmp_path / "editor.sh").touch()
    watch = Watch(tmp_path, temporary, Path("/tmp"), Path("/var/tmp"), Path("/dev/shm"))
    assert edit(f'sed -i s/PASSWORD/P/ "$1"; echo "N = \'{CANARY}-edited\'" >> "$1"').code == 0
    assert companion("set", FILE, "web.SET", "--stdin", stdin=f"{CANARY}-set").code == 0
    assert companion("import", FILE, "-", "--client", "web", "--from", "json", stdin=f'{{"I": "{CANARY}"}}').code == 0
    assert companion("unset", FILE, "web.I").code == 0
    assert companion("client", "add", FILE, "api").code == 0
    allowed = re.compile(rf"{tmp_path}/({FILE}(\.[0-9a-f]+\.new)?|editor\.sh|api\.key)")
    touched = watch.names()
    watch.close()
    ours = [each for each in touched if each.startswith(str(tmp_path))]
    assert f"{tmp_path}/{FILE}" in ours
    assert [each for each in ours if not allowed.fullmatch(each)] == []
    assert [each for each in touched if each not in ours and holds_canary(Path(each))] == []
    assert [each for each in tmp_path.rglob("*") if holds_canary(each)] == [tmp_path / "editor.sh"]
    assert not os.listdir(memory)


def test_nothing_said_and_no_command_line_holds_a_value(companion, web, edit, tmp_path: Path) -> None:
    outcomes = [
        edit(f'cat /proc/$PPID/cmdline /proc/self/environ > {tmp_path}/seen; echo "X = [\'{CANARY}\']" >> "$1"'),
        companion("check", FILE),
        companion("client", "list", FILE),
        companion("set", FILE, "web.A", "--stdin", stdin=f"{CANARY} "),
        companion("set", FILE, "web.A", "--stdin", "--toml", stdin=CANARY),
        companion("import", FILE, "-", "--client", "web", "--from", "toml", stdin=f"PASSWORD = '{CANARY}2'\n"),
        companion("blast-radius", FILE, "web"),
        companion("diff", FILE, FILE),
        companion("textconv", FILE),
    ]
    assert not [outcome for outcome in outcomes if CANARY in outcome.out + outcome.err]
    assert CANARY not in (tmp_path / "seen").read_bytes().decode(errors="replace")


@pytest.mark.parametrize(
    ("name", "flags"),
    [
        ("vim.basic", "-n -i NONE -c silent! set nobackup nowritebackup noundofile | silent! set viminfofile=NONE"),
        ("nvim", "-n -i NONE -c silent! set nobackup nowritebackup noundofile | silent! set viminfofile=NONE"),
        ("nano", "--restricted"),
        ("emacs", "--eval (setq make-backup-files nil auto-save-default nil create-lockfiles nil)"),
        ("micro", "-backup false -savehistory false"),
        ("code", "--wait"),
        ("other", ""),
    ],
)
def test_an_editor_is_told_to_keep_nothing_by_the_name_behind_its_links(
    companion, web, tmp_path: Path, environment, name: str, flags: str
) -> None:
    path = tmp_path / name
    path.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/given\n')
    path.chmod(0o755)
    (tmp_path / "mine").symlink_to(path)
    assert companion("edit", FILE, env={"VISUAL": f"{tmp_path}/mine -x", "EDITOR": "false"}).code == 0
    *given, text = (tmp_path / "given").read_text().split(" ")
    assert " ".join(given) == f"-x {flags}".rstrip()
    assert text.endswith("/definition.toml\n")


VIM = shutil.which("vim")


@pytest.mark.skipif(not VIM, reason="vim, whose swap, backup and undo files are looked for, is not installed")
def test_vim_is_told_to_keep_nothing(web, environment, memory, tmp_path: Path, companion) -> None:
    keep = tmp_path / "kept"
    keep.mkdir()
    (tmp_path / ".vimrc").write_text(
        f"set backup writebackup undofile swapfile backupdir={keep} undodir={keep} directory={keep}\n"
        f"set viminfofile={keep}/viminfo\n"
    )
    watch = Watch(keep)
    terminal = Terminal(["coffer-companion", "edit", FILE], environment | {"EDITOR": "vim", "TERM": "xterm"}, tmp_path)
    terminal.wait_for(CANARY)
    time.sleep(0.2)
    terminal.type(b":%s/PASSWORD/P/\r:wq\r")
    assert terminal.end() == 0
    assert companion("get", FILE, "web.P").out == CANARY
    names = watch.names()
    watch.close()
    assert names == []
