// The view "A handshake, as it happened".
//
// Its address names what is shown: #/handshake/<run>/<message>, where a run is server.client.session,
// such as gateway.console.tls13; two runs side by side are joined by ~, and their messages are 1.5
// and 2.5. To open such an address makes the handshake anew, and opens its message.

import { get, post, request } from "../api.js";
import { breakable, drawCertificates, drawDiagram, drawMessagePanel, leadOf, titleOf, verdictOf } from "../handshake/diagram.js";
import { ago, errorState, h, heading, skeleton, viewOf } from "../ui.js";

const DEFAULT_RUN = "gateway.console.tls13";
const FILE = "file"; // a run that was opened from disk
const NONE = "none";
const MAX_FILE_BYTES = 1024 * 1024; // doctor/recording.py

const recorded = new Map(); // run -> {recording, picture, at}: kept while the page is open
class View {
  constructor(root, context) {
    this.root = root;
    this.context = context;
    this.busy = null;
    this.selected = null;
    this.runs = [];
    root.classList.add("handshake");
    this.lead = h("p", { class: "hs-lead" }, "Every message between two sides that prove to each other who they are.");
    this.controls = h("form", { class: "hs-controls", "aria-label": "Which handshake" });
    this.body = h("div", { class: "hs-body" });
    root.append(h("header", {}, h("h1", {}, "A handshake, as it happened"), this.lead), this.controls, this.body);
    this.controls.addEventListener("submit", (event) => {
      event.preventDefault();
      this.runAgain();
    });
    this.controls.addEventListener("change", () => this.context.navigate("handshake", this.chosen()));
    root.addEventListener("keydown", (event) => this.onKey(event));
    const ticking = setInterval(() => this.drawLead(), 1000);
    context.signal.addEventListener("abort", () => clearInterval(ticking));
    this.start();
  }

  async start() {
    this.drawSkeleton();
    try {
      this.choices = await get("/api/handshake", { signal: this.context.signal });
    } catch (error) {
      this.drawError(error, () => this.start());
      return;
    }
    this.drawControls();
    this.show(this.context.segments);
  }

  // --- What the address says ---

  show(segments) {
    this.context.segments = segments;
    if (!this.choices) return;
    const [address, message] = segments;
    const runs = (address || DEFAULT_RUN).split("~").slice(0, 2);
    const isSame = runs.join("~") === this.runs.join("~") && runs.every((run) => recorded.has(run));
    this.runs = runs;
    this.selected = selectionOf(message, runs.length);
    this.drawChosen();
    if (isSame && this.body.querySelector(".hs")) this.select();
    else this.run();
  }

  addressOf(lane, number) {
    const name = this.runs.length > 1 ? `${lane + 1}.${number}` : `${number}`;
    return `#/${["handshake", this.runs.join("~"), name].map(encodeURIComponent).join("/")}`;
  }

  // --- Making handshakes ---

  runAgain() {
    for (const run of this.runs) if (run !== FILE) recorded.delete(run);
    this.selected = null;
    if (this.context.segments.length > 1) history.replaceState(null, "", `#/handshake/${encodeURIComponent(this.runs.join("~"))}`);
    this.run();
  }

  async run() {
    const turn = (this.busy = {});
    const missing = this.runs.filter((run) => !recorded.has(run));
    if (missing.length) {
      this.setBusy(true);
      this.drawSkeleton();
    }
    try {
      for (const run of missing) {
        const answer = await this.make(run);
        if (this.busy !== turn || this.context.signal.aborted) return;
        recorded.set(run, { ...answer, at: Date.now() });
      }
      this.draw(missing.length > 0);
    } catch (error) {
      if (error.name === "AbortError" || this.busy !== turn) return;
      this.drawError(error, () => this.run());
    } finally {
      if (this.busy === turn) this.setBusy(false);
    }
  }

  async make(run) {
    const [server, client, session] = run.split(".");
    if (run === FILE) throw Object.assign(new Error("The file is not kept when the page is left."), { tried: "showing an opened file again", fix: "Open it again, or run a handshake." });
    return post("/api/handshake", { server, client, session }, { signal: this.context.signal });
  }

  setBusy(isBusy) {
    this.runButton.disabled = isBusy;
    this.body.setAttribute("aria-busy", String(isBusy));
    const isThere = this.runs.length > 0 && this.runs.every((run) => recorded.has(run));
    for (const button of [this.saveButton, this.exportButton]) button.disabled = isBusy || !isThere;
  }

