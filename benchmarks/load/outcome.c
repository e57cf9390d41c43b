#include "outcome.h"

#include <string.h>

static const char *const names[FAILURES] = {
    [LOCAL] = "local",
    [CONNECT_REFUSED] = "connect_refused",
    [RESET_BEFORE_LINK] = "reset_before_link",
    [CLOSED_BEFORE_LINK] = "closed_before_link",
    [RESET_AFTER_LINK] = "reset_after_link",
    [CLOSED_AFTER_LINK] = "closed_after_link",
    [BAD_FRAME] = "bad_frame",
    [BAD_BOX] = "bad_box",
    [BAD_PADDING] = "bad_padding",
    [WRONG_BODY] = "wrong_body",
    [GOT_KEY_NOT_FOUND] = "key_not_found",
    [GOT_ERROR] = "error",
    [DEADLINE] = "deadline",
};

static uint64_t counts[FAILURES];

void outcome_failed(enum failure kind, bool aloud, unsigned client_line, uint64_t after_ns, int reason)
{
    if (counts[kind]++ || !aloud)
        return;
    fprintf(stderr, "load: first %s: client of line %u, after %.3f ms", names[kind], client_line,
            (double)after_ns / 1e6);
    fprintf(stderr, reason ? ", %s\n" : "\n", strerror(reason));
}

uint64_t outcome_failures(void)
{
    uint64_t sum = 0;
    for (int kind = FINE + 1; kind < FAILURES; kind++)
        sum += counts[kind];
    return sum;
}

void outcome_report(FILE *out)
{
    for (int kind = FINE + 1; kind < FAILURES; kind++)
        fprintf(out, "%s\"%s\": %lu", kind > FINE + 1 ? ", " : "{", names[kind], (unsigned long)counts[kind]);
    fputc('}', out);
}
