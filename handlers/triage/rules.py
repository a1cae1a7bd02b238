"""The order of the rules, and the loop that runs them."""

from __future__ import annotations

from collections.abc import Iterable

from handlers.api import Recipe, TriageRule
from handlers.model import Finding, Series, Severity
from handlers.triage import (
    bolus_tracking,
    border_polarity,
    burned_in,
    burned_in_text,
    cardiac_gating,
    cardiac_series,
    contrast_agent,
    contrast_mr,
    contrast_order,
    contrast_phase,
    derived,
    differing_duplicates,
    dimension_index,
    display_windows,
    extent,
    faces,
    frame_count,
    hounsfield,
    hounsfield_scale,
    identity,
    kernel,
    leakage,
    localizer,
    lossy,
    malformed,
    mammography,
    mammography_exam,
    mammography_picture,
    modality,
    mr_components,
    mr_scales,
    object_kind,
    patient_position,
    plane_geometry,
    private_evidence,
    projection_spacing,
    respiratory_bins,
    respiratory_gating,
    screens,
    slice_spacing,
    subject,
    suv_inputs,
    table_side,
    target_phase,
    ultrasound,
)

NamedRule = tuple[str, TriageRule]

BEFORE_CONTRAST: tuple[NamedRule, ...] = (
    # what arrived
    ("unreadable_files", identity.unreadable_files),
    ("file_meta_against_data_set", identity.file_meta_against_data_set),
    ("unknown_class", identity.unknown_class),
    ("inconsistent_frames", frame_count.inconsistent_frames),
    ("incomplete_concatenation", frame_count.incomplete_concatenation),
    ("conflicting_identity", identity.conflicting_identity),
    ("phantom", subject.phantom),
    ("animal", subject.animal),
    ("malformed_attributes", malformed.malformed_attributes),
    ("undecodable_text", malformed.undecodable_text),
    ("private_evidence", private_evidence.private_evidence),
    # what kind of object it is
    ("secondary_capture", object_kind.secondary_capture),
    ("converted_picture", screens.converted_picture),
    ("dose_or_protocol_screen", screens.dose_or_protocol_screen),
    ("not_an_image", object_kind.not_an_image),
    ("modality_against_class", object_kind.modality_against_class),
    ("no_pixels", object_kind.no_pixels),
    ("colour", object_kind.colour),
    # what was made of it
    ("stated_localizer", localizer.stated_localizer),
    ("unstated_localizer", localizer.unstated_localizer),
    ("derived", derived.derived),
    ("reformatted", derived.reformatted),
    ("projected", derived.projected),
    ("computed_map", derived.computed_map),
    ("bolus_tracking", bolus_tracking.bolus_tracking),
    ("few_slices", derived.few_slices),
    ("burned_in_annotation", burned_in.burned_in_annotation),
    ("overlay_planes", burned_in.overlay_planes),
    ("lossy_history", lossy.lossy_history),
    ("several_modalities", modality.several_modalities),
    ("body_part_against_description", modality.body_part_against_description),
    ("attributes_against_modality", modality.attributes_against_modality),
    # where it lies
    ("missing_geometry", plane_geometry.missing_geometry),
    ("inexact_orientation", plane_geometry.inexact_orientation),
    ("varying_orientation", plane_geometry.varying_orientation),
    ("uneven_spacing", slice_spacing.uneven_spacing),
    ("missing_slices", slice_spacing.missing_slices),
    ("shear", slice_spacing.shear),
    ("tilt_without_shear", slice_spacing.tilt_without_shear),
    ("crooked_stack", plane_geometry.crooked_stack),
    ("stated_spacing", slice_spacing.stated_spacing),
    ("overlap_or_gap", slice_spacing.overlap_or_gap),
    ("mixed_frames_of_reference", plane_geometry.mixed_frames_of_reference),
    ("pixel_spacing", plane_geometry.pixel_spacing),
    ("dimension_index", dimension_index.dimension_index),
    ("possibly_incomplete", extent.possibly_incomplete),
    ("patient_position", patient_position.patient_position),
    ("anisotropic", slice_spacing.anisotropic),
    ("oblique", plane_geometry.oblique),
    # how it was acquired
    ("kernel_class", kernel.kernel_class),
    ("mixed_kernels", kernel.mixed_kernels),
)
AFTER_CONTRAST: tuple[NamedRule, ...] = (
    ("other_routes", contrast_agent.other_routes),
    ("mr_contrast", contrast_mr.mr_contrast),
    ("virtual_or_spectral", contrast_phase.virtual_or_spectral),
    ("phase_order", contrast_order.phase_order),
    ("cardiac_phase", cardiac_gating.cardiac_phase),
    ("several_phases", cardiac_gating.several_phases),
    ("unequal_phases", cardiac_series.unequal_phases),
    ("respiratory_phase", respiratory_gating.respiratory_phase),
    ("combined_breathing", respiratory_gating.combined_breathing),
    ("incomplete_bins", respiratory_bins.incomplete_bins),
    # what its numbers mean
    ("rescale", hounsfield_scale.rescale),
    ("uncalibrated", hounsfield_scale.uncalibrated),
    ("mr_components", mr_components.mr_components),
    ("laterality", mammography.laterality),
    ("view", mammography.view),
    ("special_view", mammography.special_view),
    ("tomosynthesis", mammography.tomosynthesis),
    ("incomplete_exam", mammography_exam.incomplete_exam),
    ("repeated_view", mammography_exam.repeated_view),
    ("projection_spacing", projection_spacing.projection_spacing),
    ("display_windows", display_windows.display_windows),
    ("colour_ultrasound", ultrasound.colour_ultrasound),
    ("uncalibrated_ultrasound", ultrasound.uncalibrated_ultrasound),
)
VALUE_RULES: tuple[NamedRule, ...] = (
    ("differing_duplicates", differing_duplicates.differing_duplicates),
    ("hounsfield_values", hounsfield.hounsfield_values),
    ("table_side", table_side.table_side),
    ("measured_texture", kernel.measured_texture),
    ("border_polarity", border_polarity.border_polarity),
    ("chest_wall", mammography_picture.chest_wall),
    ("pectoral_muscle", mammography_picture.pectoral_muscle),
    ("burned_in_text", burned_in_text.burned_in_text),
    ("recognisable_face", faces.recognisable_face),
)


