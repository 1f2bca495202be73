/** Frequency tables of Laplace distributions: spec/entropy.md, section 1. */

const DECAY = [
  253857248, 345625950, 454989856, 581260615, 722994622, 878133092, 1044178424, 1218380955, 1397915072, 1580030169,
  1762168623, 1942048638, 2117713904, 2287554667, 2450306005, 2605029347, 2751082806, 2888085073, 3015876649, 3134481214,
  3244069074, 3344923893, 3437413371, 3521964074, 3599040369, 3669127186, 3732716247, 3790295335, 3842340174, 3889308488,
  3931635878, 3969733148, 4003984791, 4034748382, 4062354660, 4087108117, 4109287957, 4129149313, 4146924611, 4162825044,
  4177042065, 4189748882, 4201101925, 4211242246, 4220296860, 4228380000,
];
const MAX_DISTANCE = 511;

export const TOTAL_BITS = 14;
export const TOTAL = 1 << TOTAL_BITS;
export const N_SCALES = 82;
export const N_TABLES = DECAY.length * 8;

const tails = []; // by scale: P
const tables = []; // by table number

function tail(scale) {
  if (!tails[scale]) {
    // products need 64 bits
    const decay = BigInt(DECAY[scale]);
    const p = new Float64Array(MAX_DISTANCE + 1);
    for (let n = 0, value = 1n << 32n; n <= MAX_DISTANCE; n++, value = (value * decay) >> 32n) p[n] = Number(value);
    tails[scale] = p;
  }
  return tails[scale];
}

/** `{cumulative, low, high}` of a table number: tokens are escape, low .. high, escape. */
export function laplaceTable(number) {
  if (!tables[number]) tables[number] = makeTable(number >> 3, number & 7);
  return tables[number];
}

function makeTable(scale, fraction) {
  const p = tail(scale);
  let t = 0;
  while (8 * (t + 1) + 4 <= MAX_DISTANCE && p[8 * (t + 1) - 4] - p[8 * (t + 1) + 4] >= 2 ** 19) t++;
  const high = fraction === 0 ? t : t + 1;
  const n = high + t + 3;
  const cumulative = new Uint16Array(n + 1);
  cumulative[n] = TOTAL;
  for (let j = 1; j < n; j++) {
    const x = 8 * (-t + j - 1) - 4 - fraction;
    const g = x <= 0 ? p[-x] : 2 ** 33 - p[x];
    cumulative[j] = Math.floor((g * (TOTAL - n) + 2 ** 32) / 2 ** 33) + j;
  }
  return { cumulative, low: -t, high };
}
