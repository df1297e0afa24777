"""Files of metrics, as a test compares them."""

from __future__ import annotations

from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families


def values(file: Path) -> dict[str, float]:
    """The samples of a file, each as the labels besides the job's behind the name without its prefix."""
    found = {}
    for family in text_string_to_metric_families(file.read_text()):
        assert family.type == "gauge"
        for sample in family.samples:
            labels = {name: value for name, value in sample.labels.items() if name != "job_name"}
            place = ".".join((sample.labels["job_name"], sample.name.removeprefix("batchpost_"), *labels.values()))
            assert place not in found, "the collector would drop all of the file"
            found[place] = sample.value
    return found
