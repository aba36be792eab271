// Certificates: a time line of every identity's, and what happens on new connections while they change.

import { Problem, events } from "../api.js";
import { ago, badge, clock, code, duration, emptyState, errorState, facts, h, heading, s, shortName, skeleton } from "../ui.js";

const BEATS = 120;
const LANES = [
  ["request", "request", "GET /videos, through gateway and queue"],
  ["gateway", "gateway", "a new connection, HTTPS"],
  ["video-queue", "video-queue", "a new connection, gRPC"],
];
const COMMANDS = [
  ["renew --now", "Issue every certificate again. The serials above change; nothing else may."],
  ["revoke client/viewer", "Revoke one, and issue another. New lists reach every service within seconds."],
  ["rotate-ca", "Replace the root itself, in stages: it says how far it is, and what is next."],
];

let view = null;

export default {
  title: "Certificates",
  path: "certificates",

  mount(root, context) {
    view = {
      context,
      beats: [],
      identities: [],
      at: 0,
      line: h("div", { class: "timeline" }, skeleton("line", "block")),
      pulse: h("div", { class: "pulse" }, skeleton("line", "block")),
      failures: h("div", { class: "failures" }),
      age: h("span", { class: "small muted num" }),
      problem: h("div", {}),
      commands: h("div", { class: "commands" }),
    };
    root.append(
      heading("Certificates, renewed while you watch", "Each lives for a day or less. Run a command below in a terminal: a new bar appears, and the requests stay green, or they say loudly why not."),
      view.problem,
      h("section", { "aria-labelledby": "pulse-title" }, h("div", { class: "spread" }, h("h2", { id: "pulse-title" }, "Once a second, on new connections"), view.age), view.pulse, view.failures),
      h("section", { "aria-labelledby": "line-title" }, h("h2", { id: "line-title" }, "Every identity's certificate"), view.line),
      h("section", { "aria-labelledby": "commands-title" }, h("h2", { id: "commands-title" }, "Change them, in a terminal"), view.commands),
    );
    context.signal.addEventListener("abort", context.status.subscribe((status) => drawCommands(view, status.certs_command)));
    drawCommands(view, context.status.current?.certs_command ?? "docker compose run --rm certs");
    listen(view);
    const timer = setInterval(() => {
      drawAge(view);
      moveNow(view);
    }, 1000);
    context.signal.addEventListener("abort", () => clearInterval(timer));
  },
};

function listen(view) {
  const { signal } = view.context;
  events("/api/certificates/events", {
    identities(found) {
      view.identities = found;
      drawTimeline(view);
    },
    beats(found) {
      view.problem.replaceChildren();
      view.at = Date.parse(found.at(-1).at);
      announceChanges(view, found);
      view.beats = [...view.beats, ...found].slice(-BEATS);
      drawPulse(view);
      drawAge(view);
    },
  }, {
    signal,
    onerror(isOver) {
      view.problem.replaceChildren(errorState(new Problem(0, {
        detail: "The console tells nothing any more: what is below is old.",
        tried: "GET /api/certificates/events",
        fix: isOver ? "Reload the page. If the console was restarted, open the address that it printed." : "The browser tries again by itself, every few seconds.",
      })));
    },
  });
}

function announceChanges(view, found) {
  const last = view.beats.at(-1);
  if (!last) return;
  let before = last;
  for (const beat of found) {
    for (const lane of beat.lanes) {
      const previous = before.lanes.find((each) => each.lane === lane.lane);
      if (lane.ok !== previous?.ok) view.context.announce(lane.ok ? `${lane.lane}: answers again` : `${lane.lane}: ${lane.error}`);
      else if (lane.serial && previous.serial && lane.serial !== previous.serial) view.context.announce(`${lane.lane} serves a new certificate`);
    }
    before = beat;
  }
}

function drawAge(view) {
  view.age.textContent = view.at ? `updated ${ago(view.at)}` : "";
}

// --- Once a second ---

