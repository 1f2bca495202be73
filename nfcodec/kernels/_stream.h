/* Values from a stream of entropy.laplace, for _plane.c. */

typedef struct {
    uint64_t x;
    int64_t position, n_words;
    const uint16_t *words, *cumulative;
    const int32_t *start, *n_tokens, *lowest;
} Stream;

static int advance(Stream *s, uint64_t start, uint64_t frequency)
{
    uint64_t x = frequency * (s->x >> PRECISION) + (s->x & SLOT) - start;
    if (x < 1 << 16) {
        if (s->position >= s->n_words)
            return EXHAUSTED;
        x = x << 16 | s->words[s->position++];
    }
    s->x = x;
    return OK;
}

static int raw_bits(Stream *s, int n_bits, uint64_t *value)
{
    *value = 0;
    for (int done = 0; done < n_bits;) {
        int n = n_bits - done < MAX_RAW_BITS ? n_bits - done : MAX_RAW_BITS;
        uint64_t part = (s->x & SLOT) >> (PRECISION - n);
        if (advance(s, part << (PRECISION - n), (uint64_t)1 << (PRECISION - n)))
            return EXHAUSTED;
        *value |= part << done;
        done += n;
    }
    return OK;
}

static int excess(Stream *s, int order, int64_t *value)
{
    uint64_t bit, tail;
    int exponent = 0;
    for (;;) {
        if (raw_bits(s, 1, &bit))
            return EXHAUSTED;
        if (!bit)
            break;
        if (++exponent > MAX_EXPONENT)
            return BAD_ESCAPE;
    }
    if (raw_bits(s, order + exponent, &tail))
        return EXHAUSTED;
    *value = ((int64_t)1 << (order + exponent)) + (int64_t)tail - ((int64_t)1 << order);
    return OK;
}

/* the next value under a location in eighths and a scale: entropy.laplace.LaplaceDecoder.take_list */
static int take(Stream *s, int64_t mu8, int scale, int32_t *found)
{
    int k = 0;
    if (scale >= N_TABLE_SCALES) {
        k = (scale - N_TABLE_SCALES + SCALES_PER_OCTAVE) / SCALES_PER_OCTAVE;
        scale -= SCALES_PER_OCTAVE * k;
        mu8 = (mu8 - ((int64_t)4 << k) + 4 + (1 << k >> 1)) >> k;
    }
    int table = scale << 3 | (int)(mu8 & 7);
    const uint16_t *cumulative = s->cumulative + s->start[table];
    unsigned slot = s->x & SLOT;
    int token = 0, above = s->n_tokens[table]; /* cumulative[token] <= slot < cumulative[above] */
    int likely = 1 - s->lowest[table];         /* the location itself, which most values have */
    if (likely > 0 && likely < above) {
        if (slot < cumulative[likely])
            above = likely;
        else {
            token = likely;
            if (slot < cumulative[likely + 1])
                above = likely + 1;
        }
    }
    while (above - token > 1) {
        int middle = (token + above) >> 1;
        if (cumulative[middle] <= slot)
            token = middle;
        else
            above = middle;
    }
    if (advance(s, cumulative[token], cumulative[token + 1] - cumulative[token]))
        return EXHAUSTED;
    int64_t value = (mu8 >> 3) + s->lowest[table] + token - 1;
    int last = s->n_tokens[table] - 1;
    if (k || token == 0 || token == last) {
        if (token == 0 || token == last) {
            int64_t more;
            int order = scale > SCALE_OFFSET ? (scale - SCALE_OFFSET) / SCALES_PER_OCTAVE : 0;
            int status = excess(s, order, &more);
            if (status)
                return status;
            value += token ? more : -more;
        }
        uint64_t remainder;
        if (raw_bits(s, k, &remainder))
            return EXHAUSTED;
        value = value * ((int64_t)1 << k) + (int64_t)remainder;
        if (value > MAX_VALUE || value < -MAX_VALUE)
            return BAD_VALUE;
    }
    *found = (int32_t)value;
    return OK;
}
