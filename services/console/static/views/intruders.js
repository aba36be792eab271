// The view "Intruders": attempts that are really made, and what both ends say of each.
//
// Its address names the attempt that is open: #/intruders/<who>/<whom>, such as expired/gateway.
// To open such an address makes the attempt.

import { get, post } from "../api.js";
import { ago, badge, clock, emptyState, errorState, facts, h, skeleton, viewOf } from "../ui.js";

const results = new Map(); // "who/whom" -> what came of it: kept while the page is open
const keyOf = (who, whom) => `${who}/${whom}`;

class View {
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.running = null; // an AbortController while attempts are under way
    this.trying = null; // the key of the attempt that is under way
    this.opened = null;
    this.summary = h("p", { class: "at-summary num", role: "status" });
    this.controls = h("form", { class: "at-controls", "aria-label": "An attempt" });
    this.table = h("div", {});
    root.append(
      h("header", {}, h("h1", {}, "Who is turned away, and why"), h("p", {}, "Be somebody else, and try to get in. Each attempt is really made, by this console, at the moment you ask for it.")),
      this.controls,
      this.summary,
      this.table,
    );
    this.controls.addEventListener("submit", (event) => {
      event.preventDefault();
      const { who, whom } = this.chosen();
      this.tryAgain(who, whom);
    });
    const ticking = setInterval(() => this.drawSummary(), 1000);
    context.signal.addEventListener("abort", () => {
      clearInterval(ticking);
      this.running?.abort();
    });
    this.start();
  }

  async start() {
    this.table.replaceChildren(skeleton("line", "block", "block", "block", "block"));
    try {
      const { kinds, targets, impostors } = await get("/api/intruders", { signal: this.context.signal });
      Object.assign(this, { kinds, targets });
      if (!impostors) {
        this.table.replaceChildren(
          emptyState("There are no impostors here", "Their certificates are made by scripts/bootstrap_certs.py --impostors, and their folder is named by CONSOLE_IMPOSTORS. docker compose and scripts/demo do both."),
        );
        return;
      }
    } catch (error) {
      if (error.name !== "AbortError") this.table.replaceChildren(errorState(error, () => this.start()));
      return;
    }
    this.drawControls();
    this.drawTable();
    this.drawSummary();
    this.show(this.context.segments);
  }

  // --- What can be chosen ---

  drawControls() {
    const option = ({ id, title }) => h("option", { value: id }, title ?? id);
    this.who = h("select", { name: "who" }, this.kinds.map(option));
    this.whom = h("select", { name: "whom" }, this.targets.map(option));
    this.who.value = this.kinds[1].id;
    this.all = h("button", { class: "button", type: "button", onclick: () => (this.running ? this.running.abort() : this.tryAll()) }, "Try them all");
    this.one = h("button", { class: "button primary", type: "submit" }, "Attack");
    this.controls.replaceChildren(
      h("label", { class: "field" }, "you are", this.who),
      h("label", { class: "field" }, "you attack", this.whom),
      h("div", { class: "row" }, this.one, this.all),
    );
  }

  chosen() {
    return { who: this.who.value, whom: this.whom.value };
  }

  // --- Making attempts ---

  /** Go to an attempt, and make it anew. */
  tryAgain(who, whom) {
    results.delete(keyOf(who, whom));
    if (this.opened === keyOf(who, whom)) this.show([who, whom]);
    else this.context.navigate("intruders", who, whom);
  }

  async tryAll() {
    await this.run(this.targets.flatMap(({ id: whom }) => this.kinds.map(({ id: who }) => [who, whom])));
    if (!this.context.signal.aborted) this.context.announce(this.summary.textContent);
  }

  async run(pairs) {
    this.running?.abort();
    const running = (this.running = new AbortController());
    this.all.textContent = "Stop";
    try {
      for (const [who, whom] of pairs) {
        if (running.signal.aborted || this.context.signal.aborted) return;
        this.trying = keyOf(who, whom);
        this.drawCell(who, whom);
        let result;
        try {
          result = await post("/api/intruders/attempt", { who, whom }, { signal: running.signal });
        } catch (error) {
          if (error.name === "AbortError") return;
          result = { error };
        }
        results.set(keyOf(who, whom), { ...result, heardAt: Date.now() });
        this.trying = null;
        this.drawCell(who, whom);
        this.drawSummary();
        if (this.opened === keyOf(who, whom)) this.drawDetail(who, whom);
        if (pairs.length === 1 && !this.context.signal.aborted) this.context.announce(spoken(this.kind(who), whom, result));
      }
    } finally {
      if (this.trying && this.running === running) {
        const [who, whom] = this.trying.split("/");
        this.trying = null;
        this.drawCell(who, whom);
      }
      if (this.running === running) {
        this.running = null;
        this.all.textContent = "Try them all";
      }
    }
  }

  // --- The attempt that is open ---

  show([who, whom]) {
    if (!this.kinds) return;
    const kind = this.kind(who);
    const target = this.targets.find(({ id }) => id === whom) ?? this.targets[0];
    this.close();
    if (!kind) return;
    this.opened = keyOf(who, target.id);
    [this.who.value, this.whom.value] = [who, target.id];
    const row = this.rows.get(who);
    this.detail = h("td", { colspan: this.targets.length + 1, class: "at-detail", id: "attempt" });
    this.detailRow = h("tr", { class: "at-detail-row" }, this.detail);
    row.after(this.detailRow);
    row.classList.add("open");
    this.button(who, target.id)?.setAttribute("aria-expanded", "true");
    this.drawDetail(who, target.id);
    if (!results.has(this.opened) && this.trying !== this.opened) this.run([[who, target.id]]);
    row.scrollIntoView({ block: "nearest" });
  }

  close() {
    if (!this.opened) return;
    const [who, whom] = this.opened.split("/");
    this.button(who, whom)?.setAttribute("aria-expanded", "false");
    this.rows.get(who)?.classList.remove("open");
    this.detailRow?.remove();
    this.opened = null;
  }

  kind(who) {
    return this.kinds.find(({ id }) => id === who);
  }

  button(who, whom) {
    return this.cells.get(keyOf(who, whom))?.querySelector("button");
  }

  drawDetail(who, whom) {
    const result = results.get(keyOf(who, whom));
    const kind = this.kind(who);
    if (!result) {
      this.detail.replaceChildren(h("div", { class: "at-columns", "aria-busy": "true" }, [1, 2, 3].map(() => skeleton("line", "block"))));
    } else if (result.error) {
      this.detail.replaceChildren(errorState(result.error, () => this.tryAgain(who, whom)));
    } else {
      this.detail.replaceChildren(
        h("p", { class: "at-story" }, story(kind, result)),
        h("div", { class: "at-columns" }, sawColumn(result), loggedColumn(result, kind), todoColumn(kind, result)),
        h("div", { class: "spread at-foot" },
          h("span", { class: "muted small num" }, `Asked ${result.asked} of ${result.address} at ${clock(result.at)}, over in ${result.milliseconds} ms`),
          h("div", { class: "row" },
            kind.handshakes && h("a", { class: "small", href: `#/handshake/${encodeURIComponent(handshakes(who, whom, kind))}` }, kind.honest ? "Its handshake, message by message" : "Its handshake, beside the console's"),
            h("button", { class: "button compact", type: "button", onclick: () => this.tryAgain(who, whom) }, "Try again"),
            h("button", { class: "button quiet compact", type: "button", onclick: () => this.context.navigate("intruders") }, "Close"))),
      );
    }
  }

  // --- The matrix ---

  drawTable() {
    this.rows = new Map();
    this.cells = new Map();
    const body = this.kinds.map((kind) => {
      const cells = this.targets.map(({ id }) => {
        const cell = h("td", { data: { label: id } });
        this.cells.set(keyOf(kind.id, id), cell);
        return cell;
      });
      const row = h("tr", { class: kind.honest ? "honest" : "" },
        h("th", { scope: "row" }, h("span", { class: "at-who" }, kind.title), h("span", { class: "at-differs" }, kind.differs)),
        cells);
      this.rows.set(kind.id, row);
      return row;
    });
    const caption = h("caption", { class: "visually-hidden" }, "Every kind of client, at both servers");
    const head = h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "who tries"), this.targets.map(({ id }) => h("th", { scope: "col" }, `at the ${short(id)}`))));
    this.table.replaceChildren(h("table", { class: "table at-table" }, caption, head, h("tbody", {}, body)));
    for (const kind of this.kinds) for (const { id } of this.targets) this.drawCell(kind.id, id);
  }

  drawCell(who, whom) {
    const key = keyOf(who, whom);
    const cell = this.cells?.get(key);
    if (!cell) return;
    const result = results.get(key);
    const button = cell.firstChild ?? h("button", { class: "at-cell", type: "button", "aria-expanded": "false", onclick: () => this.toggle(who, whom) });
    button.replaceChildren(...cellContent(this.kind(who), result, this.trying === key));
    button.setAttribute("aria-label", `${this.kind(who).title}, at the ${short(whom)}: ${[...button.children].map((part) => part.textContent).filter(Boolean).join(", ")}`);
    if (!cell.firstChild) cell.append(button);
  }

  toggle(who, whom) {
    if (this.opened === keyOf(who, whom)) this.context.navigate("intruders");
    else this.context.navigate("intruders", who, whom);
  }

  drawSummary() {
    if (!this.kinds) return;
    const made = this.kinds.flatMap((kind) => this.targets.map(({ id }) => [kind, results.get(keyOf(kind.id, id))])).filter(([, result]) => result && !result.error);
    const total = this.kinds.length * this.targets.length;
    if (!made.length) {
      this.summary.replaceChildren(`${total} attempts can be made. None has been made yet.`);
      return;
    }
    const count = (outcome) => made.filter(([, result]) => result.outcome === outcome).length;
    const odd = made.filter(([kind, result]) => !asItShould(kind, result)).length;
    const last = Math.max(...made.map(([, result]) => result.heardAt));
    const parts = [`${count("refused")} refused in the handshake`, `${count("denied")} denied by name`, `${count("accepted")} accepted`];
    this.summary.replaceChildren(
      h("strong", {}, made.length === total ? `All ${total} attempts made: ` : `${made.length} of ${total} attempts made: `),
      `${parts.join(", ")}. `,
      odd ? h("strong", { class: "at-odd" }, `✗ ${odd} did not end as ${odd === 1 ? "it" : "they"} should. `) : made.length === total ? "Every one ended as it should. " : "",
      h("span", { class: "muted" }, `Last one ${ago(last)}.`),
    );
  }
}

