"""mekeval: did an area programme work?

Data walk one way: raw files -> indicators -> panel and design -> effects -> inference -> checks -> findings ->
report. `docs/architecture.md` says where things are. Names are loaded when they are first used, so that
``import mekeval`` costs next to nothing and never loads papermill, nbconvert or matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .areas import Areas, read_areas
    from .design import Design, Selection, design_from_cohorts, make_design, select_areas, study_design
    from .errors import DataError, DesignError, MekevalError, RunError, StudyError
    from .estimate import (
        ESTIMATORS,
        Effects,
        aggregate,
        bacon_decomposition,
        callaway_santanna,
        contrast,
        covariate_coefficients,
        extended_twfe,
        group_time_att,
        imputation,
        imputation_pretrend_test,
        local_projection,
        stacked,
        sun_abraham,
        switch_average,
        switchers,
        synthetic_control,
        synthetic_did,
        synthetic_fit,
        synthetic_placebos,
        twfe,
        twfe_event_study,
        two_stage,
        unit_contrast,
    )
    from .evaluation import Evaluation, evaluate
    from .figures import plot_effects, plot_forest, plot_placebo, plot_tiles, plot_trend
    from .findings import Finding, conclude
    from .indicators import Indicators, clean_indicators
    from .inference import Inference, infer
    from .panel import Panel, balanced_block, build_panel
    from .report import city_report, district_report
    from .run import run_study
    from .sensitivity import Check, City, RulePlacebo, leave_one_out, placebo_in_time, rule_placebo
    from .shipped import example_study
    from .sources import READERS, read_source
    from .study import Study, read_study
    from .text import Texts

__version__ = "0.1.0"

_HOMES = {
    "areas": ("Areas", "read_areas"),
    "design": ("Design", "Selection", "design_from_cohorts", "make_design", "select_areas", "study_design"),
    "errors": ("DataError", "DesignError", "MekevalError", "RunError", "StudyError"),
    "estimate": (
        "ESTIMATORS",
        "Effects",
        "aggregate",
        "bacon_decomposition",
        "callaway_santanna",
        "contrast",
        "covariate_coefficients",
        "extended_twfe",
        "group_time_att",
        "imputation",
        "imputation_pretrend_test",
        "local_projection",
        "stacked",
        "sun_abraham",
        "switch_average",
        "switchers",
        "synthetic_control",
        "synthetic_did",
        "synthetic_fit",
        "synthetic_placebos",
        "twfe",
        "twfe_event_study",
        "two_stage",
        "unit_contrast",
    ),
    "evaluation": ("Evaluation", "evaluate"),
    "figures": ("plot_effects", "plot_forest", "plot_placebo", "plot_tiles", "plot_trend"),
    "findings": ("Finding", "conclude"),
    "indicators": ("Indicators", "clean_indicators"),
    "inference": ("Inference", "infer"),
    "panel": ("Panel", "balanced_block", "build_panel"),
    "report": ("city_report", "district_report"),
    "run": ("run_study",),
    "shipped": ("example_study",),
    "sensitivity": ("Check", "City", "RulePlacebo", "leave_one_out", "placebo_in_time", "rule_placebo"),
    "sources": ("READERS", "read_source"),
    "study": ("Study", "read_study"),
    "text": ("Texts",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
