def against_gold(root, missing):
    pass
