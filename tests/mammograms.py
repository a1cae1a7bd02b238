"""Mammograms for tests of triage rules: one image each, by its header and, where a rule needs it, its picture."""

from __future__ import annotations

import numpy as np

from triage_cases import header, volume

ROOT = "1.2.840.10008.5.1.4.1.1."
CODE = {"CC": "399162004", "MLO": "399368009", "ML": "399260004"}


def coded(value, **more):
    return header({"CodeValue": value, "CodingSchemeDesignator": "SCT", "CodeMeaning": "view", **more})


def mammogram(side="L", view="CC", *, picture=None, sop_class=ROOT + "1.2", **attributes):
    plain = {
        "ImageLaterality": side,
        "ViewPosition": view,
        "ViewCodeSequence": [coded(CODE[view])] if view in CODE else None,
        "PatientOrientation": ["A", "R"] if side == "L" else ["P", "L"],
        "ImageOrientationPatient": None,
        "PixelSpacing": None,
    }
    values = None if picture is None else np.asarray(picture)[None]
    index = attributes.pop("index", 0)
    return volume("MG", index=index, slices=1, sop_class=sop_class, values=values, **{**plain, **attributes})
