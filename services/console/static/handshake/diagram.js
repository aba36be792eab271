// Draws a recorded handshake ("picture": doctor/picture.py). It stands alone, because the exported
// page has it inline. Text goes in as text: much of it was chosen by the other side, or by a file.

export function h(tag, props, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false && child !== ""));
  return element;
}

export const size = (hex) => hex.length / 2;
export const count = (number) => number.toLocaleString("en");
export const plural = (number, word) => `${count(number)} ${word}${number === 1 ? "" : "s"}`;
export const milliseconds = (micro) => `${(micro / 1000).toFixed(1)} ms`;
const spaced = (hex) => hex.replace(/../g, "$& ").trimEnd();
const colons = (hex) => hex.replace(/..(?=.)/g, "$&:");
/** A name may break between its words: Encrypted|Extensions. */
export const breakable = (name) => name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((word, place) => (place ? [document.createElement("wbr"), word] : [word]));
const article = (text) => h("span", { class: "visually-hidden" }, text);

/** What a message is called where both sides have one. */
export const titleOf = (message) =>
  ["Certificate", "CertificateVerify", "Finished", "Data", "Alert", "ChangeCipherSpec"].includes(message.name)
    ? `${message.name} (${message.sender})`
    : message.name;

/** One line on how it came about and how it ended. */
export function leadOf(picture) {
  const where = picture.is_in_memory
    ? `both ends in the memory of the console, the client as ${picture.client}`
    : `between ${picture.client} and the ${picture.server}`;
  return `${where}. ${picture.version}${picture.is_resumed ? ", resumed" : ""}, ${plural(picture.messages.length, "message")}, ${count(picture.bytes)} bytes on the wire, ${milliseconds(picture.microseconds)}.`;
}

export function verdictOf(picture) {
  const { is_accepted: accepted, by, step, alert } = picture.outcome;
  if (accepted && step) return h("p", { class: "hs-verdict bad" }, h("strong", {}, "✓ Accepted by TLS, ✗ denied by the policy"), ` at step ${step}`);
  if (accepted) return h("p", { class: "hs-verdict ok" }, h("strong", {}, "✓ Accepted"), ` · ${picture.version}${picture.is_resumed ? ", resumed" : ""} · ${picture.cipher}`);
  return h("p", { class: "hs-verdict bad" }, h("strong", {}, `✗ Refused by the ${by}`), step ? ` at step ${step}` : "", alert ? ` · alert ${alert}` : " · no alert");
}

/** The sequence diagram of one handshake, or of two side by side. `hrefOf(lane, number)` is a message's address. */
export function drawDiagram(pictures, { hrefOf, selected }) {
  const root = h("div", { class: `hs lanes-${pictures.length}` });
  root.append(
    h(
      "div",
      { class: "hs-row hs-ends" },
      h("div", { class: "hs-head" }),
      pictures.map((picture) =>
        h(
          "div",
          { class: "hs-end" },
          pictures.length > 1 && h("strong", { class: "hs-which" }, `${picture.version}${picture.is_resumed ? ", resumed" : ""}`),
          h("span", {}, h("span", { class: "muted" }, "client: "), picture.client),
          h("span", {}, h("span", { class: "muted" }, "server: "), picture.server),
        ),
      ),
    ),
  );
  for (const step of pictures[0].steps) root.append(drawStep(step.number, pictures, hrefOf, selected));
  return root;
}

function drawStep(number, pictures, hrefOf, selected) {
  const { title, note } = pictures[0].steps[number - 1];
  const isReached = pictures.some((picture) => picture.steps[number - 1].is_reached);
  return h(
    "section",
    { class: `hs-row${isReached ? "" : " unreached"}`, "aria-labelledby": `hs-step-${number}` },
    h(
      "div",
      { class: "hs-head" },
      h("span", { class: "hs-number", "aria-hidden": "true" }, number),
      h("div", {}, h("h2", { id: `hs-step-${number}` }, article(`Step ${number}: `), title), h("p", { class: "muted" }, note)),
    ),
    pictures.map((picture, lane) => drawLane(pictures, lane, number, hrefOf, selected)),
  );
}

function drawLane(pictures, lane, number, hrefOf, selected) {
  const picture = pictures[lane];
  const step = picture.steps[number - 1];
  const messages = picture.messages.filter((message) => message.step === step.number);
  const others = pictures.length > 1 ? pictures[1 - lane].messages.filter((message) => message.step === step.number) : null;
  return h(
    "div",
    { class: "hs-lane" },
    others && h("p", { class: "hs-lane-name muted" }, `${picture.version}${picture.is_resumed ? ", resumed" : ""}${picture.outcome.is_accepted ? "" : ", refused"}`),
    messages.length > 0 && h("ol", {}, messages.map((message) => [
      drawWait(picture.messages[message.number - 2], message),
      h("li", {}, drawMessage(message, {
        href: hrefOf(lane, message.number),
        isSelected: selected?.lane === lane && selected.number === message.number,
        isOnlyHere: others && !others.some((other) => other.name === message.name && other.sender === message.sender),
      })),
    ])),
    drawOutcome(step),
  );
}

