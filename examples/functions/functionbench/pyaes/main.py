"""Encrypts and decrypts a message with AES in counter mode, in Python alone."""
import random
import string
import time

try:
    import pyaes
except ImportError:
    pyaes = None
    import aes

cold = True
KEY = bytes(range(16))
choose = random.Random(1)


def crypt(data):
    """Encrypts data; what is encrypted, it decrypts."""
    if pyaes:
        return pyaes.AESModeOfOperationCTR(KEY).encrypt(data)
    return aes.ctr(KEY, data)


def main(args):
    global cold
    was_cold, cold = cold, False
    length = int(args.get("length_of_message", 200))
    iterations = int(args.get("num_of_iterations", 200))
    message = "".join(choose.choices(string.ascii_letters + string.digits, k=length)).encode()
    start = time.time()
    for _ in range(iterations):
        if crypt(crypt(message)) != message:
            raise ArithmeticError("what was decrypted is not the message")
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "code": "pyaes" if pyaes else "aes.py",
    }}
