"""The search for settings: its schedule against plain loops, what it costs, what it may see and leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import sgns, trials, tuning
from features.embeddings.corpus import Corpus, Model
from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.trials import Sample, SearchPlan, estimate_pairs, list_candidates, soft_hits
from features.embeddings.tuning import choose_settings, improves, select_survivors
from reference.halving import mean_pairs, rungs
from reference.planted import sessions

NO_LIMIT = SearchPlan(frozenset(("dimensions",)), budget=1000.0)


def corpus_of(heard):
    flat = heard.reshape(-1).astype(np.int32)
    offsets = np.arange(0, len(flat) + 1, heard.shape[1])
    return Corpus(flat, offsets, np.bincount(flat).astype(np.int64))


@pytest.fixture(scope="module")
def corpus():
    return corpus_of(sessions(3_000))


@pytest.fixture(scope="module")
def chosen(corpus):
    return choose_settings(corpus, Settings(), SearchPlan())


# --- the schedule


def run_on(corpus, table, monkeypatch):
    """The search with scores from a table by (window, backward, rate, epochs), and nothing learned."""

    def score_pairs(trial, sample):
        of = trial.settings
        return np.array([table(((of.window, of.backward, of.learning_rate), trial.done))])

    monkeypatch.setattr(trials.TrialRun, "score_pairs", score_pairs)
    monkeypatch.setattr(sgns, "train_epoch", lambda *arguments: 1)
    return choose_settings(corpus, Settings(), NO_LIMIT)


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("seed", range(12))
def test_who_survives_which_round_is_what_plain_loops_say(corpus, monkeypatch, seed, levels):
    known, draws = {}, np.random.default_rng(seed)

    def table(key):
        return known.setdefault(key, float(draws.integers(0, levels)))  # few levels: many ties

    made = run_on(corpus, table, monkeypatch)
    names = [(t.window, t.backward, t.learning_rate) for t in made.trials]
    lengths = np.diff(Sample.draw(corpus, Settings(), NO_LIMIT).corpus.offsets).tolist()
    kinds = {length: lengths.count(length) for length in set(lengths)}
    own = {name: sum(n * mean_pairs([k], *name[:2]) for k, n in kinds.items()) for name in names}
    mean = sum(own.values()) / len(own)

    def epochs_of(name, rung):
        first = (0, *tuning.RUNGS)[rung]
        return [max(1, round(e * mean / own[name])) for e in tuning.SCORED if first < e <= tuning.RUNGS[rung]]

    parts, best, winner = rungs(names, lambda *key: table(key), epochs_of, tuning.RUNGS, tuning.PATIENCE)
    last = {name: max(r for r, part in enumerate(parts) if name in part) for name in names}
    assert {n: t.rung for n, t in zip(names, made.trials, strict=True)} == last
    assert {n: (t.score, t.epochs) for n, t in zip(names, made.trials, strict=True)} == best
    of = made.settings
    assert (of.window, of.backward) == winner[:2]
    assert (of.learning_rate, of.epochs) == (winner[2] / 2, 20), (
        "the training is slower and longer than a trial"
    )
    assert [len(part) for part in parts] == [12, 6, 3]


def test_the_first_round_is_within_a_rate_and_later_ones_are_not():
    scores, rates = [0.1, 0.2, 0.9, 0.8], [0.02, 0.02, 0.1, 0.1]
    assert select_survivors(scores, rates, 0) == [1, 2]
    assert select_survivors(scores, rates, 1) == [2, 3]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_half_survives_and_none_that_is_worse_than_one_that_does_not(scores):
    kept = select_survivors(scores, [0.0] * len(scores), 1)
    assert len(kept) == (len(scores) + 1) // 2
    gone = [scores[i] for i in range(len(scores)) if i not in kept]
    assert all(scores[i] >= max(gone, default=0) for i in kept)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 7), st.sampled_from([0.0, 0.25, 1.0])
)
def test_pairs_expected_are_those_of_plain_loops(lengths, window, backward):
    found = estimate_pairs(np.array(lengths), Settings(window=window, backward=backward))
    assert found == pytest.approx(mean_pairs(lengths, window, backward))


def test_pairs_expected_are_those_that_an_epoch_learns(corpus):
    for window, backward in trials.WINDOWS:
        of = Settings(window=window, backward=backward, dimensions=2)
        learned = sgns.train_epoch(corpus, Model.initialise(len(corpus.counts), 2, 1), of, 0)
        assert estimate_pairs(np.diff(corpus.offsets), of) == pytest.approx(learned, rel=0.02)


# --- what it costs, and that it repeats


@pytest.mark.parametrize("budget", [0.5, 1.5, 3.0])
def test_the_search_and_its_training_cost_no_more_than_is_allowed(corpus, monkeypatch, budget):
    """Counted where pairs are learned, not where the search adds them up."""
    learned, epoch = [], sgns.train_epoch

    def counted(part, model, of, number):
        pairs = epoch(part, model, of, number)
        learned.append(pairs * of.dimensions)
        return pairs

    monkeypatch.setattr(sgns, "train_epoch", counted)
    made = choose_settings(corpus, Settings(), SearchPlan(budget=budget))
    spent, of = sum(learned), made.settings
    learned.clear()
    model = Model.initialise(len(corpus.counts), of.dimensions, of.seed)
    for number in range(of.epochs):
        sgns.train_epoch(corpus, model, of, number)
    assert made.cost == spent
    assert 0 < spent <= budget * sum(learned)
    assert made.relative_cost == pytest.approx(spent / sum(learned), rel=0.02)


def test_the_same_seed_chooses_the_same(corpus, chosen):
    again = choose_settings(corpus, Settings(), SearchPlan())
    assert replace(again, seconds=0) == replace(chosen, seconds=0)
    other = choose_settings(corpus, Settings(seed=2), SearchPlan())
    assert [t.score for t in other.trials] != [t.score for t in chosen.trials]


def test_on_planted_sessions_it_looks_ahead(chosen):
    """Each track is followed by one of the next three of its cluster: what lies behind says nothing."""
    scores = {
        (t.window, t.backward): t.score for t in chosen.trials if t.rung == 0 and t.learning_rate == 0.1
    }
    assert chosen.settings.window <= 5 and chosen.settings.backward < 1, scores


# --- what it sees


def test_validation_pairs_are_missing_from_the_sample_and_there_in_the_training():
    """Tracks are told apart by their sequence, so that a play is seen wherever it goes."""
    heard = np.arange(4_000 * 5).reshape(4_000, 5) % 20_000
    full = corpus_of(heard)
    plan = SearchPlan(budget=20.0)  # a sample of everything
    sample = Sample.draw(full, Settings(), plan)
    lasts = sorted(set(range(4, 20_000, 5)))
    seen = len(sample.corpus.tokens)
    assert sample.corpus.sequences == 4_000
    assert len(sample.pairs) == 0, "a track that is asked for is nowhere else, so none of them is known"
    assert 20_000 - seen >= trials.MOST_PAIRS * 0.8
    assert set(lasts) <= set(full.tokens.tolist()), "the training that follows has them all"


def test_validation_pairs_are_the_ends_of_sequences(corpus):
    sample = Sample.draw(corpus, Settings(), SearchPlan(budget=20.0))
    numbers = np.unique(corpus.tokens)
    ends = {tuple(corpus.tokens[end - 2 : end].tolist()) for end in corpus.offsets[1:]}
    asked = zip(numbers[sample.pairs.query].tolist(), numbers[sample.pairs.target].tolist(), strict=True)
    assert len(numbers) == len(sample.corpus.counts)
    assert set(asked) <= ends
    kept = np.diff(sample.corpus.offsets)
    shortened = int((kept == corpus.offsets[1] - 1).sum())
    assert shortened >= len(sample.pairs) > 500, "each pair asked for is missing from its sequence"
    assert shortened + int((kept == corpus.offsets[1]).sum()) == corpus.sequences


# --- what is given, and what cannot be measured


@pytest.mark.parametrize("name", SEARCHED)
def test_what_is_given_wins(corpus, name):
    value = {"window": 3, "backward": 0.5, "learning_rate": 0.07, "epochs": 6, "dimensions": 24}[name]
    made = choose_settings(corpus, Settings().replace(**{name: value}), SearchPlan(frozenset((name,))))
    assert getattr(made.settings, name) == value
    assert made.trials
    if name == "epochs":
        assert max(trial.epochs for trial in made.trials) == value, "the last round trains as it was asked to"
    elif name != "dimensions":
        assert {getattr(trial, name) for trial in made.trials} == {value}


def test_all_given_is_no_search(corpus):
    made = choose_settings(corpus, Settings(), SearchPlan(frozenset(SEARCHED)))
    assert (made.settings, made.trials, made.cost) == (Settings(), (), 0)
    assert "given" in made.outcome


@pytest.mark.parametrize("plan", [SearchPlan(budget=0.0), SearchPlan(frozenset(("epochs",)), 0.0)])
def test_switched_off_it_is_safe_settings_but_for_what_is_given(corpus, plan):
    made = choose_settings(corpus, Settings(epochs=3), plan)
    wanted = tuning.SAFE_SETTINGS | ({"epochs": 3} if plan.fixed else {})
    assert {name: getattr(made.settings, name) for name in wanted} == wanted
    assert made.trials == ()


@pytest.mark.parametrize("sequences", [1, 100, 399])
def test_too_few_pairs_are_not_chosen_by(sequences):
    made = choose_settings(corpus_of(sessions(sequences)), Settings(), SearchPlan())
    assert {name: getattr(made.settings, name) for name in tuning.SAFE_SETTINGS} == tuning.SAFE_SETTINGS
    assert "fewer than 200" in made.outcome and made.trials == ()


def test_seeds_threads_and_the_rest_stay(corpus):
    of = Settings(seed=7, negatives=3, exponent=0.5, threads=1)
    made = choose_settings(corpus, of, SearchPlan())
    rest = {name: value for name, value in made.settings.result_settings().items() if name not in SEARCHED}
    assert rest == {name: value for name, value in of.result_settings().items() if name not in SEARCHED}


def test_a_candidate_is_tried_once():
    assert len(list_candidates(Settings(), SearchPlan())) == 12
    assert (
        len(list_candidates(Settings(window=3, backward=1.0), SearchPlan(frozenset(("window", "backward")))))
        == 3
    )


def test_ranks_count_less_and_less_and_misses_nothing():
    assert soft_hits(np.array([1, 11, 0])).tolist() == [1.0, 0.5, 0.0]


def test_more_dimensions_need_a_gain_beyond_noise():
    few = np.tile([0.0, 1.0], 200)
    assert not improves(few, few)
    assert not improves(few, few + np.tile([0.5, -0.49], 200))
    assert improves(few, few + np.tile([0.5, -0.1], 200))
