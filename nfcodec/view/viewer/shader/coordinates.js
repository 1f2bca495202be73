/** GLSL of encodings without a grid: spec/format.md, sections 4.10 to 4.14. Each gives the expressions of its features. */
import { randomRows } from "../../encodings/coordinates.js";
import { float } from "./text.js";

const axes = (d) => Array.from({ length: d }, (_, k) => k);

export const COORDINATES = {
  identity: (part, d) => axes(d).map((k) => `2.0 * x[${k}] - 1.0`),

  frequency: ({ nFrequencies }, d) =>
    axes(d).flatMap((k) =>
      axes(nFrequencies).flatMap((f) => {
        // whole turns are taken out first, since sines of large angles are poor on many GPUs
        const turns = `6.28318531 * fract(${float(2 ** (f - 1))} * x[${k}])`;
        return [`sin(${turns})`, `cos(${turns})`];
      }),
    ),

  "random-fourier"({ nFrequencies, sigma, seed }, d) {
    const rows = randomRows(nFrequencies * d, sigma, seed);
    const turns = (j) => `6.28318531 * fract(${axes(d).map((k) => `${float(rows[j * d + k])} * x[${k}]`).join(" + ")})`;
    return [..."cs"].flatMap((f) => axes(nFrequencies).map((j) => `${f === "c" ? "cos" : "sin"}(${turns(j)})`));
  },

  "one-blob": ({ nBins }, d) =>
    axes(d).flatMap((k) =>
      axes(nBins).map((i) => {
        const distance = `(x[${k}] - ${float((i + 0.5) / nBins)})`;
        return `exp(-${distance} * ${distance} * ${float(nBins ** 2 / 2)})`;
      }),
    ),
};