  // --- The controls ---

  drawControls() {
    const { clients, servers, sessions } = this.choices;
    const option = ({ id, label }) => h("option", { value: id }, label);
    this.client = h("select", { name: "client" }, clients.map(option));
    this.server = h("select", { name: "server" }, servers.map(option));
    this.session = h("select", { name: "session" }, sessions.map(option));
    this.beside = h("select", { name: "beside" }, h("option", { value: NONE }, "nothing"));
    for (const run of this.comparisons()) this.beside.append(h("option", { value: run }, this.labelOf(run)));
    const button = (text, kind, onclick) => h("button", { class: `button ${kind}`, type: onclick ? "button" : "submit", onclick }, text);
    this.runButton = button("Run again", "primary");
    this.saveButton = button("Save", "", () => this.save());
    this.exportButton = button("Export", "", () => this.exportPage());
    const input = h("input", { type: "file", accept: ".json,application/json", class: "visually-hidden", tabindex: "-1", "aria-label": "A saved handshake" });
    input.addEventListener("change", (event) => {
      event.stopPropagation();
      this.openFile(input);
    });
    this.controls.replaceChildren(
      field("as", this.client),
      field("to", this.server),
      field("version and session", this.session),
      field("beside it", this.beside),
      h("div", { class: "hs-buttons" }, this.runButton, this.saveButton, button("Open", "", () => input.click()), this.exportButton, input),
    );
    this.note = h("p", { class: "muted small hs-note", role: "status" });
    this.controls.append(this.note);
  }

  comparisons() {
    const { clients, servers, sessions } = this.choices;
    const memory = sessions.map((session) => `memory.${clients[0].id}.${session.id}`);
    const live = servers.filter((server) => server.id !== "memory").flatMap((server) => clients.map((client) => `${server.id}.${client.id}.tls13`));
    return [...memory, ...live];
  }

  labelOf(run) {
    if (run === FILE) return "the opened file";
    const [server, client, session] = run.split(".");
    const name = this.choices.sessions.find((each) => each.id === session)?.label ?? session;
    const who = this.choices.clients.find((each) => each.id === client)?.label ?? client;
    return server === "memory" ? `${name}, in memory` : `${who} → ${server}`;
  }

  chosen() {
    const isMemory = this.server.value === "memory";
    if (isMemory) this.client.value = this.choices.clients[0].id;
    else if (this.choices.sessions.find((each) => each.id === this.session.value)?.only_in_memory) this.session.value = "tls13";
    const run = `${this.server.value}.${this.client.value}.${this.session.value}`;
    return this.beside.value === NONE || this.beside.value === run ? run : `${run}~${this.beside.value}`;
  }

  drawChosen() {
    const [run, other] = this.runs;
    if (run !== FILE) {
      const [server, client, session] = run.split(".");
      for (const [select, value] of [[this.server, server], [this.client, client], [this.session, session]]) {
        if ([...select.options].some((option) => option.value === value)) select.value = value;
      }
    }
    this.beside.value = other && [...this.beside.options].some((option) => option.value === other) ? other : NONE;
    const isMemory = this.server.value === "memory" && run !== FILE;
    this.client.disabled = isMemory;
    for (const option of this.session.options) {
      option.disabled = !isMemory && this.choices.sessions.find((each) => each.id === option.value).only_in_memory;
    }
    this.note.textContent = [run, other].some((each) => each?.startsWith("memory."))
      ? "Our servers refuse TLS 1.2, and the gateway resumes nothing. So the console runs both ends of these itself, in its memory, with a certificate for the server that is made for one run."
      : run === FILE
        ? "Opened from a file: what it means was read anew from its bytes."
        : this.session.value.startsWith("tls12")
          ? "Our servers speak TLS 1.3 alone: this is how they refuse TLS 1.2. Choose the server in memory to see a whole handshake of it."
          : "";
  }

  // --- Saved, opened, exported ---

  pictures() {
    return this.runs.map((run) => recorded.get(run)?.picture).filter(Boolean);
  }

