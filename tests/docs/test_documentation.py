"""The documentation speaks of what exists: links, commands, options, files, metrics, codes, statuses."""

import re
from pathlib import Path

import click
import pytest

import findings_page

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"(?<!\!)\[[^\]]+\]\(([^)\s]+)\)")
CODE = re.compile(r"```(\w*)\n(.*?)```|`([^`\n]+)`", re.DOTALL)
WHOLE_COMMANDS = re.compile(
    r"(?<![\w/.-])(?:\.venv/bin/|/opt/prepnode/\.venv/bin/)?prepnode ((?:[a-z][a-z-]*)(?: .*)?)"
)


def ids(pages):
    return [str(page.relative_to(ROOT)) for page in pages]


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_link_leads_somewhere(page):
    broken = []
    for target in LINK.findall(text_of(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        other = (page.parent / path).resolve() if path else page
        if not other.exists() or (anchor and anchor not in anchors(other)):
            broken.append(target)
    assert broken == []


def code_in(text: str) -> list[str]:
    return [block or inline for _, block, inline in CODE.findall(text)]


def commands_in(text: str) -> list[str]:
    lines = [line.split(" #")[0] for code in code_in(text) for line in code.replace("\\\n", " ").splitlines()]
    return [found[1].strip() for line in lines if (found := WHOLE_COMMANDS.search(line))]


def problem_with(command: str) -> str | None:
    """Return what is wrong with the words behind `prepnode`, None when such a command exists."""
    from node.cli.main import cli

    here: click.Command = cli
    words = re.split(r"[|;&>]", command)[0].split()
    options = {word.split("=")[0] for word in words if word.startswith("-")}
    for word in words:
        if not isinstance(here, click.Group) or word.startswith("-"):
            break
        found = here.get_command(click.Context(here), word)
        if found is None:
            return f"no command {word!r} in: prepnode {command}"
        here = found
    known = {option for parameter in here.params for option in (*parameter.opts, *parameter.secondary_opts)}
    unknown = options - known - {"--help", "-h", "--version"}
    return f"no option {', '.join(sorted(unknown))} in: prepnode {command}" if unknown else None


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_command_that_a_page_names_exists(page):
    commands = [command for command in commands_in(text_of(page)) if not command.startswith("0.")]
    assert [problem for command in commands if (problem := problem_with(command))] == []


def test_commands_are_really_looked_up():
    assert problem_with("series release 1.2.3") is None
    assert problem_with("fly --high")
    assert problem_with("series list --altitude 3")
    assert {"run FOLDER --out RESULTS", "series list --state HELD"} <= set(
        commands_in(text_of(ROOT / "README.md"))
    )


def sources() -> list[Path]:
    return sorted(
        [
            *(ROOT / "node").rglob("*.py"),
            *(ROOT / "handlers").rglob("*.py"),
            *(ROOT / "handlers").glob("*.toml"),
        ]
    )


def test_messages_advise_only_commands_that_exist():
    named = re.compile(r"`prepnode ([a-z][^`\n]*)`")
    problems = [
        f"{path.relative_to(ROOT)}: {problem}"
        for path in [*sources(), *(ROOT / "conf").glob("*.toml"), ROOT / "compose.yaml"]
        for command in named.findall(text_of(path))
        if (problem := problem_with(command))
    ]
    assert problems == []


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z-]*):", text_of(ROOT / "Makefile"), re.MULTILINE))


def test_every_make_target_that_a_page_names_exists():
    named = {
        target
        for page in PAGES
        for code in code_in(text_of(page))
        for target in re.findall(r"(?:^|&& )make (?:-C \S+ )?([a-z][a-z-]*)", code, re.MULTILINE)
    }
    assert {"demo", "test", "check", "setup"} <= named
    assert named <= make_targets()


def test_every_file_that_a_page_names_exists():
    named = re.compile(r"^(?:node|handlers|tests|conf|docs|systemd)/[\w/.-]*$")
    missing = {
        f"{page.relative_to(ROOT)}: {code}"
        for page in PAGES
        for code in code_in(text_of(page))
        if named.match(code.strip()) and not (ROOT / code.strip()).exists()
    }
    assert missing == set()


