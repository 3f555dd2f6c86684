"""One call for every trainer, and a word after each epoch."""

from __future__ import annotations

from collections.abc import Callable

from features.embeddings import gensim_backend, sgns
from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import Settings, SettingsError

AfterEpoch = Callable[[int, int, Model], None]


def fit(
    corpus: Corpus,
    settings: Settings,
    model: Model | None = None,
    epochs: range | None = None,
    after_epoch: AfterEpoch = lambda epoch, pairs, model: None,
) -> Model:
    """The model of `corpus`, in the very arrays of `model` where one is given to go on from.

    Args:
        epochs: numbers of the epochs to do, of 0 to `settings.epochs` - 1; all by default. An epoch draws
            from its number, so a training in two parts learns what one in one part does.
        after_epoch: told the epochs done, the pairs of the last one and the model.

    Raises:
        SettingsError: gensim told to go on from vectors: it keeps nothing that a second start needs.
    """
    if settings.backend == "gensim":
        if model is not None or epochs is not None:
            raise SettingsError(
                "item2vec: gensim cannot go on from vectors, as it keeps no state; start cold, or use backend sgns"
            )
        return gensim_backend.fit(corpus, settings)
    model = model or Model.initialise(len(corpus.counts), settings.dimensions, settings.seed)
    for number in range(settings.epochs) if epochs is None else epochs:
        pairs = sgns.epoch(corpus, model, settings, number)
        after_epoch(number + 1, pairs, model)
    return model
