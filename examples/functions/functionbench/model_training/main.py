"""Trains a classifier of reviews: TF-IDF and logistic regression. The reviews are made at import."""
import os
import random
import re
import tempfile
import time

import joblib
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

cold = True
REVIEWS, WORDS, LENGTH = 5000, 2000, 60
MIN_DOCUMENTS = 100  # a word in fewer reviews is left out


def reviews():
    """Returns texts and whether each is a good review.

    Words follow Zipf's law. One in ten is said five times as often in good reviews, one in bad ones.
    """
    chance = random.Random(1)
    vocabulary = set()
    while len(vocabulary) < WORDS:
        vocabulary.add("".join(chance.choice("bdfklmnprst") + chance.choice("aeiou") for _ in range(chance.randint(1, 4))))
    words = sorted(vocabulary)
    chance.shuffle(words)
    weights = {
        good: [(5 if i % 10 == 5 * good else 1) / (i + 1) for i in range(WORDS)]
        for good in (False, True)
    }
    texts, labels = [], []
    for i in range(REVIEWS):
        good = i % 2 == 0
        said = chance.choices(words, weights[good], k=chance.randint(LENGTH // 2, 3 * LENGTH // 2))
        said[0] = said[0].capitalize()
        said[len(said) // 2] += chance.choice([".<br />", ", 100%", "!!", "..."])
        texts.append(" ".join(said) + ".")
        labels.append(good)
    return texts, labels


TEXTS, LABELS = reviews()
MARKUP = re.compile("<[^>]*>")
NO_LETTERS = re.compile("[^a-z]+")


def clean(text):
    return NO_LETTERS.sub(" ", MARKUP.sub(" ", text).lower()).strip()


def main(args):
    global cold
    was_cold, cold = cold, False
    count = int(args.get("reviews", REVIEWS))
    if not 100 <= count <= REVIEWS:
        raise ValueError("reviews is %d, want 100 to %d" % (count, REVIEWS))
    start = time.time()
    vectors = TfidfVectorizer(min_df=min(MIN_DOCUMENTS, count // 50))
    x = vectors.fit_transform([clean(text) for text in TEXTS[:count]])
    model = LogisticRegression()
    model.fit(x, LABELS[:count])
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model")
        joblib.dump(model, path)
        size = os.path.getsize(path)
    end = time.time()
    return {"body": {
        "latency": end - start, "cold": was_cold, "start": start, "end": end,
        "words": x.shape[1], "accuracy": float(model.score(x, LABELS[:count])), "bytes": size,
    }}
