/* MessagePack, one item at a time, as msgspec writes it and whatever else may stand there. */

#ifndef SUYUAN_MSGPACK_H
#define SUYUAN_MSGPACK_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at, *end;
} cursor;

enum type { WRONG, NUMBER, FLAG, TEXT, ARRAY, MAP, OTHER };

typedef struct {
    enum type type;
    int64_t number;      /* of NUMBER and FLAG */
    const uint8_t *text; /* of TEXT; where the children of ARRAY and MAP begin */
    size_t size;         /* bytes of TEXT, children of ARRAY, pairs of MAP */
} item;

static inline uint64_t wide(const uint8_t *at, int size)
{
    uint64_t value = 0;
    for (int i = 0; i < size; i++)
        value = value << 8 | at[i];
    return value;
}

static inline item of_size(cursor *from, enum type type, uint64_t size)
{
    item found = {type, 0, from->at, size};
    if (size > (uint64_t)(from->end - from->at)) /* a child takes a byte at least */
        found.type = WRONG;
    else if (type == TEXT || type == OTHER)
        from->at += size;
    return found;
}

/* The next item; of ARRAY and MAP only the sign, their children come next. */
static inline item next(cursor *from)
{
    item found = {WRONG, 0, from->at, 0};
    if (from->at == from->end)
        return found;
    uint8_t sign = *from->at++;
    if (sign >= 0xa0 && sign < 0xc0)
        return of_size(from, TEXT, sign & 0x1f);
    if (sign < 0x80 || sign >= 0xe0)
        return (item){NUMBER, (int8_t)sign, from->at, 0};
    if (sign < 0xa0)
        return of_size(from, sign < 0x90 ? MAP : ARRAY, sign & 0x0f);
    /* What follows the signs from 0xc0 on: the bytes of a length, or of a value. */
    static const uint8_t follows[32] = {0, 0, 0, 0, 1, 2, 4, 1, 2, 4, 4, 8, 1, 2, 4, 8,
                                        1, 2, 4, 8, 1, 1, 1, 1, 1, 1, 2, 4, 2, 4, 2, 4};
    int size = follows[sign - 0xc0];
    if (sign == 0xc1 || from->end - from->at < size)
        return found;
    uint64_t value = wide(from->at, size);
    from->at += size;
    if (sign == 0xc2 || sign == 0xc3)
        return (item){FLAG, sign & 1, from->at, 0};
    if (sign >= 0xcc && sign <= 0xcf)
        return (item){value > INT64_MAX ? OTHER : NUMBER, (int64_t)value, from->at, 0};
    if (sign >= 0xd0 && sign <= 0xd3)
        return (item){NUMBER, (int64_t)(value << (64 - 8 * size)) >> (64 - 8 * size), from->at, 0};
    if (sign >= 0xd9 && sign <= 0xdb)
        return of_size(from, TEXT, value);
    if (sign == 0xdc || sign == 0xdd)
        return of_size(from, ARRAY, value);
    if (sign >= 0xde)
        return of_size(from, MAP, value);
    if (sign >= 0xc4 && sign <= 0xc6) /* bytes */
        return of_size(from, OTHER, value);
    if (sign >= 0xc7 && sign <= 0xc9) /* an extension, whose kind comes after its length */
        return of_size(from, OTHER, value + 1);
    if (sign >= 0xd4 && sign <= 0xd8) /* one of 1, 2, 4, 8 or 16 bytes */
        return of_size(from, OTHER, (uint64_t)1 << (sign - 0xd4));
    return (item){OTHER, 0, from->at, 0}; /* nothing, or a floating number: no field holds one */
}

/* Step over the children of an item, however deep. */
static int skip(cursor *from, item within)
{
    uint64_t open = within.type == ARRAY ? within.size : within.type == MAP ? 2 * within.size : 0;
    for (; open; open--) {
        item found = next(from);
        if (found.type == WRONG)
            return 0;
        open += found.type == ARRAY ? found.size : found.type == MAP ? 2 * found.size : 0;
    }
    return within.type != WRONG;
}

/* Whether it is UTF-8 (RFC 3629). */
static int is_utf8(const uint8_t *text, size_t size)
{
    const uint8_t *end = text + size;
    while (text < end) {
        uint8_t first = *text++;
        if (first < 0x80)
            continue;
        int more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
        if (first < 0xc2 || first > 0xf4 || end - text < more)
            return 0;
        uint8_t second = text[0];
        if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) || (first == 0xf0 && second < 0x90) ||
            (first == 0xf4 && second > 0x8f))
            return 0;
        while (more--)
            if ((*text++ & 0xc0) != 0x80)
                return 0;
    }
    return 1;
}

static inline item next_text(cursor *from)
{
    item found = next(from);
    if (found.type == TEXT && !is_utf8(found.text, found.size))
        found.type = WRONG;
    return found;
}

#endif
