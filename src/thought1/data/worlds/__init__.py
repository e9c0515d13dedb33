"""Worlds: generated encyclopedias in which the answer to a question is a composition of facts.

The controlled experiment for thinking. Entities and facts are invented, so nothing is known
beforehand; a question shares no word with the documents that answer it, so nothing is found by
matching; and who states the hops one by one arrives at the answer's name.

    t1 worlds worlds/standard --seed 0

docs/worlds.md shows what is in it. Everything is in lower case, with spaces around punctuation
and between the digits of years: splitting at white space gives the words.

- language.py: the words; facts.py: the encyclopedia; documents.py: its texts
- compositions.py: one question; questions.py: all of them, train and test kept apart
- thoughts.py: trajectories; world.py: all together; write.py: the folder
"""

from thought1.data.worlds.thoughts import Style
from thought1.data.worlds.world import World, WorldSettings, make_world
from thought1.data.worlds.write import check_target, write_world

__all__ = ["Style", "World", "WorldSettings", "check_target", "make_world", "write_world"]
