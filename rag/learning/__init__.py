"""Learning to rank from judged questions: what is not seen, features, models, and the guard."""
