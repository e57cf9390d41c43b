/* A small pool of ephemeral keys, so that a session costs the generator no X25519 of its own.
 *
 * Used again and again, which no real client may do: each pair here talks to test servers only.
 */
#ifndef EPHEMERALS_H
#define EPHEMERALS_H

#include "wire.h"

enum { EPOCHS_KEPT = 16 }; /* as many workers, each with its F, are told apart without computing anew */

struct ephemeral {
    uint8_t E[KEY_BYTES], e[KEY_BYTES], dh_se[KEY_BYTES];
    struct {
        uint8_t F[KEY_BYTES], dh_fe[KEY_BYTES];
    } epochs[EPOCHS_KEPT];
    unsigned made; /* so many epochs were ever new; the oldest gives way */
};

void ephemerals_make(unsigned count, const uint8_t *S);
struct ephemeral *ephemerals_next(void);

/* dh(F,e), computed only when this F is new to the pair; NULL when it can't be. */
const uint8_t *ephemeral_dh_fe(struct ephemeral *ephemeral, const uint8_t *F);

#endif
