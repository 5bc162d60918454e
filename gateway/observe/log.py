"""The gateway's log: structured, on standard error, for a person or for a program."""

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from structlog.typing import Processor

Log = structlog.stdlib.BoundLogger


def start(form: str) -> Log:
    """Set up logging and return the gateway's log.

    Args:
        form: `console` for a person at a terminal, `json` for one object a line.
    """
    processors: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    if form == "json":
        processors += [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        processors.append(structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()))
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    # paho and aiomqtt speak of lost connections through the standard library; so do we, better.
    logging.getLogger("mqtt").setLevel(logging.CRITICAL)
    log: Log = structlog.get_logger()
    return log