  save() {
    const { recording } = recorded.get(this.runs[0]);
    const name = `handshake-${recording.client}-${recording.server}-${recording.recorded_at}.json`;
    download(name.replace(/[^\w.-]+/g, "-"), "application/json", JSON.stringify(recording, null, 1));
    this.context.announce("Saved");
  }

  async exportPage() {
    const { recording } = recorded.get(this.runs[0]);
    try {
      const response = await fetch("/api/handshake/page", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(recording), signal: this.context.signal });
      if (!response.ok) throw new Error(`The console answers HTTP ${response.status}.`);
      download("handshake.html", "text/html", await response.text());
      this.context.announce("Exported");
    } catch (error) {
      if (error.name !== "AbortError") this.note.textContent = `✗ The page was not exported. ${error.message}`;
    }
  }

  async openFile(input) {
    const [file] = input.files;
    input.value = "";
    if (!file) return;
    try {
      if (file.size > MAX_FILE_BYTES) throw Object.assign(new Error("This file is too large for a recorded handshake."), { tried: file.name, fix: "Open a file that this page has saved." });
      const answer = await request("POST", "/api/handshake/open", { json: parsed(await file.text()), signal: this.context.signal });
      recorded.set(FILE, { ...answer, at: Date.parse(answer.picture.recorded_at) });
      this.runs = [];
      if (this.context.segments[0] === FILE) this.show([FILE]);
      else this.context.navigate("handshake", FILE);
    } catch (error) {
      if (error.name !== "AbortError") this.drawError(error, null);
    }
  }

  // --- Drawing ---

  draw(isNew) {
    const pictures = this.pictures();
    const diagram = drawDiagram(pictures, { hrefOf: (lane, number) => this.addressOf(lane, number), selected: this.selected });
    diagram.classList.toggle("arriving", isNew);
    if (isNew) diagram.querySelectorAll(".hs-message").forEach((message, place) => message.style.setProperty("--place", place));
    this.panel = h("div", { class: "hs-panel card", role: "region", "aria-label": "The message that is open", tabindex: "-1" });
    this.body.replaceChildren(
      h("div", { class: "hs-verdicts" }, pictures.map(verdictOf)),
      h("div", { class: `hs-split${pictures.length > 1 ? " wide" : ""}` }, diagram, this.panel),
      h("section", { class: "hs-certificates", "aria-labelledby": "hs-certificates" },
        h("h2", { id: "hs-certificates" }, "The certificates"),
        pictures.length === 1 ? drawCertificates(pictures[0]) : pictures.map((picture) => h("details", { class: "hs-more" }, h("summary", {}, `${picture.client} and ${picture.server}, ${picture.version}${picture.is_resumed ? ", resumed" : ""}`), h("div", { class: "hs-inside" }, drawCertificates(picture)))),
      ),
    );
    this.setBusy(false);
    this.drawLead();
    this.select();
    const [first] = pictures;
    if (isNew) this.context.announce(first.outcome.is_accepted ? `Accepted: ${first.messages.length} messages` : `Refused by the ${first.outcome.by} at step ${first.outcome.step}`);
  }

  drawLead() {
    const pictures = this.pictures();
    if (!pictures.length || !this.body.querySelector(".hs")) return;
    const when = this.runs[0] === FILE ? `Opened from a file, recorded ${pictures[0].recorded_at.replace("T", " at ").replace("Z", " UTC")}` : `Recorded ${ago(recorded.get(this.runs[0]).at)}`;
    this.lead.textContent = `${when}, ${leadOf(pictures[0])} Violet messages (▪) are encrypted on the wire; you see them as the client does.`;
  }

  /** Open the message that the address names, or say what can be opened. */
  select() {
    const chosen = this.selected && this.pictures()[this.selected.lane]?.messages[this.selected.number - 1];
    for (const link of this.root.querySelectorAll(".hs-message")) link.removeAttribute("aria-current");
    this.root.classList.toggle("has-open-message", Boolean(chosen));
    if (!chosen) {
      this.panel.replaceChildren(...this.summaries(), h("p", { class: "muted small" }, "The arrow keys walk through the messages. The address names the one that is open."));
      return;
    }
    const picture = this.pictures()[this.selected.lane];
    const link = this.root.querySelector(`.hs-message[data-href="${CSS.escape(this.addressOf(this.selected.lane, chosen.number))}"]`);
    link?.setAttribute("aria-current", "true");
    const close = h("a", { class: "button quiet compact hs-close", href: `#/handshake/${encodeURIComponent(this.runs.join("~"))}` }, "Close");
    this.panel.replaceChildren(
      h("div", { class: "spread" }, h("h2", {}, breakable(titleOf(chosen))), close),
      ...drawMessagePanel(picture, chosen, { hrefOfEntry: (_, title) => this.choices.entries[title] && `#/intruders/${this.choices.entries[title]}/gateway` }).flat(Infinity).filter(Boolean),
    );
    this.panel.scrollTop = 0;
    link?.scrollIntoView({ block: "nearest" });
  }

  /** What is in the panel while no message is open. */
  summaries() {
    const failures = this.pictures().flatMap(({ outcome, client }, lane) => {
      if (outcome.is_accepted && !outcome.step) return [];
      const [server, kind] = this.runs[lane].split(".");
      const isIntruder = kind && kind !== this.choices.clients[0].id;
      return [
        h("h2", {}, outcome.is_accepted ? `${client}: known, and not allowed` : `${client} and ${this.pictures()[lane].server}: refused by the ${outcome.by}`),
        h("p", {}, outcome.text),
        outcome.fix ? h("p", { class: "hs-proves" }, h("strong", {}, "Fix: "), outcome.fix) : "",
        isIntruder ? h("a", { href: `#/intruders/${kind}/${server}` }, "What the server logs of it, and what to do") : "",
      ];
    });
    if (failures.length) return failures;
    const title = this.runs.length > 1 ? "The same seven steps, twice" : "Both have proved who they are";
    const text = this.runs.length > 1 ? "Where they differ, a message says that it is only here. " : "";
    return [h("h2", {}, title), h("p", {}, `${text}Open a message to see what it proves, and what would go wrong without it.`)];
  }

  /** The arrow keys walk through the messages, of one lane and then the next; Escape closes. */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, summary, .hs-panel")) {
      if (event.key !== "Escape") return;
    }
    const links = [...this.root.querySelectorAll(".hs-message")];
    if (event.key === "Escape" && this.selected) {
      event.preventDefault();
      const open = links.find((link) => link.hasAttribute("aria-current"));
      this.context.navigate("handshake", this.runs.join("~"));
      open?.focus({ preventScroll: true });
      return;
    }
    const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
    if (!step || !links.length) return;
    event.preventDefault();
    const byNumber = links.sort((one, other) => order(one) - order(other));
    const now = byNumber.findIndex((link) => link.hasAttribute("aria-current"));
    const next = byNumber[now < 0 ? (step > 0 ? 0 : byNumber.length - 1) : Math.min(byNumber.length - 1, Math.max(0, now + step))];
    history.replaceState(null, "", next.dataset.href); // walking leaves no trail of entries
    dispatchEvent(new HashChangeEvent("hashchange"));
    next.focus({ preventScroll: true });
  }

  drawSkeleton() {
    this.body.replaceChildren(
      h("div", { class: "hs-split", "aria-hidden": "true" }, h("div", { class: "stack" }, Array.from({ length: 7 }, () => h("div", { class: "hs-waiting" }, skeleton("line"), skeleton("block")))), h("div", { class: "hs-panel card" }, skeleton("line", "line", "block"))),
      h("p", { class: "visually-hidden", role: "status" }, "Shaking hands"),
    );
  }

  drawError(error, retry) {
    this.root.classList.remove("has-open-message");
    this.body.replaceChildren(errorState(error, retry));
  }
}

function field(label, select) {
  return h("label", { class: "field" }, label, select);
}

function selectionOf(message, lanes) {
  const numbers = (message ?? "").split(".").map(Number);
  if (!message || numbers.some((number) => !Number.isInteger(number) || number < 1)) return null;
  return lanes > 1 && numbers.length === 2 ? { lane: numbers[0] - 1, number: numbers[1] } : { lane: 0, number: numbers[0] };
}

function order(link) {
  const numbers = decodeURIComponent(link.dataset.href.split("/").at(-1)).split(".").map(Number);
  return numbers.length > 1 ? numbers[0] * 1000 + numbers[1] : numbers[0];
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw Object.assign(new Error("This file is not JSON."), { tried: "reading it as a recorded handshake", fix: "Open a file that this page, or doctor handshake --save, has written." });
  }
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  h("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

export default viewOf("Handshake", "handshake", View);
