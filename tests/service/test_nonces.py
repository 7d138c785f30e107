"""The table of nonces that processes share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from openaudiohook.exceptions import ReplayedRequest
from openaudiohook.service.nonces import SharedNonces

pytestmark = pytest.mark.integration

WINDOW_NS = 16_000_000_000
NOW_NS = 1_700_000_000_000_000_000

# Every process tries every nonce, in an order of its own, and tells which ones it got.
RACER = """
import random, sys
from openaudiohook.exceptions import ReplayedRequest
from openaudiohook.service.nonces import SharedNonces
fileno, seed, count = map(int, sys.argv[1:])
nonces = SharedNonces.attach(fileno)
order = list(range(count))
random.Random(seed).shuffle(order)
print("ready", flush=True)
sys.stdin.readline()
for number in order:
    try:
        nonces.admit("key", f"nonce {number}", utc_ns=1_700_000_000_000_000_000,
                     window_ns=16_000_000_000)
    except ReplayedRequest:
        continue
    print(number)
"""


@pytest.fixture
def nonces() -> Iterator[SharedNonces]:
    table = SharedNonces.create(buckets=8)
    yield table
    table.close()


def admitted(nonces: SharedNonces, nonce: str, *, keyid: str = "key", utc_ns: int = NOW_NS) -> bool:
    try:
        nonces.admit(keyid, nonce, utc_ns=utc_ns, window_ns=WINDOW_NS)
    except ReplayedRequest:
        return False
    return True


def test_a_nonce_is_good_once_for_each_key(nonces: SharedNonces) -> None:
    assert admitted(nonces, "a")
    assert not admitted(nonces, "a")
    assert admitted(nonces, "a", keyid="other")
    assert admitted(nonces, "b")


def test_the_border_between_key_and_nonce_counts(nonces: SharedNonces) -> None:
    assert admitted(nonces, "bc", keyid="a")
    assert admitted(nonces, "c", keyid="ab")


def test_a_nonce_is_remembered_to_the_end_of_its_window_and_no_longer(
    nonces: SharedNonces,
) -> None:
    assert admitted(nonces, "a")
    assert not admitted(nonces, "a", utc_ns=NOW_NS + WINDOW_NS)
    assert admitted(nonces, "a", utc_ns=NOW_NS + WINDOW_NS + 1)


def test_a_clock_set_back_forgets_nothing(nonces: SharedNonces) -> None:
    assert admitted(nonces, "a")
    assert not admitted(nonces, "a", utc_ns=NOW_NS - 3600 * 10**9)


def test_a_full_table_refuses_until_there_is_room_again() -> None:
    table = SharedNonces.create(buckets=1)
    try:
        assert all(admitted(table, str(number)) for number in range(64))
        with pytest.raises(ReplayedRequest, match="full"):
            table.admit("key", "one more", utc_ns=NOW_NS, window_ns=WINDOW_NS)
        later = NOW_NS + WINDOW_NS + 1
        assert all(admitted(table, f"later {number}", utc_ns=later) for number in range(64))
    finally:
        table.close()


def test_buckets_cannot_be_aimed_at() -> None:
    one, other = SharedNonces.create(), SharedNonces.create()
    try:
        assert one._key != other._key
    finally:
        one.close()
        other.close()


def test_the_default_table_takes_what_it_promises() -> None:
    table = SharedNonces.create()
    try:
        assert all(admitted(table, str(number)) for number in range(100_000))
    finally:
        table.close()


def test_of_processes_that_race_for_a_nonce_exactly_one_gets_it() -> None:
    racers, count = 4, 2_000
    table = SharedNonces.create()
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RACER, str(table.fileno), str(seed), str(count)],
            pass_fds=(table.fileno,), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for seed in range(racers)
    ]  # fmt: skip
    try:
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        got = [process.communicate(timeout=60)[0].split() for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
        table.close()
    everything = sorted(int(number) for each in got for number in each)
    assert everything == list(range(count))
    assert sum(1 for each in got if each) > 1  # it was a race


def test_a_process_killed_in_a_bucket_leaves_it_to_the_others() -> None:
    table = SharedNonces.create(buckets=1)
    holder = """
import fcntl, sys
fcntl.lockf(int(sys.argv[1]), fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""
    try:
        with subprocess.Popen(
            [sys.executable, "-c", holder, str(table.fileno)],
            pass_fds=(table.fileno,), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        ) as process:  # fmt: skip
            assert process.stdout is not None
            assert process.stdout.readline() == "locked\n"
            process.kill()
            process.wait()
        assert admitted(table, "a")
    finally:
        table.close()
