"""The pictures of README: reports of the embedded study, synthetic data, as a browser shows them.

In: the repository, and Chromium (`apt-get install chromium`, or MEKEVAL_BROWSER). Out: `docs/images/report.png`.

    python docs/make_pictures.py
"""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from mekeval import run_study

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
#: In CSS pixels: wide enough for the table beside the main points; down to the end of the verdicts.
WIDTH, COLOURS = 1060, 128


def report(folder: Path) -> Path:
    """The report on Hakunila for 2025 in English."""
    made = run_study(
        ROOT / "data" / "vantaa-mek",
        years=[2025],
        districts=["Hakunila"],
        languages=["en"],
        kinds=["district"],
        out=folder,
        jobs=1,
    )
    if made.failed:
        raise SystemExit(str(made.errors))
    (page,) = folder.glob("vantaa-mek/2025/*hakunila.en.html")
    return page


def picture(page: Path) -> bytes:
    """Its first screen and its verdicts."""
    program = os.environ.get("MEKEVAL_BROWSER") or next(filter(None, map(shutil.which, PROGRAMS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        view = browser.new_page(viewport={"width": WIDTH, "height": 900}, device_scale_factor=1.5)
        view.goto(page.as_uri())
        end = view.locator("h2").nth(1).bounding_box()
        if end is None:
            raise SystemExit("The page has no heading behind its verdicts.")
        shot = view.screenshot(full_page=True, clip={"x": 0, "y": 0, "width": WIDTH, "height": end["y"] - 24})
        browser.close()
    return shot


def main() -> None:
    """Write the pictures; few colours keep them small."""
    with tempfile.TemporaryDirectory() as folder:
        shot = picture(report(Path(folder)))
    IMAGES.mkdir(exist_ok=True)
    small = Image.open(io.BytesIO(shot)).convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE)
    small.save(IMAGES / "report.png", optimize=True)


if __name__ == "__main__":
    main()
