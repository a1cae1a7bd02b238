"""The report as a page for people: one HTML file that needs nothing else, with every value escaped."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from handlers.findings import CODES
from handlers.model import Outcome, Product
from handlers.outputs import report_words
from handlers.outputs.report import report

FILE_NAME = "report.html"
TEMPLATE = "report.html.j2"
NOTHING_TO_DO = "Nothing to do."


def write(outcome: Outcome, folder: Path) -> list[Product]:
    """Write `report.html`; the pictures that `preview` left in the folder are put into it."""
    pictures = {
        product.volume: (folder / product.path).read_bytes()
        for product in outcome.products
        if product.kind == "preview" and product.volume is not None
    }
    content = page(report(outcome), pictures).encode("utf-8")
    (folder / FILE_NAME).write_bytes(content)
    checksum = hashlib.sha256(content).hexdigest()
    return [Product("page", Path(FILE_NAME), sha256=checksum, size_bytes=len(content))]


def page(report: Mapping[str, Any], pictures: Mapping[int, bytes]) -> str:
    """Render a report, as `handlers.outputs.report.report` returns it, with PNG pictures by volume index."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    groups = finding_groups(report["findings"], is_let_pass=report["verdict"] in ("ACCEPT", "ACCEPT_WARN"))
    instances = {uid for volume in report["volumes"] for uid in volume["sop_instance_uids"]}
    headline, consequence = report_words.VERDICTS[report["verdict"]]
    return environment.get_template(TEMPLATE).render(
        report=report,
        headline=headline,
        consequence=consequence,
        summary=report_words.summary(report),
        modalities=", ".join(
            sorted({volume["modality"] for volume in report["volumes"] if volume["modality"]})
        ),
        instances=report_words.count_of(len(instances), "DICOM instance"),
        groups=groups,
        reasons=_reasons(groups),
        volumes=[_volume_view(volume, pictures.get(volume["index"])) for volume in report["volumes"]],
        completion=report_words.evidence(report["completion"]["evidence"]),
        provenance=_provenance_rows(report["provenance"]),
    )


def finding_groups(findings: list[dict[str, Any]], *, is_let_pass: bool) -> list[dict[str, Any]]:
    """Group findings by severity, the gravest first, then by code; each code lists what was seen where.

    `is_let_pass`: the series was accepted, so what would hold it was released, or the profile accepts it.
    """
    groups = []
    for severity, title in report_words.SEVERITIES.items():
        by_code: dict[str, list[dict[str, Any]]] = {}
        for finding in findings:
            if finding["severity"] == severity:
                by_code.setdefault(finding["code"], []).append(finding)
        if by_code:
            entries = [_entry(code, found) for code, found in by_code.items()]
            group = {"severity": severity, "title": title, "entries": entries}
            groups.append(_let_pass(group) if severity == "REVIEW" and is_let_pass else group)
    return groups


def _let_pass(group: dict[str, Any]) -> dict[str, Any]:
    title, action = report_words.LET_PASS
    return {
        **group,
        "title": title,
        "entries": [{**entry, "action_taken": action} for entry in group["entries"]],
    }


def _entry(code: str, findings: list[dict[str, Any]]) -> dict[str, Any]:
    """Explain a code once, and list its observations: the same sentence once, with all it concerns."""
    info = CODES.get(code)
    seen: dict[str, dict[str, Any]] = {}
    for finding in findings:
        line = seen.setdefault(
            finding["message"], {"evidence": finding["evidence"], "targets": [], "count": 0}
        )
        line["targets"].append(finding["target"])
        line["count"] += 1
    lines = [
        {
            "message": report_words.sentence(message),
            "evidence": report_words.evidence(line["evidence"]),
            "targets": report_words.targets(line["targets"]),
            "count": line["count"],
        }
        for message, line in seen.items()
    ]
    return {
        "code": code,
        "title": info.title if info else code,
        "meaning": info.meaning if info else "",
        "action_taken": info.action_taken if info else "",
        "advice": info.advice if info and info.advice != NOTHING_TO_DO else "",
        "lines": lines[: report_words.MAX_TARGETS],
        "more": max(0, len(lines) - report_words.MAX_TARGETS),
    }


def _reasons(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the findings that decide the verdict, to be named beside it; none for mere information."""
    return groups[0]["entries"] if groups and groups[0]["severity"] != "INFO" else []


def _volume_view(volume: Mapping[str, Any], picture: bytes | None) -> dict[str, Any]:
    headline, _ = report_words.VERDICTS[volume["verdict"]]
    return {
        "index": volume["index"],
        "verdict": volume["verdict"],
        "headline": headline,
        "file": volume.get("file"),
        "modality": volume["modality"],
        "facts": report_words.facts(volume),
        "picture": base64.b64encode(picture).decode("ascii") if picture else "",
    }


def _provenance_rows(provenance: Mapping[str, Any]) -> list[report_words.Fact]:
    names = {
        "software": "Software",
        "pipeline_version": "Pipeline version",
        "config_sha256": "SHA-256 of the recipe",
        "plan_sha256": "SHA-256 of the plan",
        "sop_uid_digest": "SHA-256 of the SOP Instance UIDs",
    }
    rows = [(title, str(provenance[key])) for key, title in names.items() if key in provenance]
    versions = provenance.get("versions", {})
    rows.append(("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    return rows
