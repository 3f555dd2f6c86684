"""Proxies: early signals of plays, held to a late one that they are to stand for."""
