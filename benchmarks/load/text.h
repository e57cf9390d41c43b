/* The text forms the programs read and print: numbers, hex, ids, HOST:PORT; and how they give up. */
#ifndef TEXT_H
#define TEXT_H

#include "wire.h"

#include <sys/socket.h>

struct address {
    struct sockaddr_storage socket;
    socklen_t size;
};

/* Print `PROGRAM: error: …` and `hint: …`, and exit 2: a mistake of the caller. */
_Noreturn void die(const char *hint, const char *format, ...) __attribute__((format(printf, 2, 3)));

bool parse_hex(uint8_t *out, size_t size, const char *text);

/* A server id: 64 hex digits, or the id text of docs/protocol.md with its checksum. */
bool parse_id(uint8_t key[KEY_BYTES], const char *text);

/* HOST:PORT, IPv6 in brackets. */
bool parse_address(struct address *address, const char *text);
const char *format_address(const struct address *address);

/* A number of at least `least`, or die naming the option. */
double parse_number(const char *option, const char *text, double least);

#endif
