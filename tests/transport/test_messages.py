"""Joining frames to messages, without a socket."""

from __future__ import annotations

import pytest

from openaudiohook.transport.messages import (
    BINARY,
    CONTINUATION,
    INVALID_TEXT,
    PROTOCOL_ERROR,
    TEXT,
    FramingError,
    Message,
    MessageAssembler,
    Oversize,
    close_code,
)

pytestmark = pytest.mark.unit


def view(payload: bytes) -> memoryview:
    return memoryview(payload)


def test_a_message_in_one_frame_is_not_copied() -> None:
    payload = view(b"\xff" * 1600)
    message = MessageAssembler().add(BINARY, payload, is_final=True)
    assert isinstance(message, Message)
    assert message.data is payload
    assert not message.is_text


def test_fragments_are_joined_and_the_next_message_begins_anew() -> None:
    assembler = MessageAssembler()
    for _ in range(2):
        assert assembler.add(TEXT, view(b'{"a'), is_final=False) is None
        assert assembler.is_inside
        assert assembler.add(CONTINUATION, view(b""), is_final=False) is None
        message = assembler.add(CONTINUATION, view(b'": 1}'), is_final=True)
        assert message == Message(True, bytearray(b'{"a": 1}'))
        assert not assembler.is_inside


def test_a_character_may_be_cut_by_a_fragment() -> None:
    assembler = MessageAssembler()
    assembler.add(TEXT, view("é".encode()[:1]), is_final=False)
    message = assembler.add(CONTINUATION, view("é".encode()[1:]), is_final=True)
    assert message == Message(True, bytearray("é".encode()))


@pytest.mark.parametrize(
    ("is_inside", "opcode", "has_reserved"),
    [
        (False, CONTINUATION, False),
        (True, TEXT, False),
        (True, BINARY, False),
        (False, BINARY, True),
        (True, CONTINUATION, True),
    ],
)
@pytest.mark.parametrize("is_oversize", [False, True])
def test_a_frame_out_of_place_is_a_protocol_error(
    is_inside: bool, opcode: int, has_reserved: bool, is_oversize: bool
) -> None:
    assembler = MessageAssembler(limit=10)
    if is_inside:
        assembler.add(TEXT, view(b"{"), is_final=False)
    with pytest.raises(FramingError) as caught:
        if is_oversize:
            assembler.add_oversize(opcode, 11, is_final=True, has_reserved=has_reserved)
        else:
            assembler.add(opcode, view(b"x"), is_final=True, has_reserved=has_reserved)
    assert caught.value.code == PROTOCOL_ERROR


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(FramingError) as caught:
        MessageAssembler().add(TEXT, view(b"\xc3\x28"), is_final=True)
    assert caught.value.code == INVALID_TEXT


def test_a_message_at_the_limit_passes_and_one_byte_more_does_not() -> None:
    assembler = MessageAssembler(limit=10)
    assert isinstance(assembler.add(BINARY, view(b"x" * 10), is_final=True), Message)
    assert assembler.add(BINARY, view(b"x" * 11), is_final=True) == Oversize(False, None)
    assert isinstance(assembler.add(TEXT, view(b"{}"), is_final=True), Message)


def test_fragments_over_the_limit_are_told_once_and_not_kept() -> None:
    assembler = MessageAssembler(limit=10)
    assert assembler.add(TEXT, view(b"x" * 10), is_final=False) is None
    assert assembler.add(CONTINUATION, view(b"x"), is_final=False) == Oversize(True, None)
    assert assembler.add(CONTINUATION, view(b"\xff" * 10), is_final=False) is None
    assert assembler.add_oversize(CONTINUATION, 99, is_final=False) is None
    assert assembler.add(CONTINUATION, view(b"x"), is_final=True) is None
    assert isinstance(assembler.add(TEXT, view(b"{}"), is_final=True), Message)


def test_the_size_of_a_whole_message_is_told_and_that_of_a_part_is_not() -> None:
    assembler = MessageAssembler(limit=10)
    assert assembler.add_oversize(TEXT, 99, is_final=True) == Oversize(True, 99)
    assert assembler.add_oversize(BINARY, 99, is_final=False) == Oversize(False, None)
    assert assembler.add_oversize(CONTINUATION, 99, is_final=True) is None


@pytest.mark.parametrize(("payload", "code"), [(b"", 1005), (b"\x03\xe8bye", 1000)])
def test_the_code_of_a_close_frame_is_read(payload: bytes, code: int) -> None:
    assert close_code(payload) == code


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535])
def test_a_close_code_that_may_not_be_sent_is_refused(code: int) -> None:
    with pytest.raises(FramingError):
        close_code(code.to_bytes(2, "big"))
