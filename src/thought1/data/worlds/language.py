"""The words of worlds: kinds of entities, relations, and every wording of documents and questions.

Data only: it knows neither facts nor how a question is composed. Two rules hold for the wordings
and are tested: a content word is used either in documents or in questions, never in both, so that
a question shares with the corpus only the names of its starting entities; and a noun phrase of a
question belongs to one relation only. A thought has one fixed wording for each relation.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of entity: `share` of all entities, `endings` of their names, `sorts` for the fact
    what an entity is, `years` for its date; `{s}` is the entity, `{v}` the sort or the year."""

    share: float
    endings: tuple[str, ...]
    sorts: tuple[str, ...]
    years: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Relation:
    """A functional relation from entities of one kind to another.

    `thought` is its sentence in thoughts, `documents` are its sentences in documents (for a
    relation that only evidence states: in evidence notes), with `{s}` for the subject and `{v}`
    for the value. `phrases` name the value in questions, with `{}` for the subject's name or
    phrase.
    """

    subject: str
    value: str
    thought: str
    documents: tuple[str, ...]
    phrases: tuple[str, ...]


SORT = "sort"
YEAR = "year"
"""The two facts of every entity whose value is not an entity."""
SORT_THOUGHT = "{s} is a {v} ."
YEAR_THOUGHT = "{s} dates from {v} ."
SORT_DOCUMENTS = ("{s} is a {v} .", "{s} , a {v} , is well known .", "people call {s} a {v} .")

KINDS = {
    "person": Kind(
        0.32,
        ("ov", "ik", "una", "esh"),
        ("weaver", "mason", "poet", "baker", "sailor", "healer", "scribe", "smith"),
        ("{s} began life in year {v} .", "year {v} brought {s} into life ."),
    ),
    "work": Kind(
        0.30,
        ("azzo", "ume", "otto", "ibli"),
        ("bell", "vase", "statue", "clock", "tapestry", "mirror", "harp", "mask"),
        ("{s} was finished in year {v} .", "year {v} saw {s} completed ."),
    ),
    "town": Kind(
        0.12,
        ("oval", "agard", "eholm", "ivik"),
        ("harbour", "fortress", "village", "market", "spa", "port", "colony", "capital"),
        ("{s} was founded in year {v} .", "year {v} saw the walls of {s} rise ."),
    ),
    "substance": Kind(
        0.10,
        ("ixum", "ezin", "oxal", "urite"),
        ("metal", "resin", "salt", "dye", "crystal", "oil", "clay", "gas"),
        ("{s} was first seen in year {v} .", "year {v} brought the first {s} ."),
    ),
    "organisation": Kind(
        0.10,
        ("ordo", "unza", "agild", "elux"),
        ("guild", "academy", "bank", "choir", "league", "order", "club", "union"),
        ("{s} was formed in year {v} .", "year {v} saw {s} formed ."),
    ),
    "river": Kind(
        0.06,
        ("aqua", "idun", "ewash", "orin"),
        ("torrent", "canal", "fjord", "rapid"),
        ("{s} was bridged in year {v} .", "year {v} put a bridge across {s} ."),
    ),
}

