# cython: nonecheck=True, auto_pickle=False, autotestdict=False, embedsignature=True, embedsignature.format=clinic
"""Frames, keypairs, the handshake, boxes, the locker and its table: all that touches a secret, on libsodium.

Not here: which message may follow which (``protocol``), what a definition says, and every socket and clock.

Rule 1: a secret key, and on the server a shard, lies in locked memory or sealed; Python holds handles.
Rule 2: every return value of libsodium is checked, and what was derived is wiped as soon as it was used.
Rule 3: a length from outside is checked before anything is read or allocated by it.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBuffer_Release, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from cpython.exc cimport PyErr_SetFromErrno
from libc.errno cimport EINTR, errno
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memmove, memset, strerror
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, mmap, munmap
from posix.stat cimport fstat, struct_stat
from posix.unistd cimport read, write

from sodium cimport *

from coffer.errors import FrameError, IdError, KeyFileError, OpenError, OrderError

cdef extern from "sys/mman.h" nogil:
    int madvise(void *addr, size_t length, int advice)
    enum:
        MADV_DONTDUMP

cdef extern from "sys/prctl.h" nogil:
    int prctl(int option, unsigned long a2, unsigned long a3, unsigned long a4, unsigned long a5)
    enum:
        PR_SET_DUMPABLE
        PR_SET_NO_NEW_PRIVS

cdef enum:
    KEY = 32                    # a public key, a secret key, a shared value
    NONCE = 24
    MAC = 16
    HEADER = 3
    SALT = 24                   # R of the protocol
    HELLO_BODY = 128
    HELLO_FRAME = HEADER + HELLO_BODY
    PAD = 256
    SHARD_LIMIT = 65279
    STACK = 8192                # what libsodium's deepest call is given to leave behind on the stack

cdef enum:
    HELLO = 0x00
    LINK = 0x01
    OK_GET = 0x03
    ERROR = 0xFF

# "coffer/1:" || label, padded with zeros to 16 bytes (docs/protocol.md, blake)
cdef const char *INNER = b"coffer/1:h-inner"
cdef const char *OUTER = b"coffer/1:h-outer"
cdef const char *TRANSCRIPT = b"coffer/1:transcr"
cdef const char *KEYS = b"coffer/1:keys\0\0\0"
cdef const char *SHARD = b"coffer/1:shard\0\0"


# ---- memory

cdef bint _all_locked = True


cdef class _Guarded:
    """Memory from sodium_malloc: between guard pages, locked, kept out of core dumps, wiped when freed."""

    cdef unsigned char *data
    cdef size_t size

    def __cinit__(self, size_t size):
        self.data = <unsigned char *> sodium_malloc(size)
        if self.data == NULL:
            raise MemoryError("libsodium has no guarded memory left")
        self.size = size
        self.lock()

    cdef void lock(self) noexcept:
        global _all_locked
        if sodium_mlock(self.data, self.size) != 0:
            _all_locked = False

    def __dealloc__(self):
        sodium_free(self.data)


def memory_is_locked():
    """Whether every guarded region so far could be locked; False when RLIMIT_MEMLOCK was too small."""
    return _all_locked


def harden():
    """Keep this process out of core dumps and ptrace, and from ever gaining privileges. Raises OSError."""
    if prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 or prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        PyErr_SetFromErrno(OSError)


# ---- hashes, ids

cdef int _blake(unsigned char *out, size_t size, const char *personal, const unsigned char *data,
                size_t length, const unsigned char *key=NULL) except -1:
    if crypto_generichash_blake2b_salt_personal(out, size, data, length, key, KEY if key != NULL else 0, NULL,
                                                <const unsigned char *> personal) != 0:
        raise RuntimeError("libsodium: BLAKE2b failed")
    return 0


def blake(size_t size, bytes label not None, bytes data not None):
    """BLAKE2b of ``data``: ``size`` bytes, 1 to 64, personal "coffer/1:" and the label (protocol.md, blake)."""
    cdef bytes personal = (b"coffer/1:" + label).ljust(crypto_generichash_blake2b_PERSONALBYTES, b"\0")
    if not 1 <= size <= 64 or len(personal) != crypto_generichash_blake2b_PERSONALBYTES:
        raise ValueError("a digest has 1 to 64 bytes, a label at most 7")
    cdef bytes out = PyBytes_FromStringAndSize(NULL, size)
    _blake(<unsigned char *> PyBytes_AS_STRING(out), size, personal, data, len(data))
    return out


def decode_base32(str text not None):
    """Return the bytes that ``text`` stands for in base32, upper or lower case, without padding (RFC 4648).

    Raises IdError for the first character that base32 lacks. Bits left over at the end are dropped, so the
    caller checks the length.
    """
    cdef bytearray out = bytearray()
    cdef uint32_t bits = 0
    cdef int held = 0
    cdef Py_UCS4 letter
    for letter in text:
        if u"A" <= letter <= u"Z":
            bits = bits << 5 | (<uint32_t> letter - c"A")
        elif u"a" <= letter <= u"z":
            bits = bits << 5 | (<uint32_t> letter - c"a")
        elif u"2" <= letter <= u"7":
            bits = bits << 5 | (<uint32_t> letter - c"2" + 26)
        else:
            raise IdError(f"{letter!a} is not a letter of base32 (A to Z and 2 to 7)")
        held += 5
        if held >= 8:
            held -= 8
            out.append(bits >> held & 0xFF)
    return bytes(out)


# ---- frames

cdef inline void _header(unsigned char *frame, size_t length, int kind) noexcept:
    frame[0] = <unsigned char> (length >> 8)
    frame[1] = <unsigned char> (length & 0xFF)
    frame[2] = <unsigned char> kind


def pack(unsigned char kind, bytes body not None):
    """Return the frame of one message: content-length u16, type u8, body. Raises ValueError over 65,535 bytes."""
    cdef size_t length = len(body)
    if length > 0xFFFF:
        raise ValueError("a body has at most 65,535 bytes")
    cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER + length)
    cdef unsigned char *out = <unsigned char *> PyBytes_AS_STRING(frame)
    _header(out, length, kind)
    memcpy(out + HEADER, PyBytes_AS_STRING(body), length)
    return frame


@cython.final
cdef class Frames:
    """Cuts a byte stream into frames, however the wire cut it."""

    cdef unsigned char *_data
    cdef size_t _start
    cdef size_t _end
    cdef size_t _room

    def __dealloc__(self):
        free(self._data)

    def __len__(self):
        """How many bytes have arrived and not been taken."""
        return self._end - self._start

    def feed(self, data):
        """Take bytes off the wire: any contiguous buffer. They are copied; the caller's may be used again."""
        cdef Py_buffer view
        PyObject_GetBuffer(data, &view, PyBUF_SIMPLE)
        try:
            self._append(<const unsigned char *> view.buf, view.len)
        finally:
            PyBuffer_Release(&view)

    cdef int _append(self, const unsigned char *data, size_t length) except -1:
        cdef unsigned char *grown
        if length == 0:
            return 0
        if self._start:
            memmove(self._data, self._data + self._start, self._end - self._start)
            self._end -= self._start
            self._start = 0
        if self._end + length > self._room:
            grown = <unsigned char *> realloc(self._data, self._end + length)
            if grown == NULL:
                raise MemoryError
            self._data, self._room = grown, self._end + length
        memcpy(self._data + self._end, data, length)
        self._end += length
        return 0

    def next(self, dict lengths not None):
        """Return the next frame as ``(kind, body)``, or None while it is not all here.

        ``lengths`` says what may come now: each kind with a container of its content-lengths. A frame is
        refused as soon as its three header bytes are here: OrderError for the kind, FrameError for the length.
        """
        cdef size_t held = self._end - self._start
        if held < HEADER:
            return None
        cdef unsigned char *at = self._data + self._start
        cdef size_t length = <size_t> at[0] << 8 | at[1]
        cdef int kind = at[2]
        allowed = lengths.get(kind)
        if allowed is None:
            raise OrderError(f"a frame of type 0x{kind:02x} may not come now")
        if length not in allowed:
            raise FrameError(f"a frame of type 0x{kind:02x} may not have {length} bytes")
        if held - HEADER < length:
            return None
        body = PyBytes_FromStringAndSize(<char *> at + HEADER, length)
        self._start += HEADER + length
        if self._start == self._end:
            self._release()
        return kind, body

    cdef void _release(self) noexcept:
        """All is taken: an idle connection keeps no buffer."""
        free(self._data)
        self._data = NULL
        self._start = self._end = self._room = 0


