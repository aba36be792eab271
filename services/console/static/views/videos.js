// Videos: upload, follow, watch and delete them; and the path of their bytes, hop by hop.

import { Problem, answerOf, events, get, remove } from "../api.js";
import { ago, badge, bytes, clock, emptyState, errorState, facts, h, heading, shortName, skeleton } from "../ui.js";
import { recordSample } from "./sample.js";

const PAGE_SIZE = 24;
const LOOK_MILLISECONDS = 5000;
const MAX_STREAMS = 2; // a browser has six connections for a host: some are needed for all else
const UNDER_WAY = new Set(["pending", "processing"]);
const STATUS = {
  pending: ["working", "waiting"],
  processing: ["working", "transcoding"],
  completed: ["accepted", "playable"],
  failed: ["refused", "failed"],
};

let state = null;

export default {
  title: "Videos",
  path: "videos",

  mount(root, context) {
    state = makeState(root, context);
    root.append(
      heading(
        "Videos, and the path of their bytes",
        "Every hop but the first is mutual TLS: both ends prove who they are before a byte of video moves.",
      ),
      state.player,
      uploadArea(state),
      h("section", { "aria-labelledby": "list-title" }, h("div", { class: "spread list-head" }, h("h2", { id: "list-title" }, "In the queue"), state.age), state.problem, state.list, state.more),
    );
    state.list.append(skeleton("block", "block"));
    const timer = setInterval(() => document.hidden || refresh(state), LOOK_MILLISECONDS);
    const ageTimer = setInterval(() => drawAge(state), 1000);
    context.signal.addEventListener("abort", () => {
      clearInterval(timer);
      clearInterval(ageTimer);
      for (const stream of state.streams.values()) stream.close();
      state.upload?.abort();
    });
    // The streams of a page that nobody looks at would use up the connections of one that is.
    document.addEventListener("visibilitychange", () => follow(state), { signal: context.signal });
    context.signal.addEventListener("abort", context.status.subscribe((status) => {
      state.me = status.identity;
      state.servers = Object.fromEntries(status.servers.map((server) => [server.server, server]));
      for (const card of state.cards.values()) card.draw();
      state.opened?.draw();
    }));
    refresh(state).then(() => open(state, context.segments[0]));
  },

  update(segments) {
    open(state, segments[0]);
  },
};

function makeState(root, context) {
  return {
    root,
    context,
    me: "",
    servers: {},
    cards: new Map(), // id -> card, in the order of the list
    streams: new Map(), // id -> EventSource
    upload: null,
    opened: null,
    nextPage: null,
    pages: 1,
    at: 0,
    player: h("section", { class: "player-area", "aria-label": "Player", hidden: true }),
    problem: h("div", {}),
    list: h("div", { class: "videos" }),
    more: h("div", { class: "row more" }),
    age: h("span", { class: "small muted num" }),
  };
}

// --- The list ---

async function refresh(view) {
  const { signal } = view.context;
  try {
    let token = "";
    const found = [];
    for (let page = 0; page < view.pages; page += 1) {
      const answer = await get(`/api/videos?page_size=${PAGE_SIZE}${token && `&page_token=${encodeURIComponent(token)}`}`, { signal });
      found.push(...answer.videos);
      token = answer.next_page_token;
      if (!token) break;
    }
    view.nextPage = token;
    view.at = Date.now();
    view.problem.replaceChildren();
    drawList(view, found);
  } catch (error) {
    if (error.name === "AbortError") return;
    if (!(error instanceof Problem)) throw error;
    if (!view.cards.size) view.list.replaceChildren();
    showProblem(view, error);
  }
  drawAge(view);
}

/** A problem stays as it is while it stays the same: what is read is not taken from under the reader. */
function showProblem(view, error) {
  if (view.problem.dataset.message === error.message && view.problem.firstChild) return;
  view.problem.dataset.message = error.message;
  view.problem.replaceChildren(errorState(withAdvice(view, error), () => refresh(view)));
}

