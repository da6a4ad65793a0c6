#!/usr/bin/env python3
"""Opens folio's pages in Chromium, from file:// with the network off, at a desk's and a phone's width,
and uses them as a reader would. pages_test.py --folio=PROGRAM; exit status 77 where
scripts/install-page-tests has not been run."""

import argparse
import json
import os
import shutil
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
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

WIDTHS = [1280, 390]
SEEDS, TOKENS = 20, 200


class Pages:
    def __init__(self, browser, folder):
        self.browser, self.folder = browser, folder
        self.failures = []

    def check(self, holds, what):
        if not holds:
            self.failures.append(what)
            print(f"    FAILED: {what}")

    def open(self, path, width, scheme="light"):
        """The page, whatever it complains about written down as a failure."""
        context = self.browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True,
            accept_downloads=True)
        page = context.new_page()
        name = f"{path.name} at {width}"
        page.on("console", lambda m: m.type in ("error", "warning")
                and self.check(False, f"{name}: console: {m.text}"))
        page.on("pageerror", lambda e: self.check(False, f"{name}: {e}"))
        page.on("request", lambda r: r.url.startswith(("file://", "blob:", "data:"))
                or self.check(False, f"{name}: asks for {r.url}"))
        page.goto(path.as_uri())
        self.wait(page, "window.folio !== undefined")
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


def fits(pages, page, name, width):
    wide = page.evaluate("document.documentElement.scrollWidth")
    pages.check(wide <= width, f"{name}: {wide} pixels wide, {width} there are")


def walks(pages, page, name):
    """The keyboard goes through every step of the forward pass."""
    panel = page.locator("#walk")
    steps = page.evaluate("folio.report.forward.length")
    panel.get_by_role("button", name="Next").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    pages.check(panel.get_by_role("heading", name=f"3 of {steps}").count() == 1,
                f"{name}: an arrow and Enter are two steps")
    for step in range(3, steps):
        page.keyboard.press("ArrowRight")
        pages.check(panel.locator("pre.source .computes").count() > 0,
                    f"{name}: step {step} shows the lines that compute it")
    pages.check(panel.get_by_role("heading", name=f"{steps} of {steps}").count() == 1,
                f"{name}: the last step is reached")


