"""The nineteen methods that are compared on the toy, by name."""

from studies.toy.autoencoders import BEGAN, BEGANCS, EBGAN, EBGANPT
from studies.toy.ensemble import Method
from studies.toy.gans import (
    ALI,
    GAN,
    LSGAN,
    RGAN,
    VEEGAN,
    WGAN,
    WGANGP,
    ExperienceReplay,
    FeatureMatching,
    HistoricalAveraging,
    MinibatchDiscrimination,
    MinimaxGAN,
    RaGAN,
    SmoothedGAN,
    UnrolledGAN,
)

METHODS: dict[str, type[Method]] = {
    "gan": GAN,
    "gan_minimax": MinimaxGAN,
    "label_smoothing": SmoothedGAN,
    "feature_matching": FeatureMatching,
    "minibatch_discrimination": MinibatchDiscrimination,
    "historical_averaging": HistoricalAveraging,
    "experience_replay": ExperienceReplay,
    "lsgan": LSGAN,
    "wgan": WGAN,
    "wgan_gp": WGANGP,
    "rgan": RGAN,
    "ragan": RaGAN,
    "unrolled_gan": UnrolledGAN,
    "ebgan": EBGAN,
    "ebgan_pt": EBGANPT,
    "ali": ALI,
    "veegan": VEEGAN,
    "began": BEGAN,
    "began_cs": BEGANCS,
}
