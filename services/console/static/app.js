// The frame: which view is shown, the status bar, the theme.
//
// A view is a module below views/ with a default export:
//
//     export default {
//       title: "Handshake",          in the navigation and the window's title
//       path: "handshake",           its address is #/handshake, and what follows is its own: #/handshake/a/b
//       mount(root, context) {},     fill the empty element `root` (class "page")
//       update(segments) {},         optional: the address has changed below the view's path
//       unmount() {},                optional: context.signal is aborted by then
//     };
//
// context = {
//   segments   what follows the view's path in the address, as a list
//   signal     aborted when the view is left: give it to fetch, addEventListener and api.events
//   navigate   navigate("handshake", "a") goes to #/handshake/a; navigate.replace(...) leaves no entry
//   announce   announce("Refused") says it to a screen reader
//   status     {current, subscribe(listener) -> unsubscribe}: what GET /api/status said last
// }

import { get } from "./api.js";
import { ago, duration, h, shortName } from "./ui.js";
import access from "./views/access.js";
import certificates from "./views/certificates.js";
import handshake from "./views/handshake.js";
import intruders from "./views/intruders.js";
import videos from "./views/videos.js";

const VIEWS = [videos, handshake, intruders, access, certificates];
const STATUS_MILLISECONDS = 5000;

const main = document.getElementById("main");
const nav = document.getElementById("nav");
const bar = document.getElementById("status");
const announcer = document.getElementById("announcer");

// --- The address ---

let shown = null;
let leaving = null;

function segmentsOf(hash) {
  return hash.replace(/^#\/?/, "").split("/").filter(Boolean).map((part) => {
    try {
      return decodeURIComponent(part);
    } catch {
      return part;
    }
  });
}

function addressOf(parts) {
  return `#/${parts.map((part) => encodeURIComponent(part)).join("/")}`;
}

function navigate(...parts) {
  location.hash = addressOf(parts);
}
navigate.replace = (...parts) => {
  history.replaceState(null, "", addressOf(parts));
  route();
};

function announce(text) {
  announcer.textContent = text;
}

function route() {
  const [path, ...segments] = segmentsOf(location.hash);
  const view = VIEWS.find((each) => each.path === path) ?? VIEWS[0];
  if (view === shown) {
    view.update?.(segments);
    return;
  }
  const isFirst = shown === null;
  leaving?.abort();
  shown?.unmount?.();
  leaving = new AbortController();
  shown = view;
  const root = h("div", { class: "page" });
  main.replaceChildren(root);
  document.title = `${view.title} · mTLS video queue`;
  for (const link of nav.children) {
    if (link.dataset.path === view.path) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  view.mount(root, { segments, signal: leaving.signal, navigate, announce, status });
  if (!isFirst) {
    scrollTo(0, 0);
    main.focus({ preventScroll: true });
    announce(view.title);
  }
}

nav.append(...VIEWS.map((view) => h("a", { href: `#/${view.path}`, data: { path: view.path } }, view.title)));
addEventListener("hashchange", route);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address stays that of the view
  main.focus();
});

// --- The status bar ---

const listeners = new Set();
const status = {
  current: null,
  subscribe(listener) {
    listeners.add(listener);
    if (status.current) listener(status.current);
    return () => listeners.delete(listener);
  },
};
let statusAt = 0;
let statusProblem = null;

async function look() {
  try {
    status.current = await get("/api/status");
    statusAt = Date.now();
    statusProblem = null;
    for (const listener of listeners) listener(status.current);
  } catch (problem) {
    statusProblem = problem;
  }
  drawStatus();
}

const age = h("span", { class: "age num" });

function drawStatus() {
  const seen = status.current;
  const failing = statusProblem || seen?.servers.some((server) => !server.accepted);
  bar.classList.toggle("bad", Boolean(failing));
  if (statusProblem) {
    bar.replaceChildren(h("strong", {}, `✗ ${statusProblem.message}`), h("span", {}, statusProblem.fix), age);
  } else {
    bar.replaceChildren(
      h("span", {}, "you are ", h("strong", { class: "mono", title: seen.identity }, shortName(seen.identity))),
      ...seen.servers.map(serverText),
      h("span", {}, `own certificate: ${duration((Date.parse(seen.certificate.not_after) - Date.now()) / 1000)} left`),
      age,
    );
  }
  drawAge();
}

function serverText(server) {
  const name = h("strong", {}, server.server);
  if (server.accepted) {
    return h("span", { class: "server" }, h("span", { class: "sign" }, "✓"), name, ` accepts us`);
  }
  return h("span", { class: "server", title: server.fix }, h("span", { class: "sign bad" }, "✗"), name, ` does not: ${server.error}`);
}

function drawAge() {
  age.textContent = statusAt ? `checked ${ago(statusAt)}` : "";
}

bar.append(h("span", {}, "Shaking hands with gateway and queue …"));
look();
setInterval(() => document.hidden || look(), STATUS_MILLISECONDS);
setInterval(drawAge, 1000);
document.addEventListener("visibilitychange", () => document.hidden || look());

// --- The theme: the system's, or the one that was chosen ---

const THEMES = ["auto", "light", "dark"];
const themeButton = document.getElementById("theme");
let theme = localStorage.getItem("theme") ?? "auto";

function drawTheme() {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  themeButton.textContent = `Theme: ${theme}`;
}

themeButton.addEventListener("click", () => {
  theme = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length];
  localStorage.setItem("theme", theme);
  drawTheme();
});
drawTheme();

route();