/** The gateway does not say why the queue is away; the console's own handshake with it does. */
function withAdvice(view, error) {
  const queue = view.servers["video-queue"];
  if (error.fix || ![503, 504].includes(error.status)) return error;
  const found = queue && !queue.accepted ? `A handshake with it says: ${queue.error}. ${queue.fix} ` : "";
  return new Problem(error.status, {
    detail: error.message,
    tried: error.tried,
    fix: `${found}Start the queue with: docker compose up -d video-queue. This list tries again every ${LOOK_MILLISECONDS / 1000} seconds by itself.`,
  });
}

function drawAge(view) {
  view.age.textContent = view.at ? `listed ${ago(view.at)}` : "";
}

function drawList(view, found) {
  const kept = new Set(found.map((video) => video.id));
  for (const id of view.cards.keys()) if (!kept.has(id)) forget(view, id);
  for (const video of found) put(view, video);
  const cards = found.map((video) => view.cards.get(video.id).element);
  const isSame = cards.length === view.list.children.length && cards.every((card, index) => card === view.list.children[index]);
  if (!isSame) {
    if (cards.length) view.list.replaceChildren(...cards);
    else view.list.replaceChildren(emptyState("No video yet", "Drop one above, or make a sample: four seconds of a moving test picture, recorded by this browser."));
  }
  view.more.replaceChildren();
  if (view.nextPage) {
    const button = h("button", { class: "button", type: "button", onclick: () => { view.pages += 1; refresh(view); } }, "Show older ones");
    view.more.append(button);
  }
  follow(view);
}

function put(view, video) {
  const card = view.cards.get(video.id);
  if (card) card.update(video);
  else view.cards.set(video.id, makeCard(view, video));
  if (view.opened?.id === video.id) view.opened.update(video);
}

function forget(view, id) {
  view.streams.get(id)?.close();
  view.streams.delete(id);
  view.cards.get(id)?.element.remove();
  view.cards.delete(id);
  if (view.opened?.id === id) view.context.navigate("videos");
}

/** Listen to the events of what is under way: of few videos at once, the others come with the list. */
function follow(view) {
  const wanted = document.hidden ? [] : [...view.cards.values()].filter((card) => UNDER_WAY.has(card.video.status)).slice(-MAX_STREAMS).map((card) => card.video.id);
  for (const [id, stream] of view.streams) {
    if (wanted.includes(id) && stream.readyState !== EventSource.CLOSED) continue;
    stream.close();
    view.streams.delete(id);
  }
  for (const id of wanted) {
    if (view.streams.has(id)) continue;
    const stream = events(`/api/videos/${id}/events`, {
      status(video) {
        put(view, video);
        if (!UNDER_WAY.has(video.status)) {
          view.context.announce(`${video.title}: ${STATUS[video.status][1]}`);
          follow(view);
        }
      },
      deleted: () => forget(view, id),
    });
    view.streams.set(id, stream);
  }
}

function makeCard(view, first) {
  const card = { video: first, element: h("article", { class: "card video" }), picture: null };
  const picture = h("div", { class: "picture" });
  const title = h("a", { href: `#/videos/${first.id}`, class: "title" }, first.title);
  const line = h("div", { class: "row" });
  const meta = h("p", { class: "small muted num" });
  const path = h("p", { class: "path small" });
  const actions = h("div", { class: "row" });
  card.element.append(picture, h("div", { class: "body" }, h("h3", {}, title), line, meta, path, actions));

  card.update = (video) => {
    card.video = video;
    card.draw();
  };
  card.draw = () => {
    const { video } = card;
    const key = JSON.stringify([video, view.me, seenOf(view)]);
    if (key === card.key) return; // nothing to see: nothing moves, and no focus is lost
    card.key = key;
    const [kind, word] = STATUS[video.status];
    drawPicture(picture, video);
    line.replaceChildren(badge(kind, word), ...(UNDER_WAY.has(video.status) ? [progressOf(video)] : []));
    meta.textContent = [bytes(video.size_bytes), lengthOf(video), video.owner === view.me ? "yours" : `of ${shortName(video.owner)}`].filter(Boolean).join(" · ");
    path.replaceChildren(...shortPath(view, video));
    if (actions.dataset.owner !== String(video.owner === view.me)) {
      actions.dataset.owner = String(video.owner === view.me);
      actions.replaceChildren(...(video.owner === view.me ? [deleteButton(view, video)] : []));
    }
  };
  card.draw();
  return card;
}

