"""Body weight, lean body mass and body surface of a patient: what uptake values are relative to."""

from __future__ import annotations

from dataclasses import dataclass

JANMAHASATIAN = "Janmahasatian 2005"
DU_BOIS = "Du Bois 1916"
NOTHING, NOBODY = 0.01, 10_000.0  # metres and kg; less is an empty field, and more a damaged one


@dataclass(frozen=True, slots=True)
class BodySize:
    """Weight in kg, size in m, and sex ("M", "F" or another), as far as known."""

    weight_kg: float | None
    size_m: float | None = None
    sex: str = ""

    def missing(self, kind: str) -> list[str]:
        """Name the attributes that this kind of uptake value ("bw", "lbm", "bsa") lacks."""
        needed = {
            "PatientWeight": _is_given(self.weight_kg),
            "PatientSize": kind == "bw" or _is_given(self.size_m),
            "PatientSex": kind != "lbm" or self.sex in ("M", "F"),
        }
        return [keyword for keyword, is_there in needed.items() if not is_there]

    def reference(self, kind: str) -> float:
        """Return what the activity is relative to: grams ("bw", "lbm") or cm2 ("bsa").

        Raises:
            ValueError: something is `missing`.
        """
        if self.missing(kind) or self.weight_kg is None:
            raise ValueError(f"{', '.join(self.missing(kind))}: not known")
        if kind == "bw":
            return 1000.0 * self.weight_kg
        size = self.size_m or 0.0
        if kind == "bsa":
            return 10_000.0 * surface_m2(self.weight_kg, size)
        return 1000.0 * lean_mass_kg(self.weight_kg, size, is_male=self.sex == "M")


def _is_given(measured: float | None) -> bool:
    return measured is not None and NOTHING < measured < NOBODY


def lean_mass_kg(weight_kg: float, size_m: float, *, is_male: bool) -> float:
    """Return the lean body mass in kg.

    The older formula of James grows with weight only up to a point and falls again in obese patients; this
    one does not, and the EANM guideline 2.0 asks for it.

    Source: Janmahasatian et al., Clin Pharmacokinet 2005;44:1051; Boellaard et al., EJNMMI 2015;42:328.
    """
    body_mass_index = weight_kg / size_m**2
    constant, slope = (6680.0, 216.0) if is_male else (8780.0, 244.0)
    return 9270.0 * weight_kg / (constant + slope * body_mass_index)


def surface_m2(weight_kg: float, size_m: float) -> float:
    """Return the body surface in m2. Source: Du Bois and Du Bois, Arch Intern Med 1916;17:863."""
    return float(0.007184 * weight_kg**0.425 * (100.0 * size_m) ** 0.725)
