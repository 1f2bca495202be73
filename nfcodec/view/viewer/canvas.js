/** Painters of whole canvases for Progressive: through WebGL 2, or by numbers from the decoder and a 2-D canvas. */
import { bindTexture, dropTarget, fill, finished, programOf, targetOf } from "./gl.js";

const COPY = `precision highp float;
uniform sampler2D picture;
uniform vec2 size;
out vec4 colour;
void main() { colour = texture(picture, gl_FragCoord.xy / size); }`;

/** The canvas in device pixels, made to fit its element. */
export function fitted(canvas) {
  const ratio = globalThis.devicePixelRatio || 1;
  const width = Math.max(1, Math.round(canvas.clientWidth * ratio));
  const height = Math.max(1, Math.round(canvas.clientHeight * ratio));
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  return [width, height];
}

export class GlPainter {
  /**
   * draw(scale, strip, target): draws a strip [x, y, width, height] of a target, from below, into the bound frame, where it sets the scissor,
   * which is on. deep: whether targets have a depth.
   */
  static async make(gl, draw, deep = false) {
    return new GlPainter(gl, draw, await programOf(gl, COPY), deep);
  }

  constructor(gl, draw, copy, deep) {
    Object.assign(this, { gl, draw, copy, deep, target: null });
  }

  size() {
    const { drawingBufferWidth, drawingBufferHeight } = this.gl;
    return [drawingBufferWidth, drawingBufferHeight];
  }

  begin(scale) {
    const { gl } = this;
    const [width, height] = this.size().map((n) => Math.ceil(n / scale));
    this.scale = scale;
    if (this.target?.width === width && this.target.height === height) return;
    if (this.target) dropTarget(gl, this.target);
    this.target = targetOf(gl, width, height, gl.RGBA8, this.deep);
  }

  strip(from, to) {
    const { gl, target, scale } = this;
    gl.bindFramebuffer(gl.FRAMEBUFFER, target.frame);
    gl.enable(gl.SCISSOR_TEST);
    // from above, as one reads
    this.draw(scale, [0, target.height - to, target.width, to - from], target);
    gl.disable(gl.SCISSOR_TEST);
    return finished(gl);
  }

  present() {
    const { gl, target, scale } = this;
    const [width, height] = this.size();
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    gl.useProgram(this.copy);
    bindTexture(gl, this.copy, "picture", target.texture, 0);
    gl.uniform2f(gl.getUniformLocation(this.copy, "size"), target.width * scale, target.height * scale);
    fill(gl, [0, 0, width, height]);
  }
}

export class CpuPainter {
  /** rows(scale, from, to, width): a promise of RGBA bytes, not premultiplied, of rows of the picture of 1 / scale of the size. */
  constructor(canvas, rows) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    this.rows = rows;
    this.small = document.createElement("canvas");
  }

  size() {
    return [this.canvas.width, this.canvas.height];
  }

  begin(scale) {
    this.scale = scale;
    const [width, height] = this.size().map((n) => Math.ceil(n / scale));
    Object.assign(this.small, { width, height });
  }

  async strip(from, to) {
    const { width } = this.small;
    const bytes = await this.rows(this.scale, from, to, width);
    this.small.getContext("2d").putImageData(new ImageData(bytes, width, to - from), 0, from);
  }

  present() {
    const { context, small, scale } = this;
    context.clearRect(0, 0, ...this.size());
    context.imageSmoothingEnabled = true;
    context.drawImage(small, 0, 0, small.width * scale, small.height * scale);
  }
}
