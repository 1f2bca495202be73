/* The context network of _plane.c on some positions side by side, in vectors of LANES numbers. Included once for each kind
   of vectors, with

   NAME(x)             x with the kind's suffix
   TARGET              what the compiler must know to use them
   LANES               that many
   VECTOR, SIGNED      uint32_t and int32_t of as many positions
   LANE(v, i), MASK(c) one of them; all bits where a comparison holds
   ADD(sum, x, w)      sum plus both products of the halves, int16, of x and of w, which is the same for all positions
*/

TARGET static void NAME(sum_pairs)(const Layer *layer, const int32_t *x, int stride, VECTOR *sums)
{
    const int32_t *w = layer->w;
    for (int o = 0; o < layer->n_out; o += GROUP) {
        VECTOR sum[GROUP];
        for (int k = 0; k < GROUP; k++)
            sum[k] = (VECTOR){0} + (uint32_t)layer->first[o + k];
        for (int pair = 0; pair < layer->n_pairs; pair++, w += GROUP) {
            VECTOR both = *(const VECTOR *)(x + pair * stride);
            for (int k = 0; k < GROUP; k++)
                sum[k] = ADD(sum[k], both, w[k]);
        }
        for (int k = 0; k < GROUP; k++)
            sums[o + k] = sum[k];
    }
}

/* sums become hidden values from 0 to MAX_HIDDEN, less OFFSET */
TARGET static void NAME(hide)(VECTOR *sums, int n, int shift)
{
    SIGNED most = (SIGNED){0} + MAX_HIDDEN;
    for (int o = 0; o < n; o++) {
        SIGNED v = (SIGNED)sums[o] >> shift, few = MASK(v < most);
        sums[o] = (VECTOR)(((v & few) | (most & ~few)) & MASK(v > 0)) - OFFSET;
    }
}

/* context.finish: location in eighths and scale of LANES positions, of a batch's inputs and of the values that they are made of */
TARGET static void NAME(predict)(
    const Net *net, const int32_t *x, const int32_t *values, int64_t *mu8, int32_t *scale)
{
    VECTOR hidden[MAX_INPUTS / 2], sums[MAX_INPUTS], skips = {0};
    int stride = BATCH;
    for (int k = 0; k < net->n_hidden; k++) {
        const Layer *layer = net->hidden + k;
        NAME(sum_pairs)(layer, x, stride, sums);
        NAME(hide)(sums, layer->n_out, layer->shift);
        for (int pair = 0; pair < layer->n_out / 2; pair++)
            hidden[pair] = (sums[2 * pair] & 0xffff) | sums[2 * pair + 1] << 16;
        x = (const int32_t *)hidden, stride = LANES;
    }
    NAME(sum_pairs)(&net->last, x, stride, sums);
    for (int pair = 0; pair < net->n_skips; pair++)
        skips = ADD(skips, *(const VECTOR *)(values + pair * BATCH), net->skip[pair]);
    SIGNED skip = (SIGNED)((skips << FRACTION_BITS) + (1u << net->skip_shift >> 1)) >> net->skip_shift;
    SIGNED first = (SIGNED)sums[0] >> net->last.shift, second = (SIGNED)sums[1] >> net->last.shift;
    for (int lane = 0; lane < LANES; lane++) {
        int64_t location = (int64_t)LANE(first, lane) + LANE(skip, lane);
        location = (location + (1 << (FRACTION_BITS - 3) >> 1)) >> (FRACTION_BITS - 3);
        mu8[lane] = location < -MAX_MU8 ? -MAX_MU8 : location > MAX_MU8 ? MAX_MU8 : location;
        int64_t s = ((int64_t)LANE(second, lane) * SCALES_PER_OCTAVE + (1 << FRACTION_BITS >> 1)) >> FRACTION_BITS;
        s += SCALE_OFFSET;
        scale[lane] = s < 0 ? 0 : s > N_SCALES - 1 ? N_SCALES - 1 : (int32_t)s;
    }
}

#undef NAME
#undef TARGET
#undef LANES
#undef VECTOR
#undef SIGNED
#undef ADD
