/* Preloaded before libsodium, which it is linked to: counts the X25519 that stand behind every shared value. */

#define _GNU_SOURCE
#include <dlfcn.h>

int x25519_calls;

int crypto_box_beforenm(unsigned char *k, const unsigned char *pk, const unsigned char *sk)
{
    static int (*real)(unsigned char *, const unsigned char *, const unsigned char *);

    if (!real) {
        *(void **) &real = dlsym(RTLD_NEXT, "crypto_box_beforenm");
    }
    x25519_calls++;
    return real(k, pk, sk);
}
