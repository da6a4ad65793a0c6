"""What a reader does with a page of folio inspect, and what must come of it, for pages_test.py."""

import xml.etree.ElementTree as ElementTree

import page_models

TOKENS = 200


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
    pages.check(
        panel.get_by_role("heading", name=f"3 of {steps}").count() == 1,
        f"{name}: an arrow and Enter are two steps",
    )
    for step in range(3, steps):
        page.keyboard.press("ArrowRight")
        pages.check(
            panel.locator("pre.source .computes").count() > 0,
            f"{name}: step {step} shows the lines that compute it",
        )
    pages.check(
        panel.get_by_role("heading", name=f"{steps} of {steps}").count() == 1,
        f"{name}: the last step is reached",
    )


def looks(pages, page, name):
    """Going to a token by the keyboard looks at it in every view; a head can be chosen."""
    strip = page.locator("#text-strip .strip")
    strip.locator("button[aria-pressed=true]").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    pages.check(page.evaluate("folio.position") == 1, f"{name}: the arrow looks at position 1")
    for panel in ("#attention", "#lens"):
        pressed = page.locator(f"{panel} .strip button[aria-pressed=true]").get_attribute(
            "aria-label"
        )
        pages.check(pressed.startswith("position 1:"), f"{name}: {panel} follows, not {pressed}")
    page.locator("#attention .heads button").last.click()
    layers, heads = page.evaluate("[folio.config.n_layer, folio.config.n_head]")
    title = f"Layer {layers - 1}, head {heads - 1}"
    pages.check(
        page.locator("#attention").get_by_role("heading", name=title).count() == 1,
        f"{name}: the last head is shown",
    )


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
    pages.check(
        "with the cache" in svg and "var(" not in svg, f"{name}: the chart keeps its legend"
    )
    csv = pages.saved(page, chart.get_by_role("button", name="Save as CSV"))
    pages.check(
        csv.startswith('"tokens of the text","with the cache","without"'), f"{name}: CSV {csv[:60]}"
    )
    figure.locator("summary").click()
    figure.locator("table tr").nth(3).wait_for()  # a table stands behind the picture


# One token over the cache reads every matrix once and sees what is there; `slide` past block_size
# gains nothing from the cache; `block` starts again from half.
COSTS = """() => {
  const {config, report: {cache}} = folio, T = config.block_size;
  const window = config.attention_window || T, seen = Math.min(20, window);
  const steps = (mode, from, to) => cacheSteps(config, cache, mode, from, to).pop();
  const one = cache.matrix_multiply_adds_per_token + cache.head_multiply_adds_per_step;
  const block = steps('block', 4, T + 1), slide = steps('slide', 4, T + 1);
  return [steps('stop', 4, 20).withCache - one - cache.multiply_adds_per_seen_position * seen,
          slide.withCache - slide.without, slide.fresh - T, block.fresh - Math.floor(T / 2),
          steps('stop', 4, T + 5).length - T];
}"""


def slides(pages, page, name):
    differences = page.evaluate(COSTS)
    pages.check(
        differences == [0, 0, 0, 0, 0], f"{name}: costs of the cache differ by {differences}"
    )
    panel = page.locator("#cache")
    before = panel.get_by_role("heading", level=3).first.inner_text()
    panel.locator("input[type=range]").focus()
    page.keyboard.press("ArrowRight")
    after = panel.get_by_role("heading", level=3).first.inner_text()
    pages.check(
        before.startswith("Prefill") and after.startswith("Token"),
        f"{name}: the slider goes from {before} to {after}",
    )


def goes_back(pages, page, name):
    """The slider goes back through the run's evaluations."""
    panel = page.locator("#over-training")
    page.locator("#training-slider").focus()
    page.keyboard.press("Home")
    pages.check(
        panel.get_by_role("heading", name="Iteration 0").count() == 1, f"{name}: iteration 0"
    )
    pages.check(
        panel.get_by_role("img", name="induction at this evaluation").count() == 1,
        f"{name}: the heads' scores of then",
    )


