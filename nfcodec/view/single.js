/** FULL, a whole small field in one stream: spec/format.md, section 8. */
import { check } from "./bytes.js";
import { ContextNetwork, tensorSizes } from "./entropy/context.js";
import { readPlanes } from "./entropy/levels.js";
import { RansReader } from "./entropy/rans.js";
import { checkScale, readValues } from "./entropy/streams.js";
import { isMulti, readHeader } from "./header.js";
import { Network, checkShift, networkSizes } from "./network.js";

const readScales = (rans, sizes) => sizes.map(() => checkScale(rans.raw(7)));

/** @returns `{spec, network, context, levels}` */
export function readSingle(reader, budget) {
  const spec = readHeader(reader, budget);
  const [part] = spec.parts;
  check(spec.parts.length === 1 && part.encoding === "dense", "fhdr-encoding", "FULL of another encoding than dense");
  const rans = new RansReader(reader.take(reader.left));

  const sizes = networkSizes(spec);
  const shifts = sizes.map(() => checkShift(rans.raw(5)));
  const network = new Network(spec, shifts, readValues(rans, sizes, readScales(rans, sizes)));
  const context = readContext(rans, spec.nAxes, isMulti(part));

  const levels = [];
  part.levels.forEach(({ resolution, nFeatures }, level) => {
    const coarse = level > 0 ? { shape: part.levels[level - 1].resolution, planes: levels[level - 1].latents } : null;
    const place = { shape: resolution, nPlanes: nFeatures, level, nLevels: part.levels.length, coarse };
    levels.push({ latents: readPlanes(rans, context, place).planes });
  });
  rans.end();
  return { spec, network, context, levels };
}

function readContext(rans, nAxes, multi) {
  const nHidden = rans.raw(2);
  const nNeurons = nHidden > 0 ? rans.raw(6) + 1 : 0;
  const shifts = Array.from({ length: nHidden + 2 }, () => rans.raw(4));
  const sizes = tensorSizes(nAxes, multi, nNeurons, nHidden);
  return new ContextNetwork(nAxes, multi, nNeurons, nHidden, shifts, readValues(rans, sizes, readScales(rans, sizes)));
}
