#include "ephemerals.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

static struct ephemeral *pool;
static unsigned pool_count, turn;

void ephemerals_make(unsigned count, const uint8_t *S)
{
    pool = calloc(count, sizeof *pool);
    if (!pool)
        die("use a smaller pool", "out of memory");
    for (pool_count = 0; pool_count < count; pool_count++) {
        struct ephemeral *ephemeral = &pool[pool_count];
        crypto_box_keypair(ephemeral->E, ephemeral->e);
        if (!dh(ephemeral->dh_se, S, ephemeral->e))
            die("take the id from the server's key", "--server: X25519 refuses this key");
    }
}

struct ephemeral *ephemerals_next(void)
{
    return &pool[turn++ % pool_count];
}

const uint8_t *ephemeral_dh_fe(struct ephemeral *ephemeral, const uint8_t *F)
{
    for (unsigned i = 0; i < EPOCHS_KEPT && i < ephemeral->made; i++)
        if (!memcmp(ephemeral->epochs[i].F, F, KEY_BYTES))
            return ephemeral->epochs[i].dh_fe;
    unsigned place = ephemeral->made % EPOCHS_KEPT;
    if (!dh(ephemeral->epochs[place].dh_fe, F, ephemeral->e))
        return NULL;
    ephemeral->made++;
    memcpy(ephemeral->epochs[place].F, F, KEY_BYTES);
    return ephemeral->epochs[place].dh_fe;
}
