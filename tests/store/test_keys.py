"""The master key: where it comes from, what is refused, and what is derived from it."""

from __future__ import annotations

import base64
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.store import keys
from openaudiohook.store.keys import audit_key, derived_key, load_master_key

pytestmark = pytest.mark.unit

KEY = bytes(range(32))
TEXT = base64.b64encode(KEY).decode()


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys" / "monitor.key"
    path.parent.mkdir()
    path.write_text(f"{TEXT}\n")
    path.chmod(0o600)
    return path


def test_a_key_is_read_from_its_file(key_file: Path) -> None:
    assert load_master_key(key_file) == KEY


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    assert load_master_key(tmp_path / "none", f" {TEXT}\n") == KEY
    assert load_master_key(None, TEXT) == KEY


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "monitor.key"
    key = load_master_key(path, create=True)
    assert len(key) == 32
    assert load_master_key(path, create=True) == load_master_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["monitor.key"]


def test_whoever_makes_it_at_the_same_time_gets_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "monitor.key"
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: load_master_key(path, create=True), range(32)))
    assert len(set(found)) == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["monitor.key"]


def test_one_that_somebody_else_made_first_holds(key_file: Path) -> None:
    keys._make(key_file)
    assert load_master_key(key_file) == KEY


def test_a_missing_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="name a key file, or set OPENAUDIOHOOK_MONITOR_"):
        load_master_key(None)
    with pytest.raises(ConfigurationError, match=r"there is no key file .*none: name the one"):
        load_master_key(tmp_path / "none")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "?", TEXT[:-4], TEXT + TEXT, TEXT.rstrip("="), "sesame, open\udc80"]
)
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"\$OPENAUDIOHOOK_MONITOR_KEY does not hold 32 octets in base64"
    ) as refused:
        load_master_key(None, text)
    assert not text or text not in str(refused.value)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o602, 0o666])
def test_a_key_that_others_may_read_is_refused(mode: int, key_file: Path) -> None:
    key_file.chmod(mode)
    with pytest.raises(ConfigurationError, match=r"others may read or write .* `chmod 600 "):
        load_master_key(key_file)


def test_a_key_file_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"the key file .*: Is a directory"):
        load_master_key(tmp_path)
    path = tmp_path / "zeros"
    path.write_bytes(bytes(10_000))
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="zeros does not hold 32 octets in base64"):
        load_master_key(path)


def test_derived_keys_are_those_of_rfc_5869() -> None:
    for purpose in (b"openaudiohook audit", b"", b"other"):
        expected = HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose).derive(KEY)
        assert derived_key(KEY, purpose) == expected
    assert audit_key(KEY) == derived_key(KEY, b"openaudiohook audit")
    assert audit_key(KEY) != KEY


@pytest.fixture(autouse=True)
def loose_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)
