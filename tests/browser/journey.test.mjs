// The first way through a real Wharf: set up, make an app, push, watch it go live, change variables, roll back, log out.
// Runs where WHARF_SETUP_URL holds the one-time link of a fresh installation (WHARF_URL may name the portal).
import { after, before, test } from "node:test";
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { launch } from "./browser.mjs";

const setup = process.env.WHARF_SETUP_URL;
const portal = process.env.WHARF_URL ?? (setup && new URL(setup).origin);
const skip = setup ? false : "WHARF_SETUP_URL is not set";
const example = fileURLToPath(new URL("../../examples/static-site", import.meta.url));
const app = "harbour";
const password = "several words in a row";
const patience = 180_000;

let browser, page, folder, token;
const problems = [];
const run = promisify(execFile);

before(async () => {
  if (skip) return;
  folder = await mkdtemp(`${tmpdir()}/wharf-journey-`);
  browser = await launch();
  page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
  page.setDefaultTimeout(20_000);
  page.on("pageerror", (error) => problems.push(error.message));
  page.on("console", (message) => { if (/Content Security Policy|SyntaxError/.test(message.text())) problems.push(message.text()); });
});
after(async () => {
  await browser?.close();
  if (folder) await rm(folder, { recursive: true, force: true });
});

const git = (...args) => run("git", ["-c", "user.name=Ann", "-c", "user.email=ann@example.com", ...args], {
  cwd: `${folder}/site`, env: { ...process.env, GIT_TERMINAL_PROMPT: "0" }, timeout: patience,
});

// Browsers look *.localhost up themselves; other programs ask the loopback address with the name in Host.
function answer() {
  const url = new URL(portal);
  const host = `${app}.${url.hostname.replace(/^wharf\./, "")}`;
  return new Promise((resolve, reject) => {
    const request = get({ host: "127.0.0.1", port: url.port || 80, path: "/", headers: { host } }, (incoming) => {
      let body = "";
      incoming.on("data", (chunk) => { body += chunk; });
      incoming.on("end", () => resolve({ status: incoming.statusCode, body }));
    });
    request.on("error", reject);
  });
}

async function push(text) {
  const index = `${folder}/site/index.html`;
  await writeFile(index, (await readFile(index, "utf8")).replace(/<h1[^>]*>[^]*?<\/h1>/, `<h1>${text}</h1>`));
  await git("add", "-A");
  await git("commit", "-qm", `say ${text}`);
  return git("push", "wharf", "HEAD:main");
}

test("set-up makes the first person and organisation", { skip }, async () => {
  await page.goto(setup);
  await page.getByLabel("Your name").fill("Ann Quay");
  await page.getByLabel("E-mail address").fill("ann@example.com");
  await page.getByLabel("Password").fill("short");
  await page.getByLabel("Short name of your organisation").fill("acme");
  await page.getByRole("button", { name: "Set up" }).click();
  await page.getByText("use between 10 and 256").waitFor();
  assert.equal(await page.getByLabel("E-mail address").inputValue(), "ann@example.com");
  await page.getByLabel("Password").fill(password);
  await page.getByRole("button", { name: "Set up" }).click();
  await page.getByRole("heading", { name: "No apps yet" }).waitFor();
});

test("a token is made and shown once", { skip }, async () => {
  await page.goto(`${portal}/account`);
  await page.getByLabel("What is it for?").fill("journey");
  await page.getByRole("button", { name: "Make a token" }).click();
  token = (await page.locator(".fresh code").textContent()).trim();
  assert.match(token, /^wharf_[0-9a-f]{32,}$/);
  await page.goto(`${portal}/account`);
  assert.equal(await page.getByText(token).count(), 0);
});

test("a new app shows the commands of its first push", { skip }, async () => {
  await page.goto(portal);
  await page.getByRole("link", { name: "Make the first app" }).click();
  await page.getByLabel("Name of the app").fill(app);
  await page.getByRole("button", { name: "Make the app" }).click();
  await page.getByRole("heading", { name: "Push your code to go live" }).waitFor();
  const commands = await page.locator(".guide code").first().textContent();
  const remote = new URL(commands.match(/git remote add wharf (\S+)/)[1]);
  await cp(example, `${folder}/site`, { recursive: true });
  await git("init", "-q", "-b", "main");
  remote.username = "ann";
  remote.password = token;
  await git("remote", "add", "wharf", remote.href);
});