// --- What is said ---

const short = (server) => (server === "video-queue" ? "queue" : server);

function asItShould(kind, { outcome }) {
  return kind.honest ? outcome === "accepted" : outcome === "refused" || outcome === "denied";
}

const OUTCOMES = {
  refused: ["refused", "refused"],
  denied: ["refused denied", "denied"],
  accepted: ["accepted", "accepted"],
  unreachable: ["expiring", "away"],
  unexplained: ["expiring", "cut off"],
};

function cellContent(kind, result, isTrying) {
  if (isTrying) return [badge("working", "trying")];
  if (!result) return [h("span", { class: "at-untried" }, "not tried")];
  if (result.error) return [badge("expiring", "not made"), h("span", { class: "at-reason" }, "open for why")];
  const [look, word] = OUTCOMES[result.outcome];
  if (!asItShould(kind, result) && result.outcome === "accepted") return [badge("refused", "LET IN"), h("span", { class: "at-reason" }, "should be refused")];
  return [badge(look, word), h("span", { class: "at-reason mono" }, result.logged?.reason ?? (kind.honest ? "" : "no reason told"))];
}

function spoken(kind, whom, result) {
  if (result.error) return `${kind.title} at the ${short(whom)}: ${result.error.message}`;
  return `${kind.title} at the ${short(whom)}: ${OUTCOMES[result.outcome][1]}${result.logged ? `, ${result.logged.reason}` : ""}`;
}

