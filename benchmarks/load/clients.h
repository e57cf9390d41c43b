/* The clients file: who asks, and what the answer must be. One file serves both programs.
 *
 * A line a client, words NAME=HEX in any order; blank lines and lines that begin with # are skipped:
 *
 *     secret=64 hex    the client's secret key (load must have it)
 *     public=64 hex    its public key (optional beside secret: saves computing it)
 *     body=HEX         an opened response that is right (limit serves the first)
 *     digest=32 hex    the BLAKE2b-16 of one that is right
 */
#ifndef CLIENTS_H
#define CLIENTS_H

#include "wire.h"

enum { ACCEPTED_LIMIT = 8 };

struct client {
    uint8_t secret[KEY_BYTES], public[KEY_BYTES];
    uint8_t (*accepted)[DIGEST_BYTES]; /* one for each body and digest word, in their order */
    uint8_t *body;                     /* the first body word, only when bodies are kept */
    size_t body_size;
    unsigned accepted_count, line;
    bool has_secret, has_public;
};

struct clients {
    struct client *list;
    size_t count;
};

/* Read the whole file, or die naming its line; never with a word of it. */
struct clients clients_load(const char *path, bool keep_bodies);

/* Wipe the bodies and secret keys, and give everything back. */
void clients_free(struct clients clients);

/* A secret key: a coffer key file (docs/protocol.md), or 64 hex digits on a line of their own. */
void secret_load(uint8_t secret[KEY_BYTES], const char *path);

#endif
