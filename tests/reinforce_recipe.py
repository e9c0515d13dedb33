"""A small training of stage 3, over the data of `small_recipe`."""

from small_recipe import FACTS, HEAD, VALIDATION

REINFORCE = """
[[stages]]
name = "reinforce"
stage = "reinforce"
max_steps = 6
queries_per_batch = 3
positives_per_query = 1
negatives_per_query = 2
negative_depth = 6
learning_rate = 1e-3
weight_contrastive = 0.1
max_thought_tokens = 6
bf16 = false
save_minutes = 60
log_steps = 1
"""
POLICY = """
[stages.reinforce]
group_size = 4
length_target = 2
rollout_steps = 2
probes = 2
rewards = [
    {{ name = "margin", weight = 1.0 }},
    {{ name = "length", weight = 0.1 }},
]
"""
RECIPE = HEAD + REINFORCE + FACTS + POLICY
VALIDATED = HEAD + VALIDATION + REINFORCE.replace("log_steps", "eval_steps = 2\nlog_steps")
VALIDATED += FACTS + POLICY
EVERY_STEP = "stages.0.save_minutes=0"
