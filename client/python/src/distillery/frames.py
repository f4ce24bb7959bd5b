"""Curves and reports as pandas data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, Iterable, List, Tuple

from distillery import jobfile
from distillery.v1 import job_service_pb2, report_pb2

if TYPE_CHECKING:
    import pandas


_EXECUTION = job_service_pb2.PlannedExecution.DESCRIPTOR


def load_pandas() -> Any:
    """Returns the module. Raises ImportError with what to install."""
    try:
        import pandas  # pylint: disable=import-outside-toplevel
    except ImportError as error:
        raise ImportError("data frames need pandas: pip install 'distillery-client[pandas]'") from error
    return pandas


def series_frame(curves: Iterable[Tuple[str, report_pb2.Series]]) -> pandas.DataFrame:
    """One row a point, indexed by task and step. What layers and regularisers add to the loss has two columns each, its
    value and NAME_weight."""
    rows: List[Dict[str, Any]] = []
    for task, series in curves:
        for point in series.points:
            row: Dict[str, Any] = {
                "task": task, "step": point.step, "loss": point.loss, "learning_rate": point.learning_rate,
                "images_per_second": point.images_per_second, "cross_entropy": point.cross_entropy,
                "distillation": point.distillation,
                "accuracy": point.accuracy if point.HasField("accuracy") else float("nan"),
                "teacher_accuracy": point.teacher_accuracy if point.HasField("teacher_accuracy") else float("nan")}
            for term in point.terms:
                row[term.name] = term.value
                row[term.name + "_weight"] = term.weight
            rows.append(row)
    columns = ["task", "step", "loss", "learning_rate", "images_per_second", "cross_entropy", "distillation", "accuracy",
               "teacher_accuracy"]
    frame = load_pandas().DataFrame(rows, columns=None if rows else columns)
    return frame.set_index(["task", "step"])


def models_frame(report: report_pb2.Report) -> pandas.DataFrame:
    """One row for each evaluated model, indexed by its label; `corruption_accuracy` is the mean over all corruptions, and
    each out-of-distribution set has a column `ood NAME`."""
    rows = []
    for model in report.models:
        result = model.result
        done = result.images > 0
        row = {"model": model.label, "accuracy": result.accuracy if done else float("nan"),
               "loss": result.loss if done else float("nan"),
               "corruption_accuracy": result.corruption_accuracy_mean if result.corruptions else float("nan"),
               "parameters": result.parameters, "images": result.images, "model_digest": model.model_digest,
               "state": model.state}
        row.update({f"ood {other.name}": other.accuracy for other in result.out_of_distribution})
        rows.append(row)
    columns = ["model", "accuracy", "loss", "corruption_accuracy", "parameters", "images", "model_digest", "state"]
    return load_pandas().DataFrame(rows, columns=None if rows else columns).set_index("model")


def corruptions_frame(report: report_pb2.Report) -> pandas.DataFrame:
    """Accuracy by model (rows) and by corruption and severity (columns)."""
    rows = {m.label: {(c.name, c.severity): c.accuracy for c in m.result.corruptions} for m in report.models}
    pandas = load_pandas()
    frame = pandas.DataFrame.from_dict(rows, orient="index")
    if len(frame.columns) > 0:
        frame.columns = pandas.MultiIndex.from_tuples(frame.columns, names=["corruption", "severity"])
    return frame


def phases_frame(report: report_pb2.Report) -> pandas.DataFrame:
    """What each phase cost, one row a phase."""
    rows = [{field.name: getattr(phase, field.name) for field in report_pb2.Report.Phase.DESCRIPTOR.fields}
            for phase in report.phases]
    names = [field.name for field in report_pb2.Report.Phase.DESCRIPTOR.fields]
    return load_pandas().DataFrame(rows, columns=names).rename(columns={"label": "phase"}).set_index("phase")


def plan_frame(plan: job_service_pb2.JobPlan) -> pandas.DataFrame:
    """One row for each task of a plan, indexed by task, producers before consumers; NaN where too little is known to
    predict."""
    rows = [{"task": task.id, "execution": jobfile.short_name(_EXECUTION, _EXECUTION.values_by_number[task.execution].name),
             "equal_task": task.equal_task,
             "predicted_seconds": task.predicted_seconds if task.HasField("predicted_seconds") else float("nan"),
             "predicted_memory_bytes": task.predicted_memory_bytes, "training_images": task.training_images}
            for task in plan.tasks]
    names = ["task", "execution", "equal_task", "predicted_seconds", "predicted_memory_bytes", "training_images"]
    return load_pandas().DataFrame(rows, columns=names).set_index("task")
