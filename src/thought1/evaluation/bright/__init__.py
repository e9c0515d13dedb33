"""BRIGHT on the systems of every evaluation: a task with exclusions (`task`), scored by four
protocols (`protocols`, `scores`), described by a request (`request`) and run as a whole (`run`).
"""

from thought1.moved import moved_names

__getattr__ = moved_names(__name__)