RELATIONS = {
    "born_in": Relation(
        "person",
        "town",
        "{s} was born in {v} .",
        ("{s} was born in {v} .", "{v} is where {s} was born .", "{s} grew up in {v} ."),
        ("the cradle of {}", "the home town of {}", "the native soil of {}"),
    ),
    "member_of": Relation(
        "person",
        "organisation",
        "{s} belonged to {v} .",
        (
            "{s} belonged to {v} .",
            "{v} counted {s} among its members .",
            "{s} was sworn into {v} .",
        ),
        ("the fellowship of {}", "the circle around {}", "the society that admitted {}"),
    ),
    "studied_under": Relation(
        "person",
        "person",
        "{s} studied under {v} .",
        ("{s} studied under {v} .", "{v} taught {s} all trades .", "{s} learned from {v} ."),
        ("the mentor of {}", "the master of {}", "the instructor of {}"),
    ),
    "made_by": Relation(
        "work",
        "person",
        "{s} was made by {v} .",
        ("{s} was made by {v} .", "{v} fashioned {s} by hand .", "{s} left the workshop of {v} ."),
        ("the creator of {}", "the artist behind {}", "the author of {}"),
    ),
    "kept_in": Relation(
        "work",
        "town",
        "{s} is kept in {v} .",
        ("{s} is kept in {v} .", "{v} guards {s} with pride .", "{s} can be seen in {v} ."),
        ("the location of {}", "the whereabouts of {}", "the place housing {}"),
    ),
    "made_of": Relation(
        "work",
        "substance",
        "{s} consists of {v} .",
        ("{s} consists of {v} .", "much {v} went into {s} .", "{s} was cut from pure {v} ."),
        ("the material of {}", "the stuff inside {}", "the matter composing {}"),
    ),
    "on_river": Relation(
        "town",
        "river",
        "{s} lies on {v} .",
        ("{s} lies on {v} .", "{v} flows past {s} .", "{s} stands by the banks of {v} ."),
        ("the stream near {}", "the brook beside {}", "the water around {}"),
    ),
    "ruled_by": Relation(
        "town",
        "person",
        "{s} is ruled by {v} .",
        ("{s} is ruled by {v} .", "{v} governs {s} .", "{s} obeys {v} ."),
        ("the sovereign of {}", "the lord over {}", "the mayor of {}"),
    ),
    "found_by": Relation(
        "substance",
        "person",
        "{s} was found by {v} .",
        ("{s} was found by {v} .", "{v} brought {s} to light .", "{s} was described by {v} ."),
        ("the discoverer of {}", "the chemist proving {}", "the researcher behind {}"),
    ),
    "mined_in": Relation(
        "substance",
        "town",
        "{s} is mined in {v} .",
        ("{s} is mined in {v} .", "the pits of {v} yield {s} .", "{s} is dug up in {v} ."),
        ("the source of {}", "the origin of {}", "the place producing {}"),
    ),
    "seated_in": Relation(
        "organisation",
        "town",
        "{s} has its seat in {v} .",
        ("{s} has its seat in {v} .", "{v} gives a roof to {s} .", "{s} meets in {v} ."),
        ("the headquarters of {}", "the base of {}", "the main office of {}"),
    ),
    "led_by": Relation(
        "organisation",
        "person",
        "{s} is led by {v} .",
        ("{s} is led by {v} .", "{v} stands at the head of {s} .", "{s} follows {v} ."),
        ("the president of {}", "the director of {}", "the chair of {}"),
    ),
    "mapped_by": Relation(
        "river",
        "person",
        "{s} was mapped by {v} .",
        ("{s} was mapped by {v} .", "{v} drew {s} on a chart .", "{s} was measured by {v} ."),
        ("the surveyor of {}", "the geographer of {}", "the explorer of {}"),
    ),
}
"""What documents state, and what single-hop questions ask."""

EVIDENCE_RELATIONS = {
    "moved_to": Relation(
        "person",
        "town",
        "{s} moved to {v} .",
        ("recently {s} moved to {v} .", "{s} has just settled in {v} ."),
        ("the present home of {}", "the new address of {}"),
    ),
    "sold_to": Relation(
        "work",
        "person",
        "{s} was sold to {v} .",
        ("recently {s} was sold to {v} .", "{v} has just bought {s} ."),
        ("the present owner of {}", "the new holder of {}"),
    ),
    "shipped_to": Relation(
        "substance",
        "town",
        "{s} was shipped to {v} .",
        ("recently {s} was shipped to {v} .", "carts have just taken {s} to {v} ."),
        ("the present destination of {}", "the new depot for {}"),
    ),
}
"""What no document states: only the notes that are shown with a question do."""

COMPARED_KINDS = ("town", "organisation")
"""The kinds whose years comparisons compare: few entities, so that each year is met often."""

CHAIN_QUESTIONS = ("what is {} ?", "name {} .", "identify {} .", "tell me {} .")
PERSON_QUESTIONS = ("who is {} ?", "name {} .", "identify {} .", "tell me {} .")
COMPARISON_QUESTIONS = (
    "which is older , {} or {} ?",
    "which existed longer , {} or {} ?",
    "name the older one , {} or {} .",
)
COUNTING_QUESTIONS = (
    "what is most often {} ?",
    "name what is mostly {} .",
    "what is usually {} ?",
)
COMPARISON_THOUGHT = "{} is before {} ."
COUNTING_THOUGHT = "{} {}"

DISTRACTORS = (
    "an old song praises {} , {} and {} .",
    "a ledger lists {} , {} and {} side by side .",
    "a stamp shows {} , another {} .",
    "travellers like to speak of {} , of {} and of {} .",
    "children sing about {} and {} at the fair .",
    "a painted door shows {} , {} , {} and {} .",
)
"""Documents about nothing: each mentions several entities and states no fact about any."""

FIRST_SYLLABLES = (
    "ba bri da dre fa fli ga gro ha hu ja ka klo la lu ma mi na ne pa plo ra ri sa ski ta tro va "
    "ve wo ya za ze"
)
MIDDLE_SYLLABLES = (
    "bal bor dar den dun fen gar gol kel kor lam len lor mar mor nar nel pol rad rin sel sor tam "
    "tel tor val ven vor zan zel"
)
