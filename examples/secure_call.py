"""Steer a running Monitor: place a call in a queue, pause it securely, resume it, see what it cost.

python examples/secure_call.py http://127.0.0.1:3080     (OPENAUDIOHOOK_CLIENT=ID:SECRET)
"""

import os
import sys
import time

from openaudiohook.monitor.control_client import ControlClient

CALLS = "/api/v2/audiohook/calls"


def main(api: str) -> None:
    id_, _, secret = os.environ["OPENAUDIOHOOK_CLIENT"].partition(":")
    monitor = ControlClient(api, client_id=id_, secret=secret)
    queue = next(one for one in monitor.all("/api/v2/routing/queues") if one["name"] == "Monitored")
    placed = monitor.post(CALLS, {"source": {"tone": 6}, "queueId": queue["id"]})
    conversation = placed["conversationId"]
    print("conversation", conversation)

    time.sleep(2)
    call = f"/api/v2/conversations/calls/{conversation}"
    monitor.patch(call, {"recordingState": "PAUSED", "securePause": True})
    print("paused: from this answer on nothing leaves")
    time.sleep(2)
    monitor.patch(call, {"recordingState": "ACTIVE", "securePause": True})
    print("resumed")

    while any(one["conversationId"] == conversation for one in monitor.get(CALLS)["entities"]):
        time.sleep(0.2)
    for row in monitor.get("/api/v2/audiohook/usage")["entities"]:
        if row["conversationId"] == conversation:
            secure, charged = row["pausedSeconds"]["secure"], row["chargeableSeconds"]
            print(f"{row['name']}: {secure:.0f} s secure, {charged:.0f} s charged")


if __name__ == "__main__":
    main(sys.argv[1])