# ---- keypairs

cdef bytes KEY_PREFIX = b"coffer-secret-key-1:"
cdef bytes LOCKED_PREFIX = b"coffer-locked-key-1:"

cdef enum:
    KEY_FILE_LIMIT = 4096
    KEY_BASE64 = 44
    # A locked key: passes u32 || memory in KiB u32 || salt 16 || secretbox(secret key) 48
    PW_SALT = 16
    LOCKED_KEY = 4 + 4 + PW_SALT + MAC + KEY
    LOCKED_BASE64 = 96
    PW_PASSES = 3
    PW_KIB = 262144
    PW_PASSES_LIMIT = 16
    PW_KIB_LIMIT = 1048576


@cython.final
cdef class Keypair:
    """A public key as bytes, and its secret key in locked, read-only memory that Python never sees.

    Made by ``generate`` and ``read`` only. It cannot be compared, pickled or shown.
    """

    cdef _Guarded _secret
    cdef readonly bytes public

    def __init__(self):
        raise TypeError("a Keypair is made by Keypair.generate() or Keypair.read()")

    @staticmethod
    def generate():
        """Return a new random keypair."""
        cdef Keypair self = Keypair.__new__(Keypair)
        self._secret = _Guarded(KEY)
        randombytes_buf(self._secret.data, KEY)
        self._finish()
        return self

    @staticmethod
    def read(int fd, str where not None, ask=None):
        """Return the keypair in the key file open at ``fd``; ``where`` names the file in errors.

        ``ask()`` is called for the passphrase, as bytes, when the key is locked with one. Raises KeyFileError.
        The text goes from the file into locked memory and nowhere else.
        """
        cdef _Guarded text = _Guarded(KEY_FILE_LIMIT + 1)
        cdef Keypair self = Keypair.__new__(Keypair)
        cdef size_t length = _read_all(fd, text, where)
        if length > KEY_FILE_LIMIT:
            raise KeyFileError(f"{where}: over 4 KiB, which no key file is")
        self._secret = _Guarded(KEY)
        self._parse(text.data, length, where, ask)
        self._finish()
        return self

    cdef int _finish(self) except -1:
        cdef unsigned char public[KEY]
        if crypto_scalarmult_base(public, self._secret.data) != 0:
            raise RuntimeError("libsodium: no public key for this secret key")
        if sodium_mprotect_readonly(self._secret.data) != 0:
            PyErr_SetFromErrno(OSError)
        sodium_stackzero(STACK)
        self.public = public[:KEY]
        return 0

    cdef int _parse(self, const unsigned char *text, size_t length, str where, ask) except -1:
        cdef size_t start = 0
        cdef size_t end
        cdef int number = 0
        cdef bint found = False
        while start < length:
            number += 1
            end = start
            while end < length and text[end] != c"\n":
                end += 1
            if text[start] == c"#":
                _check_comment(text + start, end - start, f"{where}: line {number}")
            elif end > start:
                self._parse_key(text + start, end - start, f"{where}: line {number}", ask, found)
                found = True
            start = end + 1
        if not found:
            raise KeyFileError(f"{where}: no key line; it begins with {KEY_PREFIX.decode()}",
                               "coffer-companion keygen -o FILE makes a key file")
        return 0

    cdef int _parse_key(self, const unsigned char *line, size_t length, str where, ask, bint found) except -1:
        cdef size_t prefix = len(KEY_PREFIX)
        cdef bint plain = length >= prefix and memcmp(line, PyBytes_AS_STRING(KEY_PREFIX), prefix) == 0
        cdef unsigned char locked[LOCKED_KEY]
        if not plain and (length < prefix or memcmp(line, PyBytes_AS_STRING(LOCKED_PREFIX), prefix) != 0):
            raise KeyFileError(f"{where}: neither a comment nor a key line")
        if found:
            raise KeyFileError(f"{where}: a second key line; a key file has one")
        if plain:
            return _decode_base64(self._secret.data, KEY, line + prefix, length - prefix, KEY_BASE64, where)
        _decode_base64(locked, LOCKED_KEY, line + prefix, length - prefix, LOCKED_BASE64, where)
        return self._unlock(locked, where, ask)

    cdef int _unlock(self, const unsigned char *locked, str where, ask) except -1:
        cdef uint32_t passes = _u32(locked)
        cdef uint32_t kib = _u32(locked + 4)
        cdef _Guarded key
        cdef unsigned char nonce[NONCE]
        if not 1 <= passes <= PW_PASSES_LIMIT or not 8 <= kib <= PW_KIB_LIMIT:
            raise KeyFileError(f"{where}: the key is locked with more work than coffer takes on")
        if ask is None:
            raise KeyFileError(f"{where}: the key is locked with a passphrase, which is not asked for here")
        memset(nonce, 0, NONCE)
        passphrase = ask()
        try:
            key = _stretch(passphrase, locked + 8, passes, kib)
        except MemoryError:
            raise KeyFileError(f"{where}: trying the passphrase takes {kib // 1024} MiB, which there are not") from None
        if not _box_opens(self._secret.data, locked + 8 + PW_SALT, MAC + KEY, nonce, key.data):
            raise KeyFileError(f"{where}: the passphrase does not open this key")
        return 0

    def write(self, int fd, bytes passphrase=None):
        """Write the key file's text to ``fd``, the secret locked with the passphrase if there is one.

        The key goes from locked memory to the file and nowhere else. Raises OSError, and MemoryError when there is
        not enough to lock it.
        """
        cdef _Guarded line = _Guarded(256)
        cdef unsigned char locked[LOCKED_KEY]
        cdef size_t prefix = len(KEY_PREFIX)
        cdef size_t digits = KEY_BASE64 if passphrase is None else LOCKED_BASE64
        if passphrase is None:
            memcpy(line.data, PyBytes_AS_STRING(KEY_PREFIX), prefix)
            sodium_bin2base64(<char *> line.data + prefix, digits + 1, self._secret.data, KEY,
                              sodium_base64_VARIANT_ORIGINAL)
        else:
            self._lock(locked, passphrase)
            memcpy(line.data, PyBytes_AS_STRING(LOCKED_PREFIX), prefix)
            sodium_bin2base64(<char *> line.data + prefix, digits + 1, locked, LOCKED_KEY,
                              sodium_base64_VARIANT_ORIGINAL)
        line.data[prefix + digits] = c"\n"
        _write_all(fd, line.data, prefix + digits + 1)

    cdef int _lock(self, unsigned char *locked, bytes passphrase) except -1:
        cdef unsigned char nonce[NONCE]
        memset(nonce, 0, NONCE)
        _put_u32(locked, PW_PASSES)
        _put_u32(locked + 4, PW_KIB)
        randombytes_buf(locked + 8, PW_SALT)
        cdef _Guarded key = _stretch(passphrase, locked + 8, PW_PASSES, PW_KIB)
        return _seal_box(locked + 8 + PW_SALT, self._secret.data, KEY, nonce, key.data)

    def relock(self):
        """Lock the memory again: locks do not survive a fork."""
        self._secret.lock()

    def __repr__(self):
        return "<Keypair>"

    def __eq__(self, other):
        raise TypeError("keypairs are not compared")

    __hash__ = None

    def __reduce__(self):
        raise TypeError("a Keypair is not pickled or copied")


