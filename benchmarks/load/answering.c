#include "answering.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

static struct {
    uint8_t s[KEY_BYTES], f[KEY_BYTES]; /* in locked memory */
} *secret;
static uint8_t S[KEY_BYTES], F[KEY_BYTES];
static struct served served;

void answering_prepare(const char *key_path)
{
    secret = sodium_malloc(sizeof *secret);
    if (!secret)
        die("raise RLIMIT_MEMLOCK", "no locked memory");
    secret_load(secret->s, key_path);
    if (crypto_scalarmult_base(S, secret->s))
        die("make another key", "%s: no public key belongs to it", key_path);
    answering_renew_epoch();
}

void answering_renew_epoch(void)
{
    randombytes_buf(secret->f, KEY_BYTES); /* over the old one */
    if (crypto_scalarmult_base(F, secret->f))
        abort();
}

void answering_wipe(void)
{
    sodium_free(secret);
}

size_t answering_allowed(const struct answering *session, const uint8_t *frame)
{
    size_t size = HEADER_BYTES + header_content(frame);
    enum step step = session->step;
    switch (frame[2]) {
    case HELLO: return step == GREETING && size == HELLO_BYTES ? size : 0;
    case GET: return step == LINKED && size == GET_BYTES ? size : 0;
    case BYE: return (step == LINKED || step == SERVED) && size == BYE_BYTES ? size : 0;
    default: return 0;
    }
}

/* dh(C,s) is kept from the first Hello that proves the client. The second try that makes strangers cost the
 * same is left out: tests of that promise use the limit as the one that breaks it. */
static bool prove(struct answering *session, const uint8_t *hello, const uint8_t *opened, uint8_t *dh_sc)
{
    struct shard *shard = locker_find(opened);
    bool kept = shard && shard->dh_kept;
    if (kept)
        memcpy(dh_sc, shard->dh_sc, KEY_BYTES);
    else if (!dh(dh_sc, opened, secret->s))
        return false;
    if (!hello_open_inner(opened, hello, S, dh_sc))
        return false;
    if (shard && !kept) {
        memcpy(shard->dh_sc, dh_sc, KEY_BYTES);
        shard->dh_kept = true;
    }
    memcpy(session->C, opened, KEY_BYTES);
    session->shard = shard;
    return true;
}

static size_t link_or_not(struct answering *session, const uint8_t *hello, const uint8_t *dh_sc,
                          const uint8_t *dh_se, uint8_t *out)
{
    uint8_t dh_fe[KEY_BYTES], *opening = out + HEADER_BYTES;
    enum kind kind = session->shard ? LINK : KEY_NOT_FOUND;
    memcpy(opening, F, KEY_BYTES);
    randombytes_buf(opening + KEY_BYTES, RANDOM_BYTES);
    if (!dh(dh_fe, hello + HELLO_E, secret->f))
        return 0;
    const struct greeting greeting = {S, hello, opening, dh_sc, dh_se, dh_fe, kind};
    session_keys_derive(&session->keys, &greeting);
    sodium_memzero(dh_fe, sizeof dh_fe);
    session->step = kind == LINK ? LINKED : ENDED;
    served.unknown += kind == KEY_NOT_FOUND;
    return frame_seal(out, kind, OPENING_BYTES, session->keys.down, session->C, kind == LINK ? 0 : KEY_BYTES);
}

static size_t greet(struct answering *session, const uint8_t *hello, uint8_t *out)
{
    uint8_t shared[2][KEY_BYTES], opened[KEY_BYTES + INNER_BYTES];
    size_t size = 0;
    if (dh(shared[0], hello + HELLO_E, secret->s) && hello_open_outer(opened, hello, S, shared[0]) &&
        prove(session, hello, opened, shared[1]))
        size = link_or_not(session, hello, shared[1], shared[0], out);
    sodium_memzero(shared, sizeof shared);
    return size;
}

static size_t serve(struct answering *session, const uint8_t *get, uint8_t *out)
{
    uint8_t nothing[1];
    if (!frame_open(nothing, get, 0, session->keys.up))
        return 0;
    session->step = SERVED;
    return locker_answer(session->shard, &session->keys, out);
}

static bool part(struct answering *session, const uint8_t *bye)
{
    uint8_t C[KEY_BYTES];
    if (!frame_open(C, bye, 0, session->keys.up) || memcmp(C, session->C, KEY_BYTES))
        return false;
    session->step = ENDED;
    served.sessions++;
    return true;
}

bool answering_take(struct answering *session, const uint8_t *frame, uint8_t *out, size_t *out_size)
{
    *out_size = 0;
    if (frame[2] == BYE)
        return part(session, frame);
    *out_size = frame[2] == HELLO ? greet(session, frame, out) : serve(session, frame, out);
    return *out_size > 0;
}

void answering_end(struct answering *session)
{
    sodium_memzero(&session->keys, sizeof session->keys);
    session->step = ENDED;
}

struct served answering_served(void)
{
    return served;
}