function drawPicture(place, video) {
  const has = video.renditions.some((rendition) => rendition.name === "thumbnail");
  if (place.dataset.has === String(has)) return;
  place.dataset.has = String(has);
  place.replaceChildren(
    has ? h("img", { src: `/api/videos/${video.id}/thumbnail`, alt: "", loading: "lazy", width: 320, height: 180 }) : h("span", { class: "small muted" }, "no picture yet"),
  );
}

function progressOf(video) {
  const percent = video.progress_percent;
  return h("span", { class: "row grow" },
    h("progress", { class: "progress", max: 100, value: percent, "aria-label": `${video.title}: transcoded` }),
    h("span", { class: "small num" }, `${percent} %`));
}

function lengthOf(video) {
  const rendition = playable(video)[0];
  return rendition ? `${rendition.duration_seconds.toFixed(1)} s` : "";
}

function playable(video) {
  return video.renditions.filter((rendition) => rendition.name !== "thumbnail").sort((a, b) => b.height - a.height);
}

function deleteButton(view, video) {
  const place = h("span", { class: "row" });
  const ask = h("button", { class: "button compact", type: "button" }, "Delete");
  ask.setAttribute("aria-label", `Delete ${video.title}`);
  ask.onclick = () => {
    const yes = h("button", { class: "button compact danger", type: "button" }, "Delete it for good");
    const no = h("button", { class: "button compact quiet", type: "button" }, "Keep it");
    no.onclick = () => { place.replaceChildren(ask); ask.focus(); };
    yes.onclick = async () => {
      yes.disabled = true;
      try {
        await remove(`/api/videos/${video.id}`);
        forget(view, video.id);
        view.context.announce(`${video.title} is deleted`);
        await refresh(view);
      } catch (error) {
        place.replaceChildren(ask);
        showProblem(view, error);
      }
    };
    place.replaceChildren(yes, no);
    yes.focus();
  };
  place.append(ask);
  return place;
}

// --- The path of the bytes ---

/** The hops of a video's bytes: who proved what to whom, and how we know. */
function pathOf(view, video) {
  const domain = view.me.replace(/[^/]*$/, "");
  const seen = (server) => view.servers[server];
  const served = (server) => seen(server)?.certificate;
  const stateOf = (server) => (seen(server) ? (seen(server).accepted ? "accepted" : "refused") : "unknown");
  const proof = (server) => {
    const certificate = served(server);
    if (!certificate) return seen(server)?.error ?? "not seen yet";
    return [certificate.identity, " ", h("span", { class: "nowrap" }, `serial ${certificate.serial.slice(0, 8)}…`)];
  };
  const uploader = shortName(video.owner);
  const isOurs = video.owner === view.me;
  const hops = [
    isOurs && {
      from: "browser", to: "console", how: `plain HTTP, ${location.host}`, state: "plain",
      proofs: [["browser proved", "that it has this console's token"], ["console proved", "nothing: this hop does not leave your machine"]],
      known: "the only hop without TLS; bound to loopback",
    },
    {
      from: isOurs ? "console" : uploader, to: "gateway", how: "HTTPS, mutual TLS 1.3", state: stateOf("gateway"),
      proofs: [[`${uploader} proved`, video.owner], ["gateway proved", proof("gateway")]],
      known: isOurs ? "seen by this console in its own handshakes" : "the uploader as the queue recorded it; the gateway as this console sees it",
    },
    {
      from: "gateway", to: "video-queue", how: "gRPC, mutual TLS 1.3", state: stateOf("video-queue"),
      proofs: [["gateway proved", `${domain}gateway`], ["queue proved", proof("video-queue")]],
      known: "the queue takes uploads from this name alone; what the queue shows is seen by this console",
    },
    video.status !== "pending" && {
      from: "transcoder", to: "video-queue", how: "gRPC, mutual TLS 1.3", state: stateOf("video-queue"),
      proofs: [["transcoder proved", `${domain}transcoder`], ["queue proved", proof("video-queue")]],
      known: "the queue gives work to this name alone; the transcoder shows its certificate to nobody else",
    },
  ];
  return hops.filter(Boolean);
}

