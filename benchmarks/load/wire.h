/* The coffer protocol, version 1, byte for byte: what docs/protocol.md fixes, for both ends.
 *
 * No socket, no clock, no allocation. The callers keep the Diffie-Hellman values, so that each side
 * computes only those it must; they wipe them too.
 */
#ifndef WIRE_H
#define WIRE_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum kind {
    HELLO = 0x00,
    LINK = 0x01,
    GET = 0x02,
    OK_GET = 0x03,
    BYE = 0x99,
    KEY_NOT_FOUND = 0xaa,
    ERROR = 0xff
};

enum {
    KEY_BYTES = 32,
    MAC_BYTES = crypto_box_MACBYTES,
    NONCE_BYTES = crypto_box_NONCEBYTES,
    HEADER_BYTES = 3,
    RANDOM_BYTES = 24,
    OPENING_BYTES = KEY_BYTES + RANDOM_BYTES, /* F || R, in clear before the first box of the server */
    INNER_BYTES = KEY_BYTES + MAC_BYTES,
    HELLO_BYTES = HEADER_BYTES + KEY_BYTES + KEY_BYTES + INNER_BYTES + MAC_BYTES,
    LINK_BYTES = HEADER_BYTES + OPENING_BYTES + MAC_BYTES,
    GET_BYTES = HEADER_BYTES + MAC_BYTES,
    BYE_BYTES = HEADER_BYTES + KEY_BYTES + MAC_BYTES,
    KEY_NOT_FOUND_BYTES = HEADER_BYTES + OPENING_BYTES + KEY_BYTES + MAC_BYTES,
    PAD_BYTES = 256,
    ERROR_BYTES = HEADER_BYTES + PAD_BYTES + MAC_BYTES, /* after Get; after Hello F || R come before it */
    BODY_LIMIT_BYTES = 255 * PAD_BYTES - 1,             /* the largest coffer response */
    FRAME_LIMIT_BYTES = HEADER_BYTES + 255 * PAD_BYTES + MAC_BYTES,
    DIGEST_BYTES = 16
};

/* Where the parts of a Hello frame begin. */
enum { HELLO_E = HEADER_BYTES, HELLO_OUTER = HELLO_E + KEY_BYTES };

struct session_keys {
    uint8_t up[KEY_BYTES], down[KEY_BYTES];
};

/* Both ends' view of a greeting: everything the session keys are made of. */
struct greeting {
    const uint8_t *S, *hello, *opening; /* 32, the whole Hello frame, F || R */
    const uint8_t *dh_sc, *dh_se, *dh_fe;
    enum kind reply;
};

/* dh(X, y); false for a low-order point. */
bool dh(uint8_t shared[KEY_BYTES], const uint8_t X[KEY_BYTES], const uint8_t y[KEY_BYTES]);

void blake(uint8_t *out, size_t out_size, const char *label, const uint8_t *in, size_t in_size);

/* The digest by which the clients file names an opened response: BLAKE2b, 16 bytes, no key, no personal. */
void body_digest(uint8_t digest[DIGEST_BYTES], const uint8_t *body, size_t size);

void header_pack(uint8_t *frame, enum kind kind, size_t content);
size_t header_content(const uint8_t *frame);

void hello_seal(uint8_t frame[HELLO_BYTES], const uint8_t *S, const uint8_t *E, const uint8_t *C,
                const uint8_t *dh_se, const uint8_t *dh_sc);

/* The inner box is given, right or wrong: how the probes of the generator are made. */
void hello_seal_around(uint8_t frame[HELLO_BYTES], const uint8_t *S, const uint8_t *E, const uint8_t *C,
                       const uint8_t *inner, const uint8_t *dh_se);

bool hello_open_outer(uint8_t opened[KEY_BYTES + INNER_BYTES], const uint8_t *hello, const uint8_t *S,
                      const uint8_t *dh_se);
bool hello_open_inner(const uint8_t opened[KEY_BYTES + INNER_BYTES], const uint8_t *hello, const uint8_t *S,
                      const uint8_t *dh_sc);

void session_keys_derive(struct session_keys *keys, const struct greeting *greeting);

/* A whole frame; the box begins after `clear` bytes that the caller wrote behind the header. Its size. */
size_t frame_seal(uint8_t *frame, enum kind kind, size_t clear, const uint8_t *key, const uint8_t *body,
                  size_t size);
bool frame_open(uint8_t *body, const uint8_t *frame, size_t clear, const uint8_t *key);

#endif
