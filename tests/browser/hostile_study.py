"""The embedded study with every name, label and note replaced by one that attacks, each string by one of its own."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

from mekeval import example_study
from mekeval.study import lock_plan

#: What people have put into names to take over pages, spreadsheets, notebooks, files and readers; {n} is a number.
ATTACKS = (
    # Markup and script
    "<script>window.__hacked={n}</script>",
    "</script><script>window.__hacked={n}</script>",
    "<img src=x onerror=window.__hacked={n}>",
    "<svg onload=window.__hacked={n}><title>Alue {n}</title></svg>",
    "<svg><script>window.__hacked={n}</script></svg>",
    "<svg><animate onbegin=window.__hacked={n} attributeName=x dur=1s></svg>",
    "<math><mtext><mglyph><style><img src=x onerror=window.__hacked={n}>",
    "<details open ontoggle=window.__hacked={n}>Alue</details>",
    "<iframe srcdoc='<script>parent.__hacked={n}</script>'></iframe>",
    "<object data='data:text/html,<script>window.__hacked={n}</script>'>Alue {n}",
    "<body onload=window.__hacked={n}>Alue",
    "<input autofocus onfocus=window.__hacked={n}>",
    "<a href='javascript:window.__hacked={n}'>Alue</a>",
    "<form action='javascript:window.__hacked={n}'><button>Alue</button></form>",
    "<meta http-equiv=refresh content='0;url=javascript:window.__hacked={n}'>",
    "<base href='https://example.org/{n}/'>",
    "<link rel=stylesheet href='https://example.org/{n}.css'>",
    "<style>*{{display:none}}</style>Alue {n}",
    "<style>@import 'https://example.org/{n}.css';</style>",
    "<h1>Alue {n}</h1><h2>Alue</h2>",
    "</main></body></html><p>Alue {n}",
    "</table></div></section>Alue {n}",
    "</caption><tr><td>Alue {n}</td></tr>",
    "</title><script>window.__hacked={n}</script>",
    "</textarea><script>window.__hacked={n}</script>",
    "</style><script>window.__hacked={n}</script>",
    "</noscript><script>window.__hacked={n}</script>",
    "<!-- Alue {n}",
    "--><script>window.__hacked={n}</script>",
    "<![CDATA[<script>window.__hacked={n}</script>]]>",
    "<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>Alue {n} &e;",
    "<scr<script>ipt>window.__hacked={n}</scr</script>ipt>",
    "<ScRiPt >window.__hacked={n}</sCrIpT >",
    "<script src=//example.org/{n}.js></script>",
    # Out of an attribute
    '" onmouseover="window.__hacked={n}" x="',
    "' onfocus='window.__hacked={n}' tabindex='0' autofocus='",
    '"><script>window.__hacked={n}</script>',
    "'><script>window.__hacked={n}</script>",
    "` onerror=window.__hacked={n} `",
    'Alue {n}" style="position:fixed;inset:0;background:url(https://example.org/{n})',
    'Alue {n}" id="content',
    # Entities and encodings
    "&lt;script&gt;window.__hacked={n}&lt;/script&gt;",
    "&#60;script&#62;window.__hacked={n}&#60;/script&#62;",
    "&#x3c;script&#x3e;window.__hacked={n}&#x3c;/script&#x3e;",
    "&amp;lt;script&amp;gt;window.__hacked={n}",
    "%3Cscript%3Ewindow.__hacked={n}%3C/script%3E",
    r"\u003cscript\u003ewindow.__hacked={n}\u003c/script\u003e",
    "+ADw-script+AD4-window.__hacked={n}+ADw-/script+AD4-",
    "\N{FULLWIDTH LESS-THAN SIGN}script\N{FULLWIDTH GREATER-THAN SIGN}window.__hacked={n}",
    # Addresses
    "javascript:window.__hacked={n}",
    "JaVaScRiPt:window.__hacked={n}//",
    "data:text/html,<script>window.__hacked={n}</script>",
    "vbscript:msgbox({n})",
    "https://example.org/{n}?alue",
    "//example.org/{n}",
    # Markdown and mathematics
    "[Alue {n}](javascript:window.__hacked={n})",
    "![Alue {n}](https://example.org/{n}.png)",
    "# Alue {n}",
    "**Alue {n}** _x_ `y` ~~z~~",
    "| Alue | {n} |",
    "$\\frac{{{n}",
    "$$\\href{{javascript:window.__hacked={n}}}{{Alue}}$$",
    "\\(\\unicode{{{n}}}\\)",
    "\\input{{/etc/passwd}} Alue {n}",
    # Templates and formats
    "{{{{ {n} * 7 }}}}",
    "{{% for x in ().__class__.__base__.__subclasses__() %}}{n}{{% endfor %}}",
    "${{{n}*7}}",
    "#{{{n}*7}}",
    "<%= {n} * 7 %>",
    "{{n}} {{0}} {{area}} {{!r}} {n}",
    "%s %d %(n)s %n {n}",
    # Formulas in a spreadsheet
    "=1+{n}",
    '=HYPERLINK("https://example.org/{n}","Alue")',
    "=cmd|' /C calc'!A{n}",
    "+{n}+1",
    "-{n}+1",
    "@SUM(1,{n})",
    "  =1+{n}",
    "\N{FULLWIDTH EQUALS SIGN}1+{n}",
    "'=1+{n}",
    '"=1+{n}"',
    'Alue;=1+{n};"x"',
    "Alue,=1+{n},x",
    # Paths
    "../../../../etc/passwd {n}",
    "..\\..\\windows\\system32 {n}",
    "/etc/passwd {n}",
    "C:\\alue{n}",
    "CON{n}.html",
    "alue{n}/../../x",
    "~/.ssh/alue{n}",
    "file:///etc/passwd#{n}",
    # Notebooks, shells and queries
    "!touch /tmp/mekeval-hacked {n}",
    "%%bash touch /tmp/mekeval-hacked {n}",
    "%run alue{n}.py",
    "'; import os; os.system('touch /tmp/mekeval-hacked'); # {n}",
    "\"\"\"); __import__('os').system('touch /tmp/mekeval-hacked') # {n}",
    "$(touch /tmp/mekeval-hacked) `touch /tmp/mekeval-hacked` {n}",
    "'; DROP TABLE alue; -- {n}",
    # Letters that hide, turn others around, or mean nothing
    "\N{RIGHT-TO-LEFT OVERRIDE}eula\N{POP DIRECTIONAL FORMATTING} {n}",
    "\N{RIGHT-TO-LEFT ISOLATE}Alue {n}",
    "Al\N{ZERO WIDTH SPACE}ue\N{ZERO WIDTH NON-JOINER} {n}",
    "\N{LEFT-TO-RIGHT MARK}Alue\N{WORD JOINER} {n}",
    "Alue {n}\N{LINE SEPARATOR}window.__hacked={n}",
    "Z\N{COMBINING GRAVE ACCENT}\N{COMBINING ACUTE ACCENT}\N{COMBINING TILDE}alue {n}",
    "\N{PILE OF POO}\N{ZERO WIDTH JOINER}\N{RAINBOW} {n}",
    "\U000e0041\U000e0042Alue {n}",
    "nan{n}",
    "NULL{n}",
    "None{n}",
    "undefined{n}",
    "true{n}",
    "{n}e999",
    "0x{n}",
    # Length
    "A" * 290 + "{n}",
    "pitkä sana " * 27 + "{n}",
)

_TEXTS = re.compile(r'^((?:\w+\.)?(?:fi|sv|en)) = "(.*)"(.*)$', flags=re.MULTILINE)
_FILE = re.compile(r'^file = "(raw/.*)"((?:\n.+)*?)\nsha256 = ".*"', flags=re.MULTILINE)
_NAMES = ("name_fi", "name_sv", "name_en", "theme", "theme_sv", "theme_en", "source")


class Attacker:
    """Gives each text an attack of its own, always the same one."""

    def __init__(self) -> None:
        self.given: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        if not text:
            return text
        if text not in self.given:
            number = len(self.given) + 1000
            self.given[text] = ATTACKS[number % len(ATTACKS)].format(n=number)
        return self.given[text]


def hostile_study(folder: Path, attack: Callable[[str], str] | None = None) -> Path:
    """Write the embedded study into a folder, each of its texts put through `attack`."""
    attack = attack or Attacker()
    source = example_study()
    (folder / "raw").mkdir(parents=True)
    with (source / "areas.csv").open(encoding="utf-8", newline="") as stream:
        codes = {row["name_fi"]: row["code"] for row in csv.DictReader(stream)}
    names: dict[str, str] = {}
    for name in ("areas.csv", "reference_areas.csv", "measures.csv"):
        with (source / name).open(encoding="utf-8", newline="") as stream:
            rows = list(csv.DictReader(stream))
        for row in rows:
            own = row["name_fi"]
            row.update({column: attack(row[column]) for column in _NAMES if column in row})
            if "areas" in row:
                level, _, area = row["areas"].rpartition(":")
                row["areas"] = f"{level}:{codes[area]}".lstrip(":") if area else ""
            if "code" in row:
                names[own] = row["name_fi"]
        with (folder / name).open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    (folder / "neighbours.csv").write_bytes((source / "neighbours.csv").read_bytes())
    for file in sorted((source / "raw").iterdir()):
        (folder / "raw" / file.name).write_text(
            _relabelled(file.read_text(encoding="latin-1"), names), encoding="utf-8"
        )
    spec = _FILE.sub(
        lambda found: f'file = "{found[1]}"{found[2]}\nsha256 = "{_sha256(folder / found[1])}"',
        (source / "study.toml").read_text(encoding="utf-8"),
    )
    spec = re.sub(
        r"^(areas|discretionary) = (\[.*\])$",
        lambda found: f"{found[1]} = {json.dumps([codes[one] for one in json.loads(found[2])])}",
        spec,
        flags=re.MULTILINE,
    )
    spec = _TEXTS.sub(lambda found: f"{found[1]} = {_toml(attack(found[2]))}{found[3]}", spec)
    (folder / "study.toml").write_text(spec, encoding="utf-8")
    lock_plan(folder)
    return folder


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _toml(text: str) -> str:
    """A text as TOML writes it: as JSON does, but for letters beyond the first 65,536."""
    return json.dumps(text, ensure_ascii=False)


def _relabelled(raw: str, names: dict[str, str]) -> str:
    """A raw file whose areas bear the new names behind their codes."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\n")
    for row in csv.reader(io.StringIO(raw)):
        found = re.match(r"(\d[\d ]*) (\D.*)$", row[0]) if row else None
        if found and found[2] in names:
            row[0] = f"{found[1]} {names[found[2]]}"
        writer.writerow(row)
    return out.getvalue()
