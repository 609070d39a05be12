/* JSON, letter for letter as msgspec writes it. */

#ifndef SUYUAN_JSON_H
#define SUYUAN_JSON_H

#include "bytes.h"
#include "sha256.h"

static void add_json(bytes *to, const uint8_t *text, size_t size)
{
    static const char hex[] = "0123456789abcdef";
    static const char brief[32] = {[8] = 'b', [9] = 't', [10] = 'n', [12] = 'f', [13] = 'r'};
    const uint8_t *end = text + size, *plain = text;
    add_byte(to, '"');
    for (; text < end; text++) {
        uint8_t sign = *text;
        if (sign >= 0x20 && sign != '"' && sign != '\\')
            continue;
        add(to, plain, (size_t)(text - plain));
        plain = text + 1;
        if (sign >= 0x20 || brief[sign]) {
            uint8_t escape[2] = {'\\', sign >= 0x20 ? sign : (uint8_t)brief[sign]};
            add(to, escape, sizeof escape);
        } else {
            uint8_t escape[6] = {'\\', 'u', '0', '0', (uint8_t)hex[sign >> 4], (uint8_t)hex[sign & 15]};
            add(to, escape, sizeof escape);
        }
    }
    add(to, plain, (size_t)(text - plain));
    add_byte(to, '"');
}

static void add_number(bytes *to, int64_t number)
{
    uint8_t digits[20], *at = digits + sizeof digits;
    uint64_t left = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do
        *--at = (uint8_t)('0' + left % 10);
    while (left /= 10);
    if (number < 0)
        *--at = '-';
    add(to, at, (size_t)(digits + sizeof digits - at));
}

static void add_hash(bytes *to, const uint8_t hash[SHA256_HASH])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t text[2 * SHA256_HASH + 2];
    text[0] = text[sizeof text - 1] = '"';
    for (int i = 0; i < SHA256_HASH; i++)
        text[1 + 2 * i] = (uint8_t)hex[hash[i] >> 4], text[2 + 2 * i] = (uint8_t)hex[hash[i] & 15];
    add(to, text, sizeof text);
}

#endif
