"""Item2vec by gensim: the same contract as `sgns`, for whoever wants the well-known trainer.

Its defaults are made for words and lose on music. Hierarchical softmax beside the negatives trains the
rare tracks, and still gives every track an out vector, which hierarchical softmax alone does not.
"""

from __future__ import annotations

import numpy as np

from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import Settings, SettingsError

# What gensim's compiled loop holds of one sequence; the rest it passes over in silence.
LONGEST = 10_000


def fit(corpus: Corpus, settings: Settings) -> Model:
    """All epochs at once: gensim's learning rate falls over them. `backward` means nothing to it.

    Raises:
        SettingsError: settings that gensim has no word for.
    """
    from gensim.models import Word2Vec

    _refuse(settings)
    names = [str(number) for number in range(len(corpus.counts))]
    words = [
        [names[token] for token in corpus.tokens[start:end]]
        for start, end in zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    ]
    model = Word2Vec(
        vector_size=settings.dimensions, window=settings.window, epochs=settings.epochs,
        negative=settings.negatives, ns_exponent=settings.exponent, sample=settings.subsample,
        alpha=settings.learning_rate / 2, min_count=1, seed=settings.seed, workers=settings.threads,
        sg=1, hs=1, sorted_vocab=0,
    )  # fmt: skip
    model.build_vocab_from_freq({name: int(n) for name, n in zip(names, corpus.counts, strict=True)})
    model.train(words, total_examples=len(words), epochs=settings.epochs)
    at = np.array([model.wv.key_to_index[name] for name in names], np.int64)
    nothing = np.zeros(len(at), np.float32)
    return Model(model.wv.vectors[at], model.syn1neg[at], nothing, nothing.copy())


def _refuse(settings: Settings) -> None:
    if settings.backward not in (1, Settings.backward):
        raise SettingsError(
            f"item2vec: backward is {settings.backward}, and gensim looks both ways alike; leave it out"
        )
    if settings.max_length > LONGEST:
        raise SettingsError(
            f"item2vec: max_length is {settings.max_length}, and gensim reads no more than {LONGEST} tracks "
            "of a sequence; lower it, or use backend sgns"
        )
