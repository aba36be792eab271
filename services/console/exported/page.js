import { count, drawCertificates, drawDiagram, drawMessagePanel, h, leadOf, milliseconds, plural, size, titleOf, verdictOf } from "../static/handshake/diagram.js";

// The exported page: the diagram, then every message with every byte, and a check of all of it that
// runs where it is read.

const { picture } = JSON.parse(document.getElementById("recorded").textContent);
const main = document.getElementById("main");

main.replaceChildren(
  h("header", {},
    h("h1", {}, "A mutual TLS handshake, every byte"),
    h("p", { class: "muted" }, `Recorded ${picture.recorded_at.replace("T", " at ").replace("Z", " UTC")}, ${leadOf(picture)} Violet messages are encrypted on the wire.`),
    verdictOf(picture),
  ),
  drawDiagram([picture], { hrefOf: (_, number) => `#m${number}` }),
  h("section", { "aria-labelledby": "check" },
    h("h2", { id: "check" }, "Is it true?"),
    h("p", {}, "The secrets of this one conversation are in the page. With them your browser opens every encrypted record again, verifies both signatures and both Finished messages, and compares. No private key is in the page: the signatures can be verified with what was sent."),
    h("p", { class: "actions" }, h("button", { type: "button", id: "run" }, "Check it here")),
    h("div", { role: "status" }, h("ul", { id: "findings" })),
    h("details", { class: "hs-more" },
      h("summary", {}, "The secrets, as in an SSLKEYLOGFILE (RFC 9850)"),
      h("dl", { class: "hs-fields padded" }, Object.entries(picture.secrets).map(([label, secret]) => [h("dt", {}, label), h("dd", {}, secret)])),
    ),
  ),
  h("section", { "aria-labelledby": "messages" },
    h("h2", { id: "messages" }, "Every message"),
    picture.messages.map((message) => h("article", { class: "message", id: `m${message.number}`, tabindex: "-1" },
      h("h3", {}, h("span", { class: "muted" }, `${message.number} · step ${message.step} · `), titleOf(message)),
      drawMessagePanel(picture, message, { isOpen: true, hrefOfEntry: (entry, title) => `what-can-go-wrong.md#${anchorOf(entry, title)}` }),
    )),
  ),
  h("section", { "aria-labelledby": "certificates" }, h("h2", { id: "certificates" }, "The certificates"), drawCertificates(picture)),
  h("footer", {}, h("p", { class: "muted" }, `${plural(picture.records.length, "record")}, ${count(picture.bytes)} bytes on the wire, ${milliseconds(picture.microseconds)}. This page needs nothing but itself.`)),
);

function anchorOf(entry, title) {
  return `${entry}. ${title}`.toLowerCase().replace(/[^a-z0-9 -]/g, "").replaceAll(" ", "-");
}

addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowRight: 1, ArrowUp: -1, ArrowLeft: -1 }[event.key];
  const now = document.activeElement?.closest?.(".hs-message");
  if (!step || !now || event.ctrlKey || event.metaKey || event.altKey) return;
  const links = [...document.querySelectorAll(".hs-message")];
  const next = links[links.indexOf(now) + step];
  if (next) {
    event.preventDefault();
    next.focus();
  }
});

// A printed page shows what is closed on the screen.
addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((each) => (each.open = true)));

// --- The check: RFC 8446, sections 4.4 (signature, Finished), 5.2 (records) and 7.1 (keys) ---

const bytesOf = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (byte) => parseInt(byte, 16));
const hexOf = (buffer) => Array.from(new Uint8Array(buffer), (byte) => byte.toString(16).padStart(2, "0")).join("");
const textBytes = (text) => new TextEncoder().encode(text);
const joined = (...parts) => Uint8Array.from(parts.flatMap((part) => [...part]));

const is13 = picture.version === "TLS 1.3";
const hash = picture.cipher.endsWith("SHA384") ? "SHA-384" : "SHA-256";
const keyBytes = picture.cipher.includes("AES_128") ? 16 : 32;

