/**
 * Numbers of lattices as textures of float32: one for each number of channels a texel, 1, 2 or 4, filled row by row. A shader names
 * a texel by its number, which says nothing of the picture's width.
 */
export const WIDTH_BITS = 11;
const WIDTH = 1 << WIDTH_BITS;

/** Channels of a texel that holds so many features, and the texels of a vertex. */
const layoutOf = (nFeatures) => (nFeatures > 2 ? [4, Math.ceil(nFeatures / 4)] : [nFeatures, 1]);

export class Atlas {
  constructor() {
    this.rows = { 1: 0, 2: 0, 4: 0 };
  }

  /** A place for `n` vectors of features, from the beginning of a row on: `{channels, texels, base, row, n, nFeatures}`. */
  place(n, nFeatures) {
    const [channels, texels] = layoutOf(nFeatures);
    const row = this.rows[channels];
    this.rows[channels] += Math.ceil((n * texels) / WIDTH);
    return { channels, texels, base: row * WIDTH, row, n, nFeatures };
  }

  /** Rows of the highest texture. */
  get height() {
    return Math.max(...Object.values(this.rows));
  }

  /** Makes the textures, all 0: `{1: texture, ..}`, those in use. */
  allocate(gl) {
    const formats = { 1: gl.R32F, 2: gl.RG32F, 4: gl.RGBA32F };
    this.textures = {};
    for (const [channels, rows] of Object.entries(this.rows)) {
      if (rows === 0) continue;
      const texture = gl.createTexture();
      gl.bindTexture(gl.TEXTURE_2D, texture);
      gl.texStorage2D(gl.TEXTURE_2D, 1, formats[channels], WIDTH, rows);
      for (const filter of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, filter, gl.NEAREST);
      this.textures[channels] = texture;
    }
    return this.textures;
  }

  /** Writes vectors to their place. number(vertex, feature) gives each number. */
  write(gl, { channels, texels, row, n, nFeatures }, number) {
    const rows = Math.ceil((n * texels) / WIDTH);
    const data = new Float32Array(rows * WIDTH * channels);
    const width = texels * channels;
    for (let i = 0; i < n; i++) for (let f = 0; f < nFeatures; f++) data[i * width + f] = number(i, f);
    gl.bindTexture(gl.TEXTURE_2D, this.textures[channels]);
    const format = { 1: gl.RED, 2: gl.RG, 4: gl.RGBA }[channels];
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, row, WIDTH, rows, format, gl.FLOAT, data);
  }
}
