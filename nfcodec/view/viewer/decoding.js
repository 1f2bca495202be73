/** A file being decoded: its header and levels as they come, and lattices on demand. */
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

export class Decoding {
  /** on: `{header(decoding), levels(decoding), done(decoding), error(message)}`. */
  constructor(bytes, on) {
    this.on = on;
    /** Integers by level, as far as they are there. */
    this.levels = [];
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

  #take({ id, header, levels, first, done, warnings, result, error }) {
    if (id !== undefined) {
      const { resolve, reject } = this.waiting.get(id);
      this.waiting.delete(id);
      if (error) reject(new Error(error));
      else resolve(result);
    } else if (error) this.on.error(error);
    else if (header) {
      const { spec, tensors, guaranteed } = header;
      Object.assign(this, { spec, guaranteed });
      this.network = new Network(spec, tensors.map(({ shift }) => shift), tensors.map(({ values }) => values));
      this.on.header(this);
    } else if (levels) {
      this.levels.splice(first, levels.length, ...levels);
      this.on.levels(this, first);
    } else if (done) {
      this.warnings = warnings;
      this.on.done(this);
    }
  }

  /** A promise of what the method of Field gives: `name` is lattice or decode. */
  ask(name, options = {}) {
    const id = (this.last = (this.last ?? 0) + 1);
    return new Promise((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      this.send({ id, [name]: options });
    });
  }
}
