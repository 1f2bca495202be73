/** The decoder as a service, in a worker or, where there is none, in the page: messages in, messages out. */
import { Scene, stagesIn } from "../nfcodec.js";

const FIRST_MS = 200; // for which decoding waits for the first question

const colourOf = ({ meta }) => (typeof meta?.colour === "string" && /^#[0-9a-f]{6}$/.test(meta.colour) ? meta.colour : null);

/**
 * The function that takes messages. `{open: bytes}` is answered by `{nodes}` if it is a scene; for each field, whose number is `part`, by
 * `{part, header}` and then `{part, levels, first}` as levels are decoded, coarse first; and by `{done}`. `{id, lattice}` and `{id, decode}`, the
 * options of the methods of Field with the part, are answered by `{id, result}`. What fails is answered by `{error}`, with the id if there was one.
 */
export function serve(post) {
  const fields = [];
  let wasAsked;
  const asked = new Promise((resolve) => (wasAsked = resolve));

  /** Whether it is the first field of all. */
  const tell = (field, part) => {
    const known = fields[part];
    fields[part] = field;
    if (!known) {
      const { spec, network, residual } = field;
      post({ part, header: { spec, tensors: network.integers, guaranteed: residual?.bound ?? null, colour: colourOf(field) } });
    }
    const first = known?.levels.length ?? 0;
    if (field.levels.length > first) post({ part, first, levels: field.levels.slice(first) });
    return !known && part === 0;
  };

  const tellStage = (stage) => {
    if (!(stage instanceof Scene)) return tell(stage, 0);
    if (!stage.fields[0]) post({ nodes: stage.nodes });
    const fresh = stage.fields.findIndex((field, part) => field && !fields[part]);
    return fresh >= 0 && tell(stage.fields[fresh], fresh);
  };

  const answers = {
    async open(bytes) {
      let stage;
      for (stage of stagesIn(bytes)) {
        const first = tellStage(stage);
        // what was asked meanwhile is answered with the levels that are there: after the first ones there is a picture to ask for
        const turn = new Promise((resolve) => setTimeout(resolve, first ? FIRST_MS : 0));
        await (first ? Promise.race([turn, asked]) : turn);
      }
      post({ done: true, warnings: stage.warnings });
    },
    lattice: ({ part, ...options }) => fields[part].lattice(options),
    decode: ({ part, ...options }) => fields[part].decode(options),
  };

  return async ({ id, ...message }) => {
    const [[name, argument]] = Object.entries(message);
    try {
      const result = await answers[name](argument);
      if (id === undefined) return;
      post({ id, result });
      wasAsked();
    } catch (error) {
      post({ id, error: error.message });
    }
  };
}
