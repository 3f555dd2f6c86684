"""One call for both trainers: `sgns`, our own, and gensim, the well-known one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from features.embeddings import sgns
from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import Settings, SettingsError

AfterEpoch = Callable[[int, int, Model], None]

# What gensim's compiled loop holds of one sequence; the rest it passes over in silence.
LONGEST_OF_GENSIM = 10_000


def fit(
    corpus: Corpus,
    settings: Settings,
    model: Model | None = None,
    epochs: range | None = None,
    after_epoch: AfterEpoch = lambda epoch, pairs, model: None,
) -> Model:
    """The model of `corpus`, in the very arrays of `model` where one is given to go on from.

    Args:
        epochs: numbers of the epochs to do; 0 to `settings.epochs` - 1 by default.
        after_epoch: called with the epochs done, the pairs of the last one and the model; not by gensim.

    Raises:
        SettingsError: settings that gensim has no word for, or gensim is to go on from vectors.
    """
    if settings.backend == "gensim":
        if model is not None or epochs is not None:
            raise SettingsError(
                "item2vec: gensim cannot go on from vectors, as it keeps no state; start cold, or use backend sgns"
            )
        return _fit_by_gensim(corpus, settings)
    model = model or Model.initialise(len(corpus.counts), settings.dimensions, settings.seed)
    for number in range(settings.epochs) if epochs is None else epochs:
        pairs = sgns.train_epoch(corpus, model, settings, number)
        after_epoch(number + 1, pairs, model)
    return model


def _fit_by_gensim(corpus: Corpus, settings: Settings) -> Model:
    """All epochs at once: gensim's learning rate falls over them."""
    from gensim.models import Word2Vec

    if settings.backward not in (1, Settings().backward):
        raise SettingsError(
            f"item2vec: backward is {settings.backward}, and gensim looks both ways alike; leave it out"
        )
    if settings.max_length > LONGEST_OF_GENSIM:
        raise SettingsError(
            f"item2vec: max_length is {settings.max_length}, and gensim reads no more than {LONGEST_OF_GENSIM} tracks "
            "of a sequence; lower it, or use backend sgns"
        )
    names = [str(number) for number in range(len(corpus.counts))]
    ends = zip(corpus.offsets[:-1], corpus.offsets[1:], strict=True)
    words = [[names[token] for token in corpus.tokens[start:end]] for start, end in ends]
    # gensim's defaults are made for words and lose on music, see `sgns`. Hierarchical softmax beside the
    # negatives trains the rare tracks, and still gives every track an out vector, which it alone does not
    model = Word2Vec(
        vector_size=settings.dimensions, window=settings.window, epochs=settings.epochs,
        negative=settings.negatives, ns_exponent=settings.exponent, sample=settings.subsample,
        alpha=settings.learning_rate / 2, min_count=1, seed=settings.seed, workers=settings.threads,
        sg=1, hs=1, sorted_vocab=0,
    )  # fmt: skip
    # plays of the whole window, as `sgns` has them; counted from `words` they would lack sequences too short
    # and gensim would leave out a track whose every play is held out
    plays = np.maximum(corpus.counts, 1).tolist()
    model.build_vocab_from_freq(dict(zip(names, plays, strict=True)))
    model.train(words, total_examples=len(words), epochs=settings.epochs)
    at = np.array([model.wv.key_to_index[name] for name in names], np.int64)
    no_state = np.zeros(len(at), np.float32)
    return Model(model.wv.vectors[at], model.syn1neg[at], no_state, no_state.copy())
