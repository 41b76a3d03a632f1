"""Reads a JSON document and writes it again. The documents are made at import."""
import json
import random
import time

cold = True
choose = random.Random(1)


def document(kib):
    """Returns a document of about this size: a list of records, as an interface for a web page sends."""
    records = []
    size = 0
    while size < kib << 10:
        records.append({
            "id": len(records),
            "name": "".join(choose.choices("abcdefghijklmnopqrstuvwxyz ", k=24)),
            "score": choose.random(),
            "active": choose.random() < 0.5,
            "tags": choose.sample(["red", "green", "blue", "large", "small", "n\u00e9w"], 3),
            "position": {"x": choose.uniform(-180, 180), "y": choose.uniform(-90, 90), "note": None},
        })
        size += len(json.dumps(records[-1]))
    return json.dumps(records, indent=2)


DOCUMENTS = [document(2**power) for power in range(8)]  # 1 to 128 KiB


def main(args):
    global cold
    was_cold, cold = cold, False
    number = int(args.get("document", choose.randrange(len(DOCUMENTS))))
    start = time.time()
    text = json.dumps(json.loads(DOCUMENTS[number]), indent=4)
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "document": number, "characters": len(text),
    }}