async function hmac(secret, data) {
  const key = await crypto.subtle.importKey("raw", secret, { name: "HMAC", hash }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", key, data));
}

/** HKDF-Expand-Label with an empty context; one block of the hash is enough for all that is derived. */
async function expandLabel(secret, label, length) {
  const name = textBytes(`tls13 ${label}`);
  const info = joined([length >> 8, length & 255, name.length], name, [0], [1]);
  return (await hmac(secret, info)).slice(0, length);
}

async function openRecord(record) {
  const secret = bytesOf(picture.secrets[record.key]);
  const data = bytesOf(record.hex);
  const iv = await expandLabel(secret, "iv", 12);
  for (let place = 0, rest = record.sequence; rest > 0; place += 1, rest = Math.floor(rest / 256)) iv[11 - place] ^= rest % 256;
  const key = await crypto.subtle.importKey("raw", await expandLabel(secret, "key", keyBytes), "AES-GCM", false, ["decrypt"]);
  const opened = await crypto.subtle.decrypt({ name: "AES-GCM", iv, additionalData: data.slice(0, 5) }, key, data.slice(5));
  return hexOf(opened).replace(/(00)+$/, "").slice(0, -2); // without padding and type
}

async function transcriptBefore(message) {
  const said = picture.messages.filter((each) => each.number < message.number && !["ChangeCipherSpec", "Alert", "Data", "NewSessionTicket"].includes(each.name));
  return new Uint8Array(await crypto.subtle.digest(hash, joined(...said.map((each) => bytesOf(each.hex)))));
}

async function verifySignature(message) {
  const certificate = picture.messages.find((each) => each.name === "Certificate" && each.sender === message.sender);
  const [begin, end] = certificate.parts.find(([, , , label, , isGroup]) => isGroup && label === "public key");
  const key = await crypto.subtle.importKey("spki", bytesOf(certificate.hex.slice(begin * 2, end * 2)), { name: "ECDSA", namedCurve: "P-256" }, false, ["verify"]);
  const [r, s] = ["r", "s"].map((name) => {
    const [first, last] = message.parts.find(([, , , label]) => label === name);
    return bytesOf(message.hex.slice(first * 2, last * 2).padStart(64, "0").slice(-64));
  });
  const signed = joined(new Uint8Array(64).fill(0x20), textBytes(`TLS 1.3, ${message.sender} CertificateVerify`), [0], await transcriptBefore(message));
  return crypto.subtle.verify({ name: "ECDSA", hash: "SHA-256" }, key, joined(r, s), signed);
}

async function verifyFinished(message) {
  const secret = bytesOf(picture.secrets[`${message.sender.toUpperCase()}_HANDSHAKE_TRAFFIC_SECRET`]);
  const key = await expandLabel(secret, "finished", hash === "SHA-384" ? 48 : 32);
  return hexOf(await hmac(key, await transcriptBefore(message))) === message.hex.slice(8);
}

async function check() {
  const findings = document.getElementById("findings");
  const tell = (isRight, text) => findings.append(h("li", { class: isRight ? "ok" : "bad" }, `${isRight ? "✓" : "✗"} ${text}`));
  findings.replaceChildren();
  if (!globalThis.crypto?.subtle) return tell(false, "This browser has no WebCrypto here. Open the page from disk, or over https.");
  if (!is13 || !picture.cipher.includes("GCM")) return tell(false, `The check is written for TLS 1.3 with AES-GCM; this is ${picture.version} with ${picture.cipher}.`);
  const sealed = picture.records.filter((record) => record.is_encrypted);
  let right = 0;
  for (const record of sealed) {
    const isSame = record.plain !== null && (await openRecord(record).catch(() => null)) === record.plain;
    right += isSame;
    for (const place of document.querySelectorAll(`.hs-check[data-record="${record.number}"]`)) {
      place.textContent = isSame ? "✓ Opened in this browser just now: it holds the message shown." : "✗ This browser cannot open it with the secrets given.";
      place.classList.add(isSame ? "ok" : "bad");
    }
  }
  tell(right === sealed.length, `${right} of ${plural(sealed.length, "encrypted record")} opened, and each holds the message that is shown.`);
  for (const message of picture.messages) {
    if (message.name === "CertificateVerify") tell(await verifySignature(message).catch(() => false), `The ${message.sender}'s signature over every message before it fits the public key in its certificate.`);
    if (message.name === "Finished") tell(await verifyFinished(message).catch(() => false), `The ${message.sender}'s Finished (${count(size(message.hex) - 4)} bytes) fits every message before it.`);
  }
}

document.getElementById("run").addEventListener("click", check);