def answers(pages, page, name):
    for question in page.locator(".question").all():
        question.get_by_role("button").first.click()
        answer = question.locator(".answer").inner_text()
        pages.check(answer.startswith(("Yes: ", "No: ")), f"{name}: an answer, not {answer}")


def is_unharmed(pages, page, name):
    """Nothing that a user wrote has become an element or run."""
    pages.check(page.evaluate("typeof hacked") == "undefined", f"{name}: hostile text ran")
    pages.check(page.locator("img, iframe, object").count() == 0, f"{name}: text became an element")
    scripts = page.evaluate(
        "[...document.scripts].filter(s => s.textContent.startsWith('hacked')).length"
    )
    pages.check(scripts == 0, f"{name}: text became a script")
    shown = page.locator("#text-strip .strip").inner_text()
    pages.check(
        "\u202e" not in shown and "\0" not in shown, f"{name}: marks are shown as what they are"
    )


# The largest differences between what the page computes and what folio wrote.
DIFFERENCES = """(attention) => {
  const far = (a, b) => a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
  const folioRun = reportedRun({...folio.report, attention}), run = folio.run;
  const flat = (rows) => rows.flatMap((r) => [...r]);
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
    pages.check(
        head.get_attribute("aria-pressed") == "true" and loss() != before,
        f"{name}: a head is off, the loss is still {before}",
    )
    panel.get_by_role("button", name="switch off layer 1, MLP").click()
    panel.get_by_role("button", name="As it was").click()
    pages.check(loss() == before, f"{name}: and as it was")
    panel.get_by_label("Other text").fill("Rome. the king is dead, long live Rome.")
    pages.check(loss() != before, f"{name}: a patch changes the loss")
    panel.get_by_role("button", name="As it was").click()


# A head that is switched off is one whose columns of c_proj are zero.
OFF = """() => {
  const D = folio.config.head_dim, name = 'transformer.h.0.attn.c_proj.weight';
  const weight = folio.model.weights[name];
  const zeroed = {...weight, data: weight.data.slice()}, columns = weight.shape[1];
  for (let row = 0; row < weight.shape[0]; ++row)
    zeroed.data.fill(0, row * columns + D, row * columns + 2 * D);
  const other = new GptModel(folio.config, {...folio.model.weights, [name]: zeroed});
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
        folio,
        "sample",
        f"--out_dir={out_dir}",
        f"--start={start}",
        "--num_samples=1",
        f"--max_new_tokens={tokens}",
        f"--seed={seed}",
        f"--temperature={temperature}",
        f"--top_k={top_k}",
        f"--top_p={top_p}",
    )
    return text


def plays(pages, page, name, folio, out_dir, seeds):
    """The page's text is that of folio sample for the same options, past block_size too."""
    panel = page.locator("#play")
    panel.locator("#play-start").fill("the king ")
    panel.locator("#play-go").click()
    pages.wait(page, "document.getElementById('play-output').dataset.done === 'true'")
    shown = panel.locator("#play-output").text_content()
    pages.check(
        folio_sample(folio, out_dir, "the king ", 1337, TOKENS)
        .rstrip("\n")
        .startswith(shown.rstrip("\n").replace("\r", "")),
        f"{name}: Play shows {shown[:60]!r}",
    )
    for seed in range(1, seeds + 1):
        options = [(0.8, 200, 1), (1.2, 5, 1), (0.6, 0, 0.7), (0, 0, 1)][seed % 4]
        ours = page.evaluate(SAMPLED, ["to be ", seed, TOKENS, *options])
        theirs = folio_sample(folio, out_dir, "to be ", seed, TOKENS, *options)
        pages.check(
            theirs.startswith(ours), f"{name}: seed {seed}, {options}: {ours!r} is not {theirs!r}"
        )
