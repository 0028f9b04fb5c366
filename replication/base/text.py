"""Text of messages: counts with their nouns, and names of files regardless of their bytes."""

import unicodedata

ESCAPED = ("Cc", "Cs", "Zl", "Zp")  # control characters, bytes that are not UTF-8, line ends


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 seed", "3 seeds", "2 classes", "1,600 queries"."""
    return f"{number:,} {noun if number == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """Return the regular plural of a noun, or of a phrase that ends with it."""
    if noun.endswith(("s", "x")):  # not "ch": epochs
        return f"{noun}es"
    if noun.endswith("y") and noun[-2] not in "aeiou":
        return f"{noun[:-1]}ies"
    return f"{noun}s"


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
