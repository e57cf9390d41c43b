/* The client's half of a session, checked to the last byte: frames in, frames out; no socket, no clock. */
#ifndef ASKING_H
#define ASKING_H

#include "clients.h"
#include "ephemerals.h"
#include "outcome.h"

enum awaited { NOTHING, GREETING, ANSWER };

struct asking {
    const struct client *client;
    const uint8_t *S, *dh_sc;
    struct ephemeral *ephemeral;
    enum awaited awaited;
    struct session_keys keys;
    uint8_t hello[HELLO_BYTES];
};

/* Make the Hello for these, with an ephemeral key whose turn it is. */
void asking_begin(struct asking *session, const struct client *client, const uint8_t *S,
                  const uint8_t *dh_sc);

/* By protocol.md's table of frames, may one with this header come now? */
bool asking_allowed(const struct asking *session, const uint8_t *frame);

/* FINE with the next frame to send in `out`, or the way in which this frame fails the session. */
enum failure asking_take_greeting(struct asking *session, const uint8_t *frame, uint8_t get[GET_BYTES]);
enum failure asking_take_answer(struct asking *session, const uint8_t *frame, uint8_t bye[BYE_BYTES]);

/* How often each of a client's accepted responses came, by its place in the clients file. */
const uint64_t *asking_answers(void);

#endif
