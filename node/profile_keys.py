"""The keys of a `[profile.<name>]` table: how volumes are wanted."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from node.keywords import sidecar_keyword

VerdictName = Literal["ACCEPT", "ACCEPT_WARN", "QUARANTINE", "REJECT"]
DeidentifyOption = Literal["modified-dates", "patient-characteristics", "device-identity", "safe-private"]
Spacing = Annotated[float, Field(ge=0)]


class Section(BaseModel):
    """A table of the file: unknown keys are errors, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Profile(Section):
    """A recipe: how a volume is wanted. See `handlers.api.Recipe` for the meaning of each key."""

    orientation: Annotated[str, Field(pattern=r"^(native|[LRAPSI]{3})$")] = "LPS"
    spacing_mm: tuple[Spacing, Spacing, Spacing] | None = None
    interpolator: Literal["linear", "bspline", "nearest"] = "linear"
    intensity: str = "none"
    fill_missing: bool = False
    resample_variable: bool = False
    accept_kernels: tuple[Literal["smooth", "medium", "sharp", "unknown"], ...] = ()
    soften_kernel: Literal["", "smooth", "medium"] = ""
    need_phase: bool = False
    contrast_from_image: bool = False
    contrast_calibration: str = ""
    contrast_classifier: tuple[str, ...] = ()
    contrast_classifier_timeout_s: Annotated[float, Field(gt=0)] = 60.0
    presentation_intent: Literal["", "FOR PRESENTATION", "FOR PROCESSING"] = ""
    crop_region: bool = False
    leaves_hospital: bool = False
    target_phase: Annotated[str, Field(pattern=r"^((\d{1,2}(\.\d+)?|100) ?%|\d{1,4} ?ms)?$")] = ""
    suv: Literal["none", "bw", "lbm", "bsa"] = "none"
    mr_values: Literal["displayed", "quantitative"] = "displayed"
    dtype: Literal["auto", "float32", "int16"] = "auto"
    save_padding_mask: bool = False
    keep_units: bool = False
    frequency_bins: Annotated[int, Field(ge=0, le=1000)] = 0
    labels: bool = False
    bias_field: bool = False
    derived_dicom: bool = False
    deidentified_originals: bool = False
    deidentify: bool = False
    deidentify_key_file: str = ""
    deidentify_options: tuple[DeidentifyOption, ...] = ("modified-dates",)
    sidecar_attributes: tuple[Annotated[str, AfterValidator(sidecar_keyword)], ...] = ()
    policy: dict[str, VerdictName] = Field(default_factory=dict)
    rules: tuple[str, ...] = ()
    steps: tuple[str, ...] = ()
    writers: tuple[str, ...] = ()
    handler: str = ""

    @model_validator(mode="after")
    def _deidentify_what_is_written(self) -> Profile:
        if self.deidentify and not self.deidentify_key_file:
            raise ValueError("deidentify needs a deidentify_key_file")
        if self.deidentify and not (self.derived_dicom or self.deidentified_originals):
            raise ValueError("deidentify needs derived_dicom = true or deidentified_originals = true")
        if self.deidentified_originals and not self.deidentify:
            raise ValueError("deidentified_originals needs deidentify = true")
        return self

    @property
    def model_kinds(self) -> frozenset[str]:
        """Kinds of intensity models that this profile uses where there is one."""
        wanted = {self.intensity} & {"nyul", "histogram"}
        return frozenset(wanted | ({"frequency"} if self.frequency_bins else set()))
