/* What libsodium itself takes to seal and open: the limit for the same through a Python call.
 *
 * usage: boxes SIZE CALLS     prints the nanoseconds of one seal and of one open, over so many of each
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double) t.tv_sec * 1e9 + (double) t.tv_nsec;
}

int main(int argc, char **argv) {
    unsigned char key[crypto_box_BEFORENMBYTES], nonce[crypto_box_NONCEBYTES];
    if (argc != 3 || sodium_init() < 0) return 2;
    size_t size = strtoul(argv[1], NULL, 10), calls = strtoul(argv[2], NULL, 10);
    unsigned char *message = malloc(size + 1), *sealed = malloc(size + crypto_box_MACBYTES);
    if (!message || !sealed) return 2;
    randombytes_buf(key, sizeof key);
    randombytes_buf(nonce, sizeof nonce);
    randombytes_buf(message, size);
    double start = now();
    for (size_t i = 0; i < calls; i++)
        if (crypto_box_easy_afternm(sealed, message, size, nonce, key)) return 1;
    double middle = now();
    for (size_t i = 0; i < calls; i++)
        if (crypto_box_open_easy_afternm(message, sealed, size + crypto_box_MACBYTES, nonce, key)) return 1;
    printf("%.1f %.1f\n", (middle - start) / (double) calls, (now() - middle) / (double) calls);
    free(message);
    free(sealed);
    return 0;
}
