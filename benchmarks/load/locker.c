#include "locker.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

static uint8_t *locker_key, *scratch;
static struct shard *shards;
static uint32_t *slots; /* index + 1 of the shard, 0 = free; a power of two, at most half full */
static size_t slot_mask, shard_count;

static void *locked(size_t size)
{
    void *memory = sodium_malloc(size);
    if (!memory)
        die("use fewer clients", "no locked memory");
    return memory;
}

/* Client keys are as good as random, so their first bytes are hash enough where nobody attacks. */
static size_t slot_of(const uint8_t *C)
{
    uint64_t hash;
    memcpy(&hash, C, sizeof hash);
    return hash & slot_mask;
}

struct shard *locker_find(const uint8_t C[KEY_BYTES])
{
    for (size_t slot = slot_of(C); slots[slot]; slot = (slot + 1) & slot_mask)
        if (!memcmp(shards[slots[slot] - 1].C, C, KEY_BYTES))
            return &shards[slots[slot] - 1];
    return NULL;
}

static void blob_nonce(uint8_t nonce[NONCE_BYTES], const struct shard *shard)
{
    uint64_t number = (uint64_t)(shard - shards);
    memset(nonce, 0, NONCE_BYTES);
    memcpy(nonce, &number, sizeof number);
}

static void put_in(struct shard *shard, const struct client *client)
{
    uint8_t nonce[NONCE_BYTES];
    blob_nonce(nonce, shard);
    memcpy(shard->C, client->public, KEY_BYTES);
    shard->size = (uint32_t)client->body_size;
    shard->sealed = malloc(client->body_size + MAC_BYTES);
    if (!shard->sealed ||
        crypto_secretbox_easy(shard->sealed, client->body, client->body_size, nonce, locker_key))
        die("use fewer clients", "out of memory");
}

static void make_room(size_t count)
{
    size_t size = 16;
    while (size < 2 * count)
        size *= 2;
    slot_mask = size - 1;
    slots = calloc(size, sizeof *slots);
    if (!slots)
        die("use fewer clients", "out of memory");
    shards = locked(count * sizeof *shards); /* dh(C,s) is kept here */
    memset(shards, 0, count * sizeof *shards);
    shard_count = count;
}

void locker_fill(struct clients clients, const char *path)
{
    locker_key = locked(crypto_secretbox_KEYBYTES);
    scratch = locked(BODY_LIMIT_BYTES + PAD_BYTES);
    crypto_secretbox_keygen(locker_key);
    make_room(clients.count);
    for (size_t i = 0; i < clients.count; i++) {
        if (!clients.list[i].body)
            die("a client of the limit needs a body= word", "%s:%u: no body", path, clients.list[i].line);
        if (locker_find(clients.list[i].public))
            die("name each client once", "%s:%u: this client stands above too", path, clients.list[i].line);
        size_t slot = slot_of(clients.list[i].public);
        while (slots[slot])
            slot = (slot + 1) & slot_mask;
        slots[slot] = (uint32_t)i + 1;
        put_in(&shards[i], &clients.list[i]);
    }
    clients_free(clients);
}

size_t locker_answer(const struct shard *shard, const struct session_keys *keys, uint8_t *frame)
{
    uint8_t nonce[NONCE_BYTES];
    size_t padded, whole;
    blob_nonce(nonce, shard);
    if (crypto_secretbox_open_easy(scratch, shard->sealed, shard->size + MAC_BYTES, nonce, locker_key) ||
        sodium_pad(&padded, scratch, shard->size, PAD_BYTES, BODY_LIMIT_BYTES + PAD_BYTES))
        abort(); /* our own memory changed under us */
    whole = frame_seal(frame, OK_GET, 0, keys->down, scratch, padded);
    sodium_memzero(scratch, padded);
    return whole;
}

void locker_wipe(void)
{
    for (size_t i = 0; i < shard_count; i++)
        free(shards[i].sealed);
    sodium_free(shards);
    sodium_free(scratch);
    sodium_free(locker_key);
    free(slots);
}