/** What of the servers a page shows, and not how many milliseconds a handshake took. */
function seenOf(view) {
  return Object.values(view.servers).map((server) => [server.accepted, server.error, server.certificate?.serial]);
}

const SIGNS = { accepted: "✓", refused: "✗", unknown: "·", plain: "·" };
const SPOKEN = { accepted: "proven", refused: "away", unknown: "not seen yet", plain: "not encrypted" };

function shortPath(view, video) {
  const hops = pathOf(view, video);
  const line = (part) => h("span", { class: "line" }, h("span", { class: "mono" }, part[0].from), part.map((hop) => [" ", h("span", { class: "nowrap" },
    h("span", { class: `hop ${hop.state}` }, `${SIGNS[hop.state]}→ `, h("span", { class: "visually-hidden" }, `(${SPOKEN[hop.state]}) to `)),
    h("span", { class: "mono" }, hop.to))]));
  const work = hops.filter((hop) => hop.from === "transcoder");
  return [line(hops.filter((hop) => hop.from !== "transcoder")), work.length > 0 && line(work)].filter(Boolean);
}

function longPath(view, video) {
  return h("ol", { class: "hops" }, pathOf(view, video).map((hop) =>
    h("li", { class: hop.state },
      h("h3", {}, hop.from, h("span", { class: "arrow", "aria-label": "to" }, " → "), hop.to, " ",
        hop.state === "plain" ? badge("", "not encrypted") : hop.state === "accepted" ? badge("encrypted", "mutual TLS") : badge("refused", SPOKEN[hop.state])),
      h("p", { class: "small muted" }, hop.how),
      facts(hop.proofs),
      h("p", { class: "small muted" }, hop.known))));
}

// --- The player ---

async function open(view, id) {
  if (!id) {
    view.opened = null;
    view.player.hidden = true;
    view.player.replaceChildren();
    return;
  }
  if (view.opened?.id === id) return;
  let video = view.cards.get(id)?.video;
  view.player.hidden = false;
  if (!video) {
    view.player.replaceChildren(skeleton("block"));
    try {
      video = await get(`/api/videos/${encodeURIComponent(id)}`, { signal: view.context.signal });
    } catch (error) {
      if (error.name !== "AbortError") view.player.replaceChildren(errorState(withAdvice(view, error), () => open(view, id)));
      return;
    }
  }
  view.opened = makePlayer(view, video);
  view.player.replaceChildren(view.opened.element);
  view.player.scrollIntoView({ block: "nearest" });
  view.opened.heading.focus({ preventScroll: true });
}

