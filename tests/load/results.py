"""What a benchmark measured: rows of figures, as a table, as JSON, and beside what is stored.

    result = Result("small", "Small requests over memif")
    result.add("64 B, 8 x 32", {"requests/s": 900000.0, "busy ns": 410.0}, generator=0.74)
    result.print()

A row's `generator` is the share of its own measured capacity that the load generator had to give.
Above HEADROOM the proxy was not what bounded the rate: the rate stands in brackets then and is not one
to quote. Rates are the figures whose name ends in "/s".
"""
import datetime
import json
import os
import platform
import re
import statistics

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
STORED = os.path.join(HERE, "stored")
PAGE = os.path.join(TREE, "docs", "benchmarks.md")
HEADROOM = 0.8


class ResultError(Exception):
    """A file of results or the page is not what it should be."""


def machine():
    """What figures belong to."""
    model, mhz = "unknown", None
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        for line in file:
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                model = value.strip()
            elif name.strip() == "cpu MHz":
                mhz = round(float(value))
    return {"cpu": model, "mhz": mhz, "cores": os.cpu_count(),
            "kernel": platform.release().split("-")[0]}


def is_same_machine(one, other):
    """Its clock at the moment does not count: it follows load and temperature."""
    return {**one, "mhz": None} == {**other, "mhz": None}


def median_of(runs):
    """The median of each figure of several runs: {"name": number} each."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def number_text(value):
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    if isinstance(value, int) or value == 0 or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def grid(lines):
    """Lines of cells, the first cell left, the others right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    return "\n".join("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(line, widths))).rstrip()
                     for line in lines)


def markdown(lines):
    rule = ["---", *("---:" for _ in lines[0][1:])]
    return "\n".join("| " + " | ".join(line) + " |" for line in [lines[0], rule, *lines[1:]])


class Result:
    def __init__(self, bench, title, rows=None, notes=None, about=None, at=None):
        self.bench, self.title = bench, title
        self.rows, self.notes = rows or [], notes or []
        self.machine = about or machine()
        self.at = at or datetime.date.today().isoformat()

    def add(self, case, figures, generator=None):
        self.rows.append({"case": case, "generator": generator, "figures": figures})

    def note(self, text):
        if text not in self.notes:
            self.notes.append(text)

    def columns(self):
        return list(dict.fromkeys(name for row in self.rows for name in row["figures"]))

    def lines(self):
        """The table's cells, the head first."""
        shares = any(row["generator"] is not None for row in self.rows)
        out = [["case", *self.columns(), *(["generator"] if shares else [])]]
        for row in self.rows:
            line = [row["case"], *(self.cell(row, name) for name in self.columns())]
            if shares:
                share = row["generator"]
                line.append("-" if share is None else f"{100 * share:.0f} %")
            out.append(line)
        return out

    @staticmethod
    def cell(row, name):
        text = number_text(row["figures"].get(name))
        starved = row["generator"] is not None and row["generator"] > HEADROOM
        return f"({text})" if starved and name.endswith("/s") and text != "-" else text

    def remarks(self):
        out = list(self.notes)
        if any((row["generator"] or 0) > HEADROOM for row in self.rows):
            out.append(f"In brackets: the generator gave more than {100 * HEADROOM:.0f} % of what it "
                       "can, so that the rate is not the proxy's. Costs are.")
        return out

    def print(self):
        print(f"\n== {self.bench}: {self.title}")
        print(grid(self.lines()))
        for remark in self.remarks():
            print(f"   {remark}")
        stored = load_stored(self.bench)
        if stored is not None:
            print(self.compared(stored))

    def compared(self, stored):
        """This beside STORED, as ratios."""
        same = {row["case"]: row["figures"] for row in stored.rows}
        lines = [["ratio", *self.columns()]]
        for row in self.rows:
            if row["case"] in same:
                lines.append([row["case"], *(ratio(row["figures"].get(name),
                                                   same[row["case"]].get(name))
                                             for name in self.columns())])
        other = ("" if is_same_machine(stored.machine, self.machine)
                 else f" on ANOTHER machine: {stored.machine}")
        return f"\n-- beside what is stored of {stored.at}{other}\n{grid(lines)}"

    def to_json(self):
        return {"bench": self.bench, "title": self.title, "at": self.at, "machine": self.machine,
                "rows": self.rows, "notes": self.notes}

    def write(self, directory):
        """DIRECTORY/BENCH.json; returns its path."""
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, self.bench + ".json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.to_json(), file, indent=1)
            file.write("\n")
        return path


def ratio(new, old):
    if not isinstance(new, (int, float)) or not isinstance(old, (int, float)) or old == 0:
        return "-"
    return f"x{new / old:.2f}"


def read(path):
    with open(path, encoding="utf-8") as file:
        data = json.load(file)
    return Result(data["bench"], data["title"], data["rows"], data["notes"], data["machine"],
                  data["at"])


def load_stored(bench, directory=STORED):
    """What was stored of it; None: nothing."""
    path = os.path.join(directory, bench + ".json")
    return read(path) if os.path.exists(path) else None


def page_table(result):
    remarks = "".join(f"\n{remark}" for remark in result.remarks())
    about = result.machine
    return (f"{markdown(result.lines())}\n\n{result.at}, {about['cores']} cores of {about['cpu']}, "
            f"{about['mhz']} MHz, Linux {about['kernel']}.{remarks}")


def fill_page(text, results):
    """TEXT with the table of each of RESULTS ({bench: Result}) between its markers:
    <!-- table:BENCH --> and <!-- end:BENCH -->. A result without markers has no place there."""
    for bench, result in results.items():
        pattern = re.compile(rf"(<!-- table:{bench} -->\n).*?(<!-- end:{bench} -->)", re.DOTALL)
        if not pattern.search(text):
            raise ResultError(f"no markers of {bench}: <!-- table:{bench} -->, <!-- end:{bench} -->")
        table = page_table(result)
        text = pattern.sub(lambda found, table=table: f"{found[1]}{table}\n{found[2]}", text)
    return text


def write_page(page=PAGE, directory=STORED):
    """The page's tables anew, from what is stored."""
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    results = {name.removesuffix(".json"): read(os.path.join(directory, name))
               for name in names if name.endswith(".json")}
    with open(page, encoding="utf-8") as file:
        text = fill_page(file.read(), results)
    with open(page, "w", encoding="utf-8") as file:
        file.write(text)
