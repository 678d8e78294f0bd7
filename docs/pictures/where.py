"""Draw where.svg from where.csv: how often a flip of an accumulator's column changes the class (docs/idea.md).

    python docs/pictures/where.py [analysis/bit.csv]

With the `bit.csv` that `hardpoint campaign --analyse` wrote, where.csv is made anew first.
"""

import csv
import sys
from pathlib import Path

HERE = Path(__file__).parent
COLUMNS = ("bit", "trials", "critical", "critical_rate", "critical_low", "critical_high")
GUARD = 14
LEFT, BASE, HEIGHT, STEP, MOST = 58, 236, 180, 16.5, 0.036

HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 470 310" role="img" aria-labelledby="title">
  <title id="title">Share of single flips that change the class, by column of the accumulator</title>
  <style>
    .card { fill: #ffffff } .low { fill: #999999 } .high { fill: #0072b2 } .line { stroke: #57606a; fill: none } .grid { stroke: #d5dae0 }
    text { font: 13px system-ui, sans-serif; fill: #1b1f24; text-anchor: middle } .end { text-anchor: end } .start { text-anchor: start }
    .whisker { stroke: #1b1f24 } .cut { stroke: #d55e00; stroke-width: 1.5; stroke-dasharray: 5 4 } .cuts { fill: #d55e00 }
    @media (prefers-color-scheme: dark) {
      .card { fill: #16181b } .low { fill: #8b949e } .high { fill: #56b4e9 } .line { stroke: #8b949e } .grid { stroke: #30363d }
      text { fill: #e6edf3 } .whisker { stroke: #e6edf3 } .cut { stroke: #f0985a } .cuts { fill: #f0985a }
    }
  </style>
  <rect class="card" width="470" height="310" rx="8"/>
  <text class="start" x="14" y="24">share of flips that change the class, with 95 % intervals</text>
"""


def drawn(rows: list[dict[str, str]]) -> str:
    """The picture as SVG: a bar with its interval per column, a hover text on each."""
    svg = HEAD
    for percent in range(4):
        y = BASE - percent / 100 / MOST * HEIGHT
        svg += f'  <path class="grid" d="M{LEFT} {y:.1f}H456"/><text class="end" x="{LEFT - 8}" y="{y + 4:.1f}">{percent} %</text>\n'
    for row in rows:
        bit = int(row["bit"])
        rate, low, high = (float(row[name]) for name in COLUMNS[3:])
        top, up, down = (BASE - value / MOST * HEIGHT for value in (rate, high, low))
        x = LEFT + 4 + bit * STEP
        svg += (
            f'  <g><title>column {bit}: {rate:.3%} [{low:.3%}, {high:.3%}], {row["critical"]} of {row["trials"]} flips</title>'
            f'<rect class="{"high" if bit >= GUARD else "low"}" x="{x:.1f}" y="{top:.1f}" width="11" height="{BASE - top:.1f}"/>'
            f'<path class="whisker" d="M{x + 5.5:.1f} {up:.1f}V{down:.1f}"/></g>\n'
        )
        if bit % 4 == 0 or bit == len(rows) - 1:
            svg += f'  <text x="{x + 5.5:.1f}" y="{BASE + 18}">{bit}</text>\n'
    cut = LEFT + 4 + GUARD * STEP - 2.7
    return svg + (
        f'  <path class="line" d="M{LEFT} {BASE}H456"/>\n  <path class="cut" d="M{cut:.1f} 44V{BASE + 24}"/>\n'
        f'  <text class="cuts end" x="{cut - 6:.1f}" y="58">one copy</text><text class="cuts start" x="{cut + 6:.1f}" y="58">three copies</text>\n'
        f'  <text x="257" y="{BASE + 40}">column of the accumulator (weight 2 to that power)</text>\n'
        f'  <text x="257" y="{BASE + 60}">digits-cnn, q_scale 7, unprotected 8 x 8 array</text>\n</svg>\n'
    )


def read(path: Path) -> list[dict[str, str]]:
    """Rows of the accumulator in a table of outcomes by site and bit, or of where.csv."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: row[name] for name in COLUMNS} for row in csv.DictReader(file) if row.get("site", "acc") == "acc"]


def main(arguments: list[str]) -> None:
    """Write where.csv, if a table is named, and where.svg."""
    table = HERE / "where.csv"
    if arguments:
        rows = read(Path(arguments[0]))
        with table.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    (HERE / "where.svg").write_text(drawn(read(table)), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
