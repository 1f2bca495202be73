/** A file being decoded: headers and levels of its fields as they come, and lattices on demand. */
import { Network } from "../network.js";
import { serve } from "./service.js";

/** A worker that runs the modules of this page; null where pages may have none. */
function startWorker() {
  try {
    const modules = document.getElementById("modules").textContent;
    const source = new Blob([modules, '\nnfld("viewer/worker.js");'], { type: "text/javascript" });
    return new Worker(URL.createObjectURL(source));
  } catch {
    return null;
  }
}

/** What is there of a field, and its decoder's answers. */
class DecodedField {
  constructor(part, { spec, tensors, guaranteed, colour }, ask) {
    /** colour: "#rrggbb" of a surface without channels of colours, or null. */
    Object.assign(this, { spec, guaranteed, colour });
    this.network = new Network(spec, tensors.map(({ shift }) => shift), tensors.map(({ values }) => values));
    /** Integers by level, as far as they are there. */
    this.levels = [];
    /** A promise of what the method of Field gives: `name` is lattice or decode. */
    this.ask = (name, options = {}) => ask(name, { part, ...options });
  }
}

export class Decoding {
  /** on: `{begun(), levels(field, first), done({warnings}), error(message)}`; begun when the nodes of a scene or the header of a field are there. */
  constructor(bytes, on) {
    this.on = on;
    /** Those that are there. */
    this.fields = [];
    /** Those of a scene; see ../scene.js. */
    this.nodes = null;
    this.waiting = new Map();
    const worker = startWorker();
    if (worker) {
      worker.onmessage = ({ data }) => this.#take(data);
      worker.onerror = (event) => this.on.error(event.message || "the decoder did not start");
      this.send = (message) => worker.postMessage(message);
    } else {
      const answer = serve((message) => this.#take(message));
      this.send = (message) => setTimeout(() => answer(message), 0);
    }
    this.send({ open: bytes });
  }

  #take({ id, nodes, part, header, levels, first, done, warnings, result, error }) {
    if (id !== undefined) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    } else if (error) this.on.error(error);
    else if (nodes) {
      this.nodes = nodes;
      this.on.begun();
    } else if (header) {
      this.fields[part] = new DecodedField(part, header, (name, options) => this.#ask(name, options));
      if (!this.nodes) this.on.begun();
    } else if (levels) {
      const field = this.fields[part];
      field.levels.splice(first, levels.length, ...levels);
      this.on.levels(field, first);
    } else if (done) this.on.done({ warnings });
  }

  #ask(name, options) {
    const id = (this.last = (this.last ?? 0) + 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ id, [name]: options });
    });
  }
}
