"""What cases measure beside what they check: rows of a table, printed and written at the end."""
import json

ROWS = []


def add(case, **values):
    ROWS.append({"case": case, **values})


def text_of(value):
    if value is None:
        return "-"
    return f"{value:.0f}" if isinstance(value, float) else str(value)


def print_table():
    columns = list(dict.fromkeys(name for row in ROWS for name in row))
    lines = [columns, *([text_of(row.get(name)) for name in columns] for row in ROWS)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    for line in lines:
        print("  ".join(text.ljust(width) if i == 0 else text.rjust(width)
                        for i, (text, width) in enumerate(zip(line, widths))))


def write(path):
    """As JSON; "-": to standard output."""
    text = json.dumps({"figures": ROWS}, indent=2)
    if path == "-":
        print(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