def test_the_page_of_findings_is_made_from_the_table():
    assert findings_page.PAGE.read_text(encoding="utf-8") == findings_page.page(), "run `make docs`"


def test_every_finding_code_that_a_page_names_exists():
    from handlers.findings import CODES

    code = re.compile(r"\b(?:[A-Z]{2,3}-)?(?:[A-Z]{2,3})-\d{3}\b")
    of_the_examples = {"SITE-001"}
    for page in PAGES:
        found = {each for each in code.findall(text_of(page)) if each.split("-")[0] in findings_page.TOPICS}
        assert found - of_the_examples <= set(CODES), page


def test_every_metric_that_a_page_names_exists():
    named = set(re.findall(r"`(prepnode_\w+)`", text_of(ROOT / "docs/operating.md")))
    source = text_of(ROOT / "node/health.py")
    assert named
    assert {name for name in named if f'"{name.removesuffix("_total")}"' not in source} == set()


def test_the_statuses_of_c_store_are_all_in_the_conformance_statement():
    from node.listener import c_store

    answered = {
        f"0x{int(code, 16):04X}"
        for code in re.findall(r"Answer\((0x[0-9A-Fa-f]+)", text_of(Path(c_store.__file__)))
    }
    section = text_of(ROOT / "docs/conformance.md").split("### Status of C-STORE")[1].split("###")[0]
    assert set(re.findall(r"^\| (0x[0-9A-F]{4}) ", section, re.MULTILINE)) == answered


def test_the_rejections_are_all_in_the_conformance_statement():
    from node.listener import access, users

    refused = {
        ", ".join(code)
        for code in re.findall(
            r"Refusal\((\d), (\d), (\d),", text_of(Path(access.__file__)).replace("(\n", "(")
        )
    }
    refused |= {
        ", ".join(code)
        for code in re.findall(r"Refusal\(\s*(\d), (\d), (\d),", text_of(Path(access.__file__)))
    }
    refused |= {", ".join(map(str, code)) for code in (users.WRONG, users.BUSY)}
    section = text_of(ROOT / "docs/conformance.md").split("### Rejected associations")[1].split("\n## ")[0]
    assert set(re.findall(r"^\| (\d, \d, \d) ", section, re.MULTILINE)) == refused


def test_the_conformance_statement_names_the_implementation():
    from node.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

    page = text_of(ROOT / "docs/conformance.md")
    assert f"{IMPLEMENTATION_CLASS_UID}; version name {IMPLEMENTATION_VERSION_NAME}" in page


def test_every_key_of_the_report_is_described():
    import json

    schema = json.loads(text_of(ROOT / "handlers/outputs/report.schema.json"))
    page = text_of(ROOT / "docs/outputs.md")
    keys = {
        *schema["properties"],
        *schema["$defs"]["volume"]["properties"],
        *schema["$defs"]["finding"]["properties"],
    }
    assert {key for key in keys if f"`{key}`" not in page} == set()


def test_the_examples_of_a_rule_and_a_step_work():
    from handlers.model import Series, Volume

    blocks = [
        block
        for language, block, _ in CODE.findall(text_of(ROOT / "docs/extending.md"))
        if language == "python"
    ]
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, "docs/extending.md", "exec"), names)
    assert names["old_scanner"](Series("1.2", "1.2.3", ())) == []
    assert names["halve"](Volume(0, (), "CT")) == Volume(0, (), "CT")


def test_the_groups_of_plug_ins_are_described_as_they_are():
    from handlers.api import GROUPS

    assert set(re.findall(r"`(prepnode\.\w+)`", text_of(ROOT / "docs/extending.md"))) == set(GROUPS)


def test_decisions_are_numbered_listed_and_complete():
    pages = sorted((ROOT / "docs/adr").glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    index = text_of(ROOT / "docs/adr/README.md")
    for page in pages:
        text = text_of(page)
        assert page.name in index
        assert re.findall(r"^## (.*)$", text, re.MULTILINE) == ["Context", "Decision", "Consequences"]
        assert len(text.splitlines()) < 60
