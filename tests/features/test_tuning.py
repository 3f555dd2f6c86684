"""The search for settings: its schedule against plain loops, what it costs, what it may see and leaves alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.embeddings import sgns, trials, tuning
from features.embeddings.corpus import Model
from features.embeddings.settings import SEARCHED, Settings
from features.embeddings.trials import Sample, SearchPlan, estimate_pairs, list_candidates, soft_hits
from features.embeddings.tuning import choose_settings, improves, select_survivors
from reference.corpora import corpus_of
from reference.halving import mean_pairs, rungs
from reference.planted import sessions

DEFAULTS = Settings()
NO_LIMIT = SearchPlan(frozenset(("dimensions",)), budget=1000.0)


@pytest.fixture(scope="module")
def corpus():
    return corpus_of(sessions(3_000))


@pytest.fixture(scope="module")
def small_corpus():
    """Few more sequences than a search needs, for what holds at any size."""
    return corpus_of(sessions(1_000))


@pytest.fixture(scope="module")
def tuned(corpus):
    return choose_settings(corpus, Settings(), SearchPlan())


# --- the schedule


def run_on(corpus, table, monkeypatch, start=DEFAULTS, plan=NO_LIMIT):
    """The search with scores from a table by (window, backward, rate, epochs), and nothing learned."""

    def score_pairs(trial, sample):
        trial_settings = trial.settings
        return np.array(
            [
                table(
                    (
                        (trial_settings.window, trial_settings.backward, trial_settings.learning_rate),
                        trial.done,
                    )
                )
            ]
        )

    monkeypatch.setattr(trials.TrialRun, "score_pairs", score_pairs)
    monkeypatch.setattr(sgns, "train_epoch", lambda *arguments: 1)
    return choose_settings(corpus, start, plan)


def score_alike(key):
    """For what holds whatever is learned."""
    (window, backward, rate), epochs = key
    return window - backward + 10 * rate + epochs


@pytest.mark.parametrize("levels", [3, 1000])
@pytest.mark.parametrize("seed", range(12))
def test_choose_settings_halves_candidates_as_plain_loops_do(corpus, monkeypatch, seed, levels):
    score_by_key, draws = {}, np.random.default_rng(seed)

    def table(key):
        return score_by_key.setdefault(key, float(draws.integers(0, levels)))  # few levels: many ties

    choice = run_on(corpus, table, monkeypatch)
    names = [(t.window, t.backward, t.learning_rate) for t in choice.trials]
    lengths = np.diff(Sample.draw(corpus, Settings(), NO_LIMIT).corpus.offsets).tolist()
    kinds = {length: lengths.count(length) for length in set(lengths)}
    own = {name: sum(n * mean_pairs([k], *name[:2]) for k, n in kinds.items()) for name in names}
    mean = sum(own.values()) / len(own)

    def epochs_of(name, rung):
        first = (0, *tuning.RUNGS)[rung]
        return [max(1, round(e * mean / own[name])) for e in tuning.SCORED if first < e <= tuning.RUNGS[rung]]

    participants, best, winner = rungs(
        names, lambda *key: table(key), epochs_of, tuning.RUNGS, tuning.PATIENCE
    )
    last = {
        name: max(r for r, names_of_round in enumerate(participants) if name in names_of_round)
        for name in names
    }
    assert {n: t.rung for n, t in zip(names, choice.trials, strict=True)} == last
    assert {n: (t.score, t.epochs) for n, t in zip(names, choice.trials, strict=True)} == best
    trial_settings = choice.settings
    assert (trial_settings.window, trial_settings.backward) == winner[:2]
    assert (trial_settings.learning_rate, trial_settings.epochs) == (winner[2] / 2, 20), (
        "the training is slower and longer than a trial"
    )
    assert [len(names_of_round) for names_of_round in participants] == [12, 6, 3]


def test_select_survivors_compares_within_a_rate_in_the_first_round_only():
    scores, rates = [0.1, 0.2, 0.9, 0.8], [0.02, 0.02, 0.1, 0.1]
    assert select_survivors(scores, rates, 0) == [1, 2]
    assert select_survivors(scores, rates, 1) == [2, 3]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9))
def test_select_survivors_takes_the_better_half(scores):
    survivors = select_survivors(scores, [0.0] * len(scores), 1)
    assert len(survivors) == (len(scores) + 1) // 2
    losing_scores = [scores[i] for i in range(len(scores)) if i not in survivors]
    assert all(scores[i] >= max(losing_scores, default=0) for i in survivors)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 9), min_size=1, max_size=6), st.integers(1, 7), st.sampled_from([0.0, 0.25, 1.0])
)
def test_estimate_pairs_equals_plain_loops(lengths, window, backward):
    actual = estimate_pairs(np.array(lengths), Settings(window=window, backward=backward))
    assert actual == pytest.approx(mean_pairs(lengths, window, backward))


def test_estimate_pairs_equals_the_pairs_that_an_epoch_learns(corpus):
    for window, backward in trials.WINDOWS:
        trial_settings = Settings(window=window, backward=backward, dimensions=2)
        pair_count = sgns.train_epoch(corpus, Model.initialise(len(corpus.counts), 2, 1), trial_settings, 0)
        assert estimate_pairs(np.diff(corpus.offsets), trial_settings) == pytest.approx(pair_count, rel=0.02)


# --- what it costs, and that it repeats


@pytest.mark.parametrize(("of", "budget"), [("small_corpus", 0.5), ("small_corpus", 1.5), ("corpus", 3.0)])
def test_choose_settings_costs_no_more_than_its_budget(request, monkeypatch, of, budget):
    """Counted where pairs are learned, not where the search adds them up."""
    corpus = request.getfixturevalue(of)
    costs, epoch = [], sgns.train_epoch

    def train_and_count(part, model, trial_settings, number):
        pairs = epoch(part, model, trial_settings, number)
        costs.append(pairs * trial_settings.dimensions)
        return pairs

    monkeypatch.setattr(sgns, "train_epoch", train_and_count)
    choice = choose_settings(corpus, Settings(), SearchPlan(budget=budget))
    search_cost, trial_settings = sum(costs), choice.settings
    costs.clear()
    model = Model.initialise(len(corpus.counts), trial_settings.dimensions, trial_settings.seed)
    for number in range(trial_settings.epochs):
        sgns.train_epoch(corpus, model, trial_settings, number)
    assert choice.cost == search_cost
    assert 0 < search_cost <= budget * sum(costs)
    assert choice.relative_cost == pytest.approx(search_cost / sum(costs), rel=0.02)


def test_choose_settings_repeats_itself_and_depends_on_the_seed(small_corpus):
    once, again, other = (
        choose_settings(small_corpus, Settings(seed=seed), SearchPlan()) for seed in (1, 1, 2)
    )
    assert once.trials and replace(again, seconds=0) == replace(once, seconds=0)
    assert [t.score for t in other.trials] != [t.score for t in once.trials]


def test_choose_settings_looks_ahead_on_planted_sessions(tuned):
    """Each track is followed by one of the next three of its cluster: what lies behind says nothing."""
    scores = {(t.window, t.backward): t.score for t in tuned.trials if t.rung == 0 and t.learning_rate == 0.1}
    assert tuned.settings.window <= 5 and tuned.settings.backward < 1, scores


# --- what it sees


def test_draw_takes_validation_pairs_out_of_the_sample_but_not_of_the_training():
    """Tracks are told apart by their sequence, so that a play is seen wherever it goes."""
    session_tracks = np.arange(4_000 * 5).reshape(4_000, 5) % 20_000
    full = corpus_of(session_tracks)
    plan = SearchPlan(budget=20.0)  # a sample of everything
    sample = Sample.draw(full, Settings(), plan)
    lasts = sorted(set(range(4, 20_000, 5)))
    tokens_left = len(sample.corpus.tokens)
    assert sample.corpus.sequences == 4_000
    assert len(sample.pairs) == 0, "a track that is asked for is nowhere else, so none of them is known"
    assert 20_000 - tokens_left >= trials.MOST_PAIRS * 0.8
    assert set(lasts) <= set(full.tokens.tolist()), "the training that follows has them all"


def test_draw_takes_validation_pairs_from_the_ends_of_sequences(corpus):
    sample = Sample.draw(corpus, Settings(), SearchPlan(budget=20.0))
    numbers = np.unique(corpus.tokens)
    ends = {tuple(corpus.tokens[end - 2 : end].tolist()) for end in corpus.offsets[1:]}
    validation_pairs = zip(
        numbers[sample.pairs.query].tolist(), numbers[sample.pairs.target].tolist(), strict=True
    )
    assert len(numbers) == len(sample.corpus.counts)
    assert set(validation_pairs) <= ends
    lengths = np.diff(sample.corpus.offsets)
    shortened = int((lengths == corpus.offsets[1] - 1).sum())
    assert shortened >= len(sample.pairs) > 500, "each pair asked for is missing from its sequence"
    assert shortened + int((lengths == corpus.offsets[1]).sum()) == corpus.sequences


# --- what is given, and what cannot be measured


@pytest.mark.parametrize("name", SEARCHED)
def test_choose_settings_leaves_a_fixed_setting(small_corpus, monkeypatch, name):
    value = {"window": 3, "backward": 0.5, "learning_rate": 0.07, "epochs": 6, "dimensions": 24}[name]
    # of so few plays that the usual budget would end the search before its last round
    plan = SearchPlan(frozenset((name,)), NO_LIMIT.budget)
    choice = run_on(small_corpus, score_alike, monkeypatch, Settings().replace(**{name: value}), plan)
    assert getattr(choice.settings, name) == value
    assert choice.trials
    if name == "epochs":
        assert max(trial.epochs for trial in choice.trials) == value, (
            "the last round trains as it was asked to"
        )
    elif name != "dimensions":
        assert {getattr(trial, name) for trial in choice.trials} == {value}


def test_choose_settings_with_all_settings_fixed_does_not_search(corpus):
    choice = choose_settings(corpus, Settings(), SearchPlan(frozenset(SEARCHED)))
    assert (choice.settings, choice.trials, choice.cost) == (Settings(), (), 0)
    assert "given" in choice.outcome


@pytest.mark.parametrize("plan", [SearchPlan(budget=0.0), SearchPlan(frozenset(("epochs",)), 0.0)])
def test_choose_settings_without_a_budget_takes_safe_settings(corpus, plan):
    choice = choose_settings(corpus, Settings(epochs=3), plan)
    expected = tuning.SAFE_SETTINGS | ({"epochs": 3} if plan.fixed else {})
    assert {name: getattr(choice.settings, name) for name in expected} == expected
    assert choice.trials == ()


@pytest.mark.parametrize("sequences", [1, 100, 399])
def test_choose_settings_of_too_few_pairs_takes_safe_settings(sequences):
    choice = choose_settings(corpus_of(sessions(sequences)), Settings(), SearchPlan())
    assert {name: getattr(choice.settings, name) for name in tuning.SAFE_SETTINGS} == tuning.SAFE_SETTINGS
    assert "fewer than 200" in choice.outcome and choice.trials == ()


def test_choose_settings_leaves_settings_that_are_not_searched(small_corpus, monkeypatch):
    trial_settings = Settings(seed=7, negatives=3, exponent=0.5, threads=1)
    choice = run_on(small_corpus, score_alike, monkeypatch, trial_settings, SearchPlan())
    assert choice.trials
    rest = {name: value for name, value in choice.settings.result_settings().items() if name not in SEARCHED}
    assert rest == {
        name: value for name, value in trial_settings.result_settings().items() if name not in SEARCHED
    }


def test_list_candidates_has_each_candidate_once():
    assert len(list_candidates(Settings(), SearchPlan())) == 12
    assert (
        len(list_candidates(Settings(window=3, backward=1.0), SearchPlan(frozenset(("window", "backward")))))
        == 3
    )


def test_soft_hits_falls_with_the_rank_and_is_0_for_a_miss():
    assert soft_hits(np.array([1, 11, 0])).tolist() == [1.0, 0.5, 0.0]


def test_improves_needs_a_gain_beyond_noise():
    few = np.tile([0.0, 1.0], 200)
    assert not improves(few, few)
    assert not improves(few, few + np.tile([0.5, -0.49], 200))
    assert improves(few, few + np.tile([0.5, -0.1], 200))
