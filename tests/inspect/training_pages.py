"""The report of a training run and the comparison of two, used as a reader would."""

import page_models

READY = "document.querySelector('figure') !== null"
HOSTILE_RUN = "run <img src=x onerror=hacked()>\u202e"


def fits(pages, page, name, width):
    wide = page.evaluate("document.documentElement.scrollWidth")
    pages.check(wide <= width, f"{name}: {wide} pixels wide, {width} there are")


def is_text(pages, page, name):
    """What a run's name or its samples spell is shown, and is no markup; had it run, hacked(), which is
    not there, would have been an error of the page's."""
    pages.check(page.locator("img, iframe, main script").count() == 0, f"{name}: text became markup")
    pages.check("\u202e" not in page.locator("body").inner_text(), f"{name}: a mark turns the text")


def follows_the_axis(pages, page, name):
    chart = page.locator("figure svg").first
    for axis, label in (("tokens", "tokens"), ("time", "seconds"), ("iterations", "iteration")):
        page.locator("#axis").select_option(axis)
        texts = chart.locator("text").all_text_contents()
        pages.check(label in texts, f"{name}: over {axis} the axis says {label}, not {texts[-3:]}")
    page.locator("#from").select_option("0.25")
    page.locator("figure .plot").first.focus()
    page.keyboard.press("ArrowRight")
    reading = page.locator("figure .reading").first.inner_text()
    iteration = float(reading.split()[1].rstrip(":"))
    pages.check(iteration >= 10, f"{name}: the curves begin at a quarter of 40, not at {iteration}")
    page.locator("#from").select_option("0.0")


def report(pages, path, width, scheme):
    name = f"report at {width}, {scheme}"
    print(f"  {name}")
    page = pages.open(path, width, scheme, READY)
    fits(pages, page, name, width)
    is_text(pages, page, name)
    pages.check("<img src=x" in page.locator("h1").inner_text(), f"{name}: the run's name is shown")
    follows_the_axis(pages, page, name)
    last = page.locator("#sample").inner_text()
    page.locator("#sample-at").focus()
    page.keyboard.press("ArrowLeft")
    pages.check(page.locator("#sample-name").inner_text().startswith("iteration 0,"),
                f"{name}: the slider goes to the sample before")
    pages.check(page.locator("#sample").inner_text() != last, f"{name}: which is another one")
    csv = pages.saved(page, page.locator("#loss").get_by_role("button", name="Save as CSV"))
    pages.check(csv.startswith('"iteration","steps","train","val"'), f"{name}: CSV {csv[:60]}")
    svg = pages.saved(page, page.locator("#loss").get_by_role("button", name="Save as SVG"))
    pages.check("Loss of both splits" in svg and "best " in svg, f"{name}: the SVG has title and best")
    for details in page.locator("details").all():
        details.locator("summary").click()
    page.locator("#loss table tr").nth(10).wait_for()  # a table stands behind the picture
    pages.check("learning_rate" in page.locator("#given").inner_text(), f"{name}: options are listed")
    pages.accessible(page, name)
    pages.close(page)


def comparison(pages, path, width, scheme):
    name = f"comparison at {width}, {scheme}"
    print(f"  {name}")
    page = pages.open(path, width, scheme, READY)
    fits(pages, page, name, width)
    is_text(pages, page, name)
    follows_the_axis(pages, page, name)
    pages.check("n_layer" in page.locator("#differing").inner_text(), f"{name}: what differs is said")
    pages.check("best val loss" in page.locator("#results").inner_text(), f"{name}: results are there")
    pages.accessible(page, name)
    pages.close(page)


def training_pages(pages, folio, folder, widths):
    """After page_models.prepare."""
    runs = [page_models.train(folio, folder, HOSTILE_RUN, page_models.MODERN, 40),
            page_models.train(folio, folder, "another", page_models.CPU_SHAPE, 40)]
    compared = folder / "training-compared.html"
    page_models.run(folio, "compare", *map(str, runs), "-o", str(compared))
    for width, scheme in [(width, "light") for width in widths] + [(widths[0], "dark")]:
        report(pages, runs[0] / "report.html", width, scheme)
        comparison(pages, compared, width, scheme)
