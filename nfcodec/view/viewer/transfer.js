/** Transfer functions: colour and opacity for parts of a range. Colours are those of matplotlib's maps at a few places, between which one interpolates. */

const MAPS = {
  grey: ["#000000", "#ffffff"],
  viridis: ["#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b", "#fde725"],
  magma: ["#000004", "#180f3d", "#440f76", "#721f81", "#9e2f7f", "#cd4071", "#f1605d", "#fd9668", "#feca8d", "#fcfdbf"],
  coolwarm: ["#3b4cc0", "#6788ee", "#9abbff", "#c9d7f0", "#edd1c2", "#f7a889", "#e26952", "#b40426"],
};

export const MAP_NAMES = Object.keys(MAPS);

/** n colours as RGBA bytes; opacity grows as a power of the part of the range, for a map of two sides away from its middle. */
export function transferOf(name, n = 256, power = 2) {
  const places = MAPS[name].map((text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16)));
  const out = new Uint8ClampedArray(4 * n);
  for (let i = 0; i < n; i++) {
    const part = i / (n - 1);
    const u = part * (places.length - 1);
    const j = Math.min(Math.floor(u), places.length - 2);
    for (let k = 0; k < 3; k++) out[4 * i + k] = places[j][k] + (u - j) * (places[j + 1][k] - places[j][k]);
    const strength = name === "coolwarm" ? Math.abs(2 * part - 1) : part;
    out[4 * i + 3] = 255 * strength ** power;
  }
  return out;
}
