"""Log lines with fields, through the standard library's logging.

A program that embeds the service decides where they go: nothing is configured before
`log_to_stderr` is called, which is for processes of our own. Fields hold ids of sessions and
conversations, names of states and types, and numbers: never audio, text, addresses, names of
people, keys or signatures.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

__all__ = ["get_logger", "log_to_stderr"]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; fields become attributes of its records."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def log_to_stderr(level: str, *, worker: int | None = None) -> None:
    """Send log lines to stderr: ours, and those of what we are built on.

    Args:
        level: the least severe that is shown.
        worker: the number of this worker, where there are several; it stands in every line.
    """

    def name_worker(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Any:
        return event if worker is None else {**event, "worker": worker}

    renderer: Any = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.LogfmtRenderer(key_order=("timestamp", "level", "event"))
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=[
                structlog.stdlib.add_log_level,
                structlog.stdlib.ExtraAdder(),
                name_worker,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
