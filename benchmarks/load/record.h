/* What crossed the wire, a line a session, for tests that look for patterns in it.
 *
 *     F||R in hex, or - | DIRECTION TYPE:CONTENT-LENGTH ... with > to the server and < from it
 *
 * It also counts frames in which the client's public key stands in clear.
 */
#ifndef RECORD_H
#define RECORD_H

#include "wire.h"

#include <stdio.h>

enum { NOTES_LIMIT = 96 };

struct notes {
    uint8_t opening[OPENING_BYTES];
    bool has_opening;
    unsigned size;
    char text[NOTES_LIMIT];
};

void record_open(const char *path);
void record_begin(struct notes *notes);
void record_frame(struct notes *notes, char direction, const uint8_t *frame, size_t size, const uint8_t *C);
void record_end(const struct notes *notes);

/* Flush, and write the fields of the JSON line; dies when the file could not be written. */
void record_report(FILE *out);

#endif