cdef inline uint32_t _u32(const unsigned char *at) noexcept:
    return <uint32_t> at[0] << 24 | <uint32_t> at[1] << 16 | <uint32_t> at[2] << 8 | at[3]


cdef inline void _put_u32(unsigned char *at, uint32_t value) noexcept:
    at[0], at[1], at[2], at[3] = value >> 24, value >> 16 & 0xFF, value >> 8 & 0xFF, value & 0xFF


cdef _Guarded _stretch(bytes passphrase, const unsigned char *salt, uint32_t passes, uint32_t kib):
    """Argon2id over the passphrase: the secretbox key. The salt is new for each file, so the nonce may be 0."""
    cdef _Guarded key = _Guarded(KEY)
    cdef int done = crypto_pwhash_argon2id(
        key.data, KEY, PyBytes_AS_STRING(passphrase), len(passphrase), salt, passes,
        <size_t> kib * 1024, crypto_pwhash_argon2id_ALG_ARGON2ID13)
    if done != 0:
        raise MemoryError("not enough for Argon2id")
    return key


cdef size_t _read_all(int fd, _Guarded into, str where) except? 0:
    cdef size_t held = 0
    cdef ssize_t got
    while held < into.size:
        got = read(fd, into.data + held, into.size - held)
        if got < 0 and errno == EINTR:
            continue
        if got < 0:
            raise KeyFileError(f"{where}: {strerror(errno).decode()}")
        if got == 0:
            break
        held += got
    return held


cdef int _write_all(int fd, const unsigned char *data, size_t length) except -1:
    cdef size_t done = 0
    cdef ssize_t put
    while done < length:
        put = write(fd, data + done, length - done)
        if put < 0 and errno == EINTR:
            continue
        if put < 0:
            PyErr_SetFromErrno(OSError)
        done += put
    return 0


cdef int _check_comment(const unsigned char *line, size_t length, str where) except -1:
    try:
        (<const char *> line)[:length].decode("utf-8")
    except UnicodeDecodeError:
        raise KeyFileError(f"{where}: not UTF-8") from None
    return 0


cdef int _decode_base64(unsigned char *out, size_t size, const unsigned char *text, size_t length,
                        size_t digits, str where) except -1:
    cdef size_t decoded = 0
    cdef unsigned char seen = 0
    cdef size_t at
    for at in range(length):
        seen |= text[at]
    # libsodium takes some bytes over 127 for letters, where char is signed.
    if length != digits or seen > 127 or sodium_base642bin(
            out, size, <const char *> text, length, NULL, &decoded, NULL,
            sodium_base64_VARIANT_ORIGINAL) != 0 or decoded != size:
        raise KeyFileError(f"{where}: the key is not base64 of {size} bytes")
    return 0


# ---- boxes

cdef enum:
    BLOCK = 64                  # what Salsa20 makes of its stream at once
    WIDE = 512                  # what libsodium makes with AVX2, in the time of one block and a quarter

cdef size_t _stride = BLOCK


cdef inline void _nonce(unsigned char *nonce, int kind) noexcept:
    memset(nonce, 0, NONCE)
    nonce[0] = <unsigned char> kind


