"""results/study.md, one table of what `bench_study.py` measured: python tools/study_table.py"""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GROUPS = {"structure": "Structures, with ReLU", "encoding": "Encodings of coordinates", "activation": "Activations of a network of coordinates"}
ERRORS = {"image": ("psnr_db", "dB", 1.0, 1), "volume": ("psnr_db", "dB", 1.0, 1), "sdf": ("rms", "RMS, 1e-4 of the diagonal", 1e4, 1)}
BACK = "RMS back, 1e-4"  # from the decoded surface to the source: far sheets show there


def rows_of(path: Path) -> dict[str, list[dict[str, str]]]:
    """By signal, the rows of the effort that has most of them, without those that numbers tell apart."""
    with path.open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if ":" not in row["encoding"] + row["activation"]]
    found: dict[str, list[dict[str, str]]] = {}
    for name in dict.fromkeys(row["input"] for row in rows):
        effort = Counter(row["effort"] for row in rows if row["input"] == name).most_common(1)[0][0]
        found[name] = [row for row in rows if row["input"] == name and row["effort"] == effort]
    return found


def table(path: Path) -> str:
    """Markdown."""
    signals = rows_of(path)
    lines = ["# Encodings, activations and structures at equal bytes", "", "Made by `tools/study_table.py` of `study.tsv`; the files:", ""]
    heads, rules = [""], ["|---"]
    for name, rows in signals.items():
        row = rows[0]
        steps = Counter(r["n_steps"] for r in rows if r["n_steps"]).most_common(1)[0][0]
        lines.append(f"- `{name}` ({row['kind']}): {row['target_bytes']} bytes, effort {row['effort']}, mostly {steps} steps.")
        heads += [f"`{name}` bytes", ERRORS[row["kind"]][1], *([BACK] if row["kind"] == "sdf" else [])]
    rules += ["|---"] * (len(heads) - 1)
    lines += ["", "A line stands for what does not suit a signal or lost its surface in so few steps; `study.tsv` says which."]
    for group, title in GROUPS.items():
        lines += ["", f"## {title}", "", "| " + " | ".join(heads).strip() + " |", "".join(rules) + "|"]
        members = {(row["encoding"], row["activation"]) for rows in signals.values() for row in rows if row["group"] == group}
        ranked = sorted(members, key=lambda member: _rank(member, group, signals))
        lines += [_line(member, group, signals) for member in ranked]
    return "\n".join(lines) + "\n"


def _row(member: tuple[str, str], group: str, rows: list[dict[str, str]]) -> dict[str, str] | None:
    found = [row for row in rows if (row["encoding"], row["activation"]) == member and row["group"] == group]
    return found[-1] if found and found[-1]["bytes"] not in ("", "-") else None


def _rank(member: tuple[str, str], group: str, signals: dict[str, list[dict[str, str]]]) -> tuple[float, str]:
    """The mean over all signals of which place a member has there; what is missing is last."""
    places = []
    for rows in signals.values():
        of_group = [row for row in rows if row["group"] == group]
        row = _row(member, group, rows)
        places.append(len(of_group) if row is None else sum(_error(other) < _error(row) for other in of_group))
    return sum(places) / len(places), member[0] + member[1]


def _error(row: dict[str, str]) -> float:
    """Less is better."""
    column = ERRORS[row["kind"]][0]
    return float("inf") if not row[column] else float(row[column]) * (-1 if column == "psnr_db" else 1)


def _line(member: tuple[str, str], group: str, signals: dict[str, list[dict[str, str]]]) -> str:
    encoding, activation = member
    name = f"`{activation}`" if group == "activation" else f"`{encoding}`"
    if group == "encoding" and activation != "relu":
        name += f" with `{activation}`"
    cells = [name]
    for rows in signals.values():
        row, kind = _row(member, group, rows), rows[0]["kind"]
        column, _, scale, digits = ERRORS[kind]
        n_cells = 3 if kind == "sdf" else 2
        if row is None:
            cells += ["-"] * n_cells
            continue
        cells += [row["bytes"], f"{float(row[column]) * scale:.{digits}f}"]
        if kind == "sdf":
            cells.append(f"{float(row['rms_back']) * 1e4:.1f}")
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    (ROOT / "results" / "study.md").write_text(table(ROOT / "results" / "study.tsv"))
