"""Training sets from their public homes: the catalogue, the download and the conversions.

    t1 data get strategyqa cot_flan

Nothing of the sets is in the repository: only addresses, hashes and the code that converts.
"""
