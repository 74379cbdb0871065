"""What prepare_model.py and prepare_corpus.py are made of."""
