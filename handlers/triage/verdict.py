"""From findings to what may be done with a volume and with the series, as the profile wants it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from handlers.api import Recipe
from handlers.model import Finding, Scope, Severity, Verdict, Volume

ORDER = (Verdict.ACCEPT, Verdict.ACCEPT_WARN, Verdict.QUARANTINE, Verdict.REJECT)
BY_SEVERITY = {
    Severity.INFO: Verdict.ACCEPT,
    Severity.WARN: Verdict.ACCEPT_WARN,
    Severity.REVIEW: Verdict.QUARANTINE,
    Severity.ERROR: Verdict.REJECT,
}
ACCEPTED = (Verdict.ACCEPT, Verdict.ACCEPT_WARN)
PASSED_OVER = "GAT-011"  # refused because the profile takes another volume of the series, not for a fault


def finding_verdict(finding: Finding, recipe: Recipe) -> Verdict:
    """Return the verdict of one finding: its severity, unless the profile says otherwise.

    `policy` decides first. What the profile repairs is accepted with a warning: small gaps with
    `fill_missing`, uneven spacing with `resample_variable`. `release` lets pass what was held.
    """
    if finding.code in recipe.policy:
        verdict = Verdict(recipe.policy[finding.code])
    else:
        verdict = BY_SEVERITY[finding.severity]
        if verdict is Verdict.QUARANTINE and _is_repaired(finding, recipe):
            verdict = Verdict.ACCEPT_WARN
    return Verdict.ACCEPT_WARN if verdict is Verdict.QUARANTINE and recipe.release else verdict


def volume_verdict(findings: Iterable[Finding], volume: Volume, recipe: Recipe) -> Verdict:
    """Return the worst verdict of the findings about a volume, its instances, or the series as a whole."""
    own = {volume.name, *(instance.sop_instance_uid for instance in volume.instances)}
    return _worst(finding_verdict(f, recipe) for f in findings if f.target in own or _is_about_series(f))


def series_verdict(
    findings: Sequence[Finding], volumes: Sequence[Volume], verdicts: Sequence[Verdict], recipe: Recipe
) -> Verdict:
    """Return the verdict of a series from those of its volumes.

    Anything held holds the series. All refused refuse it. A series that was accepted in part, or that lost
    instances on the way, is accepted with a warning. Volumes that the profile passes over for another one do
    not count. Without volumes its findings decide.
    """
    if not volumes:
        return _worst((finding_verdict(f, recipe) for f in findings), default=Verdict.REJECT)
    passed_over = {f.target for f in findings if f.code == PASSED_OVER}
    pairs = zip(volumes, verdicts, strict=True)
    verdicts = [
        verdict for each, verdict in pairs if verdict is not Verdict.REJECT or each.name not in passed_over
    ] or verdicts
    if Verdict.QUARANTINE in verdicts:
        return Verdict.QUARANTINE
    if all(verdict is Verdict.REJECT for verdict in verdicts):
        return Verdict.REJECT
    worst = _worst(verdicts)
    placed = {volume.name for volume in volumes}
    placed |= {each.sop_instance_uid for volume in volumes for each in volume.instances}
    lost = [f for f in findings if f.target not in placed and not _is_about_series(f)]
    is_lossless = worst is Verdict.ACCEPT and all(finding_verdict(f, recipe) is Verdict.ACCEPT for f in lost)
    return Verdict.ACCEPT if is_lossless else Verdict.ACCEPT_WARN


def _worst(verdicts: Iterable[Verdict], default: Verdict = Verdict.ACCEPT) -> Verdict:
    return max(verdicts, key=ORDER.index, default=default)


def _is_about_series(finding: Finding) -> bool:
    return finding.scope in (Scope.SERIES, Scope.STUDY) or not finding.target


def _is_repaired(finding: Finding, recipe: Recipe) -> bool:
    if finding.code == "GEO-005":
        return recipe.fill_missing and finding.evidence.get("is_fillable") is True
    return finding.code == "GEO-006" and recipe.resample_variable and bool(finding.evidence)
