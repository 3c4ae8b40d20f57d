def pareto(v, d):
    import numpy as np
    return np.arange(len(v))
def hypervolume(v, d, reference):
    return 0.0
