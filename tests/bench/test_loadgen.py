"""Tests of the load generator, against the bare endpoint."""

from __future__ import annotations

import os
import shutil

import pytest
from bench.generator import drive
from bench.processes import python, running

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(
        shutil.which("cc") is None or not {0, 1} <= os.sched_getaffinity(0),
        reason="the load generator needs a C compiler and two CPUs",
    ),
]


def test_every_stream_opens_sends_pings_and_closes_beside_a_flood() -> None:
    with running(python("bench.endpoint"), cpu=0) as endpoint:
        uri = endpoint.line().removeprefix("listening on ") + "audiohook"
        run = drive(endpoint, uri, streams=60, floods=1, rate=1000.0, warmup_s=0.1, seconds=1.0)

    assert run.problems == ""
    assert run.streams == 60
    assert run.round_trip_ms[2] > 0  # of 60 streams with a ping each 50 frames
    assert run.setup_ms[2] > 0
    assert run.us_per_frame > 0
    assert run.flood_mb_per_s > 0


def test_a_server_that_refuses_the_upgrade_is_a_problem_and_no_figure() -> None:
    command = python("http.server", "--bind", "127.0.0.1", "0")
    with running(command, cpu=0, environment={"PYTHONUNBUFFERED": "1"}) as server:
        port = server.line().partition(" port ")[2].split()[0]
        run = drive(
            server,
            f"ws://127.0.0.1:{port}/audiohook",
            streams=2,
            rate=100.0,
            warmup_s=0.1,
            seconds=0.2,
        )

    assert run.problems == "2 failed, 0 of 2 opened"
    assert not run.counts
