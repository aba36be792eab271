// The parts that every view is made of. Text goes in as text, never as markup.

/** h("a", {href, class, onclick, data: {}, style: {"--x": 1}}, "text", child, ...) makes an element. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, text);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A view for app.js: each time it is mounted, a new View(root, context); show(segments) follows its address. */
export function viewOf(title, path, View) {
  let view = null;
  return {
    title,
    path,
    mount(root, context) {
      view = new View(root, context);
    },
    update(segments) {
      view.show(segments);
    },
    unmount() {
      view = null;
    },
  };
}

/** The heading of a view: what is seen, and how it came about. */
export function heading(title, ...lead) {
  return h("header", {}, h("h1", {}, title), h("p", {}, ...lead));
}

/** kind: accepted, refused, encrypted, expiring, working, or none; the sign comes from the style. */
export function badge(kind, text) {
  return h("span", { class: `badge ${kind ?? ""}` }, text);
}

/** Facts as [[name, value], ...]; empty values are left out. */
export function facts(pairs) {
  const kept = pairs.filter(([, value]) => value !== undefined && value !== null && value !== "");
  return h("dl", { class: "facts" }, kept.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

/** A command or bytes, with a button that copies it. */
export function code(text, label = "Copy") {
  const button = h("button", { class: "button quiet compact", type: "button" }, label);
  button.setAttribute("aria-label", `${label}: ${text}`);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Select it";
      getSelection().selectAllChildren(pre);
    }
    setTimeout(() => (button.textContent = label), 1500);
  });
  const pre = h("pre", { tabindex: "0", role: "group", "aria-label": "Command" }, text);
  return h("div", { class: "code" }, pre, button);
}

/** What is shown where there is nothing: a sentence, and what can be done. */
export function emptyState(title, text, ...actions) {
  return h("div", { class: "state" }, h("h2", {}, title), h("p", { class: "muted" }, text), h("div", { class: "row" }, actions));
}

/** What went wrong, what was tried, what to do. `error` is a Problem of api.js. */
export function errorState(error, retry) {
  return h(
    "div",
    { class: "state error", role: "alert" },
    h("h2", {}, error.message),
    facts([["tried", error.tried], ["what to do", error.fix], ["reason", error.reason]]),
    retry && h("button", { class: "button", type: "button", onclick: retry }, "Try again"),
  );
}

/** The outline of what is to come: skeleton("line", "block"). */
export function skeleton(...kinds) {
  return h("div", { class: "stack", "aria-hidden": "true" }, kinds.map((kind) => h("div", { class: `skeleton ${kind}` })));
}

export function bytes(count) {
  if (count < 1000) return `${count} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let power = -1;
  do {
    count /= 1000;
    power += 1;
  } while (count >= 999.5 && power < units.length - 1);
  return `${count < 10 ? count.toFixed(1) : Math.round(count)} ${units[power]}`;
}

/** A length of time, in the two largest units: 7 h 59 min. */
export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = parts.findIndex(([, size]) => whole >= size);
  if (first < 0) return "0 s";
  let rest = whole;
  return parts
    .slice(first, first + 2)
    .map(([unit, size]) => {
      const count = Math.floor(rest / size);
      rest -= count * size;
      return count || unit === parts[first][0] ? `${count} ${unit}` : "";
    })
    .filter(Boolean)
    .join(" ");
}

export function clock(time) {
  return new Date(time).toLocaleTimeString([], { hour12: false });
}

export function ago(time, now = Date.now()) {
  const seconds = Math.max(0, Math.round((now - time) / 1000));
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}

/** The path of a SPIFFE ID: spiffe://video-demo.test/console -> console. */
export function shortName(identity) {
  return identity.replace(/^spiffe:\/\/[^/]+\//, "");
}
