"""What the master hears of a worker's death, in whatever order the kernel tells it."""

from __future__ import annotations

import os
import socket

import pytest

from coffer._core import Keypair
from coffer.server.cli import serve_parser
from coffer.server.log import Log
from coffer.server.master import Master
from coffer.server.settings import load_settings


@pytest.fixture
def master() -> Master:
    nobody = "3SAW-T7FR-RFCV-F3OJ-T2M4-OBQF-BAFT-GJJT-4BLK-HZ22-QN4O-HSW5-PEAY-2E5L"
    flags = ["--key", "none", "--companion", nobody, "--definition", "none", "--workers", "1"]
    return Master(load_settings(serve_parser().parse_args(flags)), (Keypair.generate(),), [], Log())


def dead_child() -> int:
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    return pid


@pytest.mark.parametrize("first", ["_reap", "_hear_worker"])
def test_a_worker_may_be_mourned_before_its_channel_is_read(master: Master, first: str) -> None:
    post = master._posts[0]
    ours, theirs = socket.socketpair()
    theirs.close()
    post.pid, post.channel = dead_child(), ours
    master._selector.register(ours, 1)
    steps = {"_reap": master._reap, "_hear_worker": lambda: master._hear_worker(post)}
    for step in sorted(steps, key=lambda name: name != first):
        steps[step]()
    assert post.channel is None and not post.pid and post.restart_at is not None