test("a push is watched until it is live", { skip }, async () => {
  await page.goto(`${portal}/t/acme/${app}/production`);
  const pushed = push("first harbour");
  // The overview follows by itself; from the banner one gets to the live log, if it is not over already.
  await page.locator('a[href*="/deploys/op_"]').first().click({ timeout: patience });
  await page.getByRole("log").getByText(/./).first().waitFor();
  await page.locator(".op-title").getByText("Succeeded").waitFor({ timeout: patience });
  await pushed;
  assert.match((await answer()).body, /first harbour/);
  await page.goto(`${portal}/t/acme`);
  await page.locator(".table").getByText("Running").first().waitFor();
});

test("variables are rolled out, hidden and shown", { skip }, async () => {
  await page.goto(`${portal}/t/acme/${app}/production/config`);
  await page.getByLabel("Name of the variable").first().fill("GREETING");
  await page.getByLabel("Value").first().fill("s3cret ahoy");
  await page.getByRole("button", { name: "Save and roll out" }).click();
  await page.locator(".op-title").getByText("Succeeded").waitFor({ timeout: patience });
  await page.getByRole("link", { name: "Variables" }).click();
  assert.equal(await page.getByText("s3cret ahoy").count(), 0);
  await page.getByRole("link", { name: "Show values" }).click();
  assert.equal(await page.getByRole("textbox", { name: "GREETING" }).inputValue(), "s3cret ahoy");
});

test("a second push goes live, and a rollback brings the first back", { skip }, async () => {
  await push("second harbour");
  assert.match((await answer()).body, /second harbour/);
  await page.goto(`${portal}/t/acme/${app}/production/releases`);
  await page.locator(".release").filter({ hasText: "v1" }).getByRole("button", { name: "Roll back" }).click();
  const dialog = page.getByRole("dialog", { name: "Roll back to v1?" });
  await dialog.getByRole("button", { name: "Roll back" }).click();
  await page.locator(".op-title").getByText("Succeeded").waitFor({ timeout: patience });
  assert.match((await answer()).body, /first harbour/);
});

test("logs, domains and settings work", { skip }, async () => {
  await page.goto(`${portal}/t/acme/${app}/production/logs`);
  await page.getByRole("log").waitFor();
  await page.getByRole("link", { name: "Domains" }).click();
  await page.getByRole("textbox", { name: "Host name" }).fill("https://wrong/");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByText("without a scheme, port or path").waitFor();
  await page.getByRole("textbox", { name: "Host name" }).fill("harbour.example.com");
  await page.getByRole("button", { name: "Add" }).click();
  await page.getByRole("link", { name: "harbour.example.com" }).waitFor();
  await page.getByRole("link", { name: "Settings" }).click();
  await page.getByLabel("web", { exact: true }).fill("2");
  await page.getByRole("button", { name: "Scale" }).click();
  await page.locator(".op-title").getByText("Succeeded").waitFor({ timeout: patience });
});

test("language and theme are chosen", { skip }, async () => {
  await page.locator(".account-menu summary").click();
  await page.getByRole("button", { name: "简体中文" }).click();
  await page.locator("html[lang=zh-Hans]").waitFor();
  await page.locator(".account-menu summary").click();
  await page.getByRole("button", { name: "English" }).click();
  await page.locator(".account-menu summary").click();
  await page.getByRole("button", { name: "Dark" }).click();
  await page.locator("html[data-theme=dark]").waitFor();
});

test("the app is destroyed by its typed name, and logging out ends it all", { skip }, async () => {
  await page.goto(`${portal}/t/acme/${app}/production/settings`);
  await page.getByLabel(`Type ${app} to confirm`).fill(app);
  await page.getByRole("button", { name: "Destroy" }).click();
  await page.getByRole("heading", { name: "No apps yet" }).waitFor({ timeout: patience });
  await page.locator(".account-menu summary").click();
  await page.getByRole("button", { name: "Log out" }).click();
  await page.getByRole("heading", { name: "Log in" }).waitFor();
  await page.goto(`${portal}/t/acme`);
  assert.equal(new URL(page.url()).pathname, "/login");
  assert.deepEqual(problems, []);
});
