// The view "Who may do what": every identity against every route and RPC, and how each is known.
//
// Its address names the cell that is open: #/access/<server>/<identity>/<method>.

import { post } from "../api.js";
import { ago, badge, clock, errorState, facts, h, shortName, skeleton, viewOf } from "../ui.js";

const SERVERS = ["gateway", "video-queue"];
const TITLES = { gateway: "At the gateway: routes", "video-queue": "At the queue: RPCs" };
const HOW = {
  called: "called just now",
  seen: "seen by the server",
  told: "the server's answer",
  never: "never asked",
};

const answers = new Map(); // server -> what was found, or {error}: kept while the page is open

class View {
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.segments = context.segments;
    this.again = h("button", { class: "button primary", type: "button", onclick: () => this.call() }, "Call everything again");
    this.lead = h("p", { class: "num", role: "status" }, "Calling everything …");
    this.parts = new Map(SERVERS.map((server) => [server, h("section", { "aria-labelledby": `ac-${server}` })]));
    this.panel = h("aside", { class: "ac-panel card", "aria-label": "The cell that is open", "aria-live": "polite", hidden: true });
    root.classList.add("access");
    root.append(
      h("header", { class: "spread ac-head" },
        h("div", {}, h("h1", {}, "Who may do what"), this.lead),
        this.again),
      legend(),
      ...this.parts.values(),
      this.panel,
    );
    for (const server of SERVERS) this.draw(server);
    root.addEventListener("keydown", (event) => this.onKey(event));
    const ticking = setInterval(() => this.drawLead(), 1000);
    context.signal.addEventListener("abort", () => clearInterval(ticking));
    this.call();
  }

  async call() {
    this.again.disabled = true;
    for (const server of SERVERS) {
      try {
        answers.set(server, { ...(await post("/api/access", { whom: server }, { signal: this.context.signal })), heardAt: Date.now() });
      } catch (error) {
        if (error.name === "AbortError") return;
        answers.set(server, { error, before: answers.get(server)?.before ?? answers.get(server), heardAt: Date.now() });
      }
      this.draw(server);
    }
    this.again.disabled = false;
    this.drawLead();
    this.show(this.segments);
    const odd = this.odd();
    this.context.announce(odd ? `${odd} calls did not end as the server says` : "Everything was called");
  }

  odd() {
    return [...answers.values()].flatMap(({ rows }) => rows ?? []).flatMap(({ cells }) => cells).filter((cell) => !cell.agrees).length;
  }

  drawLead() {
    const known = [...answers.values()].filter(({ rows }) => rows);
    if (!known.length) {
      this.lead.textContent = answers.size === SERVERS.length ? "Nobody could be asked." : "Calling everything …";
      return;
    }
    const cells = known.flatMap(({ rows }) => rows).flatMap((row) => row.cells);
    const called = cells.filter(({ how }) => how === "called").length;
    const odd = this.odd();
    this.lead.replaceChildren(
      `${cells.length} answers. ${called} calls were really made, ${ago(Math.min(...known.map(({ heardAt }) => heardAt)))}, as the two identities whose keys this console has. `,
      odd ? h("strong", { class: "ac-odd" }, `✗ ${odd} did not end as the server says.`) : "All of them ended as the server says.",
    );
  }

  // --- The matrix of one server ---

  draw(server) {
    const part = this.parts.get(server);
    const answer = answers.get(server);
    const title = h("h2", { id: `ac-${server}` }, TITLES[server]);
    if (!answer) {
      part.replaceChildren(title, skeleton("line", "block", "block"));
      return;
    }
    const shown = answer.rows ? answer : answer.before;
    part.replaceChildren(
      title,
      answer.error ? errorState(answer.error, () => this.call()) : h("p", { class: "small muted num" }, `${answer.address}, asked at ${clock(answer.at)}, in ${Math.round(answer.milliseconds)} ms`),
      shown?.rows
        ? this.matrix(server, shown, Boolean(answer.error))
        : h("p", { class: "muted ac-never" }, badge("", HOW.never), " Nothing is known of this server's policy."),
    );
  }

  matrix(server, { methods: told, rows }, isOld) {
    const groups = groupsOf(server, told);
    const methods = groups.flatMap((group) => group.methods);
    const cellOf = (row, method) => row.cells.find((cell) => cell.method === method);
    const ordered = [...rows.filter((row) => row.called), ...rows.filter((row) => !row.called)];
    const head = h("thead", {},
      h("tr", {}, h("td", {}), groups.map(({ name, methods: own }) => h("th", { colspan: own.length, scope: "colgroup", class: "ac-group" }, name))),
      h("tr", {}, h("th", { scope: "col" }, "identity"), methods.map((method) => h("th", { scope: "col", class: "ac-method" }, h("span", {}, labelOf(method))))));
    const body = ordered.map((row) =>
      h("tr", { class: row.called ? "called" : "" },
        h("th", { scope: "row" }, h("span", { class: "mono" }, shortName(row.identity)), h("span", { class: "ac-key" }, row.called ? "we have its key" : "")),
        methods.map((method) => h("td", {}, this.cell(server, row.identity, cellOf(row, method))))));
    const table = h("table", { class: `ac-table ${isOld ? "old" : ""}` }, h("caption", { class: "visually-hidden" }, `${TITLES[server]}, by identity`), head, h("tbody", {}, body));
    table.querySelector("tbody button")?.setAttribute("tabindex", "0");
    return h("div", { class: "ac-scroll", tabindex: "-1" }, table);
  }

  cell(server, identity, cell) {
    const verdict = cell.allowed ? "allowed" : "denied";
    const mark = cell.agrees ? (cell.allowed ? "✓" : "–") : "!";
    return h("button", {
      class: `ac-cell ${verdict} ${cell.how} ${cell.agrees ? "" : "odd"}`,
      type: "button",
      tabindex: "-1",
      "aria-label": `${shortName(identity)}, ${cell.method}: ${verdict}, ${HOW[cell.how]}`,
      "aria-pressed": "false",
      data: { server, identity, method: cell.method },
      onclick: () => this.choose(server, identity, cell.method),
    }, h("span", { class: "ac-mark", "aria-hidden": "true" }, mark), h("span", { class: "ac-label", "aria-hidden": "true" }, labelOf(cell.method)));
  }

  // --- The cell that is open ---

  choose(server, identity, method) {
    const [openServer, openName, openMethod] = this.segments;
    if (server === openServer && shortName(identity) === openName && method === openMethod) this.context.navigate("access");
    else this.context.navigate("access", server, shortName(identity), method);
  }

  show(segments) {
    this.segments = segments;
    const [server, name, method] = segments;
    const answer = answers.get(server);
    const shown = answer?.rows ? answer : answer?.before;
    const row = shown?.rows?.find(({ identity }) => shortName(identity) === name);
    const cell = row?.cells.find((each) => each.method === method);
    this.panel.hidden = !cell;
    if (cell) this.panel.replaceChildren(...this.explain(server, row, cell, shown));
    for (const button of this.root.querySelectorAll(".ac-cell")) {
      const isOpen = Boolean(cell) && button.dataset.server === server && button.dataset.identity === row.identity && button.dataset.method === method;
      button.setAttribute("aria-pressed", String(isOpen));
      if (!isOpen) continue;
      this.rove(button);
      button.scrollIntoView({ block: "nearest" });
    }
  }

  explain(server, row, cell, shown) {
    const name = shortName(row.identity);
    const place = server === "gateway" ? "gateway" : "queue";
    const call = cell.call;
    return [
      h("div", { class: "spread" },
        h("h2", {}, h("span", { class: "mono" }, name), cell.allowed ? " may call " : " may not call ", h("span", { class: "mono" }, labelOf(cell.method))),
        h("button", { class: "button quiet compact", type: "button", onclick: () => this.context.navigate("access") }, "Close")),
      h("p", {}, badge(cell.allowed ? "accepted" : "refused", cell.allowed ? "allowed" : "denied"), " ", badge("", HOW[cell.how]), " ", howKnown(cell, name, place)),
      cell.agrees ? null : h("p", { class: "ac-odd" }, `✗ The ${place} says that ${name} ${cell.told ? "may" : "may not"} call this, and did otherwise.`),
      facts([
        ["identity", row.identity],
        ["method", cell.method],
        ["rule", cell.rule || "the table names this identity"],
        ["answered", call?.code && [call.code, call.words].filter(Boolean).join(": ")],
        ["logged", call?.reason && `call.denied reason=${call.reason} rule=${call.rule}`],
        ["called", call?.at && `${clock(call.at)} (${ago(Date.parse(call.at))})`],
        ["asked", clock(shown.at)],
      ]),
    ].filter(Boolean);
  }

  // --- Arrow keys walk through a matrix, which is one stop of the Tab key ---

  onKey(event) {
    if (event.key === "Escape" && !this.panel.hidden) {
      this.context.navigate("access");
      return;
    }
    const button = event.target.closest?.(".ac-cell");
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!button || !step) return;
    const rows = [...button.closest("tbody").rows].map((row) => [...row.querySelectorAll(".ac-cell")]);
    const y = rows.findIndex((row) => row.includes(button));
    const next = rows[y + step[0]]?.[rows[y].indexOf(button) + step[1]];
    event.preventDefault();
    if (!next) return;
    this.rove(next);
    next.focus();
  }

  rove(button) {
    for (const each of button.closest("tbody").querySelectorAll('.ac-cell[tabindex="0"]')) each.setAttribute("tabindex", "-1");
    button.setAttribute("tabindex", "0");
  }
}

