/** The page: it reads what is inside it, starts the decoder and the view of the file's kind, and shows what they say. */
import { Controls } from "./controls.js";
import { Decoding } from "./decoding.js";
import { contextOf, isSoftware } from "./gl.js";
import { ImageView } from "./image.js";
import { withoutShader } from "./shader/field.js";
import { SurfaceView } from "./surface.js";
import { VolumeView } from "./volume.js";

const byId = (id) => document.getElementById(id);

function bytesOf(id) {
  const binary = atob(byId(id).textContent.trim());
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const sizeText = (n) => (n < 1000 ? `${n} B` : n < 1e6 ? `${(n / 1e3).toPrecision(n < 1e4 ? 2 : 3)} KB` : `${(n / 1e6).toPrecision(3)} MB`);
const times = (numbers) => numbers.join(" × ");

/** What the views share: the canvas, the decoder, controls and words. */
class Page {
  constructor() {
    this.facts = JSON.parse(byId("facts").textContent);
    this.canvas = byId("canvas");
    this.controls = new Controls(byId("controls"));
    this.complete = false;
    /** What the address asks for: ?gl, ?cpu. */
    this.wish = new URLSearchParams(location.search);
    this.onState = (state) => {
      document.body.dataset.state = this.complete ? state : "decoding";
    };
    this.onError = (text) => {
      byId("error").textContent = text;
      byId("error").hidden = false;
    };
    document.title = byId("name").textContent = this.facts.name;
    this.describe(this.facts.nLevels);
  }

  /** A canvas without a past, no controls, and words about how it is drawn. */
  fresh(note) {
    const canvas = this.canvas.cloneNode();
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    this.controls.clear();
    byId("note").textContent = note;
  }

  /** Bytes and dB of the first n levels in the head of the page. */
  describe(n) {
    const { kind, extent, nChannels, fileBytes, sourceBytes, levelBytes, levelDb, quality, nLevels } = this.facts;
    const bytes = levelBytes.slice(n).reduce((sum, b) => sum - b, fileBytes);
    const db = n === nLevels && quality ? quality : levelDb?.[n - 1] !== undefined ? `${levelDb[n - 1].toFixed(1)} dB` : null;
    const channels = nChannels > 1 ? `, ${nChannels} channels` : "";
    const source = sourceBytes ? `source ${sizeText(sourceBytes)}` : null;
    const levels = n < nLevels ? `${n} of ${nLevels} levels` : null;
    byId("about").textContent = [`${kind}, ${times([...extent].reverse())}${channels}`, levels, sizeText(bytes), db, source].filter(Boolean).join(" · ");
  }

  /** The slider of the level of detail. */
  levelSlider(onChange) {
    const { nLevels, resolutions } = this.facts;
    if (nLevels < 2) return;
    const says = (level) => (resolutions[level].length ? times([...resolutions[level]].reverse()) : `level ${level + 1}`);
    this.controls.slider("Detail", { min: 0, max: nLevels - 1, step: 1, value: nLevels - 1, says, keys: ["[", "]"] }, (level) => {
      this.describe(level + 1);
      onChange(level);
    });
  }

  /** Words over parts of the canvas: `{text, x, y, width}`. */
  labels(list) {
    byId("labels").replaceChildren(
      ...list.map(({ text, x, y, width }) => {
        const label = document.createElement("span");
        label.textContent = text;
        Object.assign(label.style, { left: `${x}px`, top: `${y}px`, maxWidth: `${width}px` });
        return label;
      }),
    );
  }

  divider(part) {
    const line = byId("divider");
    line.hidden = part === null;
    if (part !== null) line.style.left = `${100 * part}%`;
  }

  tell(text) {
    byId("reading").textContent = text;
  }

  /** The source that the page holds: what is said of it, and its bytes as a picture's or as they were before they were deflated; or null. */
  get source() {
    if (!this.facts.source) return null;
    return { facts: this.facts.source, blob: () => new Blob([bytesOf("source")], { type: this.facts.source.type }), inflated: () => inflated(bytesOf("source")) };
  }
}

const VIEWS = { image: ImageView, surface: SurfaceView, volume: VolumeView };
const kindOf = (spec) => (spec.surface ? "surface" : spec.nAxes === 2 ? "image" : "volume");

/** What WebGL 2 this browser has: "none", "software" or "gpu". A canvas has one context for ever, so one of its own is asked. */
function webgl() {
  const gl = contextOf(document.createElement("canvas"));
  if (!gl) return "none";
  const found = isSoftware(gl) ? "software" : "gpu";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return found;
}

/** Whether WebGL is to draw, and in words why not, or how. The address may say ?gl or ?cpu. */
function choice({ wish, webgl: found }, spec) {
  const image = kindOf(spec) === "image";
  // lattices of three axes need no shader of the field
  const reason = wish.has("cpu") ? "the address" : image ? withoutShader(spec) : null;
  if (reason) return [false, `evaluated on the CPU, because of ${reason}`];
  if (found === "none") return [false, "evaluated on the CPU: this browser has no WebGL 2"];
  if (found === "gpu" || wish.has("gl")) return [true, ""];
  return image ? [false, "evaluated on the CPU: there is no GPU"] : [true, "there is no GPU: drawn from a lattice of the field"];
}

/** Starts the view of the file's kind, anew without a GPU where that fails. */
async function show(page, byGpu, note) {
  const { spec } = page.decoding;
  page.fresh(note);
  page.gl = byGpu ? contextOf(page.canvas) : null;
  page.view = new VIEWS[kindOf(spec)](page);
  const lost = (reason) => show(page, false, `evaluated on the CPU: ${reason}`);
  page.canvas.addEventListener("webglcontextlost", () => (page.started = lost("the GPU gave up")));
  try {
    await page.view.start();
  } catch (error) {
    if (!page.gl) throw error;
    return lost(error.message);
  }
  page.controls.help();
  if (page.decoding.levels.length) await page.view.grown(0);
  if (page.complete) page.view.completed();
}

function start() {
  const page = new Page();
  const failed = (error) => {
    document.body.dataset.state = "failed";
    page.onError(error.message ?? String(error));
  };
  page.onFailure = failed;
  addEventListener("error", (event) => failed(event.error ?? event.message));
  addEventListener("unhandledrejection", (event) => failed(event.reason));
  page.decoding = new Decoding(bytesOf("field"), {
    header: ({ spec }) => {
      performance.mark("header");
      document.body.dataset.kind = kindOf(spec);
      page.started = show(page, ...choice(page, spec));
      page.started.catch(failed);
    },
    levels: (_, first) => page.started.then(() => page.view.grown(first)),
    done: ({ warnings }) =>
      page.started.then(async () => {
        performance.mark("levels");
        page.complete = true;
        page.view.completed();
        await page.view.changed();
        if (warnings.length) page.onError(warnings[0]);
      }),
    error: failed,
  });
  // while the decoder starts beside the page
  page.webgl = webgl();
  globalThis.viewer = page;
}

start();
