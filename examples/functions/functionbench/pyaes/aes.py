"""AES in counter mode, in Python alone: FIPS 197 and NIST SP 800-38A, section 6.5.

It is here to be measured. It leaks its key through its timing: keep no secret with it.
"""
import struct


def double(a):
    """Multiplies by x in the field of AES, GF(2)[x] / x^8 + x^4 + x^3 + x + 1."""
    a <<= 1
    return a ^ 0x11B if a & 0x100 else a


def substitutions():
    """Returns the S-box (FIPS 197, section 5.1.1)."""
    box = [0x63] * 256
    p = q = 1  # q is the inverse of p in every round
    for _ in range(255):
        p ^= double(p)  # times x + 1, which generates the field
        q ^= q << 1     # divided by it
        q ^= q << 2
        q ^= q << 4
        q &= 0xFF
        if q & 0x80:
            q ^= 0x09
        turned = q | q << 8
        box[p] = (q ^ turned >> 7 ^ turned >> 6 ^ turned >> 5 ^ turned >> 4) & 0xFF ^ 0x63
    return box


SBOX = substitutions()
# A column of MixColumns for each byte after its substitution, one table for each row.
T0 = [double(s) << 24 | s << 16 | s << 8 | double(s) ^ s for s in SBOX]
T1 = [t >> 8 | (t & 0xFF) << 24 for t in T0]
T2 = [t >> 8 | (t & 0xFF) << 24 for t in T1]
T3 = [t >> 8 | (t & 0xFF) << 24 for t in T2]


def word(s):
    """Substitutes the four bytes of s."""
    return SBOX[s >> 24] << 24 | SBOX[s >> 16 & 0xFF] << 16 | SBOX[s >> 8 & 0xFF] << 8 | SBOX[s & 0xFF]


def expand(key):
    """Returns the words of the key schedule (FIPS 197, section 5.2)."""
    n = len(key) // 4
    if len(key) not in (16, 24, 32):
        raise ValueError("a key of %d bytes: AES has keys of 16, 24 and 32" % len(key))
    words = list(struct.unpack(">%dI" % n, key))
    constant = 1
    for i in range(n, 4 * (n + 7)):
        w = words[-1]
        if i % n == 0:
            w = word((w << 8 | w >> 24) & 0xFFFFFFFF) ^ constant << 24
            constant = double(constant)
        elif n == 8 and i % n == 4:
            w = word(w)
        words.append(words[i - n] ^ w)
    return words


def encrypt(schedule, block):
    """Returns block, 16 bytes, encrypted."""
    a, b, c, d = struct.unpack(">4I", block)
    k = schedule
    a, b, c, d = a ^ k[0], b ^ k[1], c ^ k[2], d ^ k[3]
    for i in range(4, len(k) - 4, 4):
        a, b, c, d = (
            T0[a >> 24] ^ T1[b >> 16 & 0xFF] ^ T2[c >> 8 & 0xFF] ^ T3[d & 0xFF] ^ k[i],
            T0[b >> 24] ^ T1[c >> 16 & 0xFF] ^ T2[d >> 8 & 0xFF] ^ T3[a & 0xFF] ^ k[i + 1],
            T0[c >> 24] ^ T1[d >> 16 & 0xFF] ^ T2[a >> 8 & 0xFF] ^ T3[b & 0xFF] ^ k[i + 2],
            T0[d >> 24] ^ T1[a >> 16 & 0xFF] ^ T2[b >> 8 & 0xFF] ^ T3[c & 0xFF] ^ k[i + 3],
        )
    # The last round mixes no columns.
    return struct.pack(
        ">4I",
        word(a & 0xFF000000 | b & 0xFF0000 | c & 0xFF00 | d & 0xFF) ^ k[-4],
        word(b & 0xFF000000 | c & 0xFF0000 | d & 0xFF00 | a & 0xFF) ^ k[-3],
        word(c & 0xFF000000 | d & 0xFF0000 | a & 0xFF00 | b & 0xFF) ^ k[-2],
        word(d & 0xFF000000 | a & 0xFF0000 | b & 0xFF00 | c & 0xFF) ^ k[-1],
    )


def ctr(key, data, counter=1):
    """Returns data encrypted, or decrypted, with the counter's value for the first block."""
    schedule = expand(key)
    stream = bytearray()
    while len(stream) < len(data):
        stream += encrypt(schedule, counter.to_bytes(16, "big"))
        counter = (counter + 1) % (1 << 128)
    return bytes(x ^ y for x, y in zip(data, stream))
