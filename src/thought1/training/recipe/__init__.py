"""What a recipe may say, and how it is read from a file."""

from typing import TYPE_CHECKING

from thought1.moved import moved_names
from thought1.training.recipe.companion import CompanionStage
from thought1.training.recipe.model import LEARNT, ModelConfig, ScratchConfig
from thought1.training.recipe.read import load_recipe
from thought1.training.recipe.reason import ReasonStage
from thought1.training.recipe.recipe import (
    STAGES,
    Recipe,
    StageConfig,
    ValidationConfig,
    companion_problem,
)
from thought1.training.recipe.reinforce import ReinforceConfig, ReinforceStage, RewardConfig
from thought1.training.recipe.represent import RepresentStage
from thought1.training.recipe.sources import SourceConfig
from thought1.training.recipe.stage import BaseStage, SupervisedStage

if not TYPE_CHECKING:  # a type checker would take any name for one of this module's
    __getattr__ = moved_names(__name__)

__all__ = [
    "LEARNT",
    "STAGES",
    "BaseStage",
    "CompanionStage",
    "ModelConfig",
    "ReasonStage",
    "Recipe",
    "ReinforceConfig",
    "ReinforceStage",
    "RepresentStage",
    "RewardConfig",
    "ScratchConfig",
    "SourceConfig",
    "StageConfig",
    "SupervisedStage",
    "ValidationConfig",
    "companion_problem",
    "load_recipe",
]
