#include "asking.h"

#include <string.h>

static uint64_t answers[ACCEPTED_LIMIT];

void asking_begin(struct asking *session, const struct client *client, const uint8_t *S,
                  const uint8_t *dh_sc)
{
    session->client = client;
    session->S = S;
    session->dh_sc = dh_sc;
    session->ephemeral = ephemerals_next();
    session->awaited = GREETING;
    hello_seal(session->hello, S, session->ephemeral->E, client->public, session->ephemeral->dh_se, dh_sc);
}

bool asking_allowed(const struct asking *session, const uint8_t *frame)
{
    size_t size = HEADER_BYTES + header_content(frame);
    bool greeting = session->awaited == GREETING;
    switch (frame[2]) {
    case LINK: return greeting && size == LINK_BYTES;
    case KEY_NOT_FOUND: return greeting && size == KEY_NOT_FOUND_BYTES;
    case ERROR: return size == ERROR_BYTES + (greeting ? (size_t)OPENING_BYTES : 0);
    case OK_GET:
        return !greeting && size > HEADER_BYTES + MAC_BYTES && size <= FRAME_LIMIT_BYTES &&
               (size - HEADER_BYTES - MAC_BYTES) % PAD_BYTES == 0;
    default: return false;
    }
}

static bool open_greeting(struct asking *session, const uint8_t *frame, uint8_t body[PAD_BYTES])
{
    const uint8_t *opening = frame + HEADER_BYTES, *dh_fe = ephemeral_dh_fe(session->ephemeral, opening);
    const struct greeting greeting = {session->S, session->hello, opening, session->dh_sc,
                                      session->ephemeral->dh_se, dh_fe, frame[2]};
    if (!dh_fe)
        return false;
    session_keys_derive(&session->keys, &greeting);
    return frame_open(body, frame, OPENING_BYTES, session->keys.down);
}

/* An opened Error holds a text of 1 to 255 bytes, or it is none of the protocol's. */
static enum failure error_of(const uint8_t body[PAD_BYTES])
{
    size_t size;
    return sodium_unpad(&size, body, PAD_BYTES, PAD_BYTES) || !size ? BAD_PADDING : GOT_ERROR;
}

enum failure asking_take_greeting(struct asking *session, const uint8_t *frame, uint8_t get[GET_BYTES])
{
    uint8_t body[PAD_BYTES];
    if (!open_greeting(session, frame, body))
        return BAD_BOX;
    if (frame[2] == ERROR)
        return error_of(body);
    if (frame[2] == KEY_NOT_FOUND)
        return memcmp(body, session->client->public, KEY_BYTES) ? BAD_BOX : GOT_KEY_NOT_FOUND;
    session->awaited = ANSWER;
    frame_seal(get, GET, 0, session->keys.up, NULL, 0);
    return FINE;
}

static bool is_accepted(const struct client *client, const uint8_t *body, size_t size)
{
    uint8_t digest[DIGEST_BYTES];
    if (!client->accepted_count)
        return true;
    body_digest(digest, body, size);
    for (unsigned i = 0; i < client->accepted_count; i++)
        if (!memcmp(digest, client->accepted[i], DIGEST_BYTES)) {
            answers[i]++;
            return true;
        }
    return false;
}

enum failure asking_take_answer(struct asking *session, const uint8_t *frame, uint8_t bye[BYE_BYTES])
{
    static uint8_t body[FRAME_LIMIT_BYTES];
    size_t size = header_content(frame) - MAC_BYTES;
    if (!frame_open(body, frame, 0, session->keys.down))
        return BAD_BOX;
    if (frame[2] == ERROR)
        return error_of(body);
    if (sodium_unpad(&size, body, size, PAD_BYTES))
        return BAD_PADDING;
    if (!is_accepted(session->client, body, size))
        return WRONG_BODY;
    session->awaited = NOTHING;
    frame_seal(bye, BYE, 0, session->keys.up, session->client->public, KEY_BYTES);
    return FINE;
}

const uint64_t *asking_answers(void)
{
    return answers;
}