function makePlayer(view, first) {
  const player = { id: first.id, video: first, shown: "" };
  const screen = h("div", { class: "screen" });
  const controls = h("div", { class: "row player-controls" });
  const info = h("div", {});
  const path = h("div", {});
  player.heading = h("h2", { tabindex: "-1" }, first.title);
  player.element = h("div", { class: "card player" },
    h("div", { class: "spread" }, player.heading, h("a", { class: "button compact quiet", href: "#/videos" }, "Close")),
    h("div", { class: "columns" },
      h("div", { class: "stack" }, screen, controls, info),
      h("div", {}, h("h3", { class: "path-title" }, "The path of its bytes"), path)));

  player.update = (video) => {
    player.video = video;
    player.draw();
  };
  player.draw = () => {
    const { video } = player;
    const key = JSON.stringify([video, view.me, seenOf(view)]);
    if (key === player.key) return;
    player.key = key;
    if (player.shown !== video.status + playable(video).length) {
      player.shown = video.status + playable(video).length;
      drawScreen(screen, controls, video);
    }
    if (UNDER_WAY.has(video.status)) {
      screen.replaceChildren(h("div", { class: "waiting" }, h("p", {}, video.status === "pending" ? "Waiting for a transcoder." : "A transcoder makes its renditions."), progressOf(video)));
    }
    info.replaceChildren(facts([
      ["owner", video.owner],
      ["uploaded", `${new Date(video.created_at).toLocaleDateString()} ${clock(video.created_at)}`],
      ["source", `${bytes(video.size_bytes)}, ${video.content_type}`],
      ["SHA-256", video.sha256],
      ["failed, because", video.failure_reason],
    ]));
    path.replaceChildren(longPath(view, video));
  };
  player.draw();
  return player;
}

const RELOADS = 6; // of a film that breaks off, after 2, 4, 8, ... seconds

function drawScreen(screen, controls, video) {
  const renditions = playable(video);
  controls.replaceChildren();
  screen.replaceChildren();
  if (video.status === "failed") screen.append(h("div", { class: "waiting" }, badge("refused", "failed"), h("p", {}, video.failure_reason)));
  if (!renditions.length || UNDER_WAY.has(video.status)) return;
  const source = (rendition) => `/api/videos/${video.id}/renditions/${rendition.name}`;
  const film = h("video", { controls: true, preload: "metadata", playsinline: true, "aria-label": video.title, src: source(renditions[0]) });
  film.style.aspectRatio = `${renditions[0].width} / ${renditions[0].height}`;
  const quality = h("select", { onchange: () => ((tries = 0), load()) },
    renditions.map((rendition) => h("option", { value: rendition.name }, `${rendition.name} · ${rendition.width}×${rendition.height} · ${bytes(rendition.size_bytes)}`)));
  const note = h("p", { class: "small muted", role: "status" });
  const wish = { time: 0, play: false }; // where a film that is loaded again goes on
  let tries = 0;
  let again;
  const load = () => {
    clearTimeout(again);
    if (film.isConnected) film.src = source(renditions[quality.selectedIndex]);
  };
  const loadLater = () => {
    clearTimeout(again);
    if (tries < RELOADS) again = setTimeout(load, 2000 * 2 ** tries++);
  };
  // A download that breaks off is an error, or leaves the film waiting without a word.
  film.addEventListener("error", () => {
    note.textContent = tries < RELOADS
      ? "It cannot be played now: the gateway or the queue may be away. It is tried again by itself."
      : "It cannot be played: the gateway or the queue may be away, or the browser does not know H.264. Choose a quality to try again.";
    loadLater();
  });
  for (const event of ["waiting", "stalled"]) film.addEventListener(event, () => wish.play && loadLater());
  film.addEventListener("play", () => (wish.play = true));
  film.addEventListener("pause", () => (wish.play = false));
  film.addEventListener("timeupdate", () => (wish.time = film.currentTime || wish.time));
  film.addEventListener("loadedmetadata", () => {
    if (wish.time) film.currentTime = wish.time;
    if (wish.play) film.play();
  });
  film.addEventListener("playing", () => {
    clearTimeout(again);
    tries = 0;
    note.textContent = "";
  });
  screen.append(film);
  controls.append(h("label", { class: "field" }, "Quality", quality), note);
}

// --- Uploading ---

