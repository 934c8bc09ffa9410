"""mekeval: did an area programme work?

Data walk one way: raw files -> indicators -> panel and design -> effects -> inference -> checks -> findings ->
report. `docs/architecture.md` says where things are. Names are loaded when they are first used, so that
``import mekeval`` costs next to nothing and never loads papermill, nbconvert or matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .areas import (
        Areas,
        Boundaries,
        Dilution,
        Districts,
        areas_from_rows,
        change_weights,
        crosswalk,
        found_areas,
        hierarchy_rows,
        join_areas,
        neighbours,
        overlaps,
        read_areas,
        read_boundaries,
        read_changes,
        read_districts,
        read_hierarchy,
        read_neighbours,
        read_weights,
        weight_totals,
    )
    from .clean import Cleaned, clean_study
    from .design import (
        Design,
        Rule,
        Selection,
        SelectionStability,
        apply_rule,
        design_from_cohorts,
        make_design,
        rule_criteria,
        select_areas,
        selection_stability,
        study_design,
    )
    from .errors import DataError, DesignError, MekevalError, RunError, StudyError
    from .estimate import (
        ESTIMATORS,
        Aggregation,
        Effects,
        aggregate,
        bacon_decomposition,
        callaway_santanna,
        contrast,
        covariate_coefficients,
        extended_twfe,
        first_differences,
        group_time_att,
        imputation,
        imputation_pretrend_test,
        local_projection,
        repeated_cross_sections,
        stacked,
        sun_abraham,
        switch_average,
        switchers,
        synthetic_control,
        synthetic_did,
        synthetic_fit,
        synthetic_placebos,
        triple_difference,
        twfe,
        twfe_event_study,
        two_stage,
        unit_contrast,
    )
    from .evaluation import Evaluation, evaluate
    from .fetch import Fetched, fetch_study
    from .figures import (
        About,
        Picture,
        plot_choice,
        plot_effects,
        plot_event_study,
        plot_finding,
        plot_forest,
        plot_group_time,
        plot_honest,
        plot_placebo,
        plot_power,
        plot_rule_placebo,
        plot_selection_stability,
        plot_synthetic,
        plot_tiles,
        plot_trend,
        plot_verdicts,
    )
    from .findings import Finding, conclude
    from .indicators import (
        Indicators,
        clean_indicators,
        compare_releases,
        coverage,
        failures_table,
        interpolate,
        level_breaks,
        outliers,
        unit_breaks,
    )
    from .inference import (
        Adjusted,
        Bands,
        Conformal,
        Inference,
        JointBands,
        PowerCurve,
        adjust,
        cluster_robust,
        conformal,
        infer,
        permutation_bands,
        power_curve,
        uniform_bands,
        wild_cluster_bootstrap,
    )
    from .panel import Panel, balanced_block, build_panel
    from .reference import ReferenceAreas, reference_areas
    from .register import Condition, RegisterMeasure, aggregate_register
    from .report import QualityReport, city_report, district_report, quality_report
    from .run import run_study
    from .sensitivity import (
        Check,
        City,
        HonestBounds,
        PlaceboCities,
        RegressionToMean,
        RulePlacebo,
        RulePlaceboInTime,
        compare_with_cities,
        contiguous_windows,
        honest_bounds,
        leave_one_out,
        placebo_cities,
        placebo_in_time,
        regression_to_mean,
        rule_placebo,
        rule_placebo_in_time,
    )
    from .shipped import example_study
    from .sources import READERS, read_source
    from .study import CATALOGUES, Catalogue, Study, catalogue_table, criteria, read_catalogue, read_study
    from .text import Texts

__version__ = "0.1.0"

_HOMES = {
    "areas": (
        "Areas",
        "Boundaries",
        "Dilution",
        "Districts",
        "areas_from_rows",
        "change_weights",
        "crosswalk",
        "found_areas",
        "hierarchy_rows",
        "join_areas",
        "neighbours",
        "overlaps",
        "read_areas",
        "read_boundaries",
        "read_changes",
        "read_districts",
        "read_hierarchy",
        "read_neighbours",
        "read_weights",
        "weight_totals",
    ),
    "clean": (
        "Cleaned",
        "clean_study",
    ),
    "design": (
        "Design",
        "Rule",
        "Selection",
        "SelectionStability",
        "apply_rule",
        "design_from_cohorts",
        "make_design",
        "rule_criteria",
        "select_areas",
        "selection_stability",
        "study_design",
    ),
    "errors": (
        "DataError",
        "DesignError",
        "MekevalError",
        "RunError",
        "StudyError",
    ),
    "estimate": (
        "Aggregation",
        "ESTIMATORS",
        "Effects",
        "aggregate",
        "bacon_decomposition",
        "callaway_santanna",
        "contrast",
        "covariate_coefficients",
        "extended_twfe",
        "first_differences",
        "group_time_att",
        "imputation",
        "imputation_pretrend_test",
        "local_projection",
        "repeated_cross_sections",
        "stacked",
        "sun_abraham",
        "switch_average",
        "switchers",
        "synthetic_control",
        "synthetic_did",
        "synthetic_fit",
        "synthetic_placebos",
        "triple_difference",
        "twfe",
        "twfe_event_study",
        "two_stage",
        "unit_contrast",
    ),
    "evaluation": (
        "Evaluation",
        "evaluate",
    ),
    "fetch": (
        "Fetched",
        "fetch_study",
    ),
    "figures": (
        "About",
        "Picture",
        "plot_choice",
        "plot_effects",
        "plot_event_study",
        "plot_finding",
        "plot_forest",
        "plot_group_time",
        "plot_honest",
        "plot_placebo",
        "plot_power",
        "plot_rule_placebo",
        "plot_selection_stability",
        "plot_synthetic",
        "plot_tiles",
        "plot_trend",
        "plot_verdicts",
    ),
    "findings": (
        "Finding",
        "conclude",
    ),
    "indicators": (
        "Indicators",
        "clean_indicators",
        "compare_releases",
        "coverage",
        "failures_table",
        "interpolate",
        "level_breaks",
        "outliers",
        "unit_breaks",
    ),
    "inference": (
        "Adjusted",
        "Bands",
        "Conformal",
        "Inference",
        "JointBands",
        "PowerCurve",
        "adjust",
        "cluster_robust",
        "conformal",
        "infer",
        "permutation_bands",
        "power_curve",
        "uniform_bands",
        "wild_cluster_bootstrap",
    ),
    "panel": (
        "Panel",
        "balanced_block",
        "build_panel",
    ),
    "reference": (
        "ReferenceAreas",
        "reference_areas",
    ),
    "register": (
        "Condition",
        "RegisterMeasure",
        "aggregate_register",
    ),
    "report": (
        "QualityReport",
        "city_report",
        "district_report",
        "quality_report",
    ),
    "run": ("run_study",),
    "sensitivity": (
        "Check",
        "City",
        "HonestBounds",
        "PlaceboCities",
        "RegressionToMean",
        "RulePlacebo",
        "RulePlaceboInTime",
        "compare_with_cities",
        "contiguous_windows",
        "honest_bounds",
        "leave_one_out",
        "placebo_cities",
        "placebo_in_time",
        "regression_to_mean",
        "rule_placebo",
        "rule_placebo_in_time",
    ),
    "shipped": ("example_study",),
    "sources": (
        "READERS",
        "read_source",
    ),
    "study": (
        "CATALOGUES",
        "Catalogue",
        "Study",
        "catalogue_table",
        "criteria",
        "read_catalogue",
        "read_study",
    ),
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
