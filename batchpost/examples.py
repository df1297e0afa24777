"""Examples of every command, as its help shows them: what each is for, and the line to type."""

from __future__ import annotations

__all__ = ["EXAMPLES", "epilog"]

EXAMPLES: dict[str, dict[str, str]] = {
    "init": {
        "batchpost init exports/conv.csv --route global-event": "asks on a terminal for what the file does not prove",
        'batchpost init exports/conv.csv --route global-event --event "Funded=sale_completed" --yes': "asks nothing",
    },
    "check": {
        "batchpost check jobs/nightly_conversions.toml": "the job file, its secrets, and the input's columns",
        "batchpost check --offline jobs/*.toml": "the files alone, as in CI",
        "batchpost check --offline --show jobs/nightly_conversions.toml": "the job with all its defaults",
    },
    "plan": {
        "batchpost plan jobs/nightly_conversions.toml": "what would go out tonight, and what would not",
        "batchpost plan jobs/nightly_conversions.toml --source mended.csv": "the same of another file",
    },
    "run": {
        "batchpost run jobs/nightly_conversions.toml": "again after a stop or a crash, too",
        "batchpost run jobs/nightly_conversions.toml --canary 5": "five rows first, with request and reply",
        "batchpost run jobs/nightly_conversions.toml --source to_fix.csv": "rows that were mended",
        "batchpost run -q --wait 30m --until 07:00 jobs/*.toml": "from cron: mail only where something is to be done",
    },
    "retry": {
        "batchpost retry nightly-conversions": "of the job's latest run, all that did not get through",
        "batchpost retry latest --reason lead_not_found": "leads that the platform may know by now",
    },
    "resolve": {
        "batchpost resolve nightly-conversions": "the rows, what came back of each, and the lines to type",
        'batchpost resolve latest --delivered --rows 5,17-20 --note "Ann at the platform"': "it has these",
        'batchpost resolve latest --not-delivered --yes --note "Ann at the platform"': "it has none of the others",
        "batchpost retry latest": "sends what is due by that",
    },
    "status": {
        "batchpost status nightly-conversions": "over all runs, mends and retries; the first line says YES or NO",
        "batchpost status nightly-conversions --date yesterday": "of the files that were first read that day",
        "batchpost status jobs/nightly_conversions.toml --json": "for a program",
    },
    "runs": {
        "batchpost runs": "the latest 20, of all jobs",
        "batchpost runs --job nightly-conversions -n 5": "the latest five of one",
    },
    "show": {
        "batchpost show nightly-conversions": "the job's latest run",
        "batchpost show latest --json": "any job's latest, for a program",
    },
    "verify": {"batchpost verify nightly-conversions": "0 if the books agree, else 1 and each difference"},
    "export": {
        "batchpost export latest --only invalid,rejected -o troubled.csv": "rows that did not get through",
        "batchpost export latest --reason lead_not_found": "as CSV on standard output",
    },
    "report": {
        "batchpost report nightly-conversions": "the page of the latest run, made anew, with what is known since",
        "batchpost report latest -o /tmp/report.html": "a copy elsewhere",
    },
    "abandon": {"batchpost abandon nightly-conversions": "before the same rows go out by another file"},
    "stop": {"batchpost stop nightly-conversions": "as Ctrl-C does at the terminal where it runs"},
    "forget": {
        "batchpost forget --older-than 90d --dry-run": "what would be deleted",
        "batchpost forget --older-than 90d": "deletes it; from cron, once a month",
    },
    "sandbox": {
        "batchpost sandbox --leads sample_data/leads.csv": "knows the sample's leads",
        "batchpost sandbox --accept-any --fault drop=0.05 --fault limit=50": "knows every lead, and has bad nights",
    },
    "schema": {"batchpost schema > job.schema.json": "named by the first line of a job: #:schema ./job.schema.json"},
    "completion": {
        'eval "$(batchpost completion bash)"': "in ~/.bashrc; zsh in ~/.zshrc",
        "batchpost completion fish > ~/.config/fish/completions/batchpost.fish": "once",
    },
}
"""By command, the lines to type, each with what it is for."""


def epilog(command: str) -> str:
    """The examples of a command for the end of its help, in click's marks for text that keeps its lines; empty for a
    command without any."""
    lines = [f"  # {purpose}\n  {line}" for line, purpose in EXAMPLES.get(command, {}).items()]
    return "\b\nExamples:\n" + "\n".join(lines) if lines else ""
