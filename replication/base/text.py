"""Names of files as one line of text, regardless of their bytes."""

import unicodedata

ESCAPED = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are not UTF-8, line ends


def printable(name: str) -> str:
    """Return ``name`` with control characters and bytes that are not UTF-8 as escapes."""
    if name.isprintable():
        return name
    return "".join(_escaped(c) if unicodedata.category(c) in ESCAPED else c for c in name)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # how Python keeps a byte of a name that is not UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")
