"""Result files: their form (`models`), reading and writing (`files`), where numbers come from
(`provenance`), and whether they come out the same again (`replay`).
"""

from thought1.moved import moved_names

__getattr__ = moved_names(__name__)
