#include "clients.h"

#include "text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char FORM[] = "each line is secret=64HEX [public=64HEX] [body=HEX | digest=32HEX]...";

static void *grown(void *old, size_t count, size_t size)
{
    void *new = reallocarray(old, count, size);
    if (!new)
        die("use fewer clients", "out of memory");
    return new;
}

static uint8_t *accept_one_more(struct client *client)
{
    client->accepted = grown(client->accepted, client->accepted_count + 1, DIGEST_BYTES);
    return client->accepted[client->accepted_count++];
}

static bool take_body(struct client *client, const char *hex, bool keep)
{
    size_t size = strlen(hex) / 2;
    if (client->accepted_count == ACCEPTED_LIMIT || size > BODY_LIMIT_BYTES)
        return false;
    uint8_t *body = grown(NULL, size + 1, 1);
    bool right = parse_hex(body, size, hex);
    if (right)
        body_digest(accept_one_more(client), body, size);
    if (right && keep && !client->body) {
        client->body = body;
        client->body_size = size;
        return true;
    }
    sodium_memzero(body, size);
    free(body);
    return right;
}

static bool take_word(struct client *client, const char *word, bool keep_bodies)
{
    if (!strncmp(word, "secret=", 7) && !client->has_secret)
        return client->has_secret = parse_hex(client->secret, KEY_BYTES, word + 7);
    if (!strncmp(word, "public=", 7) && !client->has_public)
        return client->has_public = parse_hex(client->public, KEY_BYTES, word + 7);
    if (!strncmp(word, "digest=", 7) && client->accepted_count < ACCEPTED_LIMIT)
        return parse_hex(accept_one_more(client), DIGEST_BYTES, word + 7);
    return !strncmp(word, "body=", 5) && take_body(client, word + 5, keep_bodies);
}

static struct client take_line(char *line, const char *path, unsigned number, bool keep_bodies)
{
    struct client client = {.line = number};
    char *rest = line, *word;
    for (unsigned place = 1; (word = strsep(&rest, " \t\r\n")); place++)
        if (*word && !take_word(&client, word, keep_bodies))
            die(FORM, "%s:%u: word %u is wrong or one too many", path, number, place);
    if (!client.has_secret && !client.has_public)
        die(FORM, "%s:%u: neither secret= nor public=", path, number);
    if (!client.has_public && crypto_scalarmult_base(client.public, client.secret))
        die(FORM, "%s:%u: no public key belongs to this secret key", path, number);
    return client;
}

static FILE *opened(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        die("name a file that can be read", "%s: %s", path, strerror(errno));
    return file;
}

struct clients clients_load(const char *path, bool keep_bodies)
{
    struct clients clients = {0};
    FILE *file = opened(path);
    char *line = NULL;
    size_t room = 0, space = 0;
    for (unsigned number = 1; getline(&line, &room, file) > 0; number++) {
        if (line[strspn(line, " \t\r\n")] == '\0' || line[0] == '#')
            continue;
        if (clients.count == space)
            clients.list = grown(clients.list, space = space ? 2 * space : 64, sizeof *clients.list);
        clients.list[clients.count++] = take_line(line, path, number, keep_bodies);
    }
    sodium_memzero(line, room);
    free(line);
    fclose(file);
    if (!clients.count)
        die(FORM, "%s: no client in it", path);
    return clients;
}

void clients_free(struct clients clients)
{
    for (size_t i = 0; i < clients.count; i++) {
        struct client *client = &clients.list[i];
        if (client->body)
            sodium_memzero(client->body, client->body_size);
        sodium_memzero(client->secret, KEY_BYTES);
        free(client->body);
        free(client->accepted);
    }
    free(clients.list);
}

static bool take_key(uint8_t secret[KEY_BYTES], const char *line)
{
    static const char label[] = "coffer-secret-key-1:";
    size_t size = 0;
    if (strncmp(line, label, sizeof label - 1))
        return parse_hex(secret, KEY_BYTES, line);
    line += sizeof label - 1;
    return !sodium_base642bin(secret, KEY_BYTES, line, strlen(line), NULL, &size, NULL,
                              sodium_base64_VARIANT_ORIGINAL) && size == KEY_BYTES;
}

void secret_load(uint8_t secret[KEY_BYTES], const char *path)
{
    char line[256] = "";
    bool found = false;
    FILE *file = opened(path);
    setvbuf(file, NULL, _IONBF, 0); /* no second copy in a buffer of the library */
    while (!found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\r\n")] = '\0';
        found = *line && *line != '#' && take_key(secret, line);
    }
    sodium_memzero(line, sizeof line);
    fclose(file);
    if (!found)
        die("a coffer key file, or 64 hex digits on a line", "%s: no secret key in it", path);
}
