"""What the documentation says is so: its commands run as it says, its jobs load, its links lead somewhere."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from batchpost.cli import batchpost
from batchpost.examples import EXAMPLES
from batchpost.jobfile import load_job
from tests.documents import BLOCK, CANNOT_RUN, LANGUAGES, PAGES, ROOT, Block, Session, apply, blocks, commands, missing

BLOCKS = {path: blocks(path.read_text()) for path in PAGES}
ALL = [(path, block) for path, found in BLOCKS.items() for block in found]


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def of(*languages: str) -> list[tuple[Path, Block]]:
    """The blocks in these languages."""
    return [(path, block) for path, block in ALL if block.language in languages]


def places(found: list[tuple[Path, Block]]) -> list[str]:
    return [f"{name(path)}:{block.line}" for path, block in found]


# -- a page is a session ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", dict(of("sh", "python")), ids=name)
def test_the_commands_of_a_page_end_and_print_as_it_says(path: Path, tmp_path: Path) -> None:
    done = Session(tmp_path).run(BLOCKS[path])
    assert done.code == 0, done.printed
    for run, shown in pairwise(BLOCKS[path]):
        if run.language == "sh" and shown.language == "text" and shown.below:
            assert missing(shown.text, done.of(run)) == [], done.of(run)


# What happens before an example of the help, so that it has something to do.
BEFORE = {
    "batchpost init exports/conv.csv --route global-event": """
        mkdir exports && cp sample_data/conversions.csv exports/conv.csv""",
    'batchpost init exports/conv.csv --route global-event --event "Funded=sale_completed" --yes': """
        rm jobs/conv.toml""",
    "batchpost plan jobs/nightly_conversions.toml": """
        head -n 5 sample_data/conversions.csv | tee mended.csv >to_fix.csv
        rm jobs/enrichment_backfill.toml""",
    "batchpost retry nightly-conversions": """
        batchpost run jobs/nightly_conversions.toml # exits with 1""",
    "batchpost resolve nightly-conversions": """
        batchpost run jobs/nightly_conversions.toml # exits with 1
        batchpost sandbox --accept-any --fault half=1 --latency 500ms
        head -n 21 sample_data/tracking.csv | sed 's/txn_/txn_9/' >new.csv
        batchpost run jobs/tracking_events.toml --source new.csv --concurrency 30 # exits with 3
        batchpost sandbox --accept-any""",
    "batchpost abandon nightly-conversions": """
        batchpost run jobs/nightly_conversions.toml --limit 5 # exits with 6""",
    "batchpost stop nightly-conversions": """
        batchpost run jobs/nightly_conversions.toml --rate 20 >/dev/null 2>&1 &
        until batchpost show nightly-conversions | grep -q running; do sleep 0.1; done""",
    "batchpost completion fish > ~/.config/fish/completions/batchpost.fish": """
        mkdir -p ~/.config/fish/completions""",
}
EXITS = dict.fromkeys(
    (  # the sample has rows that do not get through, and nothing was read on the day before
        "batchpost plan jobs/nightly_conversions.toml",
        "batchpost run jobs/nightly_conversions.toml",
        "batchpost run jobs/nightly_conversions.toml --canary 5",
        "batchpost run -q --wait 30m --until 07:00 jobs/*.toml",
        "batchpost retry nightly-conversions",
        "batchpost retry latest --reason lead_not_found",
        "batchpost status nightly-conversions",
        "batchpost status nightly-conversions --date yesterday",
        "batchpost status jobs/nightly_conversions.toml --json",
    ),
    1,
)


SESSIONS = [
    ("init", "check", "plan", "run", "retry"),
    ("resolve", "status", "runs", "show", "verify", "export", "report"),
    ("abandon", "stop", "forget", "sandbox", "schema", "completion"),
]


@pytest.mark.parametrize("commands", SESSIONS, ids=" ".join)
def test_the_examples_in_the_help_run(commands: tuple[str, ...], tmp_path: Path) -> None:
    text = "\n".join(f"{BEFORE.get(line, '')}\n{line}" for command in commands for line in EXAMPLES[command])
    done = Session(tmp_path).run([Block(1, "sh", text)], EXITS)
    assert done.code == 0, done.printed


def test_the_examples_of_every_command_are_run_and_no_others() -> None:
    assert sorted(command for commands in SESSIONS for command in commands) == sorted(EXAMPLES)
    assert {*BEFORE, *EXITS} <= {line for lines in EXAMPLES.values() for line in lines}


