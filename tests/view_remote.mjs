// Opens a file by ranges from a server that is made up here, and prints what came of it as JSON.
import { readFileSync } from "node:fs";
import { levelsIn, levelsOf, openField, openUrl } from "../nfcodec/view/nfcodec.js";

const data = readFileSync(process.argv[2]);
const asked = [];

/** A server with ranges, without, or one that breaks off after so many bytes. */
function server({ ranges = true, length = data.length } = {}) {
  return async (url, { headers }) => {
    if (!ranges) return new Response(data);
    const [, from, to] = headers.Range.match(/^bytes=(\d+)-(\d+)$/).map(Number);
    asked.push([from, to]);
    if (from >= length) return new Response(null, { status: 416 });
    return new Response(data.subarray(from, Math.min(to + 1, length)), { status: 206 });
  };
}

const whole = openField(data);
const at = Float64Array.from({ length: 5 * whole.spec.nAxes }, (_, i) => (i * 0.37) % 1);
const same = (field, level) => field.sample(at).every((v, i) => Object.is(v, whole.sample(at, { level })[i]));
const fields = [];
for await (const field of levelsOf("x.nfld", { fetch: server() })) fields.push(field);
const held = [...levelsIn(data)];
const seen = [];
const plain = await openUrl("x.nfld", { fetch: server({ ranges: false }), onLevel: (field) => seen.push(field.levels.length) });
const cut = await openUrl("x.nfld", { fetch: server({ length: data.length - 1 }) }).catch((error) => error.code);
console.log(
  JSON.stringify({
    levels: fields.map((field) => field.levels.length),
    missing: fields.map((field) => field.missing),
    same: fields.map((field) => same(field, field.levels.length - 1)),
    ascending: asked.every(([from, to]) => from <= to),
    seen,
    held: held.map((field) => field.levels.length),
    alike: held.every((field) => same(field, field.levels.length - 1)),
    plain: same(plain, undefined),
    cut,
    bytes: Math.max(...asked.map(([, to]) => to)) + 1,
  }),
);
