"""The control interface: REST in the platform's shapes, for one Monitor.

Start with `app` (the routes put together) and `server` (which serves them in the running loop).
Nothing is imported here, so that whoever needs no web framework is not asked for one.
"""

__all__: list[str] = []
