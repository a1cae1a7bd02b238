"""The class of a reconstruction kernel by vendor and name, from `conf/kernels.toml`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from handlers.tables import table
from handlers.triage.words import words

CLASSES = ("smooth", "medium", "sharp")
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class KernelClass:
    """The class of a kernel; `doubt` says why it is not certain, "" when it is."""

    name: str
    doubt: str = ""


def version() -> int:
    """Return the version of the table, for the evidence."""
    return int(table("kernels")["version"])


def texture() -> Mapping[str, Any]:
    """Return the limits of noise texture for each class, mm."""
    found: Mapping[str, Any] = table("kernels")["texture"]
    return found


def vendor(manufacturer: str) -> str:
    """Return the vendor's name in the table, "" when it is not there; GE is found as a word."""
    told = words(manufacturer)
    for name, entry in table("kernels")["vendor"].items():
        if any(
            f" {each} " in told or (len(each) > 3 and f" {each}" in told) for each in entry["manufacturer"]
        ):
            return str(name)
    return ""


def classify(kernel: str, vendor_name: str) -> KernelClass:
    """Return the class that this vendor's table gives to the kernel."""
    entry: Mapping[str, Any] = table("kernels")["vendor"].get(vendor_name, {})
    code = " ".join(kernel.upper().split())
    if prefix := entry.get("passed_over"):
        code = re.sub(prefix, "", code) or code
    if doubtful := entry.get("ambiguous", {}).get(code):
        return KernelClass(doubtful["class"], doubtful["why"])
    for name in CLASSES:
        if code in entry.get(name, ()) or any(
            fnmatchcase(code, p) for p in entry.get(f"{name}_patterns", ())
        ):
            return KernelClass(name)
    return _by_number(code.lower(), entry)


def by_group(group: str) -> str:
    """Return the class of a ConvolutionKernelGroup."""
    return str(table("kernels")["group"].get(group.upper(), UNKNOWN))


def hints(kernel: str) -> dict[str, str]:
    """Return what the tables of all vendors would say; a hint for a person, never a class."""
    found = {name: classify(kernel, name).name for name in table("kernels")["vendor"]}
    return {name: each for name, each in found.items() if each != UNKNOWN}


def iterative_method(kernel: str, vendor_name: str) -> str:
    """Return the iterative method that the first letter of a kernel tells, "" when it tells none."""
    entry = table("kernels")["vendor"].get(vendor_name, {})
    is_known = classify(kernel, vendor_name).name != UNKNOWN
    return str(entry.get("iterative_prefixes", {}).get(kernel[:1].lower(), "")) if is_known else ""


def _by_number(code: str, entry: Mapping[str, Any]) -> KernelClass:
    if pattern := entry.get("index_pattern"):
        match = re.fullmatch(pattern, code)
        if match:
            index = int(match[1])
            is_sharp = code.startswith(tuple(entry["sharp_prefixes"])) or index > entry["medium_up_to"]
            return KernelClass(
                "sharp" if is_sharp else "smooth" if index <= entry["smooth_up_to"] else "medium"
            )
    if pattern := entry.get("number_pattern"):
        match = re.fullmatch(pattern, code)
        for name in CLASSES if match else ():
            if match and any(low <= int(match[1]) <= high for low, high in entry[f"{name}_ranges"]):
                return KernelClass(name)
    return KernelClass(UNKNOWN)
