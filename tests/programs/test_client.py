"""coffer-client as people use it, against a real server: run, get, ping, and the common mistakes, to the letter."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from conftest import Outcome, Run
from house import House

CLIENT = str(Path(sysconfig.get_path("scripts")) / "coffer-client")


@pytest.fixture
def client(run: Run, house: House):
    """Run coffer-client as ``web``: ``client("get", "PORT")`` is exit code, stdout and stderr."""

    return client_of(run, house)


@pytest.fixture
def own_client(run: Run, own_house: House):
    """The same, against a server that the test may change and stop."""
    return client_of(run, own_house)


def client_of(run: Run, house: House):
    def client(*arguments: str, **options) -> Outcome:
        options["env"] = house.settings() | options.get("env", {})
        return run("coffer-client", *arguments, **options)

    return client


NAMES = "values: PASSWORD, PORT, DEBUG, RATIO, SINCE"


def error(message: str, hint: str | None = None) -> str:
    return f"coffer-client: error: {message}\n" + (f"hint: {hint}\n" if hint else "")


# ---- get


def test_get_prints_one_value_as_it_is(client) -> None:
    assert client("get", "PASSWORD") == (0, "tulip \n", "")
    assert client("get", "PORT") == (0, "5432", "")
    assert client("get", "SINCE") == (0, "2026-01-02T03:04:05Z", "")


def test_get_prints_the_shard_as_it_stands_in_the_definition(client) -> None:
    text = 'PASSWORD = "tulip \\n"\nPORT = 5432\nDEBUG = false\nRATIO = 0.5\nSINCE = 2026-01-02T03:04:05Z\n'
    assert client("get") == client("get", "--format", "toml") == (0, text, "")


def test_get_prints_some_values_in_the_order_they_are_named_in(client) -> None:
    assert client("get", "PORT", "DEBUG") == (0, "PORT = 5432\nDEBUG = false\n", "")
    assert client("get", "DEBUG", "PORT", "--format", "json").out == '{\n  "DEBUG": false,\n  "PORT": 5432\n}\n'
    assert client("get", "PORT", "PROT") == (1, "", error("no value named 'PROT'", "did you mean PORT?"))


def test_a_flag_that_get_does_not_know_leads_to_the_help_of_get(client) -> None:
    assert client("get", "--only", "PORT") == (2, "", error("unknown: --only", "coffer-client get --help"))


def test_get_prints_every_format(client) -> None:
    assert json.loads(client("get", "--format", "json").out)["PORT"] == 5432
    assert client("get", "PORT", "--format", "json").out == '{\n  "PORT": 5432\n}\n'
    assert client("get", "--format=dotenv").out.startswith("PASSWORD='tulip \n'\nPORT='5432'\n")
    assert client("get", "--format=shell").out.startswith("export PASSWORD='tulip \n'\nexport PORT='5432'\n")


def test_a_client_gets_its_own_values_and_no_others(client, house: House) -> None:
    assert client("get", env=house.settings("worker")) == (0, 'TOKEN = "bluebell"\n', "")


def test_a_misspelt_name_is_answered_with_the_nearest_or_few_of_the_callers_own(client) -> None:
    assert client("get", "PASWORD") == (1, "", error("no value named 'PASWORD'", "did you mean PASSWORD?"))
    assert client("get", "TOKEN") == (
        1,
        "",
        error("no value named 'TOKEN'", NAMES),
    )


def test_a_name_may_begin_with_a_dash_after_two_of_them(client) -> None:
    assert client("get", "--", "-x") == (
        1,
        "",
        error("no value named '-x'", NAMES),
    )


# ---- run


def test_a_command_starts_with_the_values_byte_for_byte(client) -> None:
    script = 'printf "%s|" "$PASSWORD" "$PORT" "$DEBUG" "$RATIO" "$SINCE"'
    assert client("run", "--", "sh", "-c", script) == (0, "tulip \n|5432|false|0.5|2026-01-02T03:04:05Z|", "")


def test_the_command_takes_the_place_of_the_client(house: House, environment: dict[str, str]) -> None:
    command = [CLIENT, "run", "--", sys.executable, "-c", "import os; print(os.getpid(), os.getppid())"]
    with subprocess.Popen(command, env=environment | house.settings(), stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.read().split() == [str(process.pid).encode(), str(os.getpid()).encode()]


def test_the_commands_exit_code_and_signal_are_its_own(client) -> None:
    assert [client("run", "--", "sh", "-c", f"exit {code}").code for code in (0, 2, 125, 255)] == [0, 2, 125, 255]
    assert client("run", "--", "sh", "-c", "kill -TERM $$").code == -signal.SIGTERM
    # Python ignores SIGPIPE for itself, and would have handed that on.
    assert client("run", "--", "sh", "-c", "kill -PIPE $$").code == -signal.SIGPIPE


@pytest.mark.plain  # the environment is empty, without the sanitizers' runtime too
def test_nothing_of_coffers_own_reaches_the_command(client, house: House, environment: dict[str, str]) -> None:
    bare = {"PATH": environment["PATH"]} | house.settings() | {"COFFER_ANYTHING": "x"}
    show = "import os, sys; print(sorted(os.listdir('/proc/self/fd')), open('/proc/self/environ').read())"
    command = [CLIENT, "run", "--", "python3", "-I", "-c", show]
    with subprocess.Popen(command, env=bare, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout
        fds, _, variables = process.stdout.read().decode().partition("] ")
    assert fds == "['0', '1', '2', '3'"  # the fourth is the listing's own
    names = [each.partition("=")[0] for each in variables.strip().strip("\0").split("\0")]
    assert names == ["PATH", "PASSWORD", "PORT", "DEBUG", "RATIO", "SINCE"]


def test_a_descriptor_that_the_caller_passes_on_is_passed_on(house: House, environment: dict[str, str]) -> None:
    reader, writer = os.pipe()
    command = [CLIENT, "run", "--", sys.executable, "-c", f"import os; os.write({writer}, b'through')"]
    subprocess.run(command, env=environment | house.settings(), pass_fds=[writer], check=True)
    os.close(writer)
    with open(reader) as pipe:
        assert pipe.read() == "through"


@pytest.mark.parametrize(
    ("command", "code", "message", "hint"),
    [
        ("no-such-command", 127, "no-such-command: command not found", "it is in no folder of PATH"),
        ("./missing", 127, "./missing: command not found", None),
        ("", 127, "the command is an empty word", "is a variable in it not set?"),
        (
            "./plain",
            126,
            "./plain: cannot be executed: Permission denied",
            "is it a program, and executable (chmod +x)?",
        ),
        ("./", 126, "./: cannot be executed: Permission denied", "is it a program, and executable (chmod +x)?"),
        (
            "./text",
            126,
            "./text: cannot be executed: Exec format error",
            "a script begins with a line such as #!/bin/sh",
        ),
        (
            "./stale",
            126,
            "./stale: cannot be executed: the interpreter that it names is missing",
            "look at its #! line",
        ),
    ],
)
def test_a_command_that_cannot_start_ends_with_the_code_of_a_shell(
    client, tmp_path: Path, command: str, code: int, message: str, hint: str | None
) -> None:
    (tmp_path / "plain").write_text("x")
    for name, text in {"text": "no interpreter\n", "stale": "#!/no/such/interpreter\n"}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    assert client("run", "--", command) == (code, "", error(message, hint))


def test_a_command_is_looked_for_as_a_shell_does(client, tmp_path: Path, environment: dict[str, str]) -> None:
    for folder, mode in (("first", 0o644), ("second", 0o755)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "tool").write_text("#!/bin/sh\necho $0\n")
        (tmp_path / folder / "tool").chmod(mode)
    path = f"{tmp_path}/first:{tmp_path}/nowhere:{tmp_path}/second:{environment['PATH']}"
    assert client("run", "--", "tool", env={"PATH": path}) == (0, f"{tmp_path}/second/tool\n", "")


@pytest.mark.parametrize(
    ("table", "message", "hint"),
    [
        (
            'PATH = "x"',
            "'PATH': a reserved name, which changes what a command does",
            "--allow-reserved PATH",
        ),
        (
            '"a-b" = "x"',
            "'a-b': no name for an environment variable",
            "a name has letters, digits and _ only, and does not begin with a digit; --only leaves others out",
        ),
        (
            'A = "x\\u0000y"',
            "'A': its value holds a NUL, which no environment variable can",
            "run --only and get NAME leave it out; run --files hands values over as files",
        ),
        ("COFFER_KEY = 1", "'COFFER_KEY': COFFER_* is coffer's own, and never reaches a command", None),
    ],
)
def test_what_an_environment_cannot_take_starts_nothing(
    own_client, own_house: House, table: str, message: str, hint: str
) -> None:
    own_house.change(f'[web]\nOTHER = "canary"\n{table}\n')
    assert own_client("run", "--", "touch", "started") == (125, "", error(message, hint))
    assert not (own_house.folder / "started").exists()


def test_a_reserved_name_can_be_allowed(own_client, own_house: House) -> None:
    own_house.change('[web]\nLD_X = "1"\nPYTHONX = "2"\n')
    flags = ["--allow-reserved", "LD_X", "--allow-reserved", "PYTHONX"]
    assert own_client("run", *flags, "--", "sh", "-c", "echo $LD_X$PYTHONX") == (0, "12\n", "")


# ---- the common mistakes


def test_the_missing_dashes_are_put_where_they_belong(client) -> None:
    missing = '"--" is missing before the command'
    assert client("run", "gunicorn", "app") == (125, "", error(missing, "coffer-client run -- gunicorn app"))
    assert client("run", "run", "it") == (125, "", error(missing, "coffer-client run -- run it"))
    assert client("run", "--key", "web.key", "sh", "-c", "echo $A") == (
        125,
        "",
        error(missing, "coffer-client run --key web.key -- sh -c 'echo $A'"),
    )


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (["--"], "no command to run", "coffer-client run [OPTION ...] -- COMMAND [ARGUMENT ...]"),
        (["--bogus", "--", "true"], "unknown before the --: --bogus", "coffer-client run --help"),
        (["--timeout", "soon", "--", "true"], None, "coffer-client run --help"),
        (["--key"], "argument --key: expected one argument", "coffer-client run --help"),
    ],
)
def test_a_usage_error_of_run_ends_with_125(client, arguments: list[str], message: str | None, hint: str) -> None:
    soon = "argument --timeout: 'soon' is not a number of seconds above 0, up to 3600"
    assert client("run", *arguments) == (125, "", error(message or soon, hint))


def test_a_usage_error_elsewhere_ends_with_2(client) -> None:
    message = "argument --retries: '-1' is not a number from 0 to 999"
    assert client("get", "--retries", "-1") == (2, "", error(message, "coffer-client get --help"))
    assert client("fetch")[0] == client()[0] == client("ping", "--bogus")[0] == 2


def test_an_unknown_client_is_told_its_id(client, house: House) -> None:
    assert client("get", "PORT", env=house.settings("stranger")) == (
        77,
        "",
        error(
            f"127.0.0.1:{house.port}: the server does not know this client",
            f"its id is {house.id('stranger')}: add that to [clients] of the definition, and seal it again",
        ),
    )


def test_a_wrong_server_id_looks_like_silence_and_the_hint_says_so(client, house: House) -> None:
    address = f"coffer://{house.id('stranger')}@127.0.0.1:{house.port}"
    assert client("ping", "--server", address, "--retries", "0") == (
        69,
        "",
        error(
            f"127.0.0.1:{house.port}: no answer: it closed the connection",
            "a coffer server is silent to strangers. Either the id in the address is not this server's, or the server "
            "takes no more connections, or it is another program or version; the log of a coffer server says which",
        ),
    )


def test_a_server_that_is_down_is_said_to_be(own_client, own_house: House) -> None:
    own_house.stop()
    assert own_client("get", "--retries", "0") == (
        69,
        "",
        error(
            f"127.0.0.1:{own_house.port}: Connection refused",
            "is coffer-server running there, and does it listen on that address?",
        ),
    )


def test_whatever_keeps_coffer_from_starting_the_command_ends_with_125(own_client, own_house: House) -> None:
    assert own_client("run", "--", "true", env=own_house.settings("stranger")).code == 125
    assert own_client("run", "--key", "missing", "--", "true").code == 125
    assert own_client("run", "--server", "nonsense", "--", "true").code == 125
    own_house.stop()
    assert own_client("run", "--retries", "0", "--", "true").code == 125


def test_a_key_file_that_others_can_read_is_refused(own_client, own_house: House) -> None:
    (own_house.folder / "web.key").chmod(0o644)
    assert own_client("get", "--key", "web.key") == (
        78,
        "",
        error("web.key: readable by others (mode 0644)", "chmod 0600 web.key"),
    )


def test_a_key_file_that_is_missing_is_named(client) -> None:
    hint = "coffer-companion keygen -o FILE makes a key file"
    assert client("get", "--key", "wbe.key") == (78, "", error("wbe.key: No such file or directory", hint))


def test_what_is_not_given_at_all_is_asked_for(run: Run) -> None:
    assert run("coffer-client", "get") == (
        78,
        "",
        error("no server", "--server coffer://SERVER-ID@HOST:PORT, or the same in COFFER_SERVER"),
    )
    server = "coffer://" + "A" * 56 + "@a"
    assert run("coffer-client", "get", "--server", server)[0] == 78


# ---- ping


def test_a_ping_says_who_answered_and_how_fast(client, house: House) -> None:
    code, out, err = client("ping")
    assert (code, err) == (0, "")
    assert out.startswith(f"127.0.0.1:{house.port} proved itself and knows this key: ") and out.endswith(" ms\n")


def test_the_second_server_answers_when_the_first_is_down(client, house: House) -> None:
    down = house.address.replace(f":{house.port}", ":1")
    assert client("get", "PORT", env={"COFFER_SERVER": f"{down},{house.address}"}) == (0, "5432", "")
    assert client("get", "PORT", "--server", down, "--server", house.address) == (0, "5432", "")


# ---- keys with a passphrase


@pytest.fixture
def locked(own_house: House) -> str:
    """The key of ``web``, locked: a file that others may have seen is of no use to them."""
    from coffer.identity import save_keypair

    save_keypair(str(own_house.folder / "locked.key"), own_house.keypairs["web"], b"correct horse")
    return "locked.key"


def test_a_locked_key_opens_with_the_passphrase_in_a_file(own_client, own_house: House, locked: str) -> None:
    (own_house.folder / "pass").write_text("correct horse\n")
    (own_house.folder / "pass").chmod(0o600)
    assert own_client("get", "PORT", "--key", locked, "--passphrase-file", "pass") == (0, "5432", "")


def test_a_passphrase_that_others_can_read_is_refused(own_client, own_house: House, locked: str) -> None:
    (own_house.folder / "pass").write_text("correct horse\n")
    (own_house.folder / "pass").chmod(0o640)
    assert own_client("get", "PORT", "--key", locked, "--passphrase-file", "pass") == (
        78,
        "",
        error("pass: a passphrase that others can read", "chmod 0600 pass"),
    )


def test_a_locked_key_without_passphrase_or_terminal_says_what_to_give(own_client, locked: str) -> None:
    assert own_client("get", "PORT", "--key", locked) == (
        78,
        "",
        error(
            f"passphrase for {locked}: there is no terminal to ask on",
            "name a file that holds the passphrase: --passphrase-file FILE",
        ),
    )


# ---- what a program must not do


def test_a_secret_appears_only_where_it_was_asked_for(own_client, own_house: House) -> None:
    own_house.change('[web]\nSECRET = "canary-4711"\n"not a name" = "canary-4711"\n')
    for arguments in (["run", "--", "true"], ["get", "nothing"], ["get", "--format", "shell"], ["ping"]):
        code, out, err = own_client(*arguments)
        assert code in (0, 1, 78, 125) and "canary" not in out + err
    assert "canary" not in own_house.log


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_standard_streams_harm_nobody(run: Run, house: House, closed: str) -> None:
    started = "coffer-client run -- sh -c 'echo $PORT >started' " + closed
    assert run("sh", "-c", started, env=house.settings()).code == 0
    assert run("cat", "started").out == "5432\n"
    done = run("sh", "-c", "coffer-client get PORT " + closed, env=house.settings())
    assert (done.code, done.out) == ((78, "") if ">&-" in closed.split() else (0, "5432"))


def test_help_shows_every_verb_and_the_examples_run(client, run: Run) -> None:
    code, out, err = run("coffer-client", "--help")
    assert (code, err) == (0, "")
    for verb in ("run", "get", "ping"):
        assert f"\n    {verb} " in out
        assert run("coffer-client", verb, "--help").code == 0


def test_it_runs_as_a_module_too(run: Run, house: House) -> None:
    assert run(sys.executable, "-m", "coffer", "client", "get", "PORT", env=house.settings()) == (0, "5432", "")
