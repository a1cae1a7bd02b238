"""One task of the science alone, in a process of its own: what it took, as JSON on standard output.

python -m node.benchmark.tasks triage FOLDER     CPU seconds of reading, splitting and header rules
python -m node.benchmark.tasks decode FOLDER     a bare decode loop in two processes; timed from outside
python -m node.benchmark.tasks resample FOLDER   seconds of the step to 1 mm, and of the bare SimpleITK call
"""

from __future__ import annotations

import gc
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from node.child import COLLECT_EVERY

PROCESSES = 2
SPACING_MM = (1.0, 1.0, 1.0)


def triage(folder: Path) -> dict[str, float]:
    """Judge a series by its headers."""
    from handlers.api import Recipe
    from handlers.reading import series_from_files
    from handlers.triage.rules import header_rules, judge
    from handlers.volumes import split

    gc.set_threshold(COLLECT_EVERY)
    started = time.process_time()
    (series,), _ = series_from_files(folder.iterdir())
    judge(split(series), header_rules(Recipe()))
    return {"triage": time.process_time() - started}


def decode(folder: Path) -> dict[str, float]:
    """Decode every file with pydicom, and drop the values."""
    paths = sorted(folder.iterdir())
    with ProcessPoolExecutor(PROCESSES) as pool:
        pool.map(_decode, paths, chunksize=len(paths) // PROCESSES)
    return {}


def resample(folder: Path) -> dict[str, float]:
    """Bring a volume to 1 mm, with the step of the node and with SimpleITK on the same grid.

    SimpleITK once with the same Gaussian before it where an axis gets coarser, once its Resample alone.
    """
    import SimpleITK

    from handlers.api import Recipe
    from handlers.normalization.grids import FWHM_PER_SIGMA
    from handlers.normalization.pipeline import to_modality_units
    from handlers.normalization.resampling import Resample
    from handlers.reading import series_from_files
    from handlers.volumes import split

    sitk: Any = SimpleITK  # it has no types
    (series,), _ = series_from_files(folder.iterdir())
    volume = to_modality_units(split(series).volumes[0], Recipe())
    if volume.values is None:
        raise ValueError(f"{folder} holds no volume with values")
    started = time.perf_counter()
    resampled = Resample(SPACING_MM)(volume)
    ours = time.perf_counter() - started
    image = sitk.GetImageFromArray(volume.values)
    image.SetSpacing([spacing or 1.0 for spacing in volume.spacing_mm])
    size = [] if resampled.values is None else [int(n) for n in resampled.values.shape[::-1]]
    grid = (size, sitk.Transform(), sitk.sitkLinear, image.GetOrigin(), SPACING_MM)
    started = time.perf_counter()
    sitk.Resample(image, *grid)
    alone = time.perf_counter() - started
    started = time.perf_counter()
    for axis, (old, new) in enumerate(zip(image.GetSpacing(), SPACING_MM, strict=True)):
        if new > old:
            sigma_mm = old * ((new / old) ** 2 - 1) ** 0.5 / FWHM_PER_SIGMA
            image = sitk.RecursiveGaussian(sitk.Cast(image, sitk.sitkFloat32), sigma_mm, direction=axis)
    sitk.Resample(image, *grid)
    return {"ours": ours, "SimpleITK": time.perf_counter() - started, "its Resample alone": alone}


def _decode(path: Path) -> None:
    from pydicom import dcmread

    _ = dcmread(path).pixel_array


TASKS = {"triage": triage, "decode": decode, "resample": resample}

if __name__ == "__main__":
    sys.stdout.write(json.dumps(TASKS[sys.argv[1]](Path(sys.argv[2]))))
