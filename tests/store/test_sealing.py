"""A secret is sealed: it opens with its key and context, and with nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import ConfigurationError, StoreError
from openaudiohook.store.sealing import Sealer

pytestmark = pytest.mark.unit

MASTER = bytes(range(32))


@given(secret=st.binary(max_size=300), context=st.binary(max_size=50))
def test_what_was_sealed_opens_and_shows_nothing(secret: bytes, context: bytes) -> None:
    sealed = Sealer(MASTER).seal(secret, context)
    assert Sealer(MASTER).open(sealed, context) == secret
    assert len(secret) < 4 or secret not in sealed


def test_the_same_secret_never_looks_the_same() -> None:
    sealer = Sealer(MASTER)
    assert len({sealer.seal(b"secret", b"") for _ in range(50)}) == 50


@given(data=st.data())
def test_one_changed_bit_is_found(data: st.DataObject) -> None:
    sealed = bytearray(Sealer(MASTER).seal(b"secret", b"context"))
    bit = data.draw(st.integers(0, len(sealed) * 8 - 1))
    sealed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(StoreError):
        Sealer(MASTER).open(bytes(sealed), b"context")


def test_another_key_another_context_or_a_part_of_it_do_not_open_it() -> None:
    sealed = Sealer(MASTER).seal(b"secret", b"context")
    for sealer, text, context in (
        (Sealer(bytes(32)), sealed, b"context"),
        (Sealer(MASTER), sealed, b"other"),
        (Sealer(MASTER), sealed[:-1], b"context"),
        (Sealer(MASTER), b"", b"context"),
    ):
        with pytest.raises(StoreError, match="Monitor's key"):
            sealer.open(text, context)


def test_a_key_of_another_length_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="has 31 bytes; it must have 32"):
        Sealer(bytes(31))