/** A wait that one would wonder about; before its first data a client listens for a refusal. */
function drawWait(before, message) {
  const waited = message.microseconds - (before?.microseconds ?? 0);
  if (waited < 100000) return null;
  const why = message.name === "Data" && message.sender === "client" ? ": the client listens for a refusal before it asks" : "";
  return h("li", { class: "hs-wait muted" }, `⋮ ${Math.round(waited / 1000)} ms${why}`);
}

function drawMessage(message, { href, isSelected, isOnlyHere }) {
  const kinds = [`from-${message.sender}`, message.is_encrypted && "encrypted", message.is_failure && "failure"];
  const other = message.sender === "client" ? "server" : "client";
  return h(
    "a",
    { class: `hs-message ${kinds.filter(Boolean).join(" ")}`, href, "aria-current": isSelected ? "true" : null, "data-href": href },
    h("span", { class: "hs-name" }, breakable(message.name)),
    h("span", { class: "hs-summary" }, message.name === "ClientHello" ? `for ${message.summary}` : message.summary),
    h(
      "span",
      { class: "hs-meta" },
      message.is_encrypted && [h("span", { "aria-hidden": "true", class: "hs-sealed" }, "▪ "), article("encrypted, ")],
      isOnlyHere && "only here · ",
      `${count(size(message.hex))} B · ${milliseconds(message.microseconds)}`,
      article(`, from ${message.sender} to ${other}`),
    ),
  );
}

function drawOutcome(step) {
  if (!step.is_reached) return h("p", { class: "hs-outcome muted" }, "– not reached");
  if (!step.outcome) return null;
  const isBad = step.is_failed || /^(refused|denied)/.test(step.outcome);
  const isGood = /^(valid|granted)/.test(step.outcome);
  const sign = isBad ? "✗ " : isGood ? "✓ " : "";
  const kind = isBad ? "bad" : isGood ? "ok" : "";
  if (!step.side) return h("p", { class: `hs-outcome ${kind}` }, sign, step.outcome);
  return h(
    "p",
    { class: `hs-own at-${step.side} ${kind}` },
    h("span", { class: "muted" }, `at the ${step.side} · `),
    isBad && step.number === 5 ? "✗ the server was not content: see step 6" : [sign, step.outcome],
  );
}

/** Proves, Without it, the fields, what it travelled in, its bytes, what goes wrong here. */
export function drawMessagePanel(picture, message, { hrefOfEntry, isOpen = false }) {
  const other = message.sender === "client" ? "server" : "client";
  const cards = picture.certificates.filter((card) => card.message === message.number);
  const bytes = h("details", { class: "hs-more" }, h("summary", {}, `Every byte, named (${count(size(message.hex))})`), drawParts(message));
  bytes.open = isOpen;
  return [
    h("p", { class: "hs-where muted" }, `${message.sender} → ${other} · ${plural(size(message.hex), "byte")} · +${milliseconds(message.microseconds)} · `, message.is_encrypted ? h("span", { class: "hs-sealed" }, "▪ encrypted") : "in the clear"),
    h("p", { class: "hs-proves" }, h("strong", {}, "Proves "), message.proves),
    h("p", { class: "hs-without" }, h("strong", {}, "Without it "), message.without),
    message.fields.length > 0 && cards.length === 0 && h("dl", { class: "hs-fields" }, message.fields.map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)])),
    cards.map((card) => drawCard(card, picture)),
    message.name === "CertificateVerify" && picture.certificates.filter((card) => card.sender === message.sender && card.place === 0).map((card) => h("div", {}, h("p", { class: "hs-where muted" }, "the certificate's life"), drawLife(card, picture))),
    message.see.length > 0 && h("div", { class: "hs-see" }, h("h3", {}, "What goes wrong here"), h("ul", {}, message.see.map(([entry, title]) => h("li", {}, hrefOfEntry(entry, title) ? h("a", { href: hrefOfEntry(entry, title) }, `${entry}. ${title}`) : `${entry}. ${title}`)))),
    message.records.map((number) => drawRecord(picture.records[number], isOpen)),
    bytes,
  ];
}

/** The bytes of a message, cut into the parts of which it consists. */
export function drawParts(message) {
  return h(
    "div",
    { class: "hs-parts", role: "group", "aria-label": `The bytes of ${message.name}` },
    message.parts.map(([begin, end, depth, label, text, isGroup]) =>
      isGroup
        ? h("p", { class: "hs-group", style: { "--depth": depth } }, h("strong", {}, label), text && h("span", { class: "muted" }, ` ${text}`))
        : h(
            "div",
            { class: "hs-part", style: { "--depth": depth } },
            h("code", { class: "hs-bytes" }, spaced(message.hex.slice(begin * 2, end * 2))),
            h("span", { class: "hs-label" }, h("span", { class: "muted" }, label), text && h("span", {}, text)),
          ),
    ),
  );
}

