/** Numbers as GLSL. */
export function float(x) {
  const text = String(Math.fround(x));
  return /[.e]/.test(text) ? text : `${text}.0`;
}

/** A component of an array of vec4: number c of `name`. */
export const component = (name, c) => `${name}[${c >> 2}][${c & 3}]`;
