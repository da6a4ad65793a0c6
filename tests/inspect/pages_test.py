#!/usr/bin/env python3
"""Opens folio's pages in Chromium, from file:// with the network off, at a desk's and a phone's
width, and uses them as a reader would. pages_test.py --folio=PROGRAM; exit status 77 where
scripts/install-page-tests has not been run."""

import argparse
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".cache/page-tests/bin/python"
if not PYTHON.exists() or not shutil.which("chromium"):
    print("run scripts/install-page-tests first")
    sys.exit(77)
if Path(sys.prefix).resolve() != PYTHON.parents[1].resolve():
    os.execv(PYTHON, [PYTHON, *sys.argv])

import axe_playwright_python.sync_playwright as axe  # noqa: E402
from playwright.sync_api import sync_playwright  # noqa: E402

import page_models  # noqa: E402
import page_acts as acts  # noqa: E402
from training_pages import training_pages  # noqa: E402

WIDTHS = [1280, 390]
SEEDS = 20


class Pages:
    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        self.failures = []

    def check(self, holds, what):
        if not holds:
            self.failures.append(what)
            print(f"    FAILED: {what}")

    def open(self, path, width, scheme="light", ready="window.folio !== undefined"):
        """The page once it is `ready`, whatever it complains about written down as a failure."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
            accept_downloads=True,
        )
        page = context.new_page()
        name = f"{path.name} at {width}"
        page.on(
            "console",
            lambda m: m.type in ("error", "warning")
            and self.check(False, f"{name}: console: {m.text}"),
        )
        page.on("pageerror", lambda e: self.check(False, f"{name}: {e}"))
        page.on(
            "request",
            lambda r: r.url.startswith(("file://", "blob:", "data:"))
            or self.check(False, f"{name}: asks for {r.url}"),
        )
        page.goto(path.as_uri())
        self.wait(page, ready)
        return page

    def wait(self, page, condition):
        """The page's policy forbids it the eval with which Playwright would wait by itself."""
        for _ in range(1000):
            if page.evaluate(condition):
                return
            page.wait_for_timeout(20)
        raise TimeoutError(f"20 seconds without: {condition}")

    def close(self, page):
        page.context.close()

    def accessible(self, page, name):
        """Contrast, labels, roles and the order of headings: axe-core's rules for WCAG 2.2 AA."""
        page.evaluate("scrollTo(0, 0)")  # nothing lies below the row of links
        options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]}
        for violation in axe.Axe().run(page, options=options).response["violations"]:
            where = [node["html"][:120] for node in violation["nodes"]][:3]
            self.check(False, f"{name}: {violation['id']}: {violation['help']}: {where}")

    def saved(self, page, button):
        with page.expect_download() as download:
            button.click()
        path = self.folder / download.value.suggested_filename
        download.value.save_as(path)
        return path.read_text(encoding="utf-8")


def live_page(pages, path, folio, out_dir, seeds):
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        acts.fits(pages, page, name, width)
        acts.agrees(pages, page, name, json.loads(path.with_suffix(".json").read_text()))
        for act in (
            acts.walks,
            acts.looks,
            acts.slides,
            acts.goes_back,
            acts.saves,
            acts.answers,
            acts.is_unharmed,
            acts.switches,
            acts.types,
            acts.is_unharmed,
        ):
            act(pages, page, name)
        off = page.evaluate(acts.OFF)
        pages.check(off < 1e-5, f"{name}: a head switched off differs by {off}")
        if width == WIDTHS[0]:
            acts.plays(pages, page, name, folio, out_dir, seeds)
        pages.accessible(page, name)
        pages.close(page)


def still_page(pages, path):
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        acts.fits(pages, page, name, width)
        for act in (
            acts.walks,
            acts.looks,
            acts.slides,
            acts.saves,
            acts.answers,
            acts.is_unharmed,
        ):
            act(pages, page, name)
        pages.check(page.locator("#play-go").count() == 0, f"{name}: no Play without the weights")
        pages.accessible(page, name)
        pages.close(page)


def compared_page(pages, folio, folder, start):
    path = folder / "compared.html"
    page_models.run(
        folio,
        "inspect",
        f"--out_dir={folder / 'cpu'}",
        f"--compare={folder / 'modern'}",
        f"--start={start}",
        "--live=off",
        "-o",
        str(path),
    )
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        acts.fits(pages, page, name, width)
        panel = page.locator("#compare")
        pages.check(
            "n_kv_head" in panel.locator("table").first.inner_text(),
            f"{name}: the options that differ are said",
        )
        panel.get_by_role("combobox", name="Score").select_option("previous")
        pages.check(
            panel.get_by_role("img", name="Score previous: second").count() == 1,
            f"{name}: another score of both models' heads",
        )
        acts.is_unharmed(pages, page, name)
        pages.accessible(page, name)
        pages.close(page)


def run(pages, folio, folder):
    page_models.prepare(folio, folder)
    start = "the king <script>hacked()</script> \u202e"
    for name, shape, seeds in (
        ("cpu", page_models.CPU_SHAPE, SEEDS),
        ("modern", page_models.MODERN, 8),
    ):
        out_dir = page_models.train(folio, folder, name, shape, 60)
        path = folder / f"{name}.html"
        page_models.run(
            folio,
            "inspect",
            f"--out_dir={out_dir}",
            f"--start={start}",
            "-o",
            str(path),
            f"--json={path.with_suffix('.json')}",
        )
        live_page(pages, path, folio, out_dir, seeds)
    gpt2 = page_models.random_gpt2(folder / "gpt2")
    path = folder / "gpt2.html"
    page_models.run(folio, "inspect", f"--init_from={gpt2}", f"--start={start}", "-o", str(path))
    still_page(pages, path)
    page = pages.open(folder / "cpu.html", WIDTHS[0], "dark")
    pages.accessible(page, "cpu, dark")
    pages.close(page)
    compared_page(pages, folio, folder, start)
    training_pages(pages, folio, folder, WIDTHS)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folio", default=str(ROOT / "build/folio"))
    folio = parser.parse_args().folio
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        # As root, in a container, Chromium has no sandbox of its own; the pages are ours.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=arguments
        )
        pages = Pages(browser, Path(folder))
        run(pages, folio, Path(folder))
        browser.close()
    print(f"{len(pages.failures)} failures" if pages.failures else "all pages work")
    sys.exit(1 if pages.failures else 0)


if __name__ == "__main__":
    main()
