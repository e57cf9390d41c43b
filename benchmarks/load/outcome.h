/* How sessions ended: the kinds of failure, their counts, and the first of each told in words. */
#ifndef OUTCOME_H
#define OUTCOME_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum failure {
    FINE,
    LOCAL,             /* no descriptor, no port, no route: the generator's own trouble */
    CONNECT_REFUSED,   /* nobody listens */
    RESET_BEFORE_LINK, /* the silent refusal, or a worker that died */
    CLOSED_BEFORE_LINK,
    RESET_AFTER_LINK,
    CLOSED_AFTER_LINK,
    BAD_FRAME, /* a type or length that protocol.md does not allow there, or bytes too many */
    BAD_BOX,
    BAD_PADDING,
    WRONG_BODY, /* opened, but none of the accepted ones */
    GOT_KEY_NOT_FOUND,
    GOT_ERROR,
    DEADLINE,
    FAILURES
};

/* Count it, and with `aloud` tell the first of its kind on stderr: who, after how long, errno. */
void outcome_failed(enum failure kind, bool aloud, unsigned client_line, uint64_t after_ns, int reason);

uint64_t outcome_failures(void);

/* {"kind": count, ...} with every kind. */
void outcome_report(FILE *out);

#endif
