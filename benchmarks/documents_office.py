def office(root, scratch, missing):
    pass