function howKnown(cell, name, place) {
  const { call } = cell;
  if (cell.how === "called") return `This console called it as ${name}, and the ${place} answered ${call.code}${cell.allowed && /^4/.test(call.code) ? ", since the call names nothing and carries nothing" : ""}.`;
  if (cell.how === "seen") return `The holder of ${name}'s key called it, and the ${place} answered ${call.code}.`;
  return `Nobody called it here: this console has no key of ${name}. The ${place} asked its policy in force, and told the result.`;
}

function legend() {
  const sample = (how, allowed) => h("span", { class: `ac-sample ${how} ${allowed ? "allowed" : "denied"}`, "aria-hidden": "true" }, allowed ? "✓" : "–");
  const entry = (how, text) => h("li", {}, sample(how, true), sample(how, false), h("span", {}, h("strong", {}, HOW[how]), ` ${text}`));
  return h("ul", { class: "ac-legend small" },
    entry("called", "by this console, on the wire"),
    entry("seen", "when the holder of the key called"),
    entry("told", "by its policy in force: we have no such key"));
}

/** Methods by their service, each in the order in which the server names them. */
function groupsOf(server, methods) {
  const groups = new Map(server === "gateway" ? GROUPS.map((name) => [name, []]) : []);
  for (const method of methods) {
    const name = server === "gateway" ? routeGroup(method) : method.split("/")[1].split(".").at(-1);
    groups.set(name, [...(groups.get(name) ?? []), method]);
  }
  return [...groups].filter(([, own]) => own.length).map(([name, own]) => ({ name, methods: own }));
}

const GROUPS = ["read videos", "change them", "about itself", "audit"];

function routeGroup(method) {
  const [verb, path] = method.split(" ");
  if (path.startsWith("/videos")) return verb === "GET" ? "read videos" : "change them";
  return path.startsWith("/audit") ? "audit" : "about itself";
}

function labelOf(method) {
  return method.startsWith("/") ? method.split("/").at(-1) : method.replace("/videos/{id}/", "…/").replace("/audit/", "…/");
}

export default viewOf("Who may do what", "access", View);
