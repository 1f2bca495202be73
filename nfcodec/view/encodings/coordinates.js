/** Encodings without a grid, functions of the coordinate: spec/format.md, sections 4.10 to 4.15. */

/** The function (x, out, at) that writes a part's features of the coordinate x (d numbers, in 0..1) to out[at..]. */
export function coordinateEncoding(part, nAxes, integers) {
  return MAKERS[part.encoding](part, nAxes, integers);
}

const MAKERS = {
  identity: () => (x, out, at) => {
    for (let k = 0; k < x.length; k++) out[at + k] = 2 * x[k] - 1;
  },

  frequency: ({ nFrequencies }) => (x, out, at) => {
    for (let k = 0; k < x.length; k++) {
      for (let f = 0; f < nFrequencies; f++) {
        const angle = 2 ** f * Math.PI * x[k];
        out[at++] = Math.sin(angle);
        out[at++] = Math.cos(angle);
      }
    }
  },

  "random-fourier"({ nFrequencies, sigma, seed }, nAxes) {
    const rows = randomRows(nFrequencies * nAxes, sigma, seed);
    return (x, out, at) => {
      for (let j = 0, e = 0; j < nFrequencies; j++) {
        let turns = 0;
        for (let k = 0; k < nAxes; k++) turns += rows[e++] * x[k];
        out[at + j] = Math.cos(2 * Math.PI * turns);
        out[at + nFrequencies + j] = Math.sin(2 * Math.PI * turns);
      }
    };
  },

  "one-blob": ({ nBins }) => (x, out, at) => {
    for (let k = 0; k < x.length; k++) {
      for (let i = 0; i < nBins; i++) out[at++] = Math.exp(-((x[k] - (i + 0.5) / nBins) ** 2) * nBins ** 2 * 0.5);
    }
  },

  "super-gaussian"({ nPlaces, power }, nAxes, widths) {
    const s = Float64Array.from(widths, (w) => 2 ** (Math.min(Math.max(w, -256), 256) / 8) / nPlaces);
    return (x, out, at) => {
      for (let k = 0, e = 0; k < nAxes; k++) {
        for (let i = 0; i < nPlaces; i++, e++) {
          out[at + e] = Math.exp(-((x[k] - (i + 0.5) / nPlaces) ** 2) / (2 * s[e] ** 2)) ** power;
        }
      }
    };
  },

  "spherical-harmonics"({ degree }, nAxes) {
    const terms = harmonicTerms(degree);
    return (x, out, at) => {
      const [X, Y, Z] = nAxes === 3 ? fromCentre(x) : onPanorama(x);
      for (let l = 0; l < degree; l++) {
        for (let m = -l; m <= l; m++) {
          const { norm, polynomial } = terms[l][Math.abs(m)];
          let re = 1;
          let im = 0;
          for (let k = 0; k < Math.abs(m); k++) [re, im] = [re * X - im * Y, re * Y + im * X];
          out[at++] = norm * horner(polynomial, Z) * (m < 0 ? im : re);
        }
      }
    };
  },
};

/** Entries of B: sums of 12 halves of hashes, as good as normal, of deviation sigma. */
export function randomRows(n, sigma, seed) {
  const hash = (i) => {
    let v = (Math.imul(i, 0x9e3779b9) + seed) >>> 0;
    v = Math.imul(v ^ (v >>> 16), 0x85ebca6b);
    v = Math.imul(v ^ (v >>> 13), 0xc2b2ae35);
    return (v ^ (v >>> 16)) >>> 0;
  };
  return Float64Array.from({ length: n }, (_, e) => {
    let sum = -6 * 65535;
    for (let i = 6 * e; i < 6 * e + 6; i++) sum += (hash(i) & 0xffff) + (hash(i) >>> 16);
    return (sigma * sum) / 65536;
  });
}

function fromCentre(x) {
  const v = [2 * x[2] - 1, 2 * x[1] - 1, 2 * x[0] - 1];
  const length = Math.hypot(...v);
  return length < 1e-9 ? [0, 0, 0] : v.map((a) => a / length);
}

function onPanorama(x) {
  const t = Math.PI * x[0];
  const p = 2 * Math.PI * x[1];
  return [Math.sin(t) * Math.cos(p), Math.sin(t) * Math.sin(p), Math.cos(t)];
}

const horner = (coefficients, z) => coefficients.reduceRight((sum, a) => sum * z + a, 0);
const derivative = (p) => p.slice(1).map((a, i) => a * (i + 1));

/** For each l, m >= 0: N_lm and the coefficients of Q_lm. */
function harmonicTerms(degree) {
  const legendre = [[1], [0, 1]];
  for (let l = 2; l < degree; l++) {
    // l P_l = (2l - 1) z P_(l-1) - (l - 1) P_(l-2)
    const next = [0, ...legendre[l - 1].map((a) => ((2 * l - 1) * a) / l)];
    legendre[l - 2].forEach((a, i) => (next[i] -= ((l - 1) * a) / l));
    legendre.push(next);
  }
  return legendre.slice(0, degree).map((p, l) => {
    const terms = [];
    let ratio = 1; // (l - m)! / (l + m)!
    for (let m = 0, polynomial = p; m <= l; m++, polynomial = derivative(polynomial)) {
      if (m > 0) ratio /= (l + m) * (l - m + 1);
      const norm = Math.sqrt(((2 * l + 1) / (4 * Math.PI)) * ratio) * (m > 0 ? Math.SQRT2 : 1);
      terms.push({ norm, polynomial });
    }
    return terms;
  });
}
