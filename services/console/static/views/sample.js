// A sample video, made on the spot: a moving test picture on a canvas, recorded by the browser.

import { h } from "../ui.js";

const [WIDTH, HEIGHT, FRAMES, SECONDS] = [1280, 720, 25, 4];
const KINDS = ["video/webm;codecs=vp8", "video/webm;codecs=vp9", "video/webm", "video/mp4"];
const BARS = ["#c8c8c8", "#c8c800", "#00c8c8", "#00c800", "#c800c8", "#c80000", "#0000c8"];

/** Record it, showing it in `place`; return the file, or null where the browser cannot record. */
export async function recordSample(place, signal) {
  const kind = globalThis.MediaRecorder && KINDS.find((each) => MediaRecorder.isTypeSupported(each));
  if (!kind) {
    place.replaceChildren(h("p", {}, "This browser cannot record. Make one in a terminal: ./scripts/sample_video video.mp4"));
    return null;
  }
  const canvas = h("canvas", { width: WIDTH, height: HEIGHT, role: "img", "aria-label": "The test picture that is recorded" });
  const line = h("p", { class: "small muted num" });
  place.replaceChildren(canvas, line);
  const recorder = new MediaRecorder(canvas.captureStream(FRAMES), { mimeType: kind, videoBitsPerSecond: 4_000_000 });
  const parts = [];
  recorder.ondataavailable = (event) => parts.push(event.data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  const begin = performance.now();
  draw(canvas, 0);
  recorder.start(500);
  await new Promise((resolve) => {
    const timer = setInterval(() => {
      const seconds = (performance.now() - begin) / 1000;
      draw(canvas, seconds);
      line.textContent = `recording ${Math.min(seconds, SECONDS).toFixed(1)} of ${SECONDS} s`;
      if (seconds < SECONDS && !signal.aborted) return;
      clearInterval(timer);
      resolve();
    }, 1000 / FRAMES);
  });
  recorder.stop();
  await stopped;
  if (signal.aborted) return null;
  const type = kind.split(";")[0];
  return new File(parts, `sample.${type.split("/")[1]}`, { type });
}

function draw(canvas, seconds) {
  const pen = canvas.getContext("2d");
  const width = WIDTH / BARS.length;
  BARS.forEach((colour, index) => {
    pen.fillStyle = colour;
    pen.fillRect(index * width, 0, width + 1, HEIGHT);
  });
  pen.fillStyle = "#101316";
  pen.fillRect(0, HEIGHT - 192, WIDTH, 192);
  pen.fillStyle = "#ffffff";
  const x = ((seconds * 320) % (WIDTH + 160)) - 160;
  pen.fillRect(x, HEIGHT - 224, 160, 32);
  pen.font = "600 88px sans-serif";
  pen.fillText(new Date().toLocaleTimeString([], { hour12: false }), 48, HEIGHT - 68);
  pen.font = "40px sans-serif";
  pen.fillText(`made in this browser · ${seconds.toFixed(2)} s`, 520, HEIGHT - 80);
}
