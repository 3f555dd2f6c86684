"""item2vec: from sessions to vectors, and from vectors to what a recommender needs."""
