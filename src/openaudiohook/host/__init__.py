"""The consumer host: what a consumer is, how it is found, and how one session feeds many.

No network here: the host is given a session's events and passes them on. The modules are the
interface:

* `consumer`: the contract, for ours and a stranger's consumers alike, and every type they need;
* `registry`: finds installed consumers by entry point; installing one switches nothing on;
* `dispatch`: one session, many consumers: order, budgets, shedding, isolation.
"""

from __future__ import annotations

__all__: list[str] = []
