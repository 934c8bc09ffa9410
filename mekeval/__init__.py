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
    from .begin import NewStudy, copy_example, new_study
    from .changes import Difference, changes_between, changes_since_last_year
    from .choice import Targeting, targeting
    from .clean import Cleaned, clean_study
    from .costs import Cost, cost_beside_effect, money_by_district
    from .design import (
        AreaClasses,
        Design,
        Rule,
        Selection,
        SelectionStability,
        apply_rule,
        area_classes,
        design_from_cohorts,
        make_design,
        rule_criteria,
        select_areas,
        selection_stability,
        study_design,
    )
    from .disclosure import Attack, attack, check_outputs, secure
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
        side_by_side,
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
        plot_breakdown,
        plot_check,
        plot_choice,
        plot_counterpart,
        plot_deciding,
        plot_detectable,
        plot_doses,
        plot_effects,
        plot_event_study,
        plot_finding,
        plot_forest,
        plot_gap,
        plot_group_time,
        plot_honest,
        plot_map,
        plot_outcomes,
        plot_placebo,
        plot_power,
        plot_rule_placebo,
        plot_segregation,
        plot_selection_stability,
        plot_synthetic,
        plot_tiles,
        plot_trend,
        plot_verdicts,
        plot_years,
    )
    from .findings import Finding, conclude
    from .indicators import (
        Indicators,
        clean_indicators,
        compare_releases,
        coverage,
        failures_table,
        hidden_numbers,
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
    from .lab import explore
    from .monitor import MonitoringSet, publish_monitoring
    from .monitoring import (
        Intensity,
        Monitoring,
        activity_indicators,
        activity_intensity,
        bootstrap_mean,
        coded_answers,
        coder_agreement,
        compare_reported,
        example_monitoring,
        feedback_indicators,
        krippendorff_alpha,
        personal_data,
        read_monitoring,
        response_rates,
        wilson_interval,
    )
    from .panel import Panel, balanced_block, build_panel
    from .reference import ReferenceAreas, reference_areas
    from .register import Condition, RegisterMeasure, aggregate_register
    from .report import (
        ChangesReport,
        QualityReport,
        changes_report,
        city_report,
        community_quarter,
        community_year,
        district_report,
        quality_report,
    )
    from .run import RunResult, run_study
    from .run.environment import pinned_requirements
    from .run.one import run_one
    from .run.site import BuiltSite, build_site
    from .run.verify import rerun_set, verify_set
    from .segregation import (
        AreaInequality,
        Convergence,
        GapChange,
        IndexChange,
        Segregation,
        area_inequality,
        convergence,
        gap_change,
        index_changes,
        multigroup_segregation,
        panel_segregation,
        segregation_indices,
        study_segregation,
    )
    from .sensitivity import (
        Check,
        City,
        DoseResponse,
        EffectSpread,
        HonestBounds,
        PlaceboCities,
        RegressionToMean,
        RulePlacebo,
        RulePlaceboInTime,
        Thresholds,
        UnitEffects,
        compare_with_cities,
        contiguous_windows,
        dose_response,
        effect_spread,
        honest_bounds,
        leave_one_out,
        placebo_cities,
        placebo_in_time,
        regression_to_mean,
        rescaled_by_share,
        rule_placebo,
        rule_placebo_in_time,
        unit_effects,
    )
    from .shipped import example_study
    from .sources import READERS, read_source
    from .study import (
        CATALOGUES,
        Catalogue,
        Deviation,
        Measure,
        PlanState,
        Study,
        catalogue_table,
        criteria_table,
        lock_plan,
        plan_state,
        read_catalogue,
        read_measures,
        read_spec,
        read_study,
    )
    from .text import Texts

__version__ = "0.1.0"

#: Names by the module that holds them.
_HOMES = {
    "areas": (
        "Areas areas_from_rows Boundaries change_weights crosswalk Dilution Districts found_areas "
        "hierarchy_rows join_areas neighbours overlaps read_areas read_boundaries read_changes read_districts "
        "read_hierarchy read_neighbours read_weights weight_totals"
    ),
    "begin": "copy_example new_study NewStudy",
    "changes": "changes_between changes_since_last_year Difference",
    "choice": "Targeting targeting",
    "clean": "clean_study Cleaned",
    "costs": "Cost cost_beside_effect money_by_district",
    "design": (
        "apply_rule area_classes AreaClasses Design design_from_cohorts make_design Rule rule_criteria "
        "select_areas Selection selection_stability SelectionStability study_design"
    ),
    "disclosure": "attack Attack check_outputs secure",
    "errors": "DataError DesignError MekevalError RunError StudyError",
    "estimate": (
        "aggregate Aggregation bacon_decomposition callaway_santanna contrast covariate_coefficients Effects "
        "ESTIMATORS extended_twfe first_differences group_time_att imputation imputation_pretrend_test "
        "local_projection repeated_cross_sections side_by_side stacked sun_abraham switch_average switchers "
        "synthetic_control synthetic_did synthetic_fit synthetic_placebos triple_difference twfe "
        "twfe_event_study two_stage unit_contrast"
    ),
    "evaluation": "evaluate Evaluation",
    "fetch": "fetch_study Fetched",
    "figures": (
        "About Picture plot_breakdown plot_check plot_choice plot_counterpart plot_deciding "
        "plot_detectable plot_doses plot_effects plot_event_study plot_finding plot_forest plot_gap "
        "plot_group_time plot_honest plot_map plot_outcomes plot_placebo plot_power plot_rule_placebo "
        "plot_segregation plot_selection_stability plot_synthetic plot_tiles plot_trend plot_verdicts "
        "plot_years"
    ),
    "findings": "conclude Finding",
    "indicators": (
        "clean_indicators compare_releases coverage failures_table hidden_numbers Indicators interpolate "
        "level_breaks outliers unit_breaks"
    ),
    "inference": (
        "adjust Adjusted Bands cluster_robust Conformal conformal infer Inference JointBands "
        "permutation_bands power_curve PowerCurve uniform_bands wild_cluster_bootstrap"
    ),
    "lab": "explore",
    "monitor": "MonitoringSet publish_monitoring",
    "monitoring": (
        "activity_indicators activity_intensity bootstrap_mean coded_answers coder_agreement compare_reported "
        "example_monitoring feedback_indicators Intensity krippendorff_alpha Monitoring personal_data "
        "read_monitoring response_rates wilson_interval"
    ),
    "panel": "balanced_block build_panel Panel",
    "reference": "reference_areas ReferenceAreas",
    "register": "aggregate_register Condition RegisterMeasure",
    "report": (
        "changes_report ChangesReport city_report community_quarter community_year district_report "
        "quality_report QualityReport"
    ),
    "run": "run_study RunResult",
    "run.environment": "pinned_requirements",
    "run.one": "run_one",
    "run.site": "build_site BuiltSite",
    "run.verify": "rerun_set verify_set",
    "segregation": (
        "area_inequality AreaInequality Convergence convergence gap_change GapChange index_changes IndexChange "
        "multigroup_segregation panel_segregation Segregation segregation_indices study_segregation"
    ),
    "sensitivity": (
        "Check City compare_with_cities contiguous_windows dose_response DoseResponse effect_spread "
        "EffectSpread honest_bounds HonestBounds leave_one_out placebo_cities placebo_in_time PlaceboCities "
        "regression_to_mean RegressionToMean rescaled_by_share rule_placebo rule_placebo_in_time RulePlacebo "
        "RulePlaceboInTime Thresholds unit_effects UnitEffects"
    ),
    "shipped": "example_study",
    "sources": "read_source READERS",
    "study": (
        "Catalogue catalogue_table CATALOGUES criteria_table Deviation lock_plan Measure plan_state PlanState "
        "read_catalogue read_measures read_spec read_study Study"
    ),
    "text": "Texts",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
#: Old names that still work: the name to use, the version that began to warn, and the one without the old name.
_RENAMED: dict[str, tuple[str, str, str]] = {}

__all__ = [*sorted(_HOME_OF), "__version__"]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    if name in _HOME_OF:
        return getattr(import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    if name in _RENAMED:
        use, since, removed = _RENAMED[name]
        warn_of = import_module(f"{__name__}.deprecation").warn_of
        warn_of(f"{__name__}.{name}", use=f"{__name__}.{use}", since=since, removed=removed)
        return __getattr__(use)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
