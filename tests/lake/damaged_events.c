/* Takes pieces from standard input, each three events that may be damaged, for a sanitizer to watch over it.

   Arguments: the role of each field, how many fields an event has at least, and which the leaf tells.

   A piece is its length in four bytes, lowest first, and its bytes, in memory of exactly that size. Answers for each
   how many events were taken. */

#include "segment.c"

#include <stdio.h>

int main(int count, char **arguments)
{
    int told[TOLD];
    if (count != 3 + TOLD)
        return 1;
    for (int field = 0; field < TOLD; field++)
        told[field] = atoi(arguments[3 + field]);
    uint8_t length[4], salts[3 * SALT] = {0};
    while (fread(length, 1, sizeof length, stdin) == sizeof length) {
        size_t size = length[0] | (size_t)length[1] << 8 | (size_t)length[2] << 16 | (size_t)length[3] << 24, read;
        uint8_t *piece = malloc(size + !size);
        if (!piece || fread(piece, 1, size, stdin) != size)
            return 2;
        segment *in = suyuan_segment(arguments[1], atoi(arguments[2]), told, "suyuan leaf 1", 7);
        if (!in || !suyuan_call(in, (const uint8_t *)"claimed", 7, (const uint8_t *)"sale", 4) ||
            !suyuan_hide(in, (const uint8_t *)"P1", 2))
            return 3;
        int64_t taken = suyuan_take(in, 3, piece, size, salts, 0, &read);
        if (taken < 3)
            taken += suyuan_take(in, 3 - taken, piece + read, size - read, salts, 1, &read);
        for (int part = VALUES; part <= LEAVES; part++)
            suyuan_part(in, 3, part, &size);
        uint8_t root[SHA256_HASH];
        if (size && !suyuan_root(suyuan_part(in, 0, LEAVES, &size), size / SHA256_HASH, root))
            return 4;
        printf("%d\n", (int)taken);
        suyuan_free(in);
        free(piece);
    }
    return 0;
}
