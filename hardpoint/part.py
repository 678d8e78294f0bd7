"""The name of an FPGA, which tools spell four ways."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hardpoint.errors import InputError

__all__ = ["Part"]

_PACKAGE = r"[fscrlvu][a-z]{2,3}\d{3,4}"
_REST = r"(?:-(?P<speed>\d[a-z]*)(?:-(?P<grade>[a-z0-9-]{1,8}))?)?"
_HYPHENED = re.compile(rf"(?:xc)?(?P<device>[a-z0-9]{{3,10}})-(?P<package>[a-z]{{2,5}}\d{{2,4}}){_REST}", re.I)
# Without a hyphen the device must be recognised: 7a200t, zu9eg, vu19p, ku040, au25p, u250, k26, vc1902.
_DEVICE = r"7[a-z]{1,2}\d{2,4}t?|[akv]u\d{2,3}p?|zu\d{1,2}[a-z]{2}|u\d{2,3}c?|k\d{2}|v[a-z]\d{4}"
_JOINED = re.compile(rf"(?:xc)?(?P<device>{_DEVICE})(?P<package>{_PACKAGE}){_REST}", re.I)


@dataclass(frozen=True)
class Part:
    """A device in its package, with speed and temperature grade where they were stated.

    `device` is lower case without `xc`; `speed` is as printed, without hyphen ("2LV"); `spelling` keeps the text
    that was read and takes no part in comparisons.

    >>> [str(Part.parse(text)) for text in ("xc7z020-clg484-1", "xc7z020clg484-1", "7z020clg484-1", "7z020-clg484")]
    ['xc7z020-clg484-1', 'xc7z020-clg484-1', 'xc7z020-clg484-1', 'xc7z020-clg484']
    >>> Part.parse("xcu250figd2104-2L").agrees(Part.parse("xcu250-figd2104-2L-e"))
    True
    >>> Part.parse("a board")
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a part is named like xc7z020-clg400-1, not 'a board'
    """

    device: str
    package: str
    speed: str | None = None
    grade: str | None = None
    spelling: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Part:
        """The part that `text` names: xc7z020-clg400-1, xc7z020clg400-1, 7z020clg400-1 or 7z020-clg400."""
        match = _HYPHENED.fullmatch(text) or _JOINED.fullmatch(text)
        if match is None:
            raise InputError(f"a part is named like xc7z020-clg400-1, not {text[:60]!r}")
        device, package, speed, grade = match.group("device", "package", "speed", "grade")
        return cls(device.lower(), package.lower(), speed, grade and grade.lower(), text)

    def agrees(self, other: Part) -> bool:
        """Whether both may be the same part: whatever both state is equal."""
        optional = ((self.speed, other.speed), (self.grade, other.grade))
        return (self.device, self.package) == (other.device, other.package) and all(
            a is None or b is None or a.lower() == b.lower() for a, b in optional
        )

    def __str__(self) -> str:
        return "-".join(piece for piece in (f"xc{self.device}", self.package, self.speed, self.grade) if piece)
