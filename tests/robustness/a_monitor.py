"""A platform in a process of its own, told what to do line by line; for being killed.

Every line on its standard input is a JSON list: a word, and what it needs. Every answer is a line.
"""

from __future__ import annotations

import asyncio
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

from tests.monitor.platforms import ADMIN, ORG, platform_in

from openaudiohook.exceptions import AudioHookError
from openaudiohook.monitor.media import SourceRequest
from openaudiohook.monitor.orders import FlowAction, PlaceCall
from openaudiohook.monitor.platform import Platform

TONE = SourceRequest(tone=Decimal(600))


async def obey(platform: Platform, word: str, *needs: Any) -> Any:
    match word:
        case "place":
            place = PlaceCall(source=TONE, queue_id=needs[0])
            return (await platform.place_call(ORG, place, requester=ADMIN)).conversation_id
        case "attach":
            call = await platform.attach_source(ORG, needs[0], TONE, requester=ADMIN)
            return call.part
        case "secure":
            action = FlowAction(action="secureFlow", flow=needs[1], enable=needs[2])
            answer = await platform.flow_action(ORG, needs[0], action, requester=ADMIN)
            return getattr(answer, "position", None)
        case "state":
            return platform.call_state(ORG, needs[0])
    raise ValueError(word)


async def main(directory: Path) -> None:
    loop = asyncio.get_running_loop()
    async with platform_in(directory) as platform:
        print("ready", flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            try:
                answer = await obey(platform, *json.loads(line))
            except AudioHookError as error:
                answer = {"error": type(error).__name__}
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
