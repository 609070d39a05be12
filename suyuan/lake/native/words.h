/* Different texts, each with a number, from 0 in the order of their coming. */

#ifndef SUYUAN_WORDS_H
#define SUYUAN_WORDS_H

#include "bytes.h"

typedef struct {
    bytes text, offsets; /* value n is text[offsets[n]:offsets[n + 1]] */
    uint32_t *slots;     /* 1 + number, found by hash; 0 is free */
    uint64_t seed;       /* of the hash: who does not know it cannot choose texts of one hash */
    size_t count, slots_count;
    uint32_t last; /* what was found last: runs of one value are common */
} words;

static inline uint64_t hash_of(const words *of, const uint8_t *text, size_t size)
{
    uint64_t hash = of->seed + size * 0x9e3779b97f4a7c15u, part;
    for (; size >= 8; text += 8, size -= 8) {
        memcpy(&part, text, 8);
        hash = (hash ^ part) * 0x9fb21c651e98df25u;
        hash ^= hash >> 32;
    }
    part = 0;
    memcpy(&part, text, size);
    hash = (hash ^ part) * 0x9fb21c651e98df25u;
    return hash ^ hash >> 29;
}

static inline const uint8_t *word(const words *of, size_t number, size_t *size)
{
    const int64_t *offsets = (const int64_t *)of->offsets.data + number;
    *size = (size_t)(offsets[1] - offsets[0]);
    return of->text.data + offsets[0];
}

static inline int is_word(const words *of, size_t number, const uint8_t *text, size_t size)
{
    size_t known;
    const uint8_t *found = word(of, number, &known);
    return known == size && (!size || !memcmp(found, text, size));
}

static int more_slots(words *of)
{
    size_t slots_count = of->slots_count ? 4 * of->slots_count : 64;
    uint32_t *slots = calloc(slots_count, sizeof *slots);
    if (!slots) {
        out_of_memory = 1;
        return 0;
    }
    for (size_t number = 0; number < of->count; number++) {
        size_t size;
        const uint8_t *text = word(of, number, &size);
        size_t slot = hash_of(of, text, size) & (slots_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (slots_count - 1);
        slots[slot] = (uint32_t)number + 1;
    }
    free(of->slots);
    of->slots = slots, of->slots_count = slots_count;
    return 1;
}

/* Its number, or the place where it is to stand; -1 where it is not known. */
static int64_t find(const words *of, const uint8_t *text, size_t size, size_t *slot)
{
    for (*slot = hash_of(of, text, size) & (of->slots_count - 1); of->slots[*slot];
         *slot = (*slot + 1) & (of->slots_count - 1))
        if (is_word(of, of->slots[*slot] - 1, text, size))
            return of->slots[*slot] - 1;
    return -1;
}

static uint32_t number_of(words *of, const uint8_t *text, size_t size)
{
    if (of->count && is_word(of, of->last, text, size))
        return of->last;
    if (2 * (of->count + 1) > of->slots_count && !more_slots(of))
        return 0;
    size_t slot;
    int64_t known = find(of, text, size, &slot);
    if (known < 0) {
        if (!of->count)
            add_offset(&of->offsets, 0);
        add(&of->text, text, size);
        add_offset(&of->offsets, of->text.used);
        if (out_of_memory)
            return 0;
        known = (int64_t)of->count++;
        of->slots[slot] = (uint32_t)known + 1;
    }
    return of->last = (uint32_t)known;
}

/* Whether it is one of them, and which. */
static int is_in(const words *of, const uint8_t *text, size_t size, uint32_t *number)
{
    size_t slot;
    int64_t known = of->count ? find(of, text, size, &slot) : -1;
    *number = (uint32_t)known;
    return known >= 0;
}

static void free_words(words *of) { free(of->text.data), free(of->offsets.data), free(of->slots); }

#endif
