"""The third-party side: listen, admit, hold sessions, hand their audio to consumers.

`service.Service` is the whole of it, for the command line and for programs alike:

    async with Service(ServiceConfig(no_auth=True, port=0)) as service:
        print(service.uri)
        await asyncio.Event().wait()  # until cancelled; `drained()` ends it without losing calls

* `config`: what can be set, from a file, the environment, options;
* `session`: one session's events to its consumers; `probe`: sessions that only test us;
* `drain`: the way out; `health`, `metrics`, `admin`: what the operator sees.
"""

from __future__ import annotations

__all__: list[str] = []
