#include "wire.h"

#include <string.h>

bool dh(uint8_t shared[KEY_BYTES], const uint8_t X[KEY_BYTES], const uint8_t y[KEY_BYTES])
{
    return crypto_box_beforenm(shared, X, y) == 0;
}

static void personal_of(uint8_t personal[16], const char *label)
{
    memset(personal, 0, 16);
    memcpy(personal, "coffer/1:", 9);
    memcpy(personal + 9, label, strlen(label)); /* seven characters at most */
}

void blake(uint8_t *out, size_t out_size, const char *label, const uint8_t *in, size_t in_size)
{
    uint8_t personal[16];
    personal_of(personal, label);
    crypto_generichash_blake2b_salt_personal(out, out_size, in, in_size, NULL, 0, NULL, personal);
}

void body_digest(uint8_t digest[DIGEST_BYTES], const uint8_t *body, size_t size)
{
    crypto_generichash_blake2b(digest, DIGEST_BYTES, body, size, NULL, 0);
}

void header_pack(uint8_t *frame, enum kind kind, size_t content)
{
    frame[0] = (uint8_t)(content >> 8);
    frame[1] = (uint8_t)content;
    frame[2] = (uint8_t)kind;
}

size_t header_content(const uint8_t *frame)
{
    return (size_t)frame[0] << 8 | frame[1];
}

static void outer_nonce(uint8_t nonce[NONCE_BYTES], const uint8_t *S, const uint8_t *E)
{
    uint8_t input[2 * KEY_BYTES];
    memcpy(input, E, KEY_BYTES);
    memcpy(input + KEY_BYTES, S, KEY_BYTES);
    blake(nonce, NONCE_BYTES, "h-outer", input, sizeof input);
}

static void inner_nonce(uint8_t nonce[NONCE_BYTES], const uint8_t *S, const uint8_t *E, const uint8_t *C)
{
    uint8_t input[3 * KEY_BYTES];
    memcpy(input, E, KEY_BYTES);
    memcpy(input + KEY_BYTES, S, KEY_BYTES);
    memcpy(input + 2 * KEY_BYTES, C, KEY_BYTES);
    blake(nonce, NONCE_BYTES, "h-inner", input, sizeof input);
}

void hello_seal(uint8_t frame[HELLO_BYTES], const uint8_t *S, const uint8_t *E, const uint8_t *C,
                const uint8_t *dh_se, const uint8_t *dh_sc)
{
    uint8_t nonce[NONCE_BYTES], inner[INNER_BYTES];
    inner_nonce(nonce, S, E, C);
    (void)crypto_box_easy_afternm(inner, C, KEY_BYTES, nonce, dh_sc); /* fails for a giant message only */
    hello_seal_around(frame, S, E, C, inner, dh_se);
}

void hello_seal_around(uint8_t frame[HELLO_BYTES], const uint8_t *S, const uint8_t *E, const uint8_t *C,
                       const uint8_t *inner, const uint8_t *dh_se)
{
    uint8_t nonce[NONCE_BYTES], body[KEY_BYTES + INNER_BYTES];
    memcpy(body, C, KEY_BYTES);
    memcpy(body + KEY_BYTES, inner, INNER_BYTES);
    outer_nonce(nonce, S, E);
    header_pack(frame, HELLO, HELLO_BYTES - HEADER_BYTES);
    memcpy(frame + HELLO_E, E, KEY_BYTES);
    (void)crypto_box_easy_afternm(frame + HELLO_OUTER, body, sizeof body, nonce, dh_se);
}

bool hello_open_outer(uint8_t opened[KEY_BYTES + INNER_BYTES], const uint8_t *hello, const uint8_t *S,
                      const uint8_t *dh_se)
{
    uint8_t nonce[NONCE_BYTES];
    outer_nonce(nonce, S, hello + HELLO_E);
    return crypto_box_open_easy_afternm(opened, hello + HELLO_OUTER, HELLO_BYTES - HELLO_OUTER, nonce,
                                        dh_se) == 0;
}

bool hello_open_inner(const uint8_t opened[KEY_BYTES + INNER_BYTES], const uint8_t *hello, const uint8_t *S,
                      const uint8_t *dh_sc)
{
    uint8_t nonce[NONCE_BYTES], C[KEY_BYTES];
    inner_nonce(nonce, S, hello + HELLO_E, opened);
    return crypto_box_open_easy_afternm(C, opened + KEY_BYTES, INNER_BYTES, nonce, dh_sc) == 0 &&
           sodium_memcmp(C, opened, KEY_BYTES) == 0;
}

static void transcript_of(uint8_t transcript[KEY_BYTES], const struct greeting *greeting)
{
    uint8_t input[KEY_BYTES + HELLO_BYTES + 1 + OPENING_BYTES], *at = input;
    at = (uint8_t *)memcpy(at, greeting->S, KEY_BYTES) + KEY_BYTES;
    at = (uint8_t *)memcpy(at, greeting->hello, HELLO_BYTES) + HELLO_BYTES;
    *at++ = (uint8_t)greeting->reply;
    memcpy(at, greeting->opening, OPENING_BYTES);
    blake(transcript, KEY_BYTES, "transcr", input, sizeof input);
}

void session_keys_derive(struct session_keys *keys, const struct greeting *greeting)
{
    uint8_t personal[16], input[3 * KEY_BYTES];
    personal_of(personal, "keys");
    transcript_of(input, greeting);
    memcpy(input + KEY_BYTES, greeting->dh_se, KEY_BYTES);
    memcpy(input + 2 * KEY_BYTES, greeting->dh_fe, KEY_BYTES);
    crypto_generichash_blake2b_salt_personal((uint8_t *)keys, sizeof *keys, input, sizeof input,
                                             greeting->dh_sc, KEY_BYTES, NULL, personal);
    sodium_memzero(input, sizeof input);
}

size_t frame_seal(uint8_t *frame, enum kind kind, size_t clear, const uint8_t *key, const uint8_t *body,
                  size_t size)
{
    const uint8_t nonce[NONCE_BYTES] = {(uint8_t)kind};
    header_pack(frame, kind, clear + size + MAC_BYTES);
    (void)crypto_box_easy_afternm(frame + HEADER_BYTES + clear, body, size, nonce, key);
    return HEADER_BYTES + clear + size + MAC_BYTES;
}

bool frame_open(uint8_t *body, const uint8_t *frame, size_t clear, const uint8_t *key)
{
    const uint8_t nonce[NONCE_BYTES] = {frame[2]};
    return crypto_box_open_easy_afternm(body, frame + HEADER_BYTES + clear, header_content(frame) - clear,
                                        nonce, key) == 0;
}