const STEPS = { 1: "client hello", 2: "server hello", 4: "the client sends its certificate", 5: "the server verifies the client", 7: "data, and who may ask for it" };

function story(kind, result) {
  const server = short(result.whom);
  const where = result.step ? ` at step ${result.step} of 7 (${STEPS[result.step]})` : "";
  switch (result.outcome) {
    case "refused":
      return [badge("refused", "refused"), ` The ${server} ended the handshake${where}. Nothing was asked of it.`];
    case "denied":
      return [badge("refused denied", "denied"), ` The handshake succeeded, and the ${server} refused the call${where}.`];
    case "accepted":
      return kind.honest
        ? [badge("accepted", "accepted"), ` The ${server} let it in: every other row differs from this one in one fact.`]
        : [badge("refused", "let in"), ` The ${server} let it in. That should not be.`];
    case "unreachable":
      return [badge("expiring", "away"), ` The ${server} could not be reached, so nothing is proven.`];
    default:
      return [badge("expiring", "cut off"), ` The connection ended, and the ${server} tells of no refusal: it may have been an outage. Try again.`];
  }
}

/** The run, or two runs, of the view "Handshake" that show what happened here. */
function handshakes(who, whom, kind) {
  const run = `${whom}.${who}.tls13`;
  return kind.honest ? run : `${whom}.console.tls13~${run}`;
}