# -- what is not run -------------------------------------------------------------------------------------------------


def test_a_block_is_in_a_language_that_says_what_becomes_of_it() -> None:
    assert {block.language for _, block in ALL} == LANGUAGES


def test_what_is_not_run_cannot_be() -> None:
    lines = [line for _, block in of("console") for line, _ in commands(block)]
    assert [line for line in lines if not line.startswith(tuple(CANNOT_RUN))] == []
    assert [start for start in CANNOT_RUN if not any(line.startswith(start) for line in lines)] == []


def test_a_command_is_not_hidden_in_a_block_that_is_only_shown() -> None:
    commanded = re.compile(rf"(?m)^(\$ )?batchpost ({'|'.join(batchpost.commands)})\b")
    assert places([(path, block) for path, block in of("", "text") if commanded.search(block.text)]) == []


SHOWN = [
    pytest.param(found[1], id=f"{name(path)}: {found[1]}")
    for path, block in of("", "ini", "console")
    for line in block.text.splitlines()
    if (found := re.search(r"(?:^|[ =/])batchpost ((?:-q )?[a-z].*)", line.partition(" #")[0]))
]


@pytest.mark.parametrize("line", SHOWN)
def test_a_command_that_is_shown_in_a_crontab_or_a_unit_is_one(line: str) -> None:
    name, *arguments = shlex.split(line)
    with batchpost.commands[name].make_context(name, arguments) as context:
        assert context.args == []


# -- jobs and messages -----------------------------------------------------------------------------------------------

JOBS = [found for found in of("toml") if re.search(r"(?m)^name +=", found[1].text) and "\n[fields]" in found[1].text]


@pytest.mark.parametrize("block", [block for _, block in JOBS], ids=places(JOBS))
def test_a_whole_job_loads(block: Block, tmp_path: Path) -> None:
    path = tmp_path / "jobs" / "shown.toml"
    path.parent.mkdir()
    path.write_text(block.text.replace("$PORT", "8765"))
    assert load_job(path).workspace == tmp_path


def test_the_pages_have_whole_jobs() -> None:
    assert len(JOBS) >= 5
    [explained] = [block for path, block in JOBS if path.name == "README.md"]
    job = tomllib.loads(explained.text)
    assert (job["name"], job["route"]) == ("nightly-conversions", "global-event")
    assert job["api"]["server_dedupe"] == ["sale_completed"]


@pytest.mark.parametrize("block", [block for _, block in of("toml")], ids=places(of("toml")))
def test_a_part_of_a_job_is_toml(block: Block) -> None:
    assert tomllib.loads(block.text)


@pytest.mark.parametrize("block", [block for _, block in of("json")], ids=places(of("json")))
def test_a_message_is_json(block: Block) -> None:
    assert json.loads(block.text)


# -- links -----------------------------------------------------------------------------------------------------------


def prose(path: Path) -> str:
    """A page without its code blocks."""
    return BLOCK.sub("", path.read_text())


def links(path: Path) -> list[str]:
    """Where the links and pictures of a page lead."""
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    attributes = re.findall(r'(?:src|srcset|href)="([^"]+)"', text)
    return [*re.findall(r"\]\(([^)\s]+)\)", text), *re.findall(r"(?m)^\[[^\]]+\]: (\S+)$", text), *attributes]


def inner(path: Path) -> list[tuple[str, str]]:
    """Links that stay here: file (empty for the page itself) and heading."""
    parts = (link.partition("#") for link in links(path) if not re.match(r"\w+:", link))
    return [(file, heading) for file, _, heading in parts]


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_and_pictures_are_there(path: Path) -> None:
    assert [file for file, _ in inner(path) if not (path.parent / file).exists()] == []


def headings(path: Path) -> set[str]:
    """What links to the headings of a page are called."""
    titles = re.findall(r"(?m)^#+ (.*)$", prose(path))
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_links_to_a_heading_find_it(path: Path) -> None:
    wanted = [(path.parent / file if file else path, heading) for file, heading in inner(path) if heading]
    assert [(page.name, heading) for page, heading in wanted if heading not in headings(page)] == []


