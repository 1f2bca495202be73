/** How much to do at once so that a turn takes about so many milliseconds, from what turns took before. */
export class Pace {
  constructor(msPerItem, turnMs) {
    this.msPerItem = msPerItem;
    this.turnMs = turnMs;
  }

  /** Items for the next turn. */
  get items() {
    return Math.max(1, Math.round(this.turnMs / this.msPerItem));
  }

  /** Does a turn of n items and learns from it. */
  async turn(n, act) {
    const start = performance.now();
    const result = await act();
    const rate = (performance.now() - start) / n;
    // short turns say little: what a turn itself costs counts for much in them
    this.msPerItem += (rate - this.msPerItem) * (n > 1000 ? 0.5 : 0.1);
    return result;
  }
}
