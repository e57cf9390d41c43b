# The part of libsodium that coffer calls, in the order of its headers. Names lead straight to
# https://doc.libsodium.org: one name, one page.

from libc.stdint cimport uint64_t

cdef extern from "sodium/core.h" nogil:
    int sodium_init()

cdef extern from "sodium/crypto_box.h" nogil:
    enum:
        crypto_box_PUBLICKEYBYTES
        crypto_box_SECRETKEYBYTES
        crypto_box_BEFORENMBYTES
        crypto_box_NONCEBYTES
        crypto_box_MACBYTES
    int crypto_box_keypair(unsigned char *pk, unsigned char *sk)
    int crypto_box_beforenm(unsigned char *k, const unsigned char *pk, const unsigned char *sk)
    int crypto_box_easy_afternm(unsigned char *c, const unsigned char *m, unsigned long long mlen,
                                const unsigned char *n, const unsigned char *k)

cdef extern from "sodium/crypto_core_hsalsa20.h" nogil:
    int crypto_core_hsalsa20(unsigned char *out, const unsigned char *input, const unsigned char *k,
                             const unsigned char *c)

cdef extern from "sodium/crypto_generichash_blake2b.h" nogil:
    enum:
        crypto_generichash_blake2b_PERSONALBYTES
    int crypto_generichash_blake2b_salt_personal(
        unsigned char *out, size_t outlen, const unsigned char *input, unsigned long long inlen,
        const unsigned char *key, size_t keylen, const unsigned char *salt, const unsigned char *personal)

cdef extern from "sodium/crypto_onetimeauth.h" nogil:
    int crypto_onetimeauth(unsigned char *out, const unsigned char *input, unsigned long long inlen,
                           const unsigned char *k)
    int crypto_onetimeauth_verify(const unsigned char *h, const unsigned char *input, unsigned long long inlen,
                                  const unsigned char *k)

cdef extern from "sodium/crypto_pwhash_argon2id.h" nogil:
    enum:
        crypto_pwhash_argon2id_ALG_ARGON2ID13
        crypto_pwhash_argon2id_SALTBYTES
    int crypto_pwhash_argon2id(
        unsigned char *out, unsigned long long outlen, const char *passwd, unsigned long long passwdlen,
        const unsigned char *salt, unsigned long long opslimit, size_t memlimit, int alg)

cdef extern from "sodium/crypto_scalarmult.h" nogil:
    int crypto_scalarmult_base(unsigned char *q, const unsigned char *n)

cdef extern from "sodium/crypto_shorthash.h" nogil:
    enum:
        crypto_shorthash_BYTES
        crypto_shorthash_KEYBYTES
    int crypto_shorthash(unsigned char *out, const unsigned char *input, unsigned long long inlen,
                         const unsigned char *k)

cdef extern from "sodium/crypto_stream_salsa20.h" nogil:
    int crypto_stream_salsa20_xor_ic(unsigned char *c, const unsigned char *m, unsigned long long mlen,
                                     const unsigned char *n, uint64_t ic, const unsigned char *k)

cdef extern from "sodium/randombytes.h" nogil:
    void randombytes_buf(void *buf, size_t size)

cdef extern from "sodium/runtime.h" nogil:
    int sodium_runtime_has_avx2()

cdef extern from "sodium/utils.h" nogil:
    enum:
        sodium_base64_VARIANT_ORIGINAL
    void sodium_memzero(void *pnt, size_t len)
    void sodium_stackzero(size_t len)
    int sodium_memcmp(const void *b1_, const void *b2_, size_t len)
    char *sodium_bin2base64(char *b64, size_t b64_maxlen, const unsigned char *bin, size_t bin_len,
                            int variant)
    int sodium_base642bin(unsigned char *bin, size_t bin_maxlen, const char *b64, size_t b64_len,
                          const char *ignore, size_t *bin_len, const char **b64_end, int variant)
    int sodium_mlock(void *addr, size_t len)
    void *sodium_malloc(size_t size)
    void sodium_free(void *ptr)
    int sodium_mprotect_readonly(void *ptr)
    int sodium_pad(size_t *padded_buflen_p, unsigned char *buf, size_t unpadded_buflen, size_t blocksize,
                   size_t max_buflen)
    int sodium_unpad(size_t *unpadded_buflen_p, const unsigned char *buf, size_t padded_buflen,
                     size_t blocksize)

cdef extern from "sodium/version.h" nogil:
    const char *sodium_version_string()
