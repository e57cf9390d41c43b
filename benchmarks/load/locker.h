/* The shards of the limit: sealed in memory under a key of the process, found by client. */
#ifndef LOCKER_H
#define LOCKER_H

#include "clients.h"

struct shard {
    uint8_t C[KEY_BYTES], dh_sc[KEY_BYTES];
    uint8_t *sealed;
    uint32_t size; /* of the opened response */
    bool dh_kept;
};

/* Seal every client's body, and free the clients; dies when one has no body. */
void locker_fill(struct clients clients, const char *path);

struct shard *locker_find(const uint8_t C[KEY_BYTES]);

/* Open the shard into locked memory, seal it into an OkGet frame, wipe the opened one; the frame's size. */
size_t locker_answer(const struct shard *shard, const struct session_keys *keys, uint8_t *frame);

void locker_wipe(void);

#endif
