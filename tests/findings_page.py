"""Writes docs/findings.md from handlers/findings.toml; `make docs` runs it, a test holds the page to the table."""

from __future__ import annotations

from pathlib import Path

from handlers.findings import CODES

PAGE = Path(__file__).parents[1] / "docs" / "findings.md"
# First part of a code -> what its findings are about, in the order of the way of a series.
TOPICS = {
    "ING": "Arrival",
    "TRI": "Kind of object",
    "DEI": "What identifies a person in the picture",
    "LOS": "Lossy compression",
    "MOD": "Modality",
    "SPL": "Division into volumes",
    "GEO": "Geometry",
    "CON": "Contrast phase",
    "GAT": "Cardiac gating",
    "RSP": "Respiratory gating",
    "PRV": "Private elements and provenance",
    "KER": "Reconstruction kernel",
    "MAM": "Mammography",
    "SPC": "Pixel spacing of projection images",
    "HU": "Hounsfield units",
    "PET": "PET",
    "USX": "Ultrasound",
    "MRS": "MR",
    "PIX": "Pixel data",
    "PAD": "Padding",
    "RSC": "Modality transformation",
    "POL": "Polarity",
    "NRM": "Normalization",
    "VOI": "Windows",
    "OUT": "Outputs and delivery",
    "LEAK": "Label leakage",
}
INTRODUCTION = """# Findings

Every finding that a report can hold. `make docs` writes this page from `handlers/findings.toml`.

A code never changes its meaning. Its severity decides what happens, unless the `policy` of a profile says otherwise:

| severity | verdict |
|---|---|
| INFO | ACCEPT: for information |
| WARN | ACCEPT_WARN: written; read it before use |
| REVIEW | QUARANTINE: held until a person has looked |
| ERROR | REJECT: not written |

The severity below is the usual one; a rule that is more or less sure in a given case may differ.
"""


def page() -> str:
    """Return the page as Markdown."""
    unknown = {code for code in CODES if code.split("-")[0] not in TOPICS}
    if unknown:
        raise KeyError(f"no topic for {', '.join(sorted(unknown))}: add one to TOPICS")
    parts = [INTRODUCTION]
    for prefix, topic in TOPICS.items():
        infos = [info for code, info in CODES.items() if code.split("-")[0] == prefix]
        if not infos:
            continue
        parts.append(f"## {topic}\n")
        parts += [
            f"### {info.code}\n\n**{info.title}** ({info.severity.name})\n\n{info.meaning}\n\n"
            f"*What was done:* {info.action_taken}\n\n*What to do:* {info.advice}\n"
            for info in infos
        ]
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
