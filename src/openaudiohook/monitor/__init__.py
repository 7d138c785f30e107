"""The platform's side: calls, what is monitored of them, and what is charged.

Start with `monitor` (runs calls) and `scenario` (a call's script). `policy`, `secure_pause` and
`metering` decide without input or output, and know no clock.
"""

from __future__ import annotations

from openaudiohook.monitor.monitor import Monitor, RunningCall
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.scenario import Scenario, load_scenario, single_play

__all__ = ["CallReport", "Monitor", "RunningCall", "Scenario", "load_scenario", "single_play"]
