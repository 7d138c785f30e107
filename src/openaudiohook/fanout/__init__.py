"""One call, many endpoints: a timeline that is written once, and a place in it for each endpoint.

`engine.Fanout` and what it is made of (`ring`, `pauses`, `cursor`, `account`) do no input or
output and know no clock; `endpoint` dials and streams, and `clock` moves it all.
"""

__all__: list[str] = []
