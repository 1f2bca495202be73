/** Numbers as GLSL. */
export function float(x) {
  const text = String(Math.fround(x));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A component of an array of vec4: number c of `name`. */
export const component = (name, c) => `${name}[${c >> 2}][${c & 3}]`;

/** The coordinate of a point (x, y, z) in 0..1, and of a time where there are four axes. */
export const placeOf = ({ nAxes }, point) => (nAxes === 4 ? `vec4(time, (${point}).zyx)` : `vec4((${point}).zyx, 0.0)`);
