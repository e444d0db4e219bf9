// Every sample page in a real browser: nothing breaks the policy, nothing overflows, everything can be reached and read.
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { launch } from "./browser.mjs";
import { names, serve } from "./samples.mjs";

let browser, site;
before(async () => { [browser, site] = await Promise.all([launch(), serve()]); });
after(async () => { await browser?.close(); site?.close(); });

async function eachPage(language, options, check) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const problems = [];
  page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
  page.on("console", (message) => {
    // The samples have no server behind them for their live parts.
    if (message.type() === "error" && !message.text().includes("404")) problems.push(message.text());
  });
  for (const name of await names(language)) {
    await page.goto(`${site.origin}/${language}/${name}`);
    for (const problem of await check(page, name)) problems.push(`${name}: ${problem}`);
    problems.splice(0).forEach((problem) => found.push(`${language} ${JSON.stringify(options.viewport)} ${problem}`));
  }
  await context.close();
}
const found = [];
const none = () => { const all = found.splice(0); assert.deepEqual(all, []); };

// Runs in the page: what sticks out to the right of the window, and is not inside something that scrolls.
function overflow() {
  const width = document.documentElement.clientWidth;
  const scrolls = (e) => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) && e !== document.documentElement && e !== document.body || scrolls(e.parentElement));
  const wide = document.documentElement.scrollWidth;
  if (wide > width) return [`the page is ${wide} px wide in a window of ${width}`];
  return [...document.querySelectorAll("main *, header *, footer *")]
    .filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(".sr, .skip") && !scrolls(e.parentElement))
    .slice(0, 3)
    .map((e) => `<${e.tagName.toLowerCase()} class="${e.getAttribute("class")}"> reaches ${Math.round(e.getBoundingClientRect().right)} of ${width}`);
}

// Runs in the page: text whose contrast with what lies behind it is below WCAG AA.
function contrast() {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (color) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)).reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, below) => top.slice(0, 3).map((v, i) => v * (top[3] / 255) + below[i] * (1 - top[3] / 255));
  const behind = (e) => { if (!e) return [255, 255, 255]; const own = rgba(getComputedStyle(e).backgroundColor); return own[3] === 255 ? own : over(own, behind(e.parentElement)); };
  const bad = new Set();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.textContent.trim() || !e.checkVisibility({ opacityProperty: true }) || e.closest("[disabled], .toast, .sr, .skip, noscript")) continue;
    const style = getComputedStyle(e);
    const ground = behind(e);
    const [a, b] = [light(over(rgba(style.color), ground)), light(ground)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (ratio < (large ? 3 : 4.5)) bad.add(`"${walk.currentNode.textContent.trim().slice(0, 30)}" has contrast ${ratio.toFixed(2)}`);
  }
  return [...bad];
}

// Runs in the page: what one taps must be large enough for a finger, unless it stands in running text.
function small() {
  return [...document.querySelectorAll("button, select, summary, .tabs a, input:not([type=hidden]):not([type=checkbox])")]
    .filter((e) => e.checkVisibility() && !e.closest(".sr") && !e.classList.contains("sr"))
    .filter((e) => { const box = e.getBoundingClientRect(); return box.height < 24 || box.width < 24; })
    .map((e) => `${e.outerHTML.slice(0, 80)} is only ${Math.round(e.getBoundingClientRect().height)} px high`);
}

for (const language of ["en", "zh-Hans"]) {
  for (const [width, height] of [[390, 844], [768, 1024], [1440, 900]]) {
    test(`pages fit ${width} px and obey the content policy (${language})`, async () => {
      await eachPage(language, { viewport: { width, height } }, async (page) => [...(await page.evaluate(overflow)), ...(width === 390 ? await page.evaluate(small) : [])]);
      none();
    });
  }
}

for (const colorScheme of ["light", "dark"]) {
  test(`text can be read (${colorScheme})`, async () => {
    await eachPage("en", { viewport: { width: 1280, height: 800 }, colorScheme, reducedMotion: "reduce" }, (page) => page.evaluate(contrast));
    none();
  });
}

test("the keyboard reaches everything and the focus is seen", async () => {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  await page.goto(`${site.origin}/en/overview`);
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  await page.keyboard.press("Enter");
  assert.equal(new URL(page.url()).hash, "#main");
  await page.reload();
  const wanted = await page.evaluate(() => [...document.querySelectorAll("a, button, summary, input:not([type=hidden])")].filter((e) => e.checkVisibility()).length);
  const seen = new Set();
  for (let n = 0; n < wanted + 5; n += 1) {
    await page.keyboard.press("Tab");
    const [mark, outline] = await page.evaluate(() => {
      const e = document.activeElement;
      e.dataset.seen ??= Math.random();
      const style = getComputedStyle(e);
      return [e === document.body ? null : e.dataset.seen, style.outlineStyle !== "none" || getComputedStyle(e, "::after").outlineStyle !== "none" || e.className === "skip"];
    });
    if (mark) { seen.add(mark); assert.ok(outline, "the focus is not visible"); }
  }
  assert.ok(seen.size >= wanted - 1, `${seen.size} of ${wanted} were reached`);
  await context.close();
});

test("dialogs open, close, and give the focus back", async () => {
  const page = await (await browser.newContext()).newPage();
  await page.goto(`${site.origin}/en/releases`);
  const open = page.getByRole("button", { name: "Roll back" }).first();
  await open.click();
  const dialog = page.getByRole("dialog", { name: "Roll back to v40?" });
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  assert.ok(await open.evaluate((e) => e === document.activeElement));
  await page.context().close();
});

test("copying, the typed name, new rows and following a log work", async () => {
  const context = await browser.newContext({ permissions: ["clipboard-read", "clipboard-write"] });
  const page = await context.newPage();
  await page.goto(`${site.origin}/en/overview-new`);
  await page.getByRole("button", { name: "Copy: In your repository, run" }).click();
  await page.getByText("Copied").waitFor();
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^git remote add wharf .+\ngit push wharf main$/);

  await page.goto(`${site.origin}/en/settings`);
  const destroy = page.getByRole("button", { name: "Destroy" });
  assert.ok(await destroy.isDisabled());
  await page.getByLabel("Type shop to confirm").fill("shop");
  assert.ok(await destroy.isEnabled());

  await page.goto(`${site.origin}/en/config`);
  const rows = page.getByLabel("Name of the variable");
  const before = await rows.count();
  await page.getByRole("button", { name: "Another row" }).click();
  assert.equal(await rows.count(), before + 1);

  await page.goto(`${site.origin}/en/operation-failed`);
  const log = page.getByRole("log");
  await log.evaluate((e) => { e.style.height = "60px"; e.scrollTop = 0; e.dispatchEvent(new Event("scroll")); });
  const follow = page.getByLabel("Follow");
  assert.ok(!(await follow.isChecked()));
  await follow.check();
  assert.ok(await log.evaluate((e) => e.scrollTop > 0));
  await context.close();
});

test("the theme can be chosen against the system's", async () => {
  const page = await (await browser.newContext({ colorScheme: "light" })).newPage();
  await page.goto(`${site.origin}/en/login`);
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.evaluate(() => { document.documentElement.dataset.theme = "dark"; });
  assert.notEqual(await ground(), light);
  await page.context().close();
});
