"""From rankings to numbers, and how sure they are: metrics and intervals (`protocol`), any run file
by the rules of official numbers (`score`), two runs against each other (`compare`,
`randomisation`).
"""

from thought1.moved import moved_names

__getattr__ = moved_names(__name__)
