/* SHA-256 (FIPS 180-4) of many short texts: a call of OpenSSL through Python costs as much as hashing two hundred bytes.

   The processor's own instructions do it where there are any; hashlib is held against both in the tests. */

#ifndef SUYUAN_SHA256_H
#define SUYUAN_SHA256_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

enum { SHA256_BLOCK = 64, SHA256_HASH = 32 };

static const uint32_t sha256_begin[8] = {
    0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
};

static const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha256_turned(uint32_t word, int by) { return word >> by | word << (32 - by); }

/* Whole blocks, by arithmetic alone (6.2.2). */
static void sha256_blocks_plain(uint32_t state[8], const uint8_t *text, size_t blocks)
{
    for (; blocks; blocks--, text += SHA256_BLOCK) {
        uint32_t w[64], a[8];
        for (int t = 0; t < 16; t++) {
            const uint8_t *at = text + 4 * t;
            w[t] = (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
        }
        for (int t = 16; t < 64; t++) {
            uint32_t early = w[t - 15], late = w[t - 2];
            w[t] = w[t - 16] + (sha256_turned(early, 7) ^ sha256_turned(early, 18) ^ early >> 3) + w[t - 7] +
                   (sha256_turned(late, 17) ^ sha256_turned(late, 19) ^ late >> 10);
        }
        memcpy(a, state, sizeof a);
        for (int t = 0; t < 64; t++) {
            uint32_t first = a[7] + (sha256_turned(a[4], 6) ^ sha256_turned(a[4], 11) ^ sha256_turned(a[4], 25)) +
                             ((a[4] & a[5]) ^ (~a[4] & a[6])) + sha256_constants[t] + w[t];
            uint32_t second = (sha256_turned(a[0], 2) ^ sha256_turned(a[0], 13) ^ sha256_turned(a[0], 22)) +
                              ((a[0] & a[1]) ^ (a[0] & a[2]) ^ (a[1] & a[2]));
            memmove(a + 1, a, 7 * sizeof a[0]);
            a[4] += first;
            a[0] = first + second;
        }
        for (int i = 0; i < 8; i++)
            state[i] += a[i];
    }
}

#if defined(__x86_64__)
/* Whole blocks, by the instructions that Intel and AMD have for it; they keep the state as ABEF and CDGH. */
__attribute__((target("sha,sse4.1"))) static void sha256_blocks_sha(uint32_t state[8], const uint8_t *text,
                                                                    size_t blocks)
{
    const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i low = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)state), 0xb1);
    __m128i high = _mm_shuffle_epi32(_mm_loadu_si128((const __m128i *)(state + 4)), 0x1b);
    __m128i abef = _mm_alignr_epi8(low, high, 8), cdgh = _mm_blend_epi16(high, low, 0xf0);
    for (; blocks; blocks--, text += SHA256_BLOCK) {
        __m128i before_abef = abef, before_cdgh = cdgh, w[4], word;
#pragma GCC unroll 16
        for (int t = 0; t < 16; t++) {
            if (t < 4) {
                word = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(text + 16 * t)), swap);
            } else {
                word = _mm_sha256msg1_epu32(w[t & 3], w[(t + 1) & 3]);
                word = _mm_add_epi32(word, _mm_alignr_epi8(w[(t + 3) & 3], w[(t + 2) & 3], 4));
                word = _mm_sha256msg2_epu32(word, w[(t + 3) & 3]);
            }
            w[t & 3] = word;
            word = _mm_add_epi32(word, _mm_loadu_si128((const __m128i *)(sha256_constants + 4 * t)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, word);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(word, 0x0e));
        }
        abef = _mm_add_epi32(abef, before_abef);
        cdgh = _mm_add_epi32(cdgh, before_cdgh);
    }
    low = _mm_shuffle_epi32(abef, 0x1b);
    high = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(low, high, 0xf0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(high, low, 8));
}

static int sha256_has_instructions(void)
{
    unsigned a, b, c, d;
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) && b >> 29 & 1;
}
#endif

typedef void sha256_way(uint32_t state[8], const uint8_t *text, size_t blocks);

static sha256_way *sha256_blocks = sha256_blocks_plain;

/* Choose how, once, when the library is loaded. */
__attribute__((constructor)) static void sha256_choose(void)
{
#if defined(__x86_64__)
    if (sha256_has_instructions())
        sha256_blocks = sha256_blocks_sha;
#endif
}

/* The hash of a short text (`before`, less than a block) followed by another. */
static void sha256_by(sha256_way *way, const uint8_t *before, size_t short_size, const uint8_t *text, size_t size,
                      uint8_t hash[SHA256_HASH])
{
    uint32_t state[8];
    uint8_t last[2 * SHA256_BLOCK];
    uint64_t bits = 8 * (uint64_t)(short_size + size);
    memcpy(state, sha256_begin, sizeof state);
    memcpy(last, before, short_size);
    size_t filled = short_size;
    if (short_size && short_size + size >= SHA256_BLOCK) {
        size_t fits = SHA256_BLOCK - short_size;
        memcpy(last + short_size, text, fits);
        way(state, last, 1);
        text += fits, size -= fits, filled = 0;
    }
    if (size >= SHA256_BLOCK) {
        size_t blocks = size / SHA256_BLOCK;
        way(state, text, blocks);
        text += blocks * SHA256_BLOCK, size -= blocks * SHA256_BLOCK;
    }
    memcpy(last + filled, text, size);
    filled += size;
    size_t padded = filled < SHA256_BLOCK - 8 ? SHA256_BLOCK : 2 * SHA256_BLOCK;
    memset(last + filled, 0, padded - filled);
    last[filled] = 0x80;
    for (int i = 0; i < 8; i++)
        last[padded - 1 - i] = (uint8_t)(bits >> 8 * i);
    way(state, last, padded / SHA256_BLOCK);
    for (int i = 0; i < SHA256_HASH; i++)
        hash[i] = (uint8_t)(state[i / 4] >> (24 - 8 * (i % 4)));
}

static void sha256(const uint8_t *before, size_t short_size, const uint8_t *text, size_t size,
                   uint8_t hash[SHA256_HASH])
{
    sha256_by(sha256_blocks, before, short_size, text, size, hash);
}

#endif
