"""What a supervisor does where the real programs of ``test_client_watch`` cannot bring it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from pathlib import Path

import pytest

from coffer.client.delivery import Delivery
from coffer.client.supervise import Supervisor
from coffer.client.watch import Watch

NOBODY = 65534
SETPRIV = shutil.which("setpriv")


@pytest.mark.plain  # what is setuid is loaded without the sanitizers' runtime
@pytest.mark.skipif(os.geteuid() != 0 or not SETPRIV, reason="only root makes a command that becomes another user's")
def test_a_command_that_may_not_be_signalled_is_waited_for_all_the_same() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        become_root = shutil.copy(str(SETPRIV), folder)
        os.chmod(become_root, 0o4755)
        command = [become_root, "--reuid=0", "--clear-groups", "sh", "-c", "sleep 1; exit 5"]
        told = Path(folder, "told")
        told.touch()
        told.chmod(0o666)
        supervisor = os.fork()
        if not supervisor:
            os._exit(supervise(command, told))
        time.sleep(0.4)
        os.kill(supervisor, signal.SIGTERM)
        assert os.waitstatus_to_exitcode(os.waitpid(supervisor, 0)[1]) == 5
        assert told.read_text() == "the command cannot be sent signal 15: it runs as another user"


def supervise(command: list[str], told: Path) -> int:
    """Run the command as nobody would, in a process that is nobody's."""
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    try:
        watch = Watch(Delivery({}, {}), lambda: Delivery({}, {}), 1000, print)
        return Supervisor(command, lambda _: {}, watch, None, lambda text: told.write_text(text) and None).run()
    except BaseException as error:
        told.write_text(repr(error))
        return 1
