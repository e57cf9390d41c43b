#include "text.h"

#include <ctype.h>
#include <errno.h>
#include <netdb.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void die(const char *hint, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: error: ", program_invocation_short_name);
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\nhint: %s\n", hint);
    va_end(arguments);
    exit(2);
}

bool parse_hex(uint8_t *out, size_t size, const char *text)
{
    size_t done;
    return strlen(text) == 2 * size && sodium_hex2bin(out, size, text, 2 * size, NULL, &done, NULL) == 0 &&
           done == size;
}

/* 56 base32 characters are 35 bytes to the bit, so no padding and no leftover can hide anything. */
static bool base32(uint8_t out[35], const char *text)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    uint64_t bits = 0;
    size_t count = 0, done = 0;
    for (; *text; text++) {
        if (*text == '-' || *text == ' ')
            continue;
        const char *found = strchr(alphabet, toupper((unsigned char)*text));
        if (!found || count == 56)
            return false;
        bits = bits << 5 | (uint64_t)(found - alphabet);
        if (++count % 8 == 0)
            for (int shift = 32; shift >= 0; shift -= 8)
                out[done++] = (uint8_t)(bits >> shift);
    }
    return count == 56;
}

bool parse_id(uint8_t key[KEY_BYTES], const char *text)
{
    uint8_t bytes[35], check[3];
    if (parse_hex(key, KEY_BYTES, text))
        return true;
    if (!base32(bytes, text))
        return false;
    blake(check, sizeof check, "id", bytes, KEY_BYTES);
    memcpy(key, bytes, KEY_BYTES);
    return memcmp(check, bytes + KEY_BYTES, sizeof check) == 0;
}

static bool resolve(struct address *address, const char *host, const char *port)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    if (getaddrinfo(host, port, &hints, &found))
        return false;
    memcpy(&address->socket, found->ai_addr, found->ai_addrlen);
    address->size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

bool parse_address(struct address *address, const char *text)
{
    char host[256];
    const char *colon = strrchr(text, ':');
    if (!colon || colon == text || (size_t)(colon - text) >= sizeof host)
        return false;
    bool bracketed = text[0] == '[' && colon[-1] == ']';
    snprintf(host, sizeof host, "%.*s", (int)(colon - text) - 2 * bracketed, text + bracketed);
    return resolve(address, host, colon + 1);
}

const char *format_address(const struct address *address)
{
    static char text[NI_MAXHOST + NI_MAXSERV + 4];
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getnameinfo((const struct sockaddr *)&address->socket, address->size, host, sizeof host, port,
                    sizeof port, NI_NUMERICHOST | NI_NUMERICSERV))
        return "?";
    snprintf(text, sizeof text, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return text;
}

double parse_number(const char *option, const char *text, double least)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !isfinite(number) || number < least)
        die("see --help", "--%s: not a number of at least %g: %s", option, least, text);
    return number;
}
