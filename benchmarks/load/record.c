#include "record.h"

#include "text.h"

#include <errno.h>
#include <string.h>

static FILE *file;
static const char *name;
static unsigned long lines, clear_keys;

void record_open(const char *path)
{
    name = path;
    file = fopen(path, "a");
    if (!file)
        die("name a file that can be written", "--record %s: %s", path, strerror(errno));
}

void record_begin(struct notes *notes)
{
    notes->has_opening = false;
    notes->size = 0;
    notes->text[0] = '\0';
}

void record_frame(struct notes *notes, char direction, const uint8_t *frame, size_t size, const uint8_t *C)
{
    if (!file)
        return;
    if (direction == '<' && !notes->has_opening && frame[2] != OK_GET) {
        memcpy(notes->opening, frame + HEADER_BYTES, OPENING_BYTES);
        notes->has_opening = true;
    }
    clear_keys += memmem(frame, size, C, KEY_BYTES) != NULL;
    unsigned room = NOTES_LIMIT - notes->size;
    int wrote = snprintf(notes->text + notes->size, room, " %c%02x:%zu", direction, frame[2],
                         size - HEADER_BYTES);
    if ((unsigned)wrote < room)
        notes->size += (unsigned)wrote;
}

void record_end(const struct notes *notes)
{
    char hex[2 * OPENING_BYTES + 1] = "-";
    if (!file)
        return;
    if (notes->has_opening)
        sodium_bin2hex(hex, sizeof hex, notes->opening, OPENING_BYTES);
    fprintf(file, "%s%.*s\n", hex, (int)notes->size, notes->text);
    lines++;
}

void record_report(FILE *out)
{
    if (!file)
        return;
    if (fclose(file))
        die("make room on the disk", "--record %s: %s", name, strerror(errno));
    fprintf(out, ", \"record\": {\"lines\": %lu, \"clear_keys\": %lu}", lines, clear_keys);
}
