"""The yardstick of the service: picows alone, which answers `open`, `ping` and `close`.

No signature is checked, no sequence validated, no position kept, nothing recorded. It is what
any AudioHook service built on this library pays before it does anything.

Usage: python -m bench.endpoint [CERTIFICATE KEY]
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import signal
import ssl
import sys

import picows
import uvloop

__all__ = ["BareEndpoint"]

_ANSWERS = {b'"type":"open"': "opened", b'"type":"ping"': "pong", b'"type":"close"': "closed"}
_PARAMETERS = {
    "opened": {
        "startPaused": False,
        "media": [
            {"type": "audio", "format": "PCMU", "channels": ["external", "internal"], "rate": 8000}
        ],
    }
}


class BareEndpoint(picows.WSListener):
    """One session, as little of it as a client needs."""

    __slots__ = ("seq",)

    def __init__(self) -> None:
        self.seq = 0

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        """Drop audio; answer what has an answer."""
        if frame.msg_type == picows.WSMsgType.BINARY:
            return
        if frame.msg_type == picows.WSMsgType.CLOSE:
            transport.send_close(picows.WSCloseCode.OK)
            transport.disconnect()
        elif frame.msg_type == picows.WSMsgType.TEXT:
            self._answer(transport, frame.get_payload_as_bytes())

    def _answer(self, transport: picows.WSTransport, text: bytes) -> None:
        answer = next((answer for sign, answer in _ANSWERS.items() if sign in text), None)
        if answer is None:
            return
        message = json.loads(text)
        self.seq += 1
        reply = {
            "version": "2",
            "id": message["id"],
            "type": answer,
            "seq": self.seq,
            "clientseq": message["seq"],
            "parameters": _PARAMETERS.get(answer, {}),
        }
        transport.send(
            picows.WSMsgType.TEXT, json.dumps(reply, separators=(",", ":")).encode("ascii")
        )


async def main(tls: ssl.SSLContext | None) -> None:
    """Serve until told to stop."""
    server = await picows.ws_create_server(
        lambda _request: BareEndpoint(), "127.0.0.1", 0, ssl=tls, backlog=1024
    )
    port = server.sockets[0].getsockname()[1]
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    gc.collect()
    gc.freeze()
    print(f"listening on {'wss' if tls else 'ws'}://127.0.0.1:{port}/", flush=True)
    await stopped.wait()
    server.close()


if __name__ == "__main__":
    context = None
    if len(sys.argv) == 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[1], sys.argv[2])
    with contextlib.suppress(KeyboardInterrupt):
        uvloop.run(main(context))
