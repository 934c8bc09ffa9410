"""Make activities.csv and feedback.csv: SYNTHETIC records for the example.

Nothing in them happened. Only how many there are of some types agrees with what was reported (reported.csv): network
coffees by area, pilots, trainings and art workshops in all. Days, participants, partners, languages, costs and all of
the feedback are invented. The same seed gives the same files.

    python make_example.py [FOLDER]
"""

from __future__ import annotations

import csv
import datetime
import sys
from pathlib import Path

import numpy as np

SEED = 20230301
LAST = datetime.date(2025, 12, 31)
#: First day of a developer; for Hakunila and Korso the source says "during summer 2023".
START = {
    "Hakunila": datetime.date(2023, 8, 1),
    "Koivukylä": datetime.date(2023, 3, 1),
    "Korso": datetime.date(2023, 8, 1),
    "Myyrmäki": datetime.date(2023, 3, 1),
}
DISTRICTS = {
    "Hakunila": ("Hakunila", "Länsimäki", "Rajakylä"),
    "Koivukylä": ("Havukoski", "Koivukylä"),
    "Korso": ("Mikkola", "Korso"),
    "Myyrmäki": ("Myyrmäki", "Martinlaakso"),
}
COFFEES = {"Hakunila": 32, "Koivukylä": 16, "Korso": 30, "Myyrmäki": 12}
PILOTS = {"Myyrmäki": 2}
WORKSHOPS = {"Hakunila": 14, "Koivukylä": 12, "Korso": 8, "Myyrmäki": 10}  # 44 in all; the split is invented
JOINT = {"Hakunila": 22, "Koivukylä": 18, "Korso": 16, "Myyrmäki": 14}  # invented
TRAININGS = {"diversity_training": 4, "community_training": 6}
PEOPLE = {
    "network_coffee": 14,
    "network_pilot": 10,
    "diversity_training": 18,
    "community_training": 16,
    "art_workshop": 11,
    "joint_event": 45,
}
LANGUAGES = ("en", "ru", "ar", "so", "et", "sv")
TEXTS = {
    "met_people": "Synteettinen vastaus: tapasin uusia ihmisiä.",
    "was_heard": "Synteettinen vastaus: minua kuunneltiin.",
    "wants_more": "Synteettinen vastaus: toivon lisää tällaista.",
    "barrier": "Synteettinen vastaus: paikalle oli vaikea päästä.",
}
BUDGET = 5000.0
Row = dict[str, str]


def activities(rng: np.random.Generator) -> list[Row]:
    rows: list[Row] = []
    for area, start in START.items():
        for kind, counts in (
            ("network_coffee", COFFEES),
            ("network_pilot", PILOTS),
            ("art_workshop", WORKSHOPS),
            ("joint_event", JOINT),
        ):
            rows += [event(rng, area, kind, day) for day in days(rng, start, counts.get(area, 0))]
    for kind, count in TRAININGS.items():
        rows += [event(rng, "Vantaa", kind, day) for day in days(rng, START["Hakunila"], count)]
    costs(rng, rows)
    return sorted(rows, key=lambda row: (row["date"], row["major_area"], row["type"]))


def days(rng: np.random.Generator, start: datetime.date, count: int) -> list[datetime.date]:
    """Different weekdays outside July."""
    every = [start + datetime.timedelta(days=at) for at in range((LAST - start).days - 10)]
    open_days = [day for day in every if day.weekday() < 5 and day.month != 7]
    chosen = rng.choice(len(open_days), size=count, replace=False)
    return [open_days[at] for at in sorted(chosen)]


def event(rng: np.random.Generator, area: str, kind: str, day: datetime.date) -> Row:
    mean = PEOPLE[kind]
    people = 3 + rng.negative_binomial(4, 4 / (4 + mean - 3))
    spoken = ["fi", *rng.choice(LANGUAGES, size=rng.binomial(3, 0.3), replace=False)]
    pool = {"Vantaa": 3}.get(area, 12)
    # The first partners of an area come again and again; the later ones came once.
    weights = 1.0 / np.arange(1, pool + 1)
    size = min(pool, 1 + rng.binomial(3, 0.5))
    partners = rng.choice(pool, size=size, replace=False, p=weights / weights.sum())
    theme = {"diversity_training": "diversity", "art_workshop": "together"}.get(kind)
    district = rng.choice(("", *DISTRICTS[area])) if area in DISTRICTS else ""
    return {
        "date": day.isoformat(),
        "major_area": area,
        "district": str(district),
        "type": kind,
        "theme": theme or str(rng.choice(("trust", "together", "diversity"))),
        "partner": ";".join(f"Synteettinen kumppani {area} {at + 1}" for at in sorted(partners)),
        "participants": "" if rng.random() < 0.08 else str(people),
        "languages": "" if rng.random() < 0.05 else ";".join(spoken),
        "accessible": str(rng.choice(("yes", "no", ""), p=(0.78, 0.12, 0.10))),
        "cost": "",
    }


def costs(rng: np.random.Generator, rows: list[Row]) -> None:
    """Costs that stay within the budget of each area and year; trainings cost nothing here."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["major_area"], row["date"][:4]), []).append(row)
    for (area, _), some in groups.items():
        total = 0.0 if area == "Vantaa" else BUDGET * rng.uniform(0.55, 0.95)
        shares = rng.dirichlet(np.ones(len(some)) * 2)
        for row, share in zip(some, shares, strict=True):
            row["cost"] = "" if rng.random() < 0.06 else f"{np.floor(total * share):.0f}"


def feedback(rng: np.random.Generator, events: list[Row]) -> list[Row]:
    rows = []
    for row in events:
        if row["participants"] and rng.random() < 0.42:
            rows += [
                answer(rng, row)
                for _ in range(rng.binomial(int(row["participants"]), rng.uniform(0.1, 0.45)))
            ]
    return rows


def answer(rng: np.random.Generator, row: Row) -> Row:
    own = rng.normal()
    answers = {
        item: ""
        if rng.random() < 0.05
        else str(int(np.clip(np.rint(level + 0.6 * own + rng.normal(0, 0.7)), 1, 5)))
        for item, level in (("trust", 3.9), ("inclusion", 3.7), ("embedding", 3.2))
    }
    answers["trust"] = answers["trust"] or "4"
    code = str(rng.choice([*TEXTS, ""], p=(0.14, 0.10, 0.12, 0.06, 0.58)))
    second = code if rng.random() < 0.85 else str(rng.choice(list(TEXTS)))
    again = bool(code) and rng.random() < 0.4
    return {
        "date": row["date"],
        "major_area": row["major_area"],
        "district": row["district"],
        "activity": row["type"],
        **answers,
        "language": str(rng.choice(("fi", "en", "ru", "ar", "sv"), p=(0.66, 0.16, 0.08, 0.06, 0.04))),
        "text": TEXTS.get(code, ""),
        "codes": code,
        "codes_b": second if again else "",
    }


def write(path: Path, rows: list[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main(folder: Path) -> None:
    rng = np.random.default_rng(SEED)
    events = activities(rng)
    write(folder / "activities.csv", events)
    write(folder / "feedback.csv", feedback(rng, events))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent)
