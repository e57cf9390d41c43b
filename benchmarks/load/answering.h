/* The server's half of a session: frames in, frames out; no socket, no clock. */
#ifndef ANSWERING_H
#define ANSWERING_H

#include "locker.h"

enum step { GREETING, LINKED, SERVED, ENDED };

struct answering {
    enum step step;
    uint8_t C[KEY_BYTES];
    struct session_keys keys;
    const struct shard *shard;
};

struct served {
    unsigned long sessions, unknown;
};

void answering_prepare(const char *key_path);
void answering_renew_epoch(void);
void answering_wipe(void);

/* The size of the frame with this header, or 0 when the state does not allow it. */
size_t answering_allowed(const struct answering *session, const uint8_t *frame);

/* Take a whole, allowed frame and write the answer, whose size may be 0; false is a fault of the peer. */
bool answering_take(struct answering *session, const uint8_t *frame, uint8_t *out, size_t *out_size);

void answering_end(struct answering *session);

struct served answering_served(void);

#endif