def header_rules(recipe: Recipe) -> tuple[NamedRule, ...]:
    """Return the rules that need no pixels, in their order, with the options of the profile."""
    return (
        *BEFORE_CONTRAST,
        ("accepted_kernels", kernel.AcceptedKernels(recipe.accept_kernels)),
        ("contrast_phase", contrast_phase.ContrastPhase(recipe.need_phase, recipe.contrast)),
        *AFTER_CONTRAST,
        ("cleared_to_leave", burned_in.ClearedToLeave(recipe.leaves_hospital, recipe.crop_region)),
        ("presentation_intent", mammography.PresentationIntent(recipe.presentation_intent)),
        ("ungated_heart", cardiac_gating.UngatedHeart(need_phase=bool(recipe.target_phase))),
        ("suv_inputs", suv_inputs.SuvInputs(recipe.suv)),
        ("mr_scales", mr_scales.MrScales(recipe.mr_values)),
        ("target_phase", target_phase.TargetPhase(recipe.target_phase)),
        ("free_text_in_sidecar", leakage.FreeTextInSidecar(recipe.sidecar_attributes)),
    )


def contrast_from_values(series: Series, recipe: Recipe) -> tuple[NamedRule, ...]:
    """Return the rule that judges contrast anew with values at hand; none when the profile asks for none.

    `series` is the whole series as it was split. The rule replaces what `contrast_phase.CODES` name.
    """
    if not recipe.contrast.looks_at_values:
        return ()
    rule = contrast_phase.ContrastPhase(recipe.need_phase, recipe.contrast, series)
    return (("contrast_phase_from_values", rule),)


HEADER_RULES: tuple[NamedRule, ...] = header_rules(Recipe())


def judge(series: Series, rules: Iterable[NamedRule]) -> list[Finding]:
    """Run the rules in their order and return all findings.

    A rule that raises yields TRI-ERR-001, which holds the series, and the next rule runs.
    """
    found: list[Finding] = []
    for name, rule in rules:
        try:
            found += rule(series)
        except MemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - the mouth of the loop; a site's rule may raise anything
            message = f"the rule {name!r} could not be completed: {type(error).__name__}: {str(error)[:200]}"
            found.append(Finding("TRI-ERR-001", Severity.REVIEW, message, evidence={"rule": name}))
    return found
