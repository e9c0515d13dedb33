"""Sizes of published models, and what follows from them: weights, and bytes that autograd keeps.

It knows architectures, no recipes and no data.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """A model of Qwen3's architecture, its embedding tied to the language head."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    intermediate: int
    vocab: int = 151_936
    head_dim: int = 128

    @property
    def linears(self) -> tuple[tuple[int, int], ...]:
        """Inputs and outputs of a layer's matrices."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = ((self.hidden, queries), *2 * ((self.hidden, keys),), (queries, self.hidden))
        wide = (self.hidden, self.intermediate)
        return (*attention, wide, wide, wide[::-1])

    @property
    def matrices(self) -> int:
        """Weights of all layers' matrices."""
        return self.layers * sum(i * o for i, o in self.linears)

    @property
    def parameters(self) -> int:
        """All weights, those of the norms included."""
        norms = self.layers * (2 * self.hidden + 2 * self.head_dim) + self.hidden
        return self.matrices + norms + self.vocab * self.hidden

    @property
    def layer_bytes(self) -> int:
        """What autograd keeps of one token in one layer, in bytes.

        Under autocast the residual stream and the norms are float32, inputs and outputs of matrices
        bf16; keys and values are counted once for each query head.
        """
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        norms = 2 * (4 + 4 + 2) * self.hidden
        attention = (4 + 2 + 2 + 2) * queries + (4 + 2) * keys + 2 * 2 * queries
        return norms + attention + 4 * 2 * self.intermediate

    def forward(self, length: int) -> float:
        """FLOP of one token forwards in a row of `length`.

        2 for each weight, and causal attention over half the row; the language head is left out.
        """
        return 2 * self.matrices + 2 * self.layers * self.heads * self.head_dim * length

    def cache_bytes(self, tokens: int) -> int:
        """Keys and values of so many tokens, in bytes; float32."""
        return 4 * 2 * self.layers * self.kv_heads * self.head_dim * tokens


# The `config.json` of each on the Hugging Face hub; 0.6B and 1.7B read in litgpt's table of
# configurations, 4B in a copy of the file. The cards' counts of parameters agree (test_memory).
MODELS = {
    "Qwen/Qwen3-0.6B": Sizes(28, 1024, 16, 8, 3072),
    "Qwen/Qwen3-1.7B": Sizes(28, 2048, 16, 8, 6144),
    "Qwen/Qwen3-4B-Instruct-2507": Sizes(36, 2560, 32, 8, 9728),
}
