"""Contrast agents and routes as recorded: outside the veins, and several of them."""

from __future__ import annotations

from handlers.model import Finding, Series, Severity
from handlers.tables import table
from handlers.triage import header
from handlers.triage.agent_record import agent
from handlers.triage.targets import measured, volume_finding
from handlers.triage.words import first


def other_routes(series: Series) -> list[Finding]:
    """Note contrast outside the veins (CON-008), and several agents or routes (CON-010).

    A description that names oral or rectal contrast counts as well. Source: PS3.3 C.7.6.4.
    """
    found = []
    for volume in measured(series, "CT", "MR"):
        frame = volume.frames[0]
        given = agent(frame)
        evidence = {"ContrastBolusAgent": given.value, "routes": list(given.routes)}
        enteric = first(header.text(frame, "SeriesDescription"), table("phases")["contrast"]["enteric"])
        is_elsewhere = given.is_elsewhere and not given.is_none
        if is_elsewhere or enteric:
            how = "was given" if is_elsewhere else f"was given, by the description ({enteric}),"
            message = f"contrast medium {how} by a route that does not enhance vessels"
            found.append(volume_finding(volume, "CON-008", Severity.INFO, message, **evidence))
        agents = len(header.items(frame, "ContrastBolusAgentSequence"))
        if agents > 1 or len(set(given.routes)) > 1 or (is_elsewhere and given.is_intravenous):
            message = "several contrast agents or routes are recorded"
            found.append(volume_finding(volume, "CON-010", Severity.INFO, message, **evidence))
    return found
