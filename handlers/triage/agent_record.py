"""What is recorded of the contrast agent: its name, its dose, and the way into the body."""

from __future__ import annotations

from dataclasses import dataclass

from pydicom.dataset import Dataset

from handlers import attributes
from handlers.model import Frame
from handlers.tables import table
from handlers.triage import header, phase_lexicon
from handlers.triage.words import first, phrases, words

AMOUNTS = ("ContrastBolusVolume", "ContrastBolusTotalDose", "ContrastFlowRate", "ContrastFlowDuration")
CANON_CREATOR, CANON_AGENT = "TOSHIBA_MEC_CT3", 0x1C  # (7005,xx1C) Contrast/Bolus Agent


@dataclass(frozen=True, slots=True)
class Agent:
    """What is recorded: `value` as written in `source`, the routes, and what they mean.

    `amount` is the first amount above zero, as (keyword, value), or ().
    """

    value: str
    source: str
    routes: tuple[str, ...]
    amount: tuple[str, float] | tuple[()]
    is_none: bool
    is_intravenous: bool
    is_elsewhere: bool

    @property
    def is_given(self) -> bool:
        """Whether an agent was given into a vein, or nowhere stated."""
        return bool(self.value) and not self.is_none and (self.is_intravenous or not self.is_elsewhere)


def agent(frame: Frame) -> Agent:
    """Read agent, dose and routes.

    Source: PS3.3 C.7.6.4 (0018,0010), (0018,0012), (0018,1040), (0018,0014), (0018,1048); C.7.6.4b
    of enhanced objects.
    """
    settings = table("phases")["contrast"]
    source, value = _value(frame)
    items = header.items(frame, "ContrastBolusAgentSequence")
    routes = tuple(
        dict.fromkeys(
            route for route in (header.text(frame, "ContrastBolusRoute"), *_routes(frame, *items)) if route
        )
    )
    sources: tuple[header.Source, ...] = (frame, *items)
    ingredients = (header.text(each, "ContrastBolusIngredient") for each in sources)
    told = words(" . ".join((value, *routes, *ingredients)))
    told = phrases(*settings["not_intravenous"]).sub(" ", told)
    return Agent(
        value,
        source,
        routes,
        _amount(frame, *items),
        is_none=bool(value) and phase_lexicon.says_none(value),
        is_intravenous=bool(first(told, settings["intravenous"])),
        is_elsewhere=bool(first(told, settings["elsewhere"])),
    )


def _value(frame: Frame) -> tuple[str, str]:
    """Return where the agent stands and its name; codes and Canon's copy stand in for an empty name."""
    if value := header.text(frame, "ContrastBolusAgent"):
        return "ContrastBolusAgent", value
    for item in header.items(frame, "ContrastBolusAgentSequence"):
        if value := header.text(item, "CodeMeaning"):
            return "ContrastBolusAgentSequence", value
    private = attributes.private(frame, 0x7005, CANON_CREATOR, CANON_AGENT)
    if isinstance(private, bytes):
        private = private.decode("ascii", errors="replace")
    value = "" if private is None else str(private).strip("\0 ")
    return ("(7005,xx1C)", value) if value else ("ContrastBolusAgent", "")


def _routes(*sources: Frame | Dataset) -> tuple[str, ...]:
    return tuple(
        header.text(item, "CodeMeaning")
        for source in sources
        for item in header.items(source, "ContrastBolusAdministrationRouteSequence")
    )


def _amount(*sources: Frame | Dataset) -> tuple[str, float] | tuple[()]:
    for source in sources:
        for keyword in AMOUNTS:
            if (value := header.number(source, keyword)) is not None and value > 0:
                return keyword, value
    return ()