cdef int _stream(unsigned char *mac_key, unsigned char *out, const unsigned char *data, size_t length,
                 const unsigned char *nonce, const unsigned char *key) except -1:
    """XSalsa20: the first 32 bytes of the stream to ``mac_key``, and ``data`` under the rest of it to ``out``.

    What does not fit one block is made in whole strides, and the last one's end is thrown away: asked for less,
    libsodium goes block by block.
    """
    cdef unsigned char subkey[KEY]
    cdef unsigned char stride[WIDE]
    cdef size_t size = _stride if length > BLOCK - KEY else BLOCK
    cdef size_t first = min(length, size - KEY)
    cdef size_t whole = (length - first) & ~(size - 1)
    cdef size_t rest = length - first - whole
    cdef bint failed = crypto_core_hsalsa20(subkey, nonce, key, NULL) != 0
    nonce += NONCE - 8
    memset(stride, 0, size)
    memcpy(stride + KEY, data, first)
    failed |= crypto_stream_salsa20_xor_ic(stride, stride, size, nonce, 0, subkey) != 0
    memcpy(mac_key, stride, KEY)
    memcpy(out, stride + KEY, first)
    if whole:
        failed |= crypto_stream_salsa20_xor_ic(out + first, data + first, whole, nonce, size // BLOCK, subkey) != 0
    if rest:
        memcpy(stride, data + first + whole, rest)
        failed |= crypto_stream_salsa20_xor_ic(stride, stride, size, nonce, (size + whole) // BLOCK, subkey) != 0
        memcpy(out + first + whole, stride, rest)
    sodium_memzero(subkey, sizeof(subkey))
    sodium_memzero(stride, size)
    if failed:
        raise RuntimeError("libsodium: XSalsa20 failed")
    return 0


cdef int _seal_box(unsigned char *sealed, const unsigned char *message, size_t length,
                   const unsigned char *nonce, const unsigned char *key) except -1:
    """Put the MAC and the ciphertext, 16 bytes more than the message, to ``sealed``, which overlaps nothing.

    These are the bytes of crypto_box_easy_afternm, and of crypto_secretbox_easy, which is the same; the parts are
    libsodium's too. It is put together here because that takes half its time for a block or two, and two thirds
    for a kilobyte: ``_stream`` says why.
    """
    cdef unsigned char mac_key[KEY]
    _stream(mac_key, sealed + MAC, message, length, nonce, key)
    cdef int failed = crypto_onetimeauth(sealed, sealed + MAC, length, mac_key)
    sodium_memzero(mac_key, sizeof(mac_key))
    if failed != 0:
        raise RuntimeError("libsodium: Poly1305 failed")
    return 0


cdef bint _box_opens(unsigned char *message, const unsigned char *sealed, size_t length,
                     const unsigned char *nonce, const unsigned char *key) except -1:
    """Put what is in a box of at least 16 bytes to ``message``; False, and zeros there, when it does not open."""
    cdef unsigned char mac_key[KEY]
    _stream(mac_key, message, sealed + MAC, length - MAC, nonce, key)
    cdef bint opens = crypto_onetimeauth_verify(sealed, sealed + MAC, length - MAC, mac_key) == 0
    sodium_memzero(mac_key, sizeof(mac_key))
    if not opens:
        sodium_memzero(message, length - MAC)
    return opens


@cython.final
cdef class Box:
    """crypto_box between a keypair and a public key, its shared value computed once and kept locked.

    https://doc.libsodium.org/public-key_cryptography/authenticated_encryption
    """

    cdef _Guarded _shared

    def __cinit__(self, Keypair keypair not None, bytes public not None):
        """Raises ValueError for a public key that is not 32 bytes, OpenError for a low-order one."""
        if len(public) != KEY:
            raise ValueError("a public key has 32 bytes")
        self._shared = _Guarded(KEY)
        if crypto_box_beforenm(self._shared.data, public, keypair._secret.data) != 0:
            raise OpenError("a low-order public key")
        sodium_stackzero(STACK)

    def seal(self, bytes message not None, bytes nonce not None):
        """Return MAC and ciphertext, 16 bytes more than the message. A nonce has 24 bytes and is used once."""
        if len(nonce) != NONCE:
            raise ValueError("a nonce has 24 bytes")
        cdef bytes sealed = PyBytes_FromStringAndSize(NULL, MAC + len(message))
        _seal_box(<unsigned char *> PyBytes_AS_STRING(sealed), message, len(message), nonce, self._shared.data)
        return sealed

    def open(self, bytes sealed not None, bytes nonce not None):
        """Return the message inside ``sealed``, or raise OpenError, with the same words for every reason."""
        if len(nonce) != NONCE:
            raise ValueError("a nonce has 24 bytes")
        if len(sealed) < MAC:
            raise OpenError("the box does not open")
        cdef bytes message = PyBytes_FromStringAndSize(NULL, len(sealed) - MAC)
        if not _box_opens(<unsigned char *> PyBytes_AS_STRING(message), sealed, len(sealed), nonce, self._shared.data):
            raise OpenError("the box does not open")
        return message


# ---- a session's keys

cdef struct Secrets:
    Secrets *next                           # of a free slot: the next one
    unsigned char up[KEY]
    unsigned char down[KEY]
    unsigned char dh_static[KEY]            # dh(S,c)
    unsigned char dh_hello[KEY]             # dh(S,e)
    unsigned char server[KEY]               # S
    unsigned char hello[HELLO_FRAME]        # the whole frame; E stands after its header


cdef enum:
    SLAB_SLOTS = 128


cdef class _Slab:
    """Locked memory for the keys of many sessions: sodium_malloc alone takes 60 us and three pages each.

    Which slots are free stands in the slots, so that giving one back takes no memory, and cannot fail.
    """

    cdef list _chunks
    cdef Secrets *_free

    def __cinit__(self):
        self._chunks = []

    cdef Secrets *take(self) except NULL:
        cdef Secrets *secrets
        if self._free == NULL:
            self._grow()
        secrets = self._free
        self._free, secrets.next = secrets.next, NULL
        return secrets

    cdef int _grow(self) except -1:
        cdef _Guarded chunk = _Guarded(SLAB_SLOTS * sizeof(Secrets))
        cdef int slot
        self._chunks.append(chunk)
        for slot in range(SLAB_SLOTS):
            self.give(<Secrets *> chunk.data + slot)
        return 0

    cdef void give(self, Secrets *secrets) noexcept:
        sodium_memzero(secrets, sizeof(Secrets))
        secrets.next, self._free = self._free, secrets


cdef int _derive(Secrets *secrets, int kind, const unsigned char *answer,
                 const unsigned char *dh_epoch) except -1:
    """Fill ``up`` and ``down`` and wipe all that they came of. ``answer`` is F || R (protocol.md, Session keys)."""
    cdef unsigned char said[KEY + HELLO_FRAME + 1 + KEY + SALT]
    cdef unsigned char mixed[3 * KEY]
    cdef unsigned char keys[2 * KEY]
    memcpy(said, secrets.server, KEY)
    memcpy(said + KEY, secrets.hello, HELLO_FRAME)
    said[KEY + HELLO_FRAME] = <unsigned char> kind
    memcpy(said + KEY + HELLO_FRAME + 1, answer, KEY + SALT)
    _blake(mixed, KEY, TRANSCRIPT, said, sizeof(said))
    memcpy(mixed + KEY, secrets.dh_hello, KEY)
    memcpy(mixed + 2 * KEY, dh_epoch, KEY)
    _blake(keys, 2 * KEY, KEYS, mixed, sizeof(mixed), secrets.dh_static)
    memcpy(secrets.up, keys, KEY)
    memcpy(secrets.down, keys + KEY, KEY)
    sodium_memzero(mixed, sizeof(mixed))
    sodium_memzero(keys, sizeof(keys))
    sodium_memzero(secrets.dh_static, KEY)
    sodium_memzero(secrets.dh_hello, KEY)
    return 0


cdef int _hello_nonce(unsigned char *nonce, const char *personal, const unsigned char *ephemeral,
                      const unsigned char *server, const unsigned char *client, size_t client_length) except -1:
    """blake(24, label, E || S || C) for the inner box; the outer one names no C, and hands in no bytes of it."""
    cdef unsigned char named[3 * KEY]
    memcpy(named, ephemeral, KEY)
    memcpy(named + KEY, server, KEY)
    memcpy(named + 2 * KEY, client, client_length)
    return _blake(nonce, NONCE, personal, named, 2 * KEY + client_length)


cdef class _Channel:
    """The keys of one session and the two things done with them. Wiped when it goes."""

    cdef Secrets *_secrets
    cdef bint _keyed                        # whether up and down have been derived
    cdef readonly bytes client

    def __dealloc__(self):
        # The slab is the module's, not an attribute: the garbage collector clears those before it comes here.
        if self._secrets != NULL:
            _slab.give(self._secrets)

    cdef bytes _seal(self, const unsigned char *key, int kind, const unsigned char *body, size_t length,
                     const unsigned char *lead, size_t lead_length):
        """A frame: header || lead || box(key, n(kind), body)."""
        self._check_keyed()
        cdef unsigned char nonce[NONCE]
        cdef size_t content = lead_length + MAC + length
        if content > 0xFFFF:
            raise ValueError("a body has at most 65,535 bytes")
        cdef bytes frame = PyBytes_FromStringAndSize(NULL, HEADER + content)
        cdef unsigned char *out = <unsigned char *> PyBytes_AS_STRING(frame)
        _header(out, content, kind)
        if lead_length:
            memcpy(out + HEADER, lead, lead_length)
        _nonce(nonce, kind)
        _seal_box(out + HEADER + lead_length, body, length, nonce, key)
        return frame

    cdef bytes _open(self, const unsigned char *key, int kind, const unsigned char *sealed, size_t length):
        self._check_keyed()
        cdef unsigned char nonce[NONCE]
        if length < MAC:
            raise OpenError("the box does not open")
        cdef bytes body = PyBytes_FromStringAndSize(NULL, length - MAC)
        _nonce(nonce, kind)
        if not _box_opens(<unsigned char *> PyBytes_AS_STRING(body), sealed, length, nonce, key):
            raise OpenError("the box does not open")
        if kind == OK_GET or kind == ERROR:
            return _unpad(body)
        return body

    cdef int _check_keyed(self) except -1:
        """Never use the zeros that stand where a session's keys will be."""
        if not self._keyed:
            raise ValueError("a session has no keys before Hello is answered")
        return 0


cdef bytes _unpad(bytes padded):
    cdef size_t length = 0
    cdef unsigned char *data = <unsigned char *> PyBytes_AS_STRING(padded)
    if sodium_unpad(&length, data, len(padded), PAD) != 0:
        raise OpenError("the box does not open")
    cdef bytes body = PyBytes_FromStringAndSize(<char *> data, length)
    sodium_memzero(data, len(padded))
    return body


cdef bytes _pad(bytes body):
    cdef size_t length = 0
    cdef size_t room = (len(body) // PAD + 1) * PAD
    cdef bytes padded = body + bytes(room - len(body))
    if sodium_pad(&length, <unsigned char *> PyBytes_AS_STRING(padded), len(body), PAD, room) != 0:
        raise RuntimeError("libsodium: sodium_pad failed")
    return padded


# ---- the client's side

@cython.final
cdef class ClientChannel(_Channel):
    """The client's keys of one session: it says Hello, opens the answer, then seals and opens."""

    cdef Keypair _ephemeral

    def __cinit__(self, Keypair keypair not None, bytes server not None, Keypair ephemeral=None):
        """``ephemeral`` is new for each session; only known-answer tests hand one in.

        Raises ValueError for a server key that is not 32 bytes, OpenError for a low-order one.
        """
        if len(server) != KEY:
            raise ValueError("a public key has 32 bytes")
        self._secrets = _slab.take()
        self._ephemeral = Keypair.generate() if ephemeral is None else ephemeral
        self.client = keypair.public
        memcpy(self._secrets.server, PyBytes_AS_STRING(server), KEY)
        if (crypto_box_beforenm(self._secrets.dh_static, server, keypair._secret.data) != 0
                or crypto_box_beforenm(self._secrets.dh_hello, server, self._ephemeral._secret.data) != 0):
            raise OpenError("a low-order public key")
        sodium_stackzero(STACK)
        self._say_hello()

    cdef int _say_hello(self) except -1:
        cdef unsigned char *hello = self._secrets.hello
        cdef unsigned char *ephemeral = hello + HEADER
        cdef unsigned char nonce[NONCE]
        cdef unsigned char inside[KEY + MAC + KEY]
        _header(hello, HELLO_BODY, HELLO)
        memcpy(ephemeral, PyBytes_AS_STRING(self._ephemeral.public), KEY)
        memcpy(inside, PyBytes_AS_STRING(self.client), KEY)
        _hello_nonce(nonce, INNER, ephemeral, self._secrets.server, inside, KEY)
        _seal_box(inside + KEY, inside, KEY, nonce, self._secrets.dh_static)
        _hello_nonce(nonce, OUTER, ephemeral, self._secrets.server, inside, 0)
        _seal_box(ephemeral + KEY, inside, sizeof(inside), nonce, self._secrets.dh_hello)
        return 0

    @property
    def hello(self):
        """The Hello frame, 131 bytes."""
        return self._secrets.hello[:HELLO_FRAME]

    def open_answer(self, unsigned char kind, bytes body not None):
        """Return what Link, KeyNotFound or Error says in answer to Hello, and take up the session's keys.

        Raises OpenError. Whatever it returns was said by the holder of the server's key, in this session.
        """
        cdef unsigned char dh_epoch[KEY]
        cdef const unsigned char *said = body
        if self._ephemeral is None or len(body) < KEY + SALT + MAC:
            raise OpenError("the box does not open")
        if crypto_box_beforenm(dh_epoch, said, self._ephemeral._secret.data) != 0:
            raise OpenError("the box does not open")
        self._ephemeral = None
        _derive(self._secrets, kind, said, dh_epoch)
        self._keyed = True
        sodium_memzero(dh_epoch, KEY)
        sodium_stackzero(STACK)
        return self._open(self._secrets.down, kind, said + KEY + SALT, len(body) - KEY - SALT)

    def open(self, unsigned char kind, bytes body not None):
        """Return what OkGet or Error says, without its padding, or raise OpenError."""
        return self._open(self._secrets.down, kind, body, len(body))

    def seal(self, unsigned char kind, bytes body=b""):
        """Return the frame of Get or Bye."""
        return self._seal(self._secrets.up, kind, body, len(body), NULL, 0)


# ---- the server's side

cdef struct Kept:
    uint64_t used                           # 0: empty; otherwise the keypair's number plus one
    unsigned char client[KEY]
    unsigned char dh_static[KEY]


cdef enum:
    KEPT_WAYS = 4
    KEPT_LIMIT = 65536


cdef class _KeptShared:
    """dh(C,s) of clients that proved themselves: at most 65,536, locked, one of four giving way in turn."""

    cdef _Guarded _entries
    cdef unsigned char _hash_key[crypto_shorthash_KEYBYTES]
    cdef uint64_t _sets
    cdef unsigned int _turn

    def __cinit__(self, size_t limit):
        self._sets = limit // KEPT_WAYS
        self._entries = _Guarded(self._sets * KEPT_WAYS * sizeof(Kept))
        memset(self._entries.data, 0, self._entries.size)
        randombytes_buf(self._hash_key, sizeof(self._hash_key))

    cdef Kept *_set(self, const unsigned char *client) noexcept:
        cdef uint64_t hashed = 0
        crypto_shorthash(<unsigned char *> &hashed, client, KEY, self._hash_key)
        return <Kept *> self._entries.data + hashed % self._sets * KEPT_WAYS

    cdef const unsigned char *find(self, const unsigned char *client, int which) noexcept:
        cdef Kept *entry = self._set(client)
        cdef int way
        for way in range(KEPT_WAYS):
            if entry[way].used == <uint64_t> which + 1 and memcmp(entry[way].client, client, KEY) == 0:
                return entry[way].dh_static
        return NULL

    cdef void keep(self, const unsigned char *client, int which, const unsigned char *dh_static) noexcept:
        cdef Kept *entry = self._set(client)
        cdef int way
        cdef int chosen = -1
        for way in range(KEPT_WAYS):
            if entry[way].used == <uint64_t> which + 1 and memcmp(entry[way].client, client, KEY) == 0:
                return
            if entry[way].used == 0 and chosen < 0:
                chosen = way
        if chosen < 0:
            chosen = self._turn % KEPT_WAYS
            self._turn += 1
        entry[chosen].used = which + 1
        memcpy(entry[chosen].client, client, KEY)
        memcpy(entry[chosen].dh_static, dh_static, KEY)


@cython.final
cdef class Responder:
    """What one server process needs to answer Hello: its keypairs, its epoch key F, and kept dh(C,s).

    Made after the fork, so that no two processes share an F.
    """

    cdef tuple _keypairs
    cdef _Guarded _epoch
    cdef unsigned char _epoch_public[KEY]
    cdef _Guarded _scratch
    cdef _Guarded _dummy
    cdef _KeptShared _kept

    def __cinit__(self, tuple keypairs not None, *, Keypair epoch=None, size_t kept=KEPT_LIMIT):
        """One keypair, or two while the server's key is rotated. Only known-answer tests hand in ``epoch``."""
        if not 1 <= len(keypairs) <= 2 or not all(isinstance(each, Keypair) for each in keypairs):
            raise ValueError("a server has one keypair, or two while its key is rotated")
        if not KEPT_WAYS <= kept <= KEPT_LIMIT:
            raise ValueError(f"{KEPT_WAYS} to {KEPT_LIMIT} shared values are kept")
        self._keypairs = keypairs
        self._epoch = _Guarded(KEY)
        self._scratch = _Guarded(SHARD_LIMIT + PAD)
        self._dummy = _Guarded(KEY)
        self._kept = _KeptShared(kept)
        randombytes_buf(self._dummy.data, KEY)
        if epoch is None:
            self.renew()
        else:
            memcpy(self._epoch.data, epoch._secret.data, KEY)
            memcpy(self._epoch_public, PyBytes_AS_STRING(epoch.public), KEY)
            sodium_stackzero(STACK)

    def renew(self):
        """Make a new epoch key F over the old one. To be called every 60 s, sessions or not."""
        if crypto_box_keypair(self._epoch_public, self._epoch.data) != 0:
            raise RuntimeError("libsodium: no keypair")
        sodium_stackzero(STACK)

    @property
    def epoch(self):
        """The public epoch key F, 32 bytes."""
        return self._epoch_public[:KEY]

    def open_hello(self, bytes body not None):
        """Return the ServerChannel to a client whose inner box opened, or raise OpenError.

        The error names the step for the log; the wire stays silent for all of them alike. When the inner box
        does not open, dh(C,s) has been computed exactly once, whoever C is (protocol.md, What a stranger learns).
        """
        return ServerChannel.__new__(ServerChannel, self, body)

    cdef int _open_outer(self, Secrets *secrets, unsigned char *inside) except -1:
        """Try each keypair in turn; return the number of the one that opened the outer box."""
        cdef const unsigned char *ephemeral = secrets.hello + HEADER
        cdef unsigned char nonce[NONCE]
        cdef Keypair keypair
        cdef int which
        for which in range(len(self._keypairs)):
            keypair = <Keypair> self._keypairs[which]
            memcpy(secrets.server, PyBytes_AS_STRING(keypair.public), KEY)
            if crypto_box_beforenm(secrets.dh_hello, ephemeral, keypair._secret.data) != 0:
                break
            _hello_nonce(nonce, OUTER, ephemeral, secrets.server, inside, 0)
            if _box_opens(inside, ephemeral + KEY, HELLO_BODY - KEY, nonce, secrets.dh_hello):
                return which
        sodium_stackzero(STACK)
        raise OpenError("Hello: the outer box does not open")

    cdef int _open_inner(self, Secrets *secrets, const unsigned char *inside, int which) except -1:
        cdef unsigned char nonce[NONCE]
        cdef Keypair keypair = <Keypair> self._keypairs[which]
        cdef const unsigned char *kept = self._kept.find(inside, which)
        _hello_nonce(nonce, INNER, secrets.hello + HEADER, secrets.server, inside, KEY)
        memcpy(secrets.dh_static, kept if kept != NULL else self._dummy.data, KEY)
        if _inner_opens(inside, nonce, secrets.dh_static):
            return 0
        if (crypto_box_beforenm(secrets.dh_static, inside, keypair._secret.data) == 0
                and _inner_opens(inside, nonce, secrets.dh_static)):
            return 0
        sodium_stackzero(STACK)
        raise OpenError("Hello: the inner box does not open")


cdef bint _inner_opens(const unsigned char *inside, const unsigned char *nonce,
                       const unsigned char *key) except -1:
    """Whether the box after C opens under ``key`` to the same C."""
    cdef unsigned char client[KEY]
    if not _box_opens(client, inside + KEY, MAC + KEY, nonce, key):
        return False
    return sodium_memcmp(client, inside, KEY) == 0


@cython.final
cdef class ServerChannel(_Channel):
    """The server's keys of one session: it answers Hello once, then opens and seals."""

    cdef Responder _responder
    cdef _Guarded _scratch
    cdef int _which

    def __cinit__(self, Responder responder not None, bytes body not None):
        cdef unsigned char inside[KEY + MAC + KEY]
        if len(body) != HELLO_BODY:
            raise FrameError("Hello: wrong length")
        self._secrets = _slab.take()
        self._responder = responder
        _header(self._secrets.hello, HELLO_BODY, HELLO)
        memcpy(self._secrets.hello + HEADER, PyBytes_AS_STRING(body), HELLO_BODY)
        self._which = responder._open_outer(self._secrets, inside)
        responder._open_inner(self._secrets, inside, self._which)
        self.client = inside[:KEY]

    def __init__(self):
        raise TypeError("a ServerChannel is made by Responder.open_hello()")

    def answer(self, unsigned char kind, bytes body=b"", *, bytes salt=None):
        """Return the frame that answers Hello and take up the session's keys; the body of Error is padded.

        ``salt`` is R: new random bytes unless a known-answer test hands them in. After Link, dh(C,s) is kept.
        """
        cdef Responder responder = self._responder
        cdef Secrets *secrets = self._secrets
        cdef unsigned char lead[KEY + SALT]
        cdef unsigned char dh_epoch[KEY]
        if responder is None or (salt is not None and len(salt) != SALT):
            raise ValueError("Hello is answered once, with a salt of 24 bytes")
        self._responder = None
        self._scratch = responder._scratch
        memcpy(lead, responder._epoch_public, KEY)
        if salt is None:
            randombytes_buf(lead + KEY, SALT)
        else:
            memcpy(lead + KEY, PyBytes_AS_STRING(salt), SALT)
        if crypto_box_beforenm(dh_epoch, secrets.hello + HEADER, responder._epoch.data) != 0:
            raise OpenError("Hello: a low-order public key")
        if kind == LINK:
            responder._kept.keep(self.client, self._which, secrets.dh_static)
        _derive(secrets, kind, lead, dh_epoch)
        self._keyed = True
        sodium_memzero(dh_epoch, KEY)
        sodium_stackzero(STACK)
        if kind == ERROR:
            body = _pad(body)
        return self._seal(secrets.down, kind, body, len(body), lead, sizeof(lead))

    def open(self, unsigned char kind, bytes body not None):
        """Return what Get or Bye says, or raise OpenError."""
        return self._open(self._secrets.up, kind, body, len(body))

    def seal(self, unsigned char kind, bytes body not None):
        """Return the frame of an Error in answer to Get, or of an OkGet made of bytes; the body is padded."""
        body = _pad(body)
        return self._seal(self._secrets.down, kind, body, len(body), NULL, 0)

    def seal_shard(self, ShardHandle shard not None):
        """Return the OkGet frame: the shard is opened into locked scratch memory, padded, sealed and wiped."""
        cdef unsigned char *scratch = self._scratch.data
        cdef size_t length = shard._table._open(shard._index, scratch)
        cdef size_t padded = 0
        try:
            if sodium_pad(&padded, scratch, length, PAD, self._scratch.size) != 0:
                raise RuntimeError("libsodium: sodium_pad failed")
            return self._seal(self._secrets.down, OK_GET, scratch, padded, NULL, 0)
        finally:
            sodium_memzero(scratch, length + PAD)
            sodium_stackzero(STACK)


# ---- the locker and its table

@cython.final
cdef class Locker:
    """The random key of one server, under which shards lie in memory. Inherited by fork, never written anywhere."""

    cdef _Guarded _key

    def __cinit__(self):
        self._key = _Guarded(KEY)
        randombytes_buf(self._key.data, KEY)
        if sodium_mprotect_readonly(self._key.data) != 0:
            PyErr_SetFromErrno(OSError)

    def relock(self):
        """Lock the memory again: locks do not survive a fork."""
        self._key.lock()

    def __reduce__(self):
        raise TypeError("a Locker is not pickled or copied")


cdef const char *TABLE_MAGIC = b"coffer table 1\0\0"

# The layout of a table: Head || shards, ShardRow each || ids, IdRow each || slots, u32 each || names || blobs.
# It is written and read by one program on one machine, so the integers are the machine's own.
cdef struct Head:
    unsigned char magic[16]
    unsigned char hash_key[crypto_shorthash_KEYBYTES]
    unsigned char salt[16]                  # each blob's nonce is this and its number
    uint64_t serial
    uint64_t slots                          # a power of two, at most half full; 0 is empty, else an id's number + 1
    uint64_t ids
    uint64_t shards
    uint64_t names_bytes
    uint64_t blobs_bytes

cdef struct IdRow:
    unsigned char id[KEY]
    uint32_t shard

cdef struct ShardRow:
    uint64_t blob                           # where its blob begins among the blobs
    uint64_t name                           # where its client's name begins among the names
    unsigned char digest[16]                # keyed BLAKE2b of the response: tells what a reload changed
    uint32_t blob_bytes
    uint32_t name_bytes


cdef inline void _blob_nonce(unsigned char *nonce, const unsigned char *salt, uint64_t number) noexcept:
    memcpy(nonce, salt, 16)
    memcpy(nonce + 16, &number, 8)


cdef inline uint64_t _id_hash(const unsigned char *id, const unsigned char *hash_key) noexcept:
    cdef uint64_t hashed = 0
    crypto_shorthash(<unsigned char *> &hashed, id, KEY, hash_key)
    return hashed


@cython.final
cdef class TableWriter:
    """Collects sealed shards and writes them as one table. Used by the loader, which then ends."""

    cdef Head _head
    cdef Locker _locker
    cdef bytearray _ids
    cdef bytearray _shards
    cdef bytearray _names
    cdef bytearray _blobs

    def __cinit__(self, Locker locker not None, uint64_t serial):
        self._locker = locker
        self._ids, self._shards = bytearray(), bytearray()
        self._names, self._blobs = bytearray(), bytearray()
        memcpy(self._head.magic, TABLE_MAGIC, 16)
        randombytes_buf(self._head.hash_key, sizeof(self._head.hash_key))
        randombytes_buf(self._head.salt, sizeof(self._head.salt))
        self._head.serial = serial

    def add(self, str name not None, ids, bytes response not None):
        """Add the shard of one client: its name, its ids (32 bytes each) and its response (CBOR)."""
        cdef IdRow row
        cdef ShardRow shard
        cdef bytes id
        cdef bytes encoded = name.encode("ascii")
        if len(response) > SHARD_LIMIT or self._head.shards == 0xFFFFFFFF:
            raise ValueError("a shard has at most 65,279 bytes, a table at most 2^32 - 1 shards")
        for id in ids:
            if len(id) != KEY:
                raise ValueError("an id has 32 bytes")
            memcpy(row.id, PyBytes_AS_STRING(id), KEY)
            row.shard = self._head.shards
            self._ids += (<char *> &row)[:sizeof(row)]
            self._head.ids += 1
        shard.blob, shard.blob_bytes = len(self._blobs), len(response) + MAC
        shard.name, shard.name_bytes = len(self._names), len(encoded)
        _blake(shard.digest, sizeof(shard.digest), SHARD, response, len(response), self._locker._key.data)
        self._blobs += self._sealed(response)
        self._names += encoded
        self._shards += (<char *> &shard)[:sizeof(shard)]
        self._head.shards += 1

    cdef bytes _sealed(self, bytes response):
        cdef unsigned char nonce[NONCE]
        cdef bytes sealed = PyBytes_FromStringAndSize(NULL, MAC + len(response))
        _blob_nonce(nonce, self._head.salt, self._head.shards)
        _seal_box(<unsigned char *> PyBytes_AS_STRING(sealed), response, len(response), nonce, self._locker._key.data)
        return sealed

    def write(self, int fd):
        """Write the table to ``fd``. Raises ValueError for an id added twice, OSError."""
        cdef bytearray slots = self._slots()
        cdef bytearray part
        self._head.names_bytes, self._head.blobs_bytes = len(self._names), len(self._blobs)
        _write_all(fd, <unsigned char *> &self._head, sizeof(Head))
        for part in (self._shards, self._ids, slots, self._names, self._blobs):
            _write_all(fd, part, len(part))

    cdef bytearray _slots(self):
        cdef uint64_t count = 2
        cdef uint64_t number, at
        while count < 2 * self._head.ids:
            count *= 2
        cdef bytearray made = bytearray(count * sizeof(uint32_t))
        cdef uint32_t *slots = <uint32_t *> <unsigned char *> made
        cdef IdRow *rows = <IdRow *> <unsigned char *> self._ids
        for number in range(self._head.ids):
            at = _id_hash(rows[number].id, self._head.hash_key) & (count - 1)
            while slots[at]:
                if memcmp(rows[slots[at] - 1].id, rows[number].id, KEY) == 0:
                    raise ValueError("an id stands in a table once")
                at = (at + 1) & (count - 1)
            slots[at] = number + 1
        self._head.slots = count
        return made


@cython.final
cdef class Table:
    """The sealed shards of one definition, by id: a read-only mapping of the memory that the loader wrote."""

    cdef Locker _locker
    cdef void *_map
    cdef size_t _size
    cdef Head _head
    cdef const uint32_t *_slots
    cdef const IdRow *_ids
    cdef const ShardRow *_shards
    cdef const char *_names
    cdef const unsigned char *_blobs

    def __cinit__(self, int fd, Locker locker not None):
        """Map the table at ``fd``. Raises OSError, and ValueError for what TableWriter did not write."""
        cdef struct_stat status
        if fstat(fd, &status) != 0:
            PyErr_SetFromErrno(OSError)
        if <size_t> status.st_size < sizeof(Head):
            raise ValueError("not a table")
        self._locker = locker
        self._size = status.st_size
        self._map = mmap(NULL, self._size, PROT_READ, MAP_SHARED, fd, 0)
        if self._map == MAP_FAILED:
            self._map = NULL
            PyErr_SetFromErrno(OSError)
        madvise(self._map, self._size, MADV_DONTDUMP)
        self._lay_out()

    cdef int _lay_out(self) except -1:
        cdef Head *head = &self._head
        cdef uint64_t rows = 0xFFFFFFFF
        memcpy(head, self._map, sizeof(Head))
        if (memcmp(head.magic, TABLE_MAGIC, 16) != 0 or head.slots > 2 * rows or head.ids > rows
                or head.shards > rows or head.slots & (head.slots - 1) or head.slots <= head.ids
                or head.names_bytes > self._size or head.blobs_bytes > self._size
                or sizeof(Head) + head.slots * sizeof(uint32_t) + head.ids * sizeof(IdRow)
                + head.shards * sizeof(ShardRow) + head.names_bytes + head.blobs_bytes != self._size):
            raise ValueError("not a table")
        self._shards = <const ShardRow *> (<const char *> self._map + sizeof(Head))
        self._ids = <const IdRow *> (self._shards + head.shards)
        self._slots = <const uint32_t *> (self._ids + head.ids)
        self._names = <const char *> (self._slots + head.slots)
        self._blobs = <const unsigned char *> (self._names + head.names_bytes)
        return 0

    def __dealloc__(self):
        if self._map != NULL:
            munmap(self._map, self._size)

    @property
    def serial(self):
        """The serial of the sealed definition."""
        return self._head.serial

    @property
    def ids(self):
        """How many ids it knows."""
        return self._head.ids

    def __len__(self):
        """How many shards it holds."""
        return self._head.shards

    cdef int64_t _row(self, const unsigned char *id) noexcept:
        """Return the number of an id's row, or -1, after one round of the slots at most."""
        cdef uint64_t hashed = _id_hash(id, self._head.hash_key)
        cdef uint64_t step
        cdef uint32_t number
        for step in range(self._head.slots):
            number = self._slots[(hashed + step) & (self._head.slots - 1)]
            if number == 0:
                return -1
            if number <= self._head.ids and memcmp(self._ids[number - 1].id, id, KEY) == 0:
                return number - 1
        return -1

    cdef uint32_t _shard_of(self, uint64_t row) except? 0:
        """Return the number of the shard that an id's row names."""
        cdef uint32_t shard = self._ids[row].shard
        if shard >= self._head.shards:
            raise ValueError("not a table")
        return shard

    def find(self, bytes id not None):
        """Return the handle of the shard that belongs to ``id`` (32 bytes), or None."""
        cdef int64_t row
        if len(id) != KEY:
            raise ValueError("an id has 32 bytes")
        row = self._row(id)
        if row < 0:
            return None
        cdef ShardHandle handle = ShardHandle.__new__(ShardHandle)
        handle._table = self
        handle._index = self._shard_of(row)
        return handle

    def changes(self, Table old not None):
        """Return how many ids have come, gone and got other values since ``old``."""
        cdef uint64_t number
        cdef int64_t row
        cdef uint64_t came = 0, gone = 0, changed = 0
        for number in range(self._head.ids):
            row = old._row(self._ids[number].id)
            if row < 0:
                came += 1
            elif memcmp(old._shards[old._shard_of(row)].digest, self._shards[self._shard_of(number)].digest, 16) != 0:
                changed += 1
        for number in range(old._head.ids):
            if self._row(old._ids[number].id) < 0:
                gone += 1
        return came, gone, changed

    cdef size_t _open(self, uint32_t index, unsigned char *into) except? 0:
        """Open a shard's blob into ``into``, which has room for the largest shard."""
        cdef const ShardRow *row = &self._shards[index]
        cdef unsigned char nonce[NONCE]
        if (row.blob_bytes < MAC or row.blob_bytes > SHARD_LIMIT + MAC
                or row.blob > self._head.blobs_bytes or row.blob_bytes > self._head.blobs_bytes - row.blob):
            raise ValueError("not a table")
        _blob_nonce(nonce, self._head.salt, index)
        if not _box_opens(into, self._blobs + row.blob, row.blob_bytes, nonce, self._locker._key.data):
            raise ValueError("the table was not sealed under this locker")
        return row.blob_bytes - MAC


@cython.final
cdef class ShardHandle:
    """One client's shard, without a way to read it: it can only be sealed into a frame. Keeps its table alive."""

    cdef Table _table
    cdef uint32_t _index

    def __init__(self):
        raise TypeError("a ShardHandle is made by Table.find()")

    @property
    def name(self):
        """The client's name."""
        cdef const ShardRow *row = &self._table._shards[self._index]
        cdef uint64_t names = self._table._head.names_bytes
        if row.name > names or row.name_bytes > names - row.name:
            raise ValueError("not a table")
        return (self._table._names + row.name)[:row.name_bytes].decode("ascii")

    def __reduce__(self):
        raise TypeError("a ShardHandle is not pickled or copied")


# ---- at import

cdef _Slab _slab = None

LIBSODIUM_VERSION = sodium_version_string().decode()


cdef int _start() except -1:
    """sodium_init, the version the header promised, and one known answer through X25519, the box and BLAKE2b."""
    global _slab, _stride
    if sodium_init() < 0:
        raise ImportError("libsodium does not start")
    if tuple(int(part) for part in LIBSODIUM_VERSION.split(".")[:3]) < (1, 0, 18):
        raise ImportError(f"libsodium 1.0.18 or later is needed, this is {LIBSODIUM_VERSION}")
    if (crypto_box_PUBLICKEYBYTES != KEY or crypto_box_SECRETKEYBYTES != KEY or crypto_box_BEFORENMBYTES != KEY
            or crypto_box_NONCEBYTES != NONCE or crypto_box_MACBYTES != MAC
            or crypto_pwhash_argon2id_SALTBYTES != PW_SALT or crypto_shorthash_BYTES != 8):
        raise ImportError("libsodium has other sizes than coffer's protocol")
    _slab = _Slab()
    _stride = WIDE if sodium_runtime_has_avx2() else BLOCK
    cdef unsigned char ones[2 * WIDE + 1]   # the first, the whole and the rest of ``_stream``
    cdef unsigned char public[KEY]
    cdef unsigned char shared[KEY]
    cdef unsigned char sealed[MAC + 2 * WIDE + 1]
    cdef unsigned char theirs[MAC + 2 * WIDE + 1]
    cdef unsigned char digest[MAC]
    memset(ones, 1, sizeof(ones))
    if (crypto_scalarmult_base(public, ones) != 0 or crypto_box_beforenm(shared, public, ones) != 0
            or crypto_box_easy_afternm(theirs, ones, sizeof(ones), ones, shared) != 0):
        raise ImportError("libsodium fails")
    _seal_box(sealed, ones, sizeof(ones), ones, shared)
    _blake(digest, MAC, KEYS, sealed, sizeof(sealed), shared)
    if memcmp(sealed, theirs, sizeof(sealed)) != 0 or digest[:MAC] != KNOWN_ANSWER:
        raise ImportError("libsodium gives a wrong answer: it is broken, or not libsodium")
    return 0


cdef bytes KNOWN_ANSWER = bytes.fromhex("434a89eae170d27b612084e91433809c")
_start()