def looks(pages, page, name):
    """Going to a token by the keyboard looks at it in every view; a head can be chosen."""
    strip = page.locator("#text-strip .strip")
    strip.locator("button[aria-pressed=true]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    pages.check(page.evaluate("folio.position") == 1, f"{name}: the arrow looks at position 1")
    for panel in ("#attention", "#lens"):
        pressed = page.locator(f"{panel} .strip button[aria-pressed=true]").get_attribute("aria-label")
        pages.check(pressed.startswith("position 1:"), f"{name}: {panel} follows, not {pressed}")
    page.locator("#attention .heads button").last.click()
    layers, heads = page.evaluate("[folio.config.n_layer, folio.config.n_head]")
    title = f"Layer {layers - 1}, head {heads - 1}"
    pages.check(page.locator("#attention").get_by_role("heading", name=title).count() == 1,
                f"{name}: the last head is shown")


def saves(pages, page, name):
    figure = page.locator("#lens figure").first
    svg = pages.saved(page, figure.get_by_role("button", name="Save as SVG"))
    root = ElementTree.fromstring(svg)
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    pages.check("Probability of the true next token" in texts, f"{name}: the SVG has its title")
    cells = page.evaluate("folio.run.lens.points.length * (folio.T - 1)")
    rectangles = len(list(root.iter("{http://www.w3.org/2000/svg}rect")))
    pages.check(rectangles >= cells, f"{name}: the SVG has {cells} cells, not {rectangles}")
    chart = page.locator("#cache figure").last
    svg = pages.saved(page, chart.get_by_role("button", name="Save as SVG"))
    pages.check("with the cache" in svg and "var(" not in svg, f"{name}: the chart keeps its legend")
    csv = pages.saved(page, chart.get_by_role("button", name="Save as CSV"))
    pages.check(csv.startswith('"tokens of the text","with the cache","without"'), f"{name}: CSV {csv[:60]}")
    figure.locator("summary").click()
    figure.locator("table tr").nth(3).wait_for()  # a table stands behind the picture


# One token over the cache reads every matrix once and sees what is there; `slide` past block_size gains
# nothing from the cache; `block` starts again from half.
COSTS = """() => {
  const {config, report: {cache}} = folio, T = config.block_size, window = config.attention_window || T;
  const steps = (mode, from, to) => cacheSteps(config, cache, mode, from, to).pop();
  const one = cache.matrix_multiply_adds_per_token + cache.head_multiply_adds_per_step;
  const block = steps('block', 4, T + 1), slide = steps('slide', 4, T + 1);
  return [steps('stop', 4, 20).withCache - one - cache.multiply_adds_per_seen_position * Math.min(20, window),
          slide.withCache - slide.without, slide.fresh - T, block.fresh - Math.floor(T / 2),
          steps('stop', 4, T + 5).length - T];
}"""


def slides(pages, page, name):
    differences = page.evaluate(COSTS)
    pages.check(differences == [0, 0, 0, 0, 0], f"{name}: costs of the cache differ by {differences}")
    panel = page.locator("#cache")
    before = panel.get_by_role("heading", level=3).first.inner_text()
    panel.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    after = panel.get_by_role("heading", level=3).first.inner_text()
    pages.check(before.startswith("Prefill") and after.startswith("Token"),
                f"{name}: the slider goes from {before} to {after}")


def goes_back(pages, page, name):
    """The slider goes back through the run's evaluations."""
    panel = page.locator("#over-training")
    page.locator("#training-slider").focus()
    page.keyboard.press("Home")
    pages.check(panel.get_by_role("heading", name="Iteration 0").count() == 1, f"{name}: iteration 0")
    pages.check(panel.get_by_role("img", name="induction at this evaluation").count() == 1,
                f"{name}: the heads' scores of then")


def answers(pages, page, name):
    for question in page.locator(".question").all():
        question.get_by_role("button").first.click()
        answer = question.locator(".answer").inner_text()
        pages.check(answer.startswith(("Yes: ", "No: ")), f"{name}: an answer, not {answer}")


def is_unharmed(pages, page, name):
    """Nothing that a user wrote has become an element or run."""
    pages.check(page.evaluate("typeof hacked") == "undefined", f"{name}: hostile text ran")
    pages.check(page.locator("img, iframe, object").count() == 0, f"{name}: text became an element")
    scripts = page.evaluate("[...document.scripts].filter(s => s.textContent.startsWith('hacked')).length")
    pages.check(scripts == 0, f"{name}: text became a script")
    shown = page.locator("#text-strip .strip").inner_text()
    pages.check("\u202e" not in shown and "\0" not in shown, f"{name}: marks are shown as what they are")


# The largest differences between what the page computes and what folio wrote.
DIFFERENCES = """(attention) => {
  const far = (a, b) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  const folioRun = reportedRun({...folio.report, attention}), run = folio.run, flat = (rows) => rows.flatMap((r) => [...r]);
  return {
    logits: folio.pageDifference,
    attention: far(run.attention.data, folioRun.attention.data),
    lens: far(flat(run.lens.nextProbability), flat(folioRun.lens.nextProbability)),
    loss: far(run.lens.loss, folioRun.lens.loss),
    parts: run.parts.values.length === folioRun.parts.values.length
      ? far(run.parts.values, folioRun.parts.values) : Infinity,
    ranks: run.lens.nextRank.flat().filter((r, i) => r !== folioRun.lens.nextRank.flat()[i]).length,
  };
}"""


def agrees(pages, page, name, numbers):
    for what, difference in page.evaluate(DIFFERENCES, numbers["attention"]).items():
        pages.check(difference <= 1e-4, f"{name}: {what} differ by {difference}")


def types(pages, page, name):
    """Another text: every panel follows."""
    page.locator("#text-field").fill("to be or <script>")
    pages.wait(page, "folio.T === 17")
    for strip in page.locator(".strip").all():
        pages.check(strip.locator("button").count() == 17, f"{name}: a strip has not followed")
    pages.check(page.evaluate("folio.run.attention.shape[2]") == 17, f"{name}: attention follows")
    page.locator("#text-field").fill("to \u4e16")
    page.get_by_text('The model\'s vocabulary has no "\u4e16".').wait_for()


def switches(pages, page, name):
    """Without a head, and with an activation of another text, the model says something else."""
    panel = page.locator("#what-if")
    loss = lambda: panel.locator("dd").last.inner_text()  # noqa: E731
    before = loss()
    head = panel.get_by_role("button", name="switch off layer 0, head 1")
    head.click()
    pages.check(head.get_attribute("aria-pressed") == "true" and loss() != before,
                f"{name}: a head is off, the loss is still {before}")
    panel.get_by_role("button", name="switch off layer 1, MLP").click()
    panel.get_by_role("button", name="As it was").click()
    pages.check(loss() == before, f"{name}: and as it was")
    panel.get_by_label("Other text").fill("Rome. the king is dead, long live Rome.")
    pages.check(loss() != before, f"{name}: a patch changes the loss")
    panel.get_by_role("button", name="As it was").click()


# Each head and MLP switched off must be what folio computes with those weights zeroed: the page's own
# model with the columns of c_proj zeroed says so without a switch.
OFF = """() => {
  const D = folio.config.head_dim, weight = folio.model.weights['transformer.h.0.attn.c_proj.weight'];
  const zeroed = {...weight, data: weight.data.slice()}, columns = weight.shape[1];
  for (let row = 0; row < weight.shape[0]; ++row) zeroed.data.fill(0, row * columns + D, row * columns + 2 * D);
  const other = new GptModel(folio.config, {...folio.model.weights, 'transformer.h.0.attn.c_proj.weight': zeroed});
  const a = other.forward(folio.run.tokens), H = folio.config.n_head;
  const b = folio.model.forward(folio.run.tokens, {show: (point, shape, data) => {
    if (point === 'h.0.attn.output')
      for (let t = 0; t < shape[0]; ++t) data.fill(0, (t * H + 1) * D, (t * H + 2) * D);
  }});
  return Math.max(...a.map((x, i) => Math.abs(x - b[i])));
}"""

SAMPLED = """async ([start, seed, tokens, temperature, topK, topP]) => {
  const options = {temperature, topK, topP, seed: BigInt(seed)};
  const sampler = new TextSampler(folio.model, folio.encode(start), options,
                                  {known: folio.known, pastBlock: folio.report.past_block});
  for (let i = 0; i < tokens; ++i) sampler.next();
  return sampler.tokens.map((id) => folio.text(id)).join('');
}"""


def folio_sample(folio, out_dir, start, seed, tokens, temperature=0.8, top_k=200, top_p=1):
    text = page_models.run(
        folio, "sample", f"--out_dir={out_dir}", f"--start={start}", "--num_samples=1",
        f"--max_new_tokens={tokens}", f"--seed={seed}", f"--temperature={temperature}",
        f"--top_k={top_k}", f"--top_p={top_p}")
    return text


def plays(pages, page, name, folio, out_dir, seeds):
    """The page's text is that of folio sample, past block_size too, for the same options and seed."""
    panel = page.locator("#play")
    panel.locator("#play-start").fill("the king ")
    panel.locator("#play-go").click()
    pages.wait(page, "document.getElementById('play-output').dataset.done === 'true'")
    shown = panel.locator("#play-output").text_content()
    pages.check(folio_sample(folio, out_dir, "the king ", 1337, TOKENS).rstrip("\n").startswith(
        shown.rstrip("\n").replace("\r", "")), f"{name}: Play shows {shown[:60]!r}")
    for seed in range(1, seeds + 1):
        options = [(0.8, 200, 1), (1.2, 5, 1), (0.6, 0, 0.7), (0, 0, 1)][seed % 4]
        ours = page.evaluate(SAMPLED, ["to be ", seed, TOKENS, *options])
        theirs = folio_sample(folio, out_dir, "to be ", seed, TOKENS, *options)
        pages.check(theirs.startswith(ours), f"{name}: seed {seed}, {options}: {ours!r} is not {theirs!r}")


def live_page(pages, path, folio, out_dir, seeds):
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        fits(pages, page, name, width)
        agrees(pages, page, name, json.loads(path.with_suffix(".json").read_text()))
        for act in (walks, looks, slides, goes_back, saves, answers, is_unharmed, switches, types, is_unharmed):
            act(pages, page, name)
        off = page.evaluate(OFF)
        pages.check(off < 1e-5, f"{name}: a head switched off differs by {off}")
        if width == WIDTHS[0]:
            plays(pages, page, name, folio, out_dir, seeds)
        pages.accessible(page, name)
        pages.close(page)


def still_page(pages, path):
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        fits(pages, page, name, width)
        for act in (walks, looks, slides, saves, answers, is_unharmed):
            act(pages, page, name)
        pages.check(page.locator("#play-go").count() == 0, f"{name}: no Play without the weights")
        pages.accessible(page, name)
        pages.close(page)


def compared_page(pages, folio, folder, start):
    path = folder / "compared.html"
    page_models.run(folio, "inspect", f"--out_dir={folder / 'cpu'}", f"--compare={folder / 'modern'}",
                    f"--start={start}", "--live=off", "-o", str(path))
    for width in WIDTHS:
        name = f"{path.stem} at {width}"
        print(f"  {name}")
        page = pages.open(path, width)
        fits(pages, page, name, width)
        panel = page.locator("#compare")
        pages.check("n_kv_head" in panel.locator("table").first.inner_text(),
                    f"{name}: the options that differ are said")
        panel.get_by_role("combobox", name="Score").select_option("previous")
        pages.check(panel.get_by_role("img", name="Score previous: second").count() == 1,
                    f"{name}: another score of both models' heads")
        is_unharmed(pages, page, name)
        pages.accessible(page, name)
        pages.close(page)


def run(pages, folio, folder):
    page_models.prepare(folio, folder)
    start = "the king <script>hacked()</script> \u202e"
    for name, shape, seeds in (("cpu", page_models.CPU_SHAPE, SEEDS), ("modern", page_models.MODERN, 8)):
        out_dir = page_models.train(folio, folder, name, shape, 60)
        path = folder / f"{name}.html"
        page_models.run(folio, "inspect", f"--out_dir={out_dir}", f"--start={start}", "-o", str(path),
                        f"--json={path.with_suffix('.json')}")
        live_page(pages, path, folio, out_dir, seeds)
    gpt2 = page_models.random_gpt2(folder / "gpt2")
    path = folder / "gpt2.html"
    page_models.run(folio, "inspect", f"--init_from={gpt2}", f"--start={start}", "-o", str(path))
    still_page(pages, path)
    page = pages.open(folder / "cpu.html", WIDTHS[0], "dark")
    pages.accessible(page, "cpu, dark")
    pages.close(page)
    compared_page(pages, folio, folder, start)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folio", default=str(ROOT / "build/folio"))
    folio = parser.parse_args().folio
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        # As root, in a container, Chromium has no sandbox of its own; the pages are ours.
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        pages = Pages(browser, Path(folder))
        run(pages, folio, Path(folder))
        browser.close()
    print(f"{len(pages.failures)} failures" if pages.failures else "all pages work")
    sys.exit(1 if pages.failures else 0)


if __name__ == "__main__":
    main()
