"""Two hundred random schedules of secure pause through the platform, five services each.

From a platform's answer on no socket carries a byte that was captured at or after the position it
names: however often it is asked, whatever services do meanwhile, and though the platform is killed
or stopped and the conversation goes on with another source. About three minutes together.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from tests.robustness.calling import DEEDS, Conversation, world_in

pytestmark = [pytest.mark.slow, pytest.mark.anyio, pytest.mark.timeout(600)]

SCHEDULES = 200
SHARE = 25


@pytest.mark.parametrize("first", range(0, SCHEDULES, SHARE))
async def test_nothing_captured_at_or_after_the_answered_position_arrives(
    first: int, tmp_path: Path
) -> None:
    seen: Counter[str] = Counter()
    async with world_in(tmp_path) as world:
        for seed in range(first, first + SHARE):
            conversation = Conversation(world, seed)
            try:
                await conversation.run()
            except BaseException as error:
                error.add_note(f"the schedule is that of seed {seed}")
                raise
            seen.update(conversation.seen)
            seen["withdrawn too late"] += any(any(cut.gone.values()) for cut in conversation.cuts)
    assert {*DEEDS, "withdrawn too late"} <= {what for what, times in seen.items() if times}, seen
