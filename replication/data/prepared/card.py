"""The data card: what a data set contains and how each kind of file is treated."""

from typing import Any

from replication.base.text import counted, printable

SHOWN = 5  # files of one kind that are named


def summary(report: dict[str, Any]) -> str:
    """Return a report of ``verify`` as lines for a terminal."""
    lines = []
    treatment = {rule["kind"]: rule for rule in report["policy"]}
    for split in report["splits"]:
        decoded = (
            f"{split['readable']:,} of {counted(split['images'], 'image')} can be decoded,"
            f" {_classes(split)}"
        )
        lines.append(f"{printable(report['name'])} {split['split']}: {decoded}")
        if split["sizes"]:
            lines.append(f"  {_sizes(split['sizes'])}")
        if split["skipped"]:
            lines.append(f"  passed over: {_counts(split['skipped'])}")
        if others := split["images_passed_over"]:
            lines.append(
                f"  images among them: {_few(others, len(others))}; give them the suffix of their"
                " format"
            )
        for kind, found in split["kinds"].items():
            rule = treatment[kind]
            lines.append(f"  {kind}: {found['count']:,} ({rule['treatment']}: {rule['how']})")
            if rule["treatment"] != "quarantine" and kind != "small":
                lines.append(f"    {_few(found['files'], found['count'])}")
        lines += [f"    {message}" for message in split["messages"][:SHOWN]]
        if len(split["messages"]) > SHOWN:
            lines.append("    ... and more; --json lists them")
    for kind, found in report["repeated"].items():
        if found["count"]:
            lines.append(f"{kind}: {_repeated(found)} ({treatment[kind]['how']})")
            lines.append(
                f"  {_few([f'{one} = {other}' for one, other in found['files']], found['count'])}"
            )
    lines.append(
        "every file can be decoded"
        if report["healthy"]
        else "some files cannot be decoded: get them again, or leave them out"
    )
    return "\n".join(lines)


def card(report: dict[str, Any]) -> str:
    """Return a report of ``verify`` as the Markdown of the data card."""
    splits = report["splits"]
    note = splits[0]["note"]
    rows = [
        ("form", [split["form"] for split in splits]),
        ("images", [f"{split['images']:,}" for split in splits]),
        ("can be decoded", [f"{split['readable']:,}" for split in splits]),
        ("classes", [_classes(split) for split in splits]),
        ("sizes", [_sizes(split["sizes"]) if split["sizes"] else "none" for split in splits]),
        ("entries passed over", [_counts(split["skipped"]) or "none" for split in splits]),
        ("fingerprint", [f"`{split['fingerprint']}`" for split in splits]),
    ]
    head = f"**{printable(report['name'])}**" + (f": {note}" if note else "")
    table = _table(
        ["", *(split["split"] for split in splits)], [[name, *values] for name, values in rows]
    )
    policy = []
    for rule in report["policy"]:
        kind = rule["kind"]
        if kind in report["repeated"]:
            found = _repeated(report["repeated"][kind])
        else:
            found = f"{sum(split['kinds'].get(kind, {'count': 0})['count'] for split in splits):,}"
        policy.append([kind, found, rule["treatment"], rule["how"]])
    small = f"A file is small if its shorter side is below the crop of {report['crop']} pixels."
    return (
        "\n\n".join(
            [head, table, _table(["kind of file", "found", "treatment", "how"], policy), small]
        )
        + "\n"
    )


def _table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _classes(split: dict[str, Any]) -> str:
    low, high = split["images_per_class"]
    classes = counted(split["classes"], "class")
    return f"{classes} of {low:,}" if low == high else f"{classes} of {low:,} to {high:,}"


def _sizes(sizes: dict[str, Any]) -> str:
    if sizes["different"] == 1:
        return f"{sizes['height'][0]} x {sizes['width'][0]} pixels"
    low, middle, high = sizes["shorter"]
    return f"{sizes['different']:,} sizes, shorter side {low} to {high}, median {middle:g} pixels"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {kind}" for kind, count in counts.items())


def _repeated(found: dict[str, Any]) -> str:
    return f"{found['count']:,}" + (
        f", {found['other_class']:,} of them under two classes" if found["other_class"] else ""
    )


def _few(names: list[str], count: int) -> str:
    shown = ", ".join(map(printable, names[:SHOWN]))
    return shown + (f" and {count - SHOWN:,} more" if count > SHOWN else "")
