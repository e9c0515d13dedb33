"""What thinking does to vectors: whether they depend on the thought (`faithfulness`), how far
sampled thoughts scatter (`dispersion`), what further tokens bring (`curve`); `studies` measures all
of them with an evaluation.
"""
