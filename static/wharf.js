// The portal's behaviour: small helpers on elements that say by their data- attributes what they want.
// Everything that changes something is a plain form; without this script pages still read well.
"use strict";

const find = (selector, root = document) => [...root.querySelectorAll(selector)];

// Copy buttons
async function copy(button) {
  const text = button.dataset.copy;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS there is no clipboard API: select a hidden field instead.
    const field = document.createElement("textarea");
    field.className = "sr";
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    button.focus();
  }
  button.classList.add("is-done");
  toast(document.body.dataset.copied, "ok");
  setTimeout(() => button.classList.remove("is-done"), 1500);
}

// Toasts
function toast(text, tone) {
  const one = document.createElement("p");
  one.className = `toast is-${tone}`;
  one.textContent = text;
  document.querySelector(".toasts").replaceChildren(one);
  fade(one, 1800);
}

function fade(one, after = 4500) {
  setTimeout(() => one.classList.add("is-gone"), after);
  setTimeout(() => one.remove(), after + 400);
}

// Clicks: copy, open and close dialogs, close menus that were left
document.addEventListener("click", (event) => {
  const target = event.target.closest("button, summary, a, dialog");
  if (target?.dataset.copy !== undefined) copy(target);
  if (target?.dataset.open) document.getElementById(target.dataset.open)?.showModal();
  if (target?.dataset.close !== undefined) target.closest("dialog").close();
  if (target?.matches("dialog") && event.target === target) target.close();
  if (target?.dataset.addRow !== undefined) addRow(target);
  for (const menu of find("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of find("details.menu[open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

function addRow(button) {
  const rows = button.closest("form").querySelector("[data-rows]");
  const row = rows.lastElementChild.cloneNode(true);
  for (const field of find("input, textarea", row)) field.value = "";
  rows.append(row);
  row.querySelector("input").focus();
}

// Selects that save at once
document.addEventListener("change", (event) => {
  if (event.target.dataset.submit !== undefined) event.target.form.requestSubmit();
});

// A form is sent once
document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.dataset.sent !== undefined) event.preventDefault();
  form.dataset.sent = "";
});
window.addEventListener("pageshow", () => find("form[data-sent]").forEach((form) => delete form.dataset.sent));

// Buttons that wait for the right word
function gate(field) {
  const button = field.form.querySelector("[data-gated]");
  button.disabled = field.value !== field.dataset.mustEqual;
}
document.addEventListener("input", (event) => {
  if (event.target.dataset.mustEqual !== undefined) gate(event.target);
});

// Live parts: ask only while somebody looks, swap only what changed, leave open menus and dialogs alone
const seen = new WeakMap();
document.addEventListener("htmx:beforeRequest", (event) => {
  const busy = document.hidden || document.querySelector("#main dialog[open]") || hasSelection();
  if (event.target.dataset.live !== undefined && busy) event.preventDefault();
});
document.addEventListener("htmx:beforeSwap", (event) => {
  const source = event.detail.requestConfig?.elt;
  if (source?.dataset?.live === undefined) return;
  const target = event.detail.target;
  if (seen.get(target) === event.detail.serverResponse) event.detail.shouldSwap = false;
  seen.set(target, event.detail.serverResponse);
});
// A session that ended, or an app that is gone: show what the server has to say.
document.addEventListener("htmx:responseError", (event) => {
  if ([401, 403, 404].includes(event.detail.xhr.status)) location.reload();
});

function hasSelection() {
  const selection = getSelection();
  return selection && !selection.isCollapsed && document.getElementById("main").contains(selection.anchorNode);
}

// Logs: lines arrive as server-sent events; where those are blocked, they are asked for.
const MOST_LINES = 5000;

class Log {
  constructor(root) {
    this.root = root;
    this.list = root.querySelector("[data-log-lines]");
    this.state = root.querySelector("[data-log-state]");
    this.follow = root.querySelector("[data-log-follow]");
    this.pause = root.querySelector("[data-log-pause]");
    this.after = root.dataset.after;
    this.waiting = [];
    this.failures = 0;
    this.list.addEventListener("scroll", () => this.onScroll(), { passive: true });
    this.follow.addEventListener("change", () => this.toEnd());
    this.pause?.addEventListener("click", () => this.togglePause());
    this.toEnd();
    if (root.dataset.over === undefined) this.connect();
  }

  address(extra = "") {
    const url = new URL(this.root.dataset.log, location.href);
    if (this.after) url.searchParams.set("after", this.after);
    if (extra) url.searchParams.set(extra, "1");
    return url;
  }

  connect() {
    // A reconnect by the browser itself sends Last-Event-ID; one of ours says `after`.
    const source = new EventSource(this.address());
    this.source = source;
    source.onopen = () => { this.failures = 0; this.say(""); };
    source.addEventListener("line", (event) => this.take(JSON.parse(event.data), event.lastEventId));
    source.addEventListener("status", (event) => this.status(event.data));
    source.addEventListener("end", () => { source.close(); this.say(""); this.refreshHead(); });
    source.onerror = () => {
      this.say(document.body.dataset.lost);
      this.failures += 1;
      if (this.failures >= 3 || source.readyState === EventSource.CLOSED) {
        source.close();
        this.poll();
      }
    };
  }

  async poll() {
    try {
      const answer = await fetch(this.address("poll"), { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      const { lines, status, end } = await answer.json();
      for (const line of lines) this.take(line, line.id);
      if (status) this.status(status);
      this.say("");
      if (end) return void this.refreshHead();
    } catch {
      this.say(document.body.dataset.lost);
    }
    setTimeout(() => this.poll(), 2000);
  }

  take(line, id) {
    if (id) this.after = id;
    this.waiting.push(line);
    if (this.waiting.length === 1) requestAnimationFrame(() => this.show());
  }

  show() {
    if (this.paused) return;
    const lines = this.waiting.splice(0).slice(-MOST_LINES);
    const all = document.createDocumentFragment();
    for (const line of lines) all.append(this.row(line));
    this.list.append(all);
    while (this.list.childElementCount > MOST_LINES) this.list.firstElementChild.remove();
    this.toEnd();
  }

  row(line) {
    const row = document.createElement("div");
    row.className = `l${line.kind ? ` l-${line.kind}` : ""}`;
    const time = document.createElement("time");
    time.textContent = line.time;
    row.append(time);
    if (line.instance) {
      const name = document.createElement("b");
      name.textContent = line.instance;
      row.append(name);
    }
    const text = document.createElement("span");
    text.textContent = line.line;
    row.append(text);
    return row;
  }

  // The steps and the result come ready-made from the server.
  status(html) {
    const place = document.querySelector(this.root.dataset.status);
    if (!place) return;
    htmx.swap(place, html, { swapStyle: "innerHTML" });
  }

  // What was just done may have changed the app's state and address.
  async refreshHead() {
    const answer = await fetch(location.href);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").querySelector(".app-head");
    if (fresh) document.querySelector(".app-head")?.replaceWith(document.adoptNode(fresh));
  }

  toEnd() {
    if (this.follow.checked) this.list.scrollTop = this.list.scrollHeight;
  }

  // Scrolling up means reading: stop following; at the end again, follow again.
  onScroll() {
    const atEnd = this.list.scrollHeight - this.list.scrollTop - this.list.clientHeight < 24;
    this.follow.checked = atEnd;
  }

  togglePause() {
    this.paused = !this.paused;
    this.pause.textContent = this.paused ? this.pause.dataset.resume : this.pause.dataset.pause;
    if (!this.paused) this.show();
  }

  say(text) {
    if (this.state.textContent !== text) this.state.textContent = text;
  }
}

document.addEventListener("DOMContentLoaded", () => {
  find("[data-log]").forEach((root) => new Log(root));
  find("[data-must-equal]").forEach(gate);
  find(".toast").forEach((one) => fade(one));
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });
  document.querySelector("[aria-invalid='true']")?.focus();
});