function drawPulse(view) {
  view.pulse.replaceChildren(...LANES.map(([lane, name, how]) => drawLane(view, lane, name, how)));
  const failures = view.beats.flatMap((beat) => beat.lanes.filter((lane) => !lane.ok).map((lane) => ({ at: beat.at, ...lane })));
  const grouped = [];
  for (const failure of failures) {
    const last = grouped.find((each) => each.lane === failure.lane && each.error === failure.error);
    if (last) {
      last.count += 1;
      last.until = failure.at;
    } else grouped.push({ ...failure, count: 1, until: failure.at });
  }
  view.failures.replaceChildren(...grouped.slice(-6).reverse().map((failure) =>
    h("div", { class: "failure" },
      badge("refused", `${failure.lane}: ${failure.count} failed`),
      h("span", { class: "small num" }, failure.count > 1 ? `${clock(failure.at)} to ${clock(failure.until)}` : clock(failure.at)),
      h("span", { class: "mono" }, failure.error),
      failure.fix && h("span", { class: "small" }, failure.fix))));
}

function drawLane(view, lane, name, how) {
  const results = view.beats.map((beat) => beat.lanes.find((each) => each.lane === lane)).filter(Boolean);
  const ok = results.filter((result) => result.ok).length;
  const last = results.at(-1);
  const changes = [];
  const picture = s("svg", { viewBox: `0 0 ${BEATS * 6} 32`, preserveAspectRatio: "none", class: "beats", role: "img", "aria-label": `${name}: ${ok} of ${results.length} succeeded in the last ${duration(results.length)}` });
  let serial = "";
  results.forEach((result, index) => {
    const x = (BEATS - results.length + index) * 6;
    if (result.serial && serial && result.serial !== serial) {
      changes.push({ result, x });
      picture.append(s("rect", { x: x - 1.5, y: 0, width: 2, height: 32, class: "change" }));
    }
    serial = result.serial || serial;
    picture.append(result.ok ? s("rect", { x: x + 1, y: 14, width: 4, height: 10, class: "ok" }) : s("rect", { x, y: 0, width: 6, height: 32, class: "bad" }));
  });
  return h("div", { class: "lane" },
    h("div", {}, h("strong", {}, name), h("div", { class: "small muted" }, how)),
    picture,
    h("div", { class: "lane-state small num" },
      last.ok ? badge("accepted", `${ok} of ${results.length}`) : badge("refused", `${results.length - ok} of ${results.length} failed`),
      h("span", { class: "mono" }, last.ok ? `${last.milliseconds.toFixed(1)} ms` : "now failing"),
      last.serial && h("span", { class: "mono", data: { serial: last.serial } }, `serial ${short(last.serial)}`),
      changes.length > 0 && h("span", { class: "badge working" }, changes.length === 1 ? "1 new certificate" : `${changes.length} new certificates`)));
}

function short(serial) {
  return `${serial.slice(0, 8)}…`;
}

// --- The time line ---

function drawTimeline(view) {
  const all = view.identities.flatMap((identity) => identity.certificates);
  if (!all.length) {
    view.line.replaceChildren(emptyState("No certificate seen yet", "Neither gateway nor queue has answered a handshake. This fills as soon as one does."));
    return;
  }
  const begin = Math.min(...all.map((each) => Date.parse(each.not_before)));
  const end = Math.max(...all.map((each) => Date.parse(each.not_after)));
  view.range = { begin, end };
  const place = (time) => `${(100 * (Date.parse(time) - begin)) / (end - begin)}%`;
  view.nows = [];
  const axis = h("div", { class: "track axis", "aria-hidden": "true" }, ticks(begin, end).map(([left, text]) => h("span", { class: "tick small num", style: { left: `${left}%` } }, text)));
  view.line.replaceChildren(
    h("div", { class: "identity legend small" }, h("span", { class: "muted" }, "the bar is its life; ", h("span", { class: "due-sign" }, "◆"), " renewal is due; ", h("span", { class: "now-sign" }, "|"), " now"), axis),
    ...view.identities.map((identity) => drawIdentity(view, identity, place)),
    h("p", { class: "small muted" }, "An identity that is not listed serves nothing that this console may connect to, and its certificate was not published to it."),
  );
  moveNow(view);
}

