"""What a recipe may say: dataclasses with the names, types and ranges of all its values.

`recipes` reads them from a file. It knows names, types and ranges, not what a training does with
them.
"""

from dataclasses import dataclass, field
from typing import Annotated, Literal

from thought1.ranges import Count, Natural, Positive, Share, Weight
from thought1.reinforce_config import ReinforceConfig

Role = Literal["query", "document", "thought"]
"""What a text is to the model; a thought stands behind its question."""

BEIR = {"kind": ("beir",)}
COLUMNS = {"kind": ("columns", "rationales")}
TEXTS = {"kind": ("texts",)}
REPRESENT = {"stage": ("represent",)}
REASON = {"stage": ("reason",)}
REINFORCE = {"stage": ("reinforce",)}
SUPERVISED = {"stage": ("represent", "reason")}
"""Marks of fields that only some kinds of sources, or only some stages, read."""


@dataclass(frozen=True, slots=True)
class ScratchConfig:
    """A new model with random weights, in the architecture of Qwen3; its tokenizer learns from the
    texts of all stages."""

    layers: Count
    hidden_size: Count
    heads: Count
    """Attention heads; each has `hidden_size / heads` dimensions, an even number."""
    intermediate_size: Natural = 0
    """Width of the feed-forward layers; 0 takes 8/3 of `hidden_size`, up to a multiple of 64."""
    max_positions: Count = 512
    tokenizer: Literal["words", "bpe"] = "words"
    """`words`: one token for each word, as it stands between blanks. `bpe`: byte-level BPE."""
    min_count: Count = field(default=1, metadata={"tokenizer": ("words",)})
    """Words that occur less often are unknown; those of templates and instructions never are."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """The checkpoint that training starts from."""

    base: str
    """Folder, hub id, `package:NAME/FOLDER` (a folder inside an installed Python package), or
    `scratch`: a new model, see there."""
    vocab_size: Natural = 0
    """Keep only this many tokens, the most frequent in the texts of the first stage; 0 keeps
    all. WordPiece vocabularies only. From scratch: the size of the BPE."""
    query_template: str = ""
    """See `prompts.Template`; "" keeps the base's, here and in the next three."""
    document_template: str = ""
    query_instruction: str = ""
    document_instruction: str = ""
    max_query_tokens: Count = 128
    max_document_tokens: Count = 256
    thought_budget: Natural = 32
    """Default thinking budget of the checkpoint, in tokens."""
    no_repeat_ngram: Natural = 0
    """In thoughts no sequence of so many tokens appears twice, neither in training nor later; 0
    allows it."""
    scratch: ScratchConfig | None = None
    """Only with `base = "scratch"`."""


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """One file or folder of training texts. Fields marked with a kind are for that kind only."""

    path: str
    """Relative to the recipe's `data`."""
    kind: Literal["beir", "columns", "rationales", "texts"]
    """`beir`: a collection with qrels gives pairs. `columns`: tab-separated lines give pairs.
    `rationales`: tab-separated lines give questions and thoughts for the next-token loss alone.
    `texts`: JSON lines give single texts."""
    split: str = field(default="train", metadata=BEIR)
    """Which qrels."""
    id_prefix: str = field(default="", metadata=BEIR)
    """Every query id must begin with this; another one is an error."""
    exclude: str = field(default="", metadata=BEIR)
    """File with query ids to leave out, one a line, relative to the recipe's folder."""
    thoughts: str = field(default="", metadata=BEIR)
    """JSON lines with the reference thought of a query (`_id`), relative to the recipe's `data`."""
    thought: str = field(default="{text}", metadata=BEIR)
    """How a thought is made of the fields of its line; lists are joined by semicolons."""
    thought_terms: Natural = field(default=0, metadata=BEIR)
    """Keep only so many words of a thought: content words that the query lacks, each once, as in
    LREM (arXiv 2510.14321); 0 keeps the thought."""
    evidence: str = field(default="", metadata=BEIR)
    """JSON lines with `_id` and `documents`, the texts that the query's evidence slot shows."""
    query: Natural = field(default=0, metadata=COLUMNS)
    document: Natural = field(default=1, metadata=COLUMNS)
    """Numbers of the query's and the document's (or the rationale's) column, from 0."""
    cut: str = field(default="", metadata=COLUMNS)
    """The query ends where this string begins."""
    template: str = field(default="{text}", metadata=TEXTS)
    """Fields of the JSON object in a pattern; lists are joined by commas."""
    passage_words: Natural = field(default=0, metadata=TEXTS)
    """Split into passages of about this many words; 0 keeps a text whole."""
    stream: bool = field(default=False, metadata=TEXTS)
    """Keep only token ids, on disk, whatever the size; only the next-token loss reads them."""
    limit: Natural = 0
    """At most this many examples, drawn by the recipe's seed (the first, in a stream); 0 takes
    all."""


