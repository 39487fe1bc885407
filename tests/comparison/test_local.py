"""What a comparison keeps of the costs of its models."""

from pathlib import Path

from vit.comparison.local import cost_file, measure_costs
from vit.comparison.plan import PlannedRun
from vit.files import digest_of_file, read_json, write_json
from vit.recipe import load_recipe
from vit.run_folder import RunFolder


def test_costs_kept_before_the_size_of_the_file_are_not_measured_anew(digits_run: RunFolder, tmp_path: Path) -> None:
    """Timing again would change what was told; the file is there to be looked at."""
    planned = PlannedRun("net", load_recipe("digits_resnet"), 1.0, 0, digits_run)
    kept = {"model_digest": digest_of_file(digits_run.model), "latency_ms": 1234.5, "latency_ms_low": 1234.0}
    write_json(cost_file(tmp_path, "net"), kept)
    costs = measure_costs([planned], tmp_path)
    assert costs == {"net": {**kept, "model_bytes": len(digits_run.model.read_bytes())}}
    assert read_json(cost_file(tmp_path, "net")) == kept


def test_costs_hold_the_size_of_the_models_file(digits_run: RunFolder, tmp_path: Path) -> None:
    planned = PlannedRun("net", load_recipe("digits_resnet"), 1.0, 0, digits_run)
    costs = measure_costs([planned], tmp_path)
    assert costs["net"]["model_bytes"] == len(digits_run.model.read_bytes())
    assert read_json(cost_file(tmp_path, "net")) == costs["net"]
