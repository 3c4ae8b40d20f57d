"""Learning to rank from judged questions: hidden judgments, features, models, and checks of gains."""
