/** GLSL of rays through a box in units of its longest edge: origin `eye`, direction `rayOf()`, and where they are in what a slice leaves of it. */
export const RAYS = `precision highp float;
precision highp int;
precision highp sampler3D;
uniform vec2 middle;
uniform float grain, focal;
uniform vec3 eye, cameraRight, cameraUp, cameraForward, size;
uniform vec4 slice; // what is there of all p has dot(slice.xyz, p) <= slice.w; all 0 without
uniform sampler3D first, second;
out vec4 colour;
vec3 rayOf() {
  vec2 p = (gl_FragCoord.xy * grain - middle) / focal;
  return normalize(cameraForward + p.x * cameraRight + p.y * cameraUp);
}
// entry and exit
vec2 spanOf(vec3 ray) {
  vec3 inverse = 1.0 / (ray + vec3(equal(ray, vec3(0.0))) * 1e-9);
  vec3 a = -eye * inverse, b = (size - eye) * inverse;
  vec3 near = min(a, b), far = max(a, b);
  vec2 span = vec2(max(max(max(near.x, near.y), near.z), 0.0), min(min(far.x, far.y), far.z));
  float along = dot(slice.xyz, ray), left = slice.w - dot(slice.xyz, eye);
  if (along > 0.0) span.y = min(span.y, left / along);
  else if (along < 0.0) span.x = max(span.x, left / along);
  else if (left < 0.0) span.y = -1.0;
  return span;
}
// whether a ray has come through the slice to p
bool onSlice(vec3 p, vec3 ray) {
  return slice.xyz != vec3(0.0) && abs(dot(slice.xyz, p) - slice.w) < 1e-4 && dot(slice.xyz, ray) < 0.0;
}
`;
