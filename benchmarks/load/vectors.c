/* Make the frames of a session from fixed keys, so that a test can hold wire.c to tests/vectors/wire.json.
 *
 * stdin:  lines NAME HEX with the names c s e f R, body (the coffer response), hello-error and get-error.
 * stdout: lines NAME HEX, one a frame; each is opened again, as the other side would, before it counts.
 */
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t c[32], s[32], e[32], C[32], S[32], E[32], f[32];
static uint8_t opening[OPENING_BYTES], hello[HELLO_BYTES], frame[FRAME_LIMIT_BYTES];
static uint8_t dh_sc[32], dh_se[32], dh_fe[32];

static struct {
    const char *name;
    uint8_t *bytes;
    size_t size; /* as given, or as read when `limit` is set */
    size_t limit;
} inputs[] = {
    {"c", c, 32, 0}, {"s", s, 32, 0}, {"e", e, 32, 0}, {"f", f, 32, 0}, {"R", opening + KEY_BYTES, 24, 0},
    {"body", NULL, 0, BODY_LIMIT_BYTES}, {"hello-error", NULL, 0, 255}, {"get-error", NULL, 0, 255},
};
enum { INPUTS = sizeof inputs / sizeof *inputs, BODY = 5, HELLO_ERROR, GET_ERROR };

static void require(bool right, const char *what)
{
    if (!right)
        die("wire.c is at fault, or the input", "%s", what);
}

static void take(const char *name, const char *hex)
{
    for (size_t i = 0; i < INPUTS; i++) {
        if (strcmp(name, inputs[i].name))
            continue;
        if (inputs[i].limit) {
            inputs[i].size = strlen(hex) / 2;
            require(inputs[i].size <= inputs[i].limit, name);
            require((inputs[i].bytes = malloc(inputs[i].limit + PAD_BYTES)) != NULL, name);
        }
        require(parse_hex(inputs[i].bytes, inputs[i].size, hex), name);
        return;
    }
    require(false, name);
}

static void read_inputs(void)
{
    static char name[16], hex[2 * BODY_LIMIT_BYTES + 1];
    while (scanf("%15s %130558s", name, hex) == 2)
        take(name, hex);
    for (size_t i = 0; i < INPUTS; i++)
        require(inputs[i].bytes != NULL, inputs[i].name);
}

static void show(const char *name, const uint8_t *bytes, size_t size)
{
    printf("%s ", name);
    for (size_t i = 0; i < size; i++)
        printf("%02x", bytes[i]);
    putchar('\n');
}

static struct session_keys keys_after(enum kind reply)
{
    struct greeting greeting = {.S = S, .hello = hello, .opening = opening, .reply = reply};
    struct session_keys keys;
    greeting.dh_sc = dh_sc, greeting.dh_se = dh_se, greeting.dh_fe = dh_fe;
    session_keys_derive(&keys, &greeting);
    return keys;
}

static void frame_out(const char *name, enum kind kind, size_t clear, const uint8_t *key, const uint8_t *body,
                      size_t size)
{
    static uint8_t again[FRAME_LIMIT_BYTES];
    memcpy(frame + HEADER_BYTES, opening, clear);
    size_t whole = frame_seal(frame, kind, clear, key, body, size);
    require(header_content(frame) == whole - HEADER_BYTES, "a frame's length");
    require(frame_open(again, frame, clear, key), "a frame does not open again");
    require(!memcmp(again, body, size), "a frame's body");
    show(name, frame, whole);
}

static void padded_out(const char *name, enum kind kind, size_t clear, const uint8_t *key, int input)
{
    size_t padded;
    require(sodium_pad(&padded, inputs[input].bytes, inputs[input].size, PAD_BYTES,
                       inputs[input].limit + PAD_BYTES) == 0, "padding");
    frame_out(name, kind, clear, key, inputs[input].bytes, padded);
}

static void hello_out(void)
{
    uint8_t opened[KEY_BYTES + INNER_BYTES];
    hello_seal(hello, S, E, C, dh_se, dh_sc);
    require(hello_open_outer(opened, hello, S, dh_se) && !memcmp(opened, C, KEY_BYTES), "the outer box");
    require(hello_open_inner(opened, hello, S, dh_sc), "the inner box");
    show("Hello", hello, sizeof hello);
}

static void derive(void)
{
    uint8_t other[KEY_BYTES];
    require(!crypto_scalarmult_base(C, c) && !crypto_scalarmult_base(S, s), "static keys");
    require(!crypto_scalarmult_base(E, e) && !crypto_scalarmult_base(opening, f), "ephemeral keys");
    require(dh(dh_sc, S, c) && dh(other, C, s) && !memcmp(dh_sc, other, KEY_BYTES), "dh(S,c)");
    require(dh(dh_se, S, e) && dh(other, E, s) && !memcmp(dh_se, other, KEY_BYTES), "dh(S,e)");
    require(dh(dh_fe, opening, e) && dh(other, E, f) && !memcmp(dh_fe, other, KEY_BYTES), "dh(F,e)");
}

int main(void)
{
    require(sodium_init() >= 0, "libsodium");
    read_inputs();
    derive();
    hello_out();
    struct session_keys link = keys_after(LINK), unknown = keys_after(KEY_NOT_FOUND);
    struct session_keys error = keys_after(ERROR);
    frame_out("Link", LINK, OPENING_BYTES, link.down, (const uint8_t *)"", 0);
    frame_out("Get", GET, 0, link.up, (const uint8_t *)"", 0);
    padded_out("OkGet", OK_GET, 0, link.down, BODY);
    frame_out("Bye", BYE, 0, link.up, C, KEY_BYTES);
    frame_out("KeyNotFound", KEY_NOT_FOUND, OPENING_BYTES, unknown.down, C, KEY_BYTES);
    padded_out("ErrorAfterHello", ERROR, OPENING_BYTES, error.down, HELLO_ERROR);
    padded_out("ErrorAfterGet", ERROR, 0, link.down, GET_ERROR);
    return 0;
}
