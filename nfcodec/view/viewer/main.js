/** The page: it reads what is inside it, starts the decoder and the view of the file's kind, and shows what they say. */
import { Controls } from "./controls.js";
import { Decoding } from "./decoding.js";
import { contextOf, isSoftware } from "./gl.js";
import { ImageView } from "./image.js";
import { SceneView } from "./scene.js";
import { withoutShader } from "./shader/field.js";
import { SurfaceView } from "./surface.js";
import { VolumeView } from "./volume.js";
import { counted, sizeText, times } from "./words.js";

const byId = (id) => document.getElementById(id);

function bytesOf(id) {
  const binary = atob(byId(id).textContent.trim());
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

async function inflated(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}


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

  /** The field of a file of one. */
  get field() {
    return this.decoding.fields[0];
  }

  /** A canvas without a past, no controls, and words about how it is drawn. */
  fresh(note) {
    const canvas = this.canvas.cloneNode();
    this.canvas.replaceWith(canvas);
    this.canvas = canvas;
    this.controls.clear();
    this.partsRoot = byId("parts");
    this.partsRoot.replaceChildren();
    byId("note").textContent = note;
  }

  /** Bytes and dB of the first n levels in the head of the page. */
  describe(n) {
    const { kind, extent, nChannels, nParts, fields, fileBytes, sourceBytes, levelBytes, levelDb, quality, nLevels } = this.facts;
    const bytes = levelBytes.slice(n).reduce((sum, b) => sum - b, fileBytes);
    const db = n === nLevels && quality ? quality : levelDb?.[n - 1] !== undefined ? `${levelDb[n - 1].toFixed(1)} dB` : null;
    const channels = nChannels > 1 ? `, ${nChannels} channels` : "";
    const what = fields ? `${counted(nParts, "part")} of ${counted(fields.length, "field")}` : `${times([...extent].reverse())}${channels}`;
    const source = sourceBytes ? `source ${sizeText(sourceBytes)}` : null;
    const levels = n < nLevels ? `${n} of ${nLevels} levels` : null;
    byId("about").textContent = [`${kind}, ${what}`, levels, sizeText(bytes), db, source].filter(Boolean).join(" · ");
  }

  /** The slider of the level of detail. */
  levelSlider(onChange) {
    const { nLevels, resolutions } = this.facts;
    if (nLevels < 2) return;
    const says = (level) => (resolutions[level]?.length ? times([...resolutions[level]].reverse()) : `level ${level + 1}`);
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

const VIEWS = { image: ImageView, surface: SurfaceView, volume: VolumeView, scene: SceneView };

function kindOf({ nodes, fields }) {
  if (nodes) return "scene";
  const { surface, nAxes } = fields[0].spec;
  return surface ? "surface" : nAxes === 2 ? "image" : "volume";
}

/** What WebGL 2 this browser has: "none", "software" or "gpu". A canvas has one context for ever, so one of its own is asked. */
function webgl() {
  const gl = contextOf(document.createElement("canvas"));
  if (!gl) return "none";
  const found = isSoftware(gl) ? "software" : "gpu";
  gl.getExtension("WEBGL_lose_context")?.loseContext();
  return found;
}

/** Whether WebGL is to draw, and in words why not, or how. The address may say ?gl or ?cpu. */
function choice({ wish, webgl: found, decoding, field }) {
  const image = kindOf(decoding) === "image";
  // lattices of three axes need no shader of the field
  const reason = wish.has("cpu") ? "the address" : image ? withoutShader(field.spec) : null;
  if (reason) return [false, `evaluated on the CPU, because of ${reason}`];
  if (found === "none") return [false, "evaluated on the CPU: this browser has no WebGL 2"];
  if (found === "gpu" || wish.has("gl")) return [true, ""];
  return image ? [false, "evaluated on the CPU: there is no GPU"] : [true, "there is no GPU: drawn from a lattice of the field"];
}

/** Starts the view of the file's kind, anew without a GPU where that fails. */
async function show(page, byGpu, note) {
  page.fresh(note);
  page.gl = byGpu ? contextOf(page.canvas) : null;
  page.view = new VIEWS[kindOf(page.decoding)](page);
  const lost = (reason) => show(page, false, `evaluated on the CPU: ${reason}`);
  page.canvas.addEventListener("webglcontextlost", () => (page.started = lost("the GPU gave up")));
  try {
    await page.view.start();
  } catch (error) {
    if (!page.gl) throw error;
    return lost(error.message);
  }
  page.controls.help();
  for (const field of page.decoding.fields) if (field.levels.length) await page.view.grown(field, 0);
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
    begun: () => {
      performance.mark("header");
      document.body.dataset.kind = kindOf(page.decoding);
      page.started = show(page, ...choice(page));
      page.started.catch(failed);
    },
    levels: (field, first) => page.started.then(() => page.view.grown(field, first)),
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