function column(title, ...content) {
  return h("section", { class: "at-column" }, h("h2", {}, title), content);
}

function sawColumn({ saw, showed, whom, outcome }) {
  const noAlert = outcome === "refused" && !saw.alert;
  return column(
    "The intruder saw",
    h("p", { class: "at-quote mono" }, saw.words),
    saw.alert
      ? h("p", { class: "small" }, h("strong", { class: "mono" }, `alert ${saw.alert.name} (${saw.alert.number})`), `: ${saw.alert.means}.`)
      : noAlert && h("p", { class: "small muted" }, whom === "gateway" ? "No alert came: a client that speaks no TLS could not read one." : "No alert came: gRPC's server closes the connection, and an intruder cannot tell this from an outage."),
    facts([
      ["it showed", showed ? showed.identity || "a certificate without one SPIFFE ID" : "no certificate"],
      ["serial", showed && h("mark", { class: "at-serial" }, showed.serial)],
      ["from", saw.from],
    ]),
  );
}

function loggedColumn({ logged, matched, whom, outcome }, kind) {
  const title = `The ${short(whom)} logged`;
  if (!logged) {
    const text = outcome === "accepted" && kind.honest ? "Nothing: a call that succeeds leaves no line." : "Nothing that belongs to this attempt.";
    return column(title, h("p", { class: "muted" }, text));
  }
  const { presented } = logged;
  return column(
    title,
    h("p", { class: "at-quote mono" }, h("strong", {}, logged.event), ` reason=${logged.reason}`),
    facts([
      [logged.event === "call.denied" ? "rule" : "error", logged.error],
      ["identity", logged.identity],
      ["method", logged.method],
      ["presented", presented && (presented.names.join(" ") || presented.subject)],
      ["issuer", presented?.issuer],
      ["serial", (presented?.serial || logged.serial) && h("mark", { class: "at-serial" }, presented?.serial || logged.serial)],
      ["valid", presented && `${minute(presented.not_before)} to ${minute(presented.not_after)}`],
      ["peer", logged.peer],
    ]),
    h("p", { class: "small muted" }, `Known to be this attempt by ${matched}.`),
  );
}

const minute = (time) => `${time.slice(0, 10)} ${time.slice(11, 16)}`;

function todoColumn(kind, result) {
  if (kind.honest && result.outcome === "accepted") return column("What to do", h("p", {}, "Nothing: this is how it should be."));
  const { entry } = kind;
  return column(
    "What to do",
    h("p", {}, kind.fix),
    entry?.why && h("p", { class: "small" }, h("strong", {}, "Why. "), entry.why),
    entry && h("details", { class: "at-entry" },
      h("summary", {}, `What can go wrong, entry ${entry.number}: ${entry.title}`),
      h("p", { class: "small" }, entry.did),
      h("pre", { tabindex: "0", role: "group", "aria-label": "What each tool said" }, entry.said),
      entry.doctor && h("p", { class: "small" }, h("strong", {}, "Doctor. "), entry.doctor),
      h("p", { class: "small muted" }, "In the repository: ", h("code", {}, `docs/what-can-go-wrong.md#${entry.anchor}`))),
  );
}

export default viewOf("Intruders", "intruders", View);
