/* Unpacks a container of `python -m distill.pack`. C99, no dependencies; see pack.md.
 *
 *     cc -O2 -o unpack unpack.c && ./unpack FILE.tflz FILE.tflite
 *
 * In an app: build with -DTFLZ_NO_MAIN; call tflz_size, then tflz_unpack with memory of
 * that size. Any bytes may be passed: invalid containers are refused. It uses 32 kB of
 * stack, and memory for the plan: for a network, the size of the file without its
 * kernels. The CRC-32 detects damage; the SHA-256 of the file is at byte 18.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 50, PLACES = 1 << 24 };

typedef struct { const uint8_t *at, *end; int bad; } Cursor;

static uint64_t number(const uint8_t *at, int bytes) { /* Little-endian. */
    uint64_t value = 0;
    while (bytes--) value = value << 8 | at[bytes];
    return value;
}

static const uint8_t *take(Cursor *from, uint64_t count) { /* NULL: too few. */
    const uint8_t *taken = from->at;
    from->bad = from->bad || count > (uint64_t)(from->end - taken);
    if (from->bad) return NULL;
    from->at += count;
    return taken;
}

static uint64_t next(Cursor *from, int bytes) {
    const uint8_t *taken = take(from, bytes);
    return taken ? number(taken, bytes) : 0;
}

