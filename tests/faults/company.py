"""The company whose deployment is broken: few rules, so that an oracle can tell every alert.

With `SHIPPED` it has those that every company has.
"""

import base64
from collections.abc import Mapping
from pathlib import Path

HOOK = "hook"
"""Name of the one channel."""

SECRET = "whsec_" + base64.b64encode(b"a secret of the tests, 32 bytes.").decode()
PEPPER = "a pepper of the tests' own, long enough"

COMPANY = """\
packs = []
"""

SHIPPED = ""
"""Rules of its own: none. Such a company goes by the rules that are shipped."""

RULES = """\
[[rule]]
id = "payment-failed"
title = "A payment failed twice"
primitive = "change"
params = { what = "payment_failed", count = 2 }
category = "early_signals"
churn_kind = "involuntary"
severity = "high"
play = "fix-payment"

[[rule]]
id = "champion-left"
title = "A champion left"
primitive = "change"
params = { what = "contact_left" }
category = "relationship"
severity = "by_depth"
play = "find-champion"

[[rule]]
id = "silence"
title = "Silent for two days"
primitive = "silence"
params = { metric = "@meaningful", days = 2 }
category = "early_signals"
severity = "medium"
play = "call"
"""

METRICS = """\
[feature.exports]
core = true
[feature.search]
"""

DIRECTORY = """\
[person.ana]
name = "Ana Lima"
[person.kim]
name = "Kim Larsen"
"""

ROUTING = """\
signal_manager = "kim"
"""


def write(
    folder: Path, inputs: Mapping[str, str], hooks: Mapping[str, str], rules: str = RULES
) -> Path:
    """Write the company's files.

    Args:
        folder: Where the folder `company` is made.
        inputs: Topics by the name of the input.
        hooks: URLs by the name of the webhook channel.
        rules: What stands in `rules.toml`; `SHIPPED` for the packs and nothing else.

    Returns:
        The folder.
    """
    company = folder / "company"
    company.mkdir(exist_ok=True)
    (company / "secret").write_text(SECRET)
    (company / "company.toml").write_text(ROUTING + ("" if rules == SHIPPED else COMPANY))
    (company / "rules.toml").write_text(rules)
    (company / "metrics.toml").write_text(METRICS)
    (company / "directory.toml").write_text(DIRECTORY)
    (company / "inputs.toml").write_text(
        "\n".join(
            f'[input.{name}]\ntopic = "{topic}"\nformat = "cloudevents"\nsource = "/{name}"\n'
            for name, topic in inputs.items()
        )
    )
    (company / "channels.toml").write_text(
        "\n".join(
            f'[channel.{name}]\nkind = "webhook"\nurl = "{url}"\nsecret_file = "secret"\n'
            'allow = ["127.0.0.1/32"]\nallow_http = true\n'
            for name, url in hooks.items()
        )
    )
    return company
