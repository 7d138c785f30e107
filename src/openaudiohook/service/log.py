"""Log lines with fields, through the standard library's logging.

A program that embeds the service decides where they go; nothing is configured here. Fields hold
ids of sessions and conversations, names of states and types, and numbers: never audio, text,
addresses, names of people, keys or signatures.
"""

from __future__ import annotations

import logging

import structlog

__all__ = ["get_logger"]


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a module; fields become attributes of its records."""
    logger: structlog.stdlib.BoundLogger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[structlog.stdlib.filter_by_level, structlog.stdlib.render_to_log_kwargs],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger
