"""How this program names itself to its peers and in the files it writes (PS3.7 D.3.3.2)."""

from __future__ import annotations

IMPLEMENTATION_CLASS_UID = "2.25.143250174286163271985826310474158912561"
IMPLEMENTATION_VERSION_NAME = "PREPNODE"