/** A record as it went over the network: header, content or ciphertext, tag. */
export function drawRecord(record, isOpen) {
  const bytes = record.hex;
  const pieces = record.is_encrypted
    ? [["header: type, version, length", bytes.slice(0, 10)], ["ciphertext", bytes.slice(10, -32)], ["authentication tag", bytes.slice(-32)]]
    : [["header: type, version, length", bytes.slice(0, 10)], ["content, in the clear", bytes.slice(10)]];
  const how = !record.is_encrypted
    ? "Nobody needs a key to read it."
    : record.plain === null
      ? "Its key is not in this recording, so it cannot be opened."
      : `Opened with ${record.key}, as record ${record.sequence} under that secret.`;
  const details = h(
    "details",
    { class: "hs-more" },
    h("summary", {}, `On the wire: record ${record.number + 1}, ${plural(size(bytes), "byte")}`),
    h("p", {}, how),
    pieces.filter(([, hex]) => hex).map(([label, hex]) => h("div", { class: `hs-piece${record.is_encrypted ? " encrypted" : ""}` }, h("span", { class: "muted" }, `${label} (${count(size(hex))})`), h("code", { class: "hs-bytes" }, spaced(hex)))),
    record.is_encrypted && record.plain !== null && h("p", { class: "hs-check", "data-record": record.number }),
  );
  details.open = isOpen;
  return details;
}

/** A certificate as a card; its issuer's key id leads to the next one. */
export function drawCard(card, picture) {
  const issuer = picture.certificates.find((each) => each.key_id && each.key_id === card.issuer_key_id && each.sha256 !== card.sha256);
  const leads = issuer ? `→ the ${issuer.is_ca ? "issuing CA" : "leaf"} in message ${issuer.message}` : "→ a root, which is not sent: who trusts it has it";
  return h(
    "article",
    { class: "hs-card" },
    h("h3", {}, card.is_ca ? "Issuing CA" : "Leaf", h("span", { class: "muted" }, ` of the ${card.sender}`)),
    h("p", { class: "hs-subject" }, card.names[0] ?? card.subject),
    h(
      "dl",
      { class: "hs-fields" },
      [
        ["subject", card.subject || "empty"],
        ["names (SAN)", card.names.join(", ") || "none"],
        ["for (EKU)", card.usage.join(", ") || (card.is_ca ? "signing certificates" : "anything")],
        ["key", card.key],
        ["serial", card.serial],
        ["key id", card.key_id ? colons(card.key_id) : "none"],
        ["issuer", card.issuer],
        ["issuer's key id", card.issuer_key_id ? `${colons(card.issuer_key_id)} ${leads}` : "none"],
      ].map(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]),
    ),
    drawLife(card, picture),
  );
}

/** From the first to the last moment of a certificate, with a mark for that of the handshake. */
function drawLife(card, picture) {
  const [begin, end, seen] = [card.not_before, card.not_after, picture.recorded_at].map((text) => Date.parse(text));
  const share = Math.min(1, Math.max(0, (seen - begin) / Math.max(1, end - begin)));
  const state = seen < begin ? "not valid yet" : seen > end ? "expired" : "valid";
  const kind = state === "valid" ? "ok" : "bad";
  return [
    h(
      "div",
      { class: `hs-life ${kind}`, role: "img", "aria-label": `${state} at the handshake: from ${moment(card.not_before)} to ${moment(card.not_after)}` },
      h("span", { class: "hs-life-past", style: { width: `${share * 100}%` } }),
      h("span", { class: "hs-life-now", style: { left: `${share * 100}%` } }),
    ),
    h("p", { class: "hs-life-text" }, h("span", {}, moment(card.not_before)), h("span", { class: kind }, `${kind === "ok" ? "✓" : "✗"} ${state}`), h("span", {}, moment(card.not_after))),
  ];
}

const moment = (text) => text.replace("T", " ").replace(/:\d\dZ$/, " UTC");

/** All certificates: a column for each side, each card above the one that issued it. */
export function drawCertificates(picture) {
  const sides = ["client", "server"].map((side) => {
    const cards = picture.certificates.filter((card) => card.sender === side);
    return h(
      "div",
      { class: "hs-chain" },
      h("h3", {}, `The ${side} presents`),
      cards.length === 0 && h("p", { class: "muted" }, picture.is_resumed ? "Nothing: the session is resumed." : "No certificate."),
      cards.map((card, place) => [place > 0 && h("p", { class: "hs-link muted" }, "↑ signed by"), side === "server" && card.is_ca && isOfClient(card, picture) ? drawSame(card) : drawCard(card, picture)]),
      cards.length > 0 && h("p", { class: "hs-link muted" }, "↑ signed by a root that is not sent: who trusts it has it already"),
    );
  });
  return h("div", { class: "hs-chains" }, sides);
}

const isOfClient = (card, picture) => picture.certificates.some((each) => each.sender === "client" && each.sha256 === card.sha256);

function drawSame(card) {
  return h("article", { class: "hs-card" }, h("h3", {}, "The same issuing CA"), h("p", { class: "hs-subject" }, card.subject), h("dl", { class: "hs-fields" }, h("dt", {}, "key id"), h("dd", {}, colons(card.key_id))));
}