function uploadArea(view) {
  const input = h("input", { type: "file", id: "file", hidden: true, accept: "video/*,.mkv" });
  const choose = h("button", { class: "button primary", type: "button", onclick: () => input.click() }, "Choose a video");
  const sample = h("button", { class: "button", type: "button" }, "Make a sample video");
  const progress = h("div", { class: "uploading" });
  const area = h("section", { class: "drop", "aria-label": "Upload" },
    h("div", { class: "row" }, input, choose, sample, h("span", { class: "muted" }, "or drop one here")), progress);
  input.onchange = () => {
    if (input.files.length) upload(view, progress, input.files[0], titleOf(input.files[0].name));
    input.value = "";
  };
  sample.onclick = async () => {
    sample.disabled = true;
    try {
      const file = await recordSample(progress, view.context.signal);
      if (file) await upload(view, progress, file, `Sample, made at ${clock(Date.now())}`);
    } finally {
      sample.disabled = false;
    }
  };
  const { signal } = view.context;
  const stop = (event) => event.preventDefault();
  addEventListener("dragover", (event) => { stop(event); area.classList.add("over"); }, { signal });
  addEventListener("dragleave", (event) => event.relatedTarget || area.classList.remove("over"), { signal });
  addEventListener("drop", (event) => {
    stop(event);
    area.classList.remove("over");
    const file = event.dataTransfer.files[0];
    if (file) upload(view, progress, file, titleOf(file.name));
  }, { signal });
  return area;
}

function titleOf(name) {
  return name.replace(/\.[^.]*$/, "").slice(0, 200) || "Untitled";
}

async function upload(view, place, file, title) {
  if (view.upload) {
    view.context.announce("One upload is under way: wait for its end, or cancel it");
    return;
  }
  const key = crypto.randomUUID(); // the same for every attempt: it is stored once, however often sent
  const attempt = async () => {
    const sending = new XMLHttpRequest();
    view.upload = sending;
    const bar = h("progress", { class: "progress", max: 1, value: 0, "aria-label": `${title}: uploaded` });
    const count = h("span", { class: "small muted num" }, `0 B of ${bytes(file.size)}`);
    const cancel = h("button", { class: "button compact", type: "button", onclick: () => sending.abort() }, "Cancel");
    place.replaceChildren(h("div", { class: "spread" }, h("strong", {}, title), count, cancel), bar);
    sending.upload.onprogress = (event) => {
      bar.value = event.loaded / event.total;
      const part = event.loaded === event.total ? "all sent, waiting for the queue to confirm" : `${bytes(event.loaded)} of ${bytes(event.total)}`;
      count.textContent = part;
    };
    try {
      const video = await send(sending, file, title, key);
      place.replaceChildren(h("p", {}, badge("accepted", "stored"), ` ${video.title}, ${bytes(video.size_bytes)}, owner ${shortName(video.owner)}`));
      view.context.announce(`${video.title} is stored`);
      view.upload = null;
      await refresh(view);
      view.context.navigate("videos", video.id);
    } catch (error) {
      view.upload = null;
      if (error.name === "AbortError") {
        place.replaceChildren(h("p", { class: "muted" }, `${title}: cancelled, nothing was stored.`));
        return;
      }
      place.replaceChildren(errorState(withAdvice(view, error), attempt));
    }
  };
  await attempt();
}

function send(sending, file, title, key) {
  const form = new FormData();
  form.append("title", title);
  form.append("file", file, file.name); // last: the gateway passes it on while it arrives
  return new Promise((resolve, reject) => {
    const tried = "POST /api/videos";
    sending.onload = () => {
      try {
        resolve(answerOf(sending.status, sending.responseText, tried));
      } catch (error) {
        reject(error);
      }
    };
    sending.onerror = () => reject(new Problem(0, {
      detail: "The upload broke off.",
      tried,
      fix: "Try again: it is stored once, however often it is sent. If it breaks off again, look at the log of the console: docker compose logs console",
    }));
    sending.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    sending.open("POST", "/api/videos");
    sending.setRequestHeader("Idempotency-Key", `"${key}"`);
    sending.send(form);
  });
}
