/** The decoder as a service, in a worker or, where there is none, in the page: messages in, messages out. */
import { levelsIn } from "../nfcodec.js";

const FIRST_MS = 200; // for which decoding waits for the first question

/**
 * The function that takes messages. `{open: bytes}` is answered by `{header}`, then `{levels, first}` as levels are decoded, coarse first, then
 * `{done}`. `{id, lattice}` and `{id, decode}`, the options of the methods of Field, are answered by `{id, result}`. What fails is
 * answered by `{error}`, with the id if there was one.
 */
export function serve(post) {
  let field = null;
  let told = 0;
  let wasAsked;
  const asked = new Promise((resolve) => (wasAsked = resolve));

  const tell = (next) => {
    field = next;
    if (told === 0) {
      const { spec, network } = field;
      post({ header: { spec, tensors: network.integers, guaranteed: field.residual?.bound ?? null } });
    }
    post({ first: told, levels: field.levels.slice(told) });
    told = field.levels.length;
  };

  const answers = {
    async open(bytes) {
      for (const next of levelsIn(bytes)) {
        const first = told === 0;
        tell(next);
        // what was asked meanwhile is answered with the levels that are there: after the first ones there is a picture to ask for
        const turn = new Promise((resolve) => setTimeout(resolve, first ? FIRST_MS : 0));
        await (first ? Promise.race([turn, asked]) : turn);
      }
      post({ done: true, warnings: field.warnings });
    },
    lattice: (options) => field.lattice(options),
    decode: (options) => field.decode(options),
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