static uint32_t crc32_on(uint32_t crc, const uint8_t *at, size_t size) {
    for (crc = ~crc; size--;) {
        crc ^= *at++;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

/* LZMA, as in the specification of the LZMA SDK (public domain). */
typedef struct { uint16_t choice[2], low[16][8], middle[16][8], high[256]; } Lengths;
typedef struct {
    uint16_t match[12][16], rep[12], rep0[12], rep1[12], rep2[12], rep0_long[12][16];
    uint16_t slot[4][64], special[115], align[16], literal[0x300 << 4];
    Lengths fresh, again;
} Odds;
typedef struct { Cursor in; uint32_t range, code; } Range;

static void refill(Range *r) {
    if (r->range >> 24) return;
    r->range <<= 8;
    r->code = r->code << 8 | (uint32_t)next(&r->in, 1);
}

static unsigned bit(Range *r, uint16_t *odds) {
    uint32_t bound = (r->range >> 11) * *odds;
    unsigned one = r->code >= bound;
    if (one) r->code -= bound;
    r->range = one ? r->range - bound : bound;
    *odds = (uint16_t)(one ? *odds - (*odds >> 5) : *odds + ((2048 - *odds) >> 5));
    refill(r);
    return one;
}

static unsigned tree(Range *r, uint16_t *odds, int bits, int lowest_first) {
    unsigned node = 1, reversed = 0;
    for (int i = 0; i < bits; i++) {
        node = node << 1 | bit(r, odds + node);
        reversed |= (node & 1) << i;
    }
    return lowest_first ? reversed : node - (1u << bits);
}

static unsigned match_length(Range *r, Lengths *odds, unsigned place) {
    if (!bit(r, &odds->choice[0])) return 2 + tree(r, odds->low[place], 3, 0);
    if (!bit(r, &odds->choice[1])) return 10 + tree(r, odds->middle[place], 3, 0);
    return 18 + tree(r, odds->high, 8, 0);
}

static uint32_t distance(Range *r, Odds *odds, unsigned length) {
    unsigned slot = tree(r, odds->slot[length < 6 ? length - 2 : 3], 6, 0);
    if (slot < 4) return slot;
    int bits = (int)(slot >> 1) - 1;
    uint32_t far = (2 | (slot & 1)) << bits, direct = 0;
    if (slot < 14) return far + tree(r, odds->special + far - slot, bits, 1);
    for (int i = 4; i < bits; i++) {
        r->range >>= 1;
        direct = direct << 1 | (r->code >= r->range);
        if (direct & 1) r->code -= r->range;
        refill(r);
    }
    return far + (direct << 4) + tree(r, odds->align, 4, 1);
}

static uint8_t literal(Range *r, uint16_t *odds, int after_match, unsigned matched) {
    unsigned node = 1;
    while (after_match && node < 256) {
        unsigned expected = matched >> 7 & 1;
        node = node << 1 | bit(r, odds + ((1 + expected) << 8) + node);
        after_match = (node & 1) == expected;
        matched <<= 1;
    }
    while (node < 256) node = node << 1 | bit(r, odds + node);
    return (uint8_t)node;
}

static int lzma_fails(Cursor in, unsigned properties, uint8_t *out, uint32_t size) {
    unsigned lc = properties % 9, lp = properties / 9 % 5, pb = properties / 45;
    unsigned state = 0, length;
    uint32_t rep[4] = {0}, at = 0;
    Odds odds;
    Range r = {in, 0xffffffff, 0};
    if (pb > 4 || lc + lp > 4 || next(&r.in, 1)) return 1;
    for (int i = 0; i < 4; i++) r.code = r.code << 8 | (uint32_t)next(&r.in, 1);
    for (size_t i = 0; i < sizeof odds / 2; i++) ((uint16_t *)&odds)[i] = 1024;
    while (at < size && !r.in.bad) {
        unsigned place = at & ((1u << pb) - 1), before = at ? out[at - 1] : 0;
        if (!bit(&r, &odds.match[state][place])) {
            unsigned row = ((at & ((1u << lp) - 1)) << lc) + (before >> (8 - lc));
            unsigned matched = rep[0] < at ? out[at - rep[0] - 1] : 0;
            out[at++] = literal(&r, odds.literal + 0x300 * row, state >= 7, matched);
            state = state < 4 ? 0 : state < 10 ? state - 3 : state - 6;
            continue;
        }
        if (!bit(&r, &odds.rep[state])) {
            length = match_length(&r, &odds.fresh, place);
            memmove(rep + 1, rep, 3 * sizeof *rep);
            rep[0] = distance(&r, &odds, length);
            state = state < 7 ? 7 : 10;
        } else {
            int which = 0; /* Of the last four distances. */
            if (bit(&r, &odds.rep0[state]))
                which = bit(&r, &odds.rep1[state]) ? 2 + bit(&r, &odds.rep2[state]) : 1;
            else if (!bit(&r, &odds.rep0_long[state][place]))
                which = -1; /* The last, for one byte. */
            if (which > 0) {
                uint32_t chosen = rep[which];
                memmove(rep + 1, rep, which * sizeof *rep);
                rep[0] = chosen;
            }
            length = which < 0 ? 1 : match_length(&r, &odds.again, place);
            state = state < 7 ? (which < 0 ? 9 : 8) : 11;
        }
        if (rep[0] >= at || length > size - at) return 1;
        for (; length--; at++) out[at] = out[at - rep[0] - 1];
    }
    return r.in.bad;
}

/* Symbols: a table of frequencies in steps, and rANS. */
typedef struct { uint64_t state; const uint8_t *words, *top; } Stack;

static uint64_t pop(Stack *from) {
    return from->top == from->words ? 0 : number(from->top -= 4, 4);
}

/* Computes the first place of each symbol; places[256] is the end. 1: invalid table. */
static int table_fails(Cursor *plan, unsigned runs, uint32_t places[257]) {
    uint64_t often[256] = {0}, sum = 0, left = 65536, before = 0;
    unsigned best = 0, present = 0, end = 0;
    while (runs--) {
        unsigned length = (unsigned)next(plan, 1) + 1, byte = (unsigned)next(plan, 1);
        if (plan->bad || length > 256 - end) return 1;
        for (; length--; end++) {
            often[end] = byte ? (16 + (byte & 15)) << (byte >> 4) : 0;
            if (often[end] > often[best]) best = end;
            present += often[end] > 0;
            sum += often[end];
        }
    }
    if (!present) return 1;
    for (int i = 0; i < 256; i++) {
        if (often[i]) often[i] = 1 + often[i] * (65536 - present) / sum;
        left -= often[i];
    }
    often[best] += left;
    for (unsigned i = 0, rank = 0; i < 256; before += often[i], rank += often[i++] > 0)
        places[i] = (uint32_t)((PLACES - (uint64_t)present) * before >> 16) + rank;
    places[256] = PLACES;
    return 0;
}

static uint8_t symbol(Stack *from, const uint32_t places[257]) {
    uint32_t place = from->state & (PLACES - 1);
    unsigned low = 0, high = 256; /* places[low] <= place < places[high] */
    while (high - low > 1) {
        unsigned middle = (low + high) / 2;
        if (places[middle] <= place) low = middle; else high = middle;
    }
    from->state = (from->state >> 24) * (places[low + 1] - places[low])
                + place - places[low];
    if (from->state >> 32 == 0 && from->top != from->words)
        from->state = from->state << 32 | pop(from);
    return (uint8_t)low;
}

/* Decodes one piece that is not text into `out`. */
static int piece_fails(Cursor *plan, Stack *stack, Cursor *stored, unsigned form,
                       uint8_t *out, uint32_t length) {
    unsigned halves = form == 15, width = halves ? 1 : form & 15, booked = form & 32;
    uint32_t places[257];
    uint64_t entries = 0, sum = 0;
    const uint8_t *book = NULL, *end = out + length;
    if (form > 63 || !width || width > 8 || (width & (width - 1)) || length % width)
        return 1;
    if (booked && (entries = next(plan, 1) + 1)) book = take(plan, entries * width);
    for (unsigned plane = 0; plane < (booked ? 1 : width); plane++) {
        unsigned runs = (unsigned)next(plan, 2);
        if (plan->bad || (runs && table_fails(plan, runs, places))) return 1;
        for (uint8_t *at = out + plane; at < end; at += width) {
            *at = runs ? symbol(stack, places) : (uint8_t)next(stored, 1);
            if (halves)
                *at |= (runs ? symbol(stack, places) : (uint8_t)next(stored, 1)) << 4;
        }
    }
    for (uint8_t *at = out; at < end; at += width) {
        if (booked && *at >= entries) return 1;
        if (booked) memcpy(at, book + *at * width, width);
        if (form == 15 || !(form & 16)) continue;
        sum += number(at, (int)width);
        for (unsigned i = 0; i < width; i++) at[i] = (uint8_t)(sum >> 8 * i);
    }
    return stored->bad;
}

static int body_fails(Cursor in, uint8_t *out, uint64_t length) {
    uint64_t compressed = next(&in, 4), size = next(&in, 4), words = next(&in, 4);
    unsigned properties = (unsigned)next(&in, 1);
    const uint8_t *first = take(&in, compressed), *second = take(&in, words);
    uint8_t *end = out + length, *memory = NULL;
    if (!in.bad && words % 4 == 0 && size <= 2 * length + 256)
        memory = malloc(size + 1);
    if (!memory) return 1;
    Cursor lzma = {first, second, 0}, plan = {memory, memory, 0};
    Cursor text = {memory, memory + size, 0};
    Stack stack = {0, second, in.at};
    int fails = lzma_fails(lzma, properties, memory, (uint32_t)size);
    uint64_t descriptions = next(&text, 4);
    plan.at = text.at;
    plan.end = take(&text, descriptions) ? text.at : plan.at;
    stack.state = pop(&stack);
    if (stack.top != second) stack.state = stack.state << 32 | pop(&stack);
    while (!fails && plan.at != plan.end) {
        uint64_t bytes = next(&plan, 4);
        unsigned form = (unsigned)next(&plan, 1);
        if (plan.bad || bytes > (uint64_t)(end - out)) break;
        const uint8_t *from = form ? NULL : take(&text, bytes);
        if (form) fails = piece_fails(&plan, &stack, &in, form, out, (uint32_t)bytes);
        if (from) memcpy(out, from, bytes);
        out += bytes;
    }
    free(memory);
    return fails || plan.bad || text.bad || out != end || plan.at != plan.end
        || text.at != text.end || in.at != in.end || stack.state || stack.top != second;
}

/* Size in bytes of the file in a container; -1: not a container, damaged, too large. */
int64_t tflz_size(const uint8_t *packed, size_t size) {
    if (size < HEADER || memcmp(packed, "TFLZ\1", 5) || packed[5] > 1) return -1;
    uint64_t length = number(packed + 10, 8);
    uint32_t crc = crc32_on(crc32_on(0, packed, 6), packed + 10, size - 10);
    int whole = crc == number(packed + 6, 4) && length >> 31 == 0;
    return whole && length <= (uint64_t)10000 * size ? (int64_t)length : -1;
}

/* Unpacks into `out`, which has `tflz_size` bytes; 0: success. */
int tflz_unpack(const uint8_t *packed, size_t size, uint8_t *out) {
    int64_t length = tflz_size(packed, size);
    Cursor body = {packed + HEADER, packed + size, 0};
    if (length < 0) return 1;
    if (packed[5]) return body_fails(body, out, (uint64_t)length);
    return size - HEADER != (uint64_t)length || !memcpy(out, body.at, size - HEADER);
}

#ifndef TFLZ_NO_MAIN
#include <stdio.h>

int main(int count, char **names) {
    FILE *file = count == 3 ? fopen(names[1], "rb") : NULL;
    long size = file && !fseek(file, 0, SEEK_END) ? ftell(file) : -1;
    uint8_t *packed = size < 0 ? NULL : malloc((size_t)size + 1), *out = NULL;
    if (packed) rewind(file);
    size = packed ? (long)fread(packed, 1, (size_t)size, file) : 0;
    int64_t length = tflz_size(packed, (size_t)size);
    if (length >= 0) out = malloc((size_t)length + 1);
    if (!out || tflz_unpack(packed, (size_t)size, out))
        return fprintf(stderr, "error: not a valid container\n"), 3;
    file = fopen(names[2], "wb");
    return file && fwrite(out, 1, (size_t)length, file) == (size_t)length
        && !fclose(file) ? 0 : 4;
}
#endif