@dataclass(frozen=True, slots=True)
class StageConfig:
    """One training run. Weights of 0 switch a term off."""

    name: str
    sources: tuple[SourceConfig, ...]
    stage: Literal["represent", "reason", "reinforce"] = "represent"
    reinforce: ReinforceConfig | None = field(default=None, metadata=REINFORCE)
    teacher: str = field(default="", metadata=SUPERVISED)
    """Instead of the recipe's teacher, in this stage."""
    epochs: Positive = 1.0
    max_steps: int = -1
    """Optimizer steps; overrides `epochs` where positive."""
    tokens_per_batch: Count = field(default=4096, metadata=SUPERVISED)
    """Single texts: tokens of one batch, padding included."""
    queries_per_batch: Count = 64
    """Pairs: queries of one batch."""
    positives_per_query: Count = 4
    negatives_per_query: Natural = 0
    """Hard negatives for each query, drawn from the teacher's best `negative_depth`; in stage
    reinforce from those of the model itself, not thinking, as the stage begins."""
    negative_depth: Count = 50
    accumulation: Count = 1
    """Batches of one optimizer step, in each process; in stage reinforce, the parts in which the
    rollouts of one step are read."""
    learning_rate: Positive = 1e-4
    warmup_ratio: Annotated[float, "from 0 to below 1"] = 0.05
    """Share of the steps in which the learning rate rises; then it falls linearly to 0."""
    weight_decay: Weight = 0.01
    max_grad_norm: Weight = 1.0
    """Longer gradients are shortened to this norm; 0 leaves them."""
    bf16: bool = True
    """Autocast to bfloat16; weights and optimizer stay float32."""
    weight_contrastive: Weight = 1.0
    temperature: Positive = 0.05
    false_negative_margin: Weight = field(default=0.0, metadata=SUPERVISED)
    """Ignore negatives whose teacher similarity exceeds the positive's minus this; needs a
    teacher. 0 only ignores same document and same text."""
    weight_triplet: Weight = field(default=0.0, metadata=SUPERVISED)
    """Each query with its first positive and the hardest negative of its batch."""
    triplet_margin: Weight = field(default=0.1, metadata=SUPERVISED)
    weight_distill: Weight = field(default=0.0, metadata=SUPERVISED)
    """1 - cosine between vector and teacher's vector; of queries with a thought behind them never,
    since the teacher has not thought."""
    weight_distill_similarity: Weight = field(default=0.0, metadata=REPRESENT)
    """KL between the in-batch similarity distributions of teacher and student."""
    distill_temperature: Positive = field(default=0.05, metadata=REPRESENT)
    weight_lm: Weight = field(default=0.0, metadata=REPRESENT)
    """Next-token loss over single texts and rationales."""
    weight_sft: Weight = field(default=1.0, metadata=REASON)
    """Next-token loss over reference thoughts, the `<emb_token>` behind them, rationales and single
    texts."""
    max_thought_tokens: Count = 64
    """Longer reference thoughts and rationales are cut here and do not teach to end; own thoughts
    have this budget."""
    share_none: Share = field(default=0.25, metadata=REASON)
    """Thought dropout: of so many queries the vector is read without a thought."""
    share_own_start: Share = field(default=0.0, metadata=REASON)
    share_own_end: Share = field(default=0.0, metadata=REASON)
    """Of so many queries it is read behind a thought sampled by the model itself; the share goes
    linearly from the first value to the second. The rest takes the reference thought."""
    own_every: Natural = field(default=0, metadata=REASON)
    """Optimizer steps after which own thoughts are sampled anew; needed with own thoughts, unless
    there are folds: then 0 samples them once."""
    own_temperature: Weight = field(default=1.0, metadata=REASON)
    own_top_p: Annotated[float, "from 0 to 1"] = field(default=1.0, metadata=REASON)
    own_folds: Natural = field(default=0, metadata=REASON)
    """Own thoughts come from this many models, each taught the thoughts of all folds but the one
    it writes for: what it has memorised would not look like thoughts at test time. 0 takes the
    model in training itself."""
    fold_epochs: Positive = field(default=3.0, metadata=REASON)
    """How long such a model is taught."""
    filter_gain: bool = field(default=False, metadata=REASON)
    """Drop reference thoughts behind which a query retrieves no better than without, as the stage
    begins (LREM)."""
    lora_rank: Natural = 0
    """Train low-rank updates of all linear layers and the row of `<emb_token>` alone, merged into
    the weights at the end (LoRA, arXiv 2106.09685); 0 trains all weights."""
    lora_alpha: Count = 32
    """Updates are scaled by lora_alpha / lora_rank."""
    gradient_checkpointing: bool = False
    """Compute activations again in the backward pass: less memory, a third more time."""
    grad_cache_chunk: Natural = field(default=0, metadata=SUPERVISED)
    """Rows encoded at a time, with gradients cached between; 0 encodes a batch at once."""
    save_minutes: Weight = 3.0
    """Time between two checkpoints; the last two are kept."""
    log_steps: Count = 20
    eval_steps: Natural = 0
    """Validate every so many steps; 0 only at the end."""

    @property
    def needs_pairs(self) -> bool:
        """Whether a term compares queries with documents."""
        return self.weight_contrastive > 0 or self.weight_triplet > 0

    @property
    def weight_language(self) -> float:
        """The weight of the stage's next-token loss."""
        if self.stage == "reinforce":
            return 0.0
        return self.weight_lm if self.stage == "represent" else self.weight_sft

    @property
    def thinks(self) -> bool:
        """Whether thoughts stand behind the queries."""
        return self.stage != "represent"

    @property
    def distils(self) -> bool:
        """Whether a term compares vectors with a teacher's."""
        return self.weight_distill > 0 or self.weight_distill_similarity > 0

    @property
    def needs_teacher(self) -> bool:
        """Whether anything reads the teacher's vectors."""
        mines = self.stage != "reinforce" and self.negatives_per_query > 0
        return self.distils or self.false_negative_margin > 0 or mines


@dataclass(frozen=True, slots=True)
class ValidationConfig:
    """The questions on which everything is chosen."""

    path: str
    """BEIR folder, relative to the recipe's `data`."""
    split: str
    ids: str = ""
    """File with query ids, one a line, relative to the recipe's folder; "" takes the whole
    split."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes a checkpoint."""

    name: str
    model: ModelConfig
    stages: tuple[StageConfig, ...]
    data: str = "data"
    """Folder of the training files; relative to the working directory."""
    output: str = "runs/recipe"
    seed: int = 0
    teacher: str = ""
    """sentence-transformers model whose vectors are distilled: folder, hub id or `package:`."""
    trust_remote_code: bool = False
    """Run Python code that lies in the folder of the base or a teacher, if they need it."""
    validation: ValidationConfig | None = None
    release: str = ""
    """Folder for the finished checkpoint; "" leaves it in the last stage's folder in `output`."""
    release_dtype: Literal["float32", "bfloat16", "float16"] = "float16"
    folder: str = field(default=".", metadata={"not_a_key": True})
    """Where the recipe lies; filled in by `recipes.load_recipe`."""
