"""Logs are events with keys, one line each, on standard error; this room decides what never gets there.

An event name says part and happening: `association.refused`, `series.complete`. Keys that
hold a DICOM attribute bear its keyword. Never logged, at any level: the keys of `PHI_KEYS`
and every description. UIDs are logged: they are what a person needs to find the object.

Text from a peer may hold anything. Control characters are escaped, values of `PEER_KEYS`
cut at 64 characters, and one peer's repetition of one event is held to 20 lines a second;
the next line that passes says how many were `suppressed`.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from typing import Any, cast

import structlog
from structlog.typing import EventDict, Processor

PHI_KEYS = frozenset(
    {
        "accessionnumber",
        "institutionname",
        "operatorsname",
        "otherpatientids",
        "patientaddress",
        "patientbirthdate",
        "patientcomments",
        "patientid",
        "patientname",
        "performingphysicianname",
        "referringphysicianname",
        "requestingphysician",
    }
)
PEER_KEYS = frozenset(
    {"calling_aet", "called_aet", "CallingAET", "CalledAET", "SOPInstanceUID", "peer", "answer"}
)
PEER_TEXT_LENGTH = 64  # an AE title has 16 characters, a UID and an Error Comment 64 (PS3.5 6.2)
TEXT_LENGTH = 2000  # of anything else but a traceback
LINES_PER_S = 20  # of one event from one peer
THROTTLED_KEYS = 1024  # peers x events that are counted at a time
QUIET_LIBRARIES = ("pynetdicom", "pydicom")  # what they say below WARNING may hold attribute values


def configure(level: str, *, json: bool) -> None:
    """Send every log line of this process to standard error, as JSON or as text for a terminal.

    Lines of libraries pass at WARNING and above, those of `node` at `level`; an exception
    that ends a thread becomes a line too. The effect is on the whole process; calling it
    again replaces what was set.
    """
    renderer: Processor = structlog.processors.JSONRenderer() if json else _text_renderer()
    handler = _StandardError()
    handler.addFilter(_one_line)
    handler.addFilter(Throttle(LINES_PER_S))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                structlog.processors.format_exc_info,
                without_phi,
                escaped,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("node").setLevel(level)
    for name in QUIET_LIBRARIES:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.setLevel(logging.WARNING)
        library.propagate = True
    _catch_thread_exceptions()


def get(name: str) -> structlog.stdlib.BoundLogger:
    """Return the logger of a part of the node, such as "node.listener"; it needs no `configure` first."""
    logger = structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.add_log_level,
            structlog.stdlib.add_logger_name,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    return cast("structlog.stdlib.BoundLogger", logger)


def without_phi(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Take out every key that names a patient or describes an examination, at any depth."""
    return cast("EventDict", _without_phi(event))


def escaped(_logger: Any, _method: str, event: EventDict) -> EventDict:
    """Escape control characters and cut what is too long; the lines of a traceback stay lines."""
    return {key: _plain(key, value) for key, value in event.items()}


class Throttle(logging.Filter):
    """Let at most `lines_per_s` records of one event from one peer pass in each second."""

    def __init__(self, lines_per_s: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._lines_per_s, self._clock = lines_per_s, clock
        self._lock = threading.Lock()
        self._second = 0
        self._counts: dict[tuple[str, str], int] = {}
        self._suppressed: dict[tuple[str, str], int] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether the record passes; one that follows suppressed ones is told their number."""
        key = _event_and_peer(record)
        with self._lock:
            second = int(self._clock())
            if second != self._second or len(self._counts) > THROTTLED_KEYS:
                self._second, self._counts = second, {}
            self._counts[key] = self._counts.get(key, 0) + 1
            if self._counts[key] > self._lines_per_s:
                if key in self._suppressed or len(self._suppressed) < THROTTLED_KEYS:
                    self._suppressed[key] = self._suppressed.get(key, 0) + 1
                return False
            suppressed = self._suppressed.pop(key, 0)
        if suppressed and isinstance(record.msg, MutableMapping):
            record.msg["suppressed"] = suppressed
        elif suppressed:
            record.msg = f"{record.msg} (suppressed {suppressed})"
        return True


def _catch_thread_exceptions() -> None:
    log = get("node.threads")

    def tell(ended: threading.ExceptHookArgs) -> None:
        thread = ended.thread.name if ended.thread else ""
        log.error("thread.died", thread=thread, error=f"{ended.exc_type.__name__}: {ended.exc_value}")

    threading.excepthook = tell


class _StandardError(logging.Handler):
    """Writes to what standard error is now, not what it was when logging was configured."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as every handler of the standard library does
            self.handleError(record)


def _one_line(record: logging.LogRecord) -> bool:
    """Leave out the tracebacks of the libraries: what a peer does wrong needs one line, not forty."""
    if record.name.startswith(QUIET_LIBRARIES) and record.exc_info:
        record.exc_info = None
    return True


def _event_and_peer(record: logging.LogRecord) -> tuple[str, str]:
    if isinstance(record.msg, MutableMapping):
        host, _, port = (address := str(record.msg.get("source_address", ""))).rpartition(":")
        return str(record.msg.get("event", "")), host if host and port.isdecimal() else address
    return f"{record.name}:{record.lineno}", ""


def _text_renderer() -> Processor:
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


def _without_phi(value: Any) -> Any:
    if isinstance(value, MutableMapping):
        return {key: _without_phi(inner) for key, inner in value.items() if not _is_phi(str(key))}
    if isinstance(value, list | tuple):
        return [_without_phi(inner) for inner in value]
    return value


def _is_phi(key: str) -> bool:
    plain = key.replace("_", "").casefold()
    return plain in PHI_KEYS or plain.endswith("description")


def _plain(key: str, value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(str(name), inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(key, inner) for inner in value]
    if not isinstance(value, str):
        return value
    if key == "exception":
        return "\n".join(_escape(line) for line in value.splitlines())
    limit = PEER_TEXT_LENGTH if key in PEER_KEYS else TEXT_LENGTH
    text = _escape(value[: limit + 1])
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _escape(text: str) -> str:
    """Write what is not printable as an escape, so that a peer cannot write lines or colours into a log."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii") for char in text
    )
