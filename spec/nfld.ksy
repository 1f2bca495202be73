# The container of .nfld files for Kaitai Struct: container.md as a description that its compiler makes parsers of.
# Entropy-coded chunks stay bytes; checksums, limits and the order of chunks are for a decoder to check.
meta:
  id: nfld
  title: Neural field
  file-extension: nfld
  license: Apache-2.0
  ks-version: 0.9
  encoding: UTF-8
  endian: le
doc-ref: container.md
seq:
  - id: signature
    contents: [0x89, 0x4e, 0x46, 0x43, 0x0d, 0x0a, 0x1a, 0x0a]
  - id: major
    type: u1
    valid: 0
  - id: minor
    type: u1
    valid: 1
    doc: the draft
  - id: required_features
    type: u2
  - id: n_chunks
    type: varint
  - id: file_length
    type: varint
    doc: bytes of the whole file
  - id: table
    type: row
    repeat: expr
    repeat-expr: n_chunks.value
  - id: checksum
    type: u4
    doc: CRC-32 of every byte before it
  - id: chunks
    type: chunk(_index)
    repeat: expr
    repeat-expr: n_chunks.value
types:
  varint:
    doc: LEB128, low bits first, in its shortest form and below 2^53
    seq:
      - id: groups
        type: u1
        repeat: until
        repeat-until: _ < 128
    instances:
      value:
        value: >-
          groups[0] % 128
          + (groups.size > 1 ? groups[1] % 128 * 0x80 : 0)
          + (groups.size > 2 ? groups[2] % 128 * 0x4000 : 0)
          + (groups.size > 3 ? groups[3] % 128 * 0x20_0000 : 0)
          + (groups.size > 4 ? groups[4] % 128 * 0x1000_0000 : 0)
          + (groups.size > 5 ? groups[5] % 128 * 0x8_0000_0000 : 0)
          + (groups.size > 6 ? groups[6] % 128 * 0x400_0000_0000 : 0)
          + (groups.size > 7 ? groups[7] % 128 * 0x2_0000_0000_0000 : 0)
  row:
    seq:
      - id: type
        type: u1
        enum: chunk_type
        doc: bit 7 is set where a chunk is ancillary, bit 6 where it is safe to copy
      - id: key
        type: varint
      - id: codec
        type: u1
        enum: codec
      - id: stored_length
        type: varint
      - id: checksum
        type: u4
        doc: CRC-32 of the stored bytes
  chunk:
    params:
      - id: index
        type: u4
    seq:
      - id: body
        size: _parent.table[index].stored_length.value
        type:
          switch-on: _parent.table[index].type
          cases:
            'chunk_type::fhdr': fhdr
            'chunk_type::part': nfld
  fhdr:
    doc: the beginning of format.md, section 2
    seq:
      - id: kind
        type: u1
        enum: kind
      - id: flags
        type: u1
      - id: n_dims
        type: u1
      - id: n_channels
        type: u1
      - id: dtype
        type: u1
        enum: dtype
      - id: extent
        type: varint
        repeat: expr
        repeat-expr: n_dims
        doc: samples of the source along each axis, slowest first
      - id: rest
        size-eos: true
enums:
  chunk_type:
    1: fhdr
    2: dnet
    3: ctxn
    4: grid
    5: full
    6: resi
    7: scne
    8: part
    192: meta
  codec:
    0: raw
    1: zstd
    2: rans
  kind:
    0: image
    1: volume
    2: sdf
    3: tsdf
    4: occupancy
    5: udf
  dtype:
    0: u1
    1: u2
    2: u4
    3: i1
    4: i2
    5: i4
    6: f2
    7: f4
    8: f8
    9: b1