@pytest.mark.parametrize("path", PAGES, ids=name)
def test_a_link_by_reference_has_its_address_and_an_address_its_link(path: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", prose(path))
    assert {*re.findall(r"\]\[(\w+)\]", text)} == {*re.findall(r"(?m)^\[(\w+)\]: ", text)}


def test_every_page_is_found_from_the_readme() -> None:
    """Folders that are linked show their files."""
    found, left = set[Path](), [ROOT / "README.md"]
    while left:
        page = left.pop()
        targets = {(page.parent / file).resolve() for file, _ in inner(page) if file}
        targets |= {file for folder in targets if folder.is_dir() for file in folder.glob("*.md")}
        new = {target for target in targets if target.suffix == ".md"} - found
        found |= new
        left += new
    assert {*PAGES} - found == {ROOT / "README.md"} - found


def test_every_picture_is_shown() -> None:
    shown = {(path.parent / file).resolve() for path in PAGES for file, _ in inner(path) if file}
    assert {*(ROOT / "docs/pictures").iterdir()} - shown == set()


def test_addresses_elsewhere_are_whole_public_and_https() -> None:
    outside = {link for path in PAGES for link in links(path) if re.match(r"\w+:", link)}
    assert len(outside) > 30
    parts = {link: urlsplit(link) for link in outside}
    assert [link for link, part in parts.items() if part.scheme != "https"] == []
    assert [link for link, part in parts.items() if part.port or part.username or part.query.count(" ")] == []
    public = re.compile(r"(?!localhost|\d|.*\.(?:internal|local|lan|invalid|test|example)$)[a-z\d-]+(?:\.[a-z\d-]+)+")
    assert [link for link, part in parts.items() if not public.fullmatch(part.hostname or "")] == []


# -- how a session says that something is otherwise ------------------------------------------------------------------


def test_a_page_is_taken_apart_into_blocks() -> None:
    text = (
        "<!-- before\nrm x\n-->\n\n1. Type\n\n   ```sh\n   ls # exits with 2\n   ```\n\n   ```text\n   no x\n   ```\n"
    )
    before, typed, shown = blocks(f"# Title\n{text}")
    assert (before.language, before.text, before.line) == ("sh", "rm x\n", 2)
    assert (typed.language, list(commands(typed)), typed.below) == ("sh", [("ls # exits with 2", 2)], False)
    assert (shown.language, shown.text, shown.below) == ("text", "no x\n", True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("true\nfalse\necho on", "false\nended with 1, not 0"),
        ("true    # exits with 1\necho on", "ended with 0, not 1"),
        ("false | cat\necho on", "ended with 1, not 0"),
    ],
)
def test_a_command_that_ends_otherwise_ends_the_session(text: str, said: str, tmp_path: Path) -> None:
    done = Session(tmp_path).run([Block(1, "sh", text)])
    assert done.code == 1
    assert done.printed.endswith(f"{said}\n")


def test_files_of_a_page_are_written_and_mended_before_what_comes_below(tmp_path: Path) -> None:
    job = '# jobs/new.toml\nname = "new"\nrate = 1\n'
    steps = [
        Block(1, "toml", job),
        Block(5, "diff", "--- jobs/new.toml\n@@\n-rate = 1\n+rate = 2\n+drain = 3\n"),
        Block(9, "sh", "cat jobs/new.toml"),
        Block(12, "python", "print(open('jobs/new.toml').read().count('='))\n"),
    ]
    done = Session(tmp_path).run(steps)
    assert (done.code, done.of(steps[2])) == (0, f"{job.replace('rate = 1', 'rate = 2')}drain = 3\n")
    assert done.of(steps[3]) == "3\n"


def test_a_change_that_does_not_fit_its_file_is_none() -> None:
    assert apply("@@\n a\n-b\n+c\n@@\n+d\n e\n", "a\nb\ne\n") == "a\nc\nd\ne\n"
    for text in ("a\nx\n", "a\nb\na\nb\n", "xa\nb\n"):
        with pytest.raises(ValueError, match="is not there once"):
            apply("@@\n a\n-b\n+c\n", text)


@pytest.mark.parametrize(
    ("expected", "lost"),
    [
        ("one\nthree", []),
        ("run 20260101T010101001-abcd ended (5 s)", []),
        ("one\n…\nthree … more", []),
        ("three\none", ["one"]),
        ("one\nfour", ["four"]),
        ("thre", ["thre"]),
    ],
)
def test_what_a_page_shows_must_be_printed_in_its_order(expected: str, lost: list[str]) -> None:
    printed = "one\ntwo\nrun 20261127T215321089-c1cf ended (less than a second)\nthree\nthree and more\n"
    assert missing(expected, printed) == lost