function ticks(begin, end) {
  const steps = [10, 30, 60, 300, 900, 3600, 4 * 3600, 6 * 3600, 12 * 3600, 86400, 7 * 86400].map((step) => step * 1000);
  const step = steps.find((each) => (end - begin) / each <= 6) ?? steps.at(-1);
  const offset = new Date(begin).getTimezoneOffset() * 60000;
  const found = [];
  for (let time = Math.ceil((begin - offset) / step) * step + offset; time < end; time += step) {
    const left = (100 * (time - begin)) / (end - begin);
    if (left > 86) break;
    const moment = new Date(time);
    const text = step >= 86400000 ? moment.toLocaleDateString([], { day: "numeric", month: "short" }) : moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", ...(step < 60000 && { second: "2-digit" }), hour12: false });
    found.push([left, text]);
  }
  return found;
}

function drawIdentity(view, identity, place) {
  const current = identity.certificates.at(-1);
  const now = h("i", { class: "now" });
  view.nows.push(now);
  const bars = identity.certificates.map((certificate, index) => {
    const isCurrent = certificate === current;
    const bar = h("i", {
      class: `bar ${isCurrent ? "current" : "past"} ${certificate.revoked ? "revoked" : ""}`,
      style: { left: place(certificate.not_before), right: `calc(100% - ${place(certificate.not_after)})`, "--row": index },
    });
    const due = isCurrent && h("i", { class: "due", style: { left: place(certificate.renewal_due), "--row": index } }, "◆");
    return [bar, due];
  });
  const track = h("div", { class: "track", "aria-hidden": "true", style: { "--rows": identity.certificates.length } }, bars, now);
  const before = identity.certificates.length - 1;
  return h("article", { class: "identity", data: { identity: shortName(identity.identity) } },
    h("div", { class: "who" },
      h("h3", { class: "mono" }, shortName(identity.identity)),
      h("p", { class: "small muted" }, identity.how)),
    h("div", {}, track,
      h("details", { class: "small" },
        h("summary", {}, h("span", { class: "row inline" }, stateOf(current), h("span", { class: "mono" }, short(current.serial)), h("span", { class: "muted num" }, `until ${clock(current.not_after)}, in ${duration((Date.parse(current.not_after) - Date.now()) / 1000)}`), before > 0 && h("span", { class: "muted" }, `after ${before} before it`))),
        identity.certificates.toReversed().map((certificate) => facts([
          ["serial", certificate.serial],
          ["state", certificate.revoked ? "revoked" : certificate === current ? "in use" : "replaced"],
          ["issued", when(certificate.not_before)],
          ["renewal due", when(certificate.renewal_due)],
          ["expires", when(certificate.not_after)],
          ["first seen", when(certificate.seen_at)],
          ["issuer", certificate.issuer],
          ["SHA-256", certificate.sha256],
        ])))));
}

function when(time) {
  return `${new Date(time).toLocaleDateString()} ${clock(time)}`;
}

function stateOf(certificate) {
  const left = Date.parse(certificate.not_after) - Date.now();
  if (certificate.revoked) return badge("refused", "revoked");
  if (left <= 0) return badge("refused", "expired");
  if (Date.now() > Date.parse(certificate.renewal_due)) return badge("expiring", "renewal is due");
  return badge("accepted", "valid");
}

function moveNow(view) {
  if (!view.range) return;
  const part = (Date.now() - view.range.begin) / (view.range.end - view.range.begin);
  for (const now of view.nows) now.style.left = `${Math.min(1, Math.max(0, part)) * 100}%`;
}

// --- Commands ---

function drawCommands(view, command) {
  if (view.command === command) return;
  view.command = command;
  view.commands.replaceChildren(...COMMANDS.map(([what, why]) => h("div", {}, h("p", { class: "small muted" }, why), code(`${command} ${what}`))));
}
