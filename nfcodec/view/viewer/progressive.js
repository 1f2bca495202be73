/**
 * Pictures in time: a coarse one at once, then finer ones, in strips short enough that the page stays responsive. How coarse and how
 * short follows from how long strips took before.
 */

import { Pace } from "./pace.js";

const FIRST_MS = 60; // of the first picture after a change
const STRIP_MS = 40;
const COARSEST = 16;

export class Progressive {
  /**
   * painter: `size()` -> [width, height] in device pixels; `begin(scale)`; `strip(from, to)`, a promise, rows of the picture
   * of 1 / scale of that size; `present()`. onState(state): "busy" or "done".
   */
  constructor(painter, onState = () => {}) {
    this.painter = painter;
    this.onState = onState;
    this.pace = new Pace(FIRST_MS / 1e4, STRIP_MS); // a guess: a small first picture
    this.stale = false;
    this.running = null;
  }

  /** Asks for a new picture. */
  request() {
    this.stale = true;
    this.running ??= this.#run().finally(() => (this.running = null));
    return this.running;
  }

  #firstScale([width, height]) {
    let scale = 1;
    while (scale < COARSEST && (this.pace.msPerItem * width * height) / scale ** 2 > FIRST_MS) scale *= 2;
    return scale;
  }

  async #run() {
    this.onState("busy");
    while (this.stale) {
      this.stale = false;
      const size = this.painter.size();
      let scale = this.#firstScale(size);
      let first = true;
      while (await this.#picture(size, scale, first)) {
        if (scale === 1 || this.stale) break;
        const due = this.#firstScale(size);
        scale = Math.max(1, Math.min(scale / 4, due));
        first = false;
      }
      // a turn of the browser's own, so that it shows what there is
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
    this.onState("done");
  }

  /** Whether it was finished; the first after a change always is. */
  async #picture(size, scale, first) {
    const [width, height] = size.map((n) => Math.ceil(n / scale));
    this.painter.begin(scale);
    for (let row = 0; row < height; ) {
      const rows = Math.min(Math.max(1, Math.round(this.pace.items / width)), height - row);
      const from = row;
      await this.pace.turn(rows * width, () => this.painter.strip(from, from + rows));
      row += rows;
      if (this.stale && !first) return false;
    }
    this.painter.present();
    performance.mark(`picture 1/${scale}`);
    return true;
  }
}
