/* Bytes that grow. */

#ifndef SUYUAN_BYTES_H
#define SUYUAN_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    uint8_t *data;
    size_t used, room;
} bytes;

static _Thread_local int out_of_memory;

static int grow(bytes *to, size_t size)
{
    size_t room = to->room + to->room / 2 + size + 4096;
    uint8_t *data = realloc(to->data, room);
    if (!data) {
        out_of_memory = 1;
        return 0;
    }
    to->data = data, to->room = room;
    return 1;
}

static inline void add(bytes *to, const void *from, size_t size)
{
    if (!size || (to->room - to->used < size && !grow(to, size)))
        return;
    memcpy(to->data + to->used, from, size);
    to->used += size;
}

static inline void add_byte(bytes *to, uint8_t byte) { add(to, &byte, 1); }

static inline void add_offset(bytes *to, size_t offset)
{
    int64_t wide = (int64_t)offset;
    add(to, &wide, sizeof wide);
}

#endif
