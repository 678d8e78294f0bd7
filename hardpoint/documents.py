"""Text and XML that other programs wrote, read within bounds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hardpoint.errors import InputError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

__all__ = ["load_text", "parse_xml"]

MOST_BYTES = 16 * 2**20  # the largest report seen has 2 MB; all that the bounds allow stays below 200 MB
MOST_LINES = 500_000
MOST_TAGS = 250_000
MOST_QUOTES = 400_000


def load_text(path: str | os.PathLike[str], what: str = "report") -> str:
    """The text of `path` with lines ended by a newline alone; `what` names it in errors.

    Bytes that are not UTF-8 (user names in paths) become U+FFFD; a NUL, as in UTF-16, is an error, and so is a
    file of more than 16 MB or 500,000 lines.
    """
    try:
        with Path(path).open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {what} {path}: {error.strerror}") from None
    if len(data) > MOST_BYTES:
        raise InputError(f"{path}: a {what} has at most {MOST_BYTES >> 20} MB")
    if b"\0" in data:
        raise InputError(f"{path} is no {what}: it holds NUL bytes, so it is binary or not UTF-8")
    text = data.decode("utf-8-sig", errors="replace").replace("\r\n", "\n").replace("\r", "\n")
    if text.count("\n") > MOST_LINES:
        raise InputError(f"{path}: a {what} has at most {MOST_LINES:,} lines")
    return text


def parse_xml(text: str, what: str = "report") -> Element:
    """The root element of `text`; document types, entities and oversized markup are InputErrors.

    >>> parse_xml("<a><b/></a>").tag
    'a'
    >>> parse_xml('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>')
    Traceback (most recent call last):
        ...
    hardpoint.errors.InputError: a report in XML holds no document type or entities
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    if text.count("<") > MOST_TAGS or text.count('"') + text.count("'") > MOST_QUOTES:
        raise InputError(f"a {what} in XML has at most {MOST_TAGS:,} tags and {MOST_QUOTES:,} quotes")
    try:
        root: Element = fromstring(text, forbid_dtd=True)
    except DefusedXmlException:
        raise InputError(f"a {what} in XML holds no document type or entities") from None
    except (ParseError, ValueError, LookupError, RecursionError) as error:
        raise InputError(f"this is no {what} in XML: {str(error).splitlines()[0]}") from None
    return root
