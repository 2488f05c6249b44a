"""Files that people write: a company's configuration, and past events to import."""

import gzip
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from pathlib import Path

import duckdb
import msgspec

from schemas.cloudevents import Incoming
from services.company import Company, read_company
from services.company_files import NAMES, Problem, parse
from services.ingest.formats import FORMATS
from services.ingest.history.files import HistoryError, find
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Staging
from tests.fuzz.target import Target
from tests.fuzz.targets.bodies import events
from tests.unit.ingest.builders import NOW

_TOML: tuple[bytes, ...] = (
    b'packs = ["core"]\ncurrency = "EUR"\nsignal_manager = "ana"\n',
    b'[metric.api_calls]\nfrom = { segment = ["API Call"] }\ncore = true\nhigh_value = true\n',
    b'[input.usage]\ntopic = "usage"\nformat = "cloudevents"\nsource = "api-gateway"\n',
    b'[person.ana]\nname = "Ana Lima"\nemail = "ana@example.com"\nmanager = "kim"\n'
    b'hours = { days = "mon-fri", from = "09:00", to = "18:00", timezone = "Europe/Lisbon" }\n',
    b'[channel.crm]\nkind = "webhook"\nurl = "https://crm.example.com/x"\nsecret_file = "s"\n'
    b'allow = ["127.0.0.0/8"]\nallow_http = true\n',
    b'[[rule]]\nid = "quiet"\ntitle = "Quiet"\nprimitive = "silence"\n'
    b'params = { metric = "@meaningful", days = 3 }\nrows = ["B1"]\ncategory = "early_signals"\n'
    b'leak_layer = "behaviour"\nchurn_kind = "voluntary"\ntiming = "leading"\n'
    b'severity = "by_depth"\nplay = "call"\n[[rule.case]]\nstory = "s"\n'
    b'usage = [{ days = "1..9", each = 100 }]\nexpect = "nothing"\n'
    b'[[override]]\nrule = "quiet"\nsegment = "smb"\nparams = { days = 9 }\noff = true\n',
)
_WORDS = (b"[[rule]]\n", b"[a.b]\n", b'"""', b"1979-05-27T07:32:00Z", b"inf", b"{", b"}", b" = ")


def _check_company(raw: bytes) -> None:
    """Whatever stands in each of the files, the folder is read, or all that is wrong is told."""
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            (Path(folder) / name).write_bytes(raw)
            found = read_company(Path(folder), [one.NAME for one in FORMATS])
            (Path(folder) / name).unlink()
            if isinstance(found, Company):
                msgspec.json.encode(found.content)
            else:
                assert found
                assert all(one.reason and one.line >= 0 for one in found)


def _check_toml(raw: bytes) -> None:
    found = parse("rules.toml", raw)
    if isinstance(found, Problem):
        assert found.reason
    else:
        assert found.lines.of(("rule", 0, "params")) >= 1


def _toml() -> Sequence[bytes]:
    return _TOML


def _check_history(suffix: str, raw: bytes) -> None:
    """A file is read row by row, or refused as a whole; each row is events or a refusal."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"usage{suffix}"
        path.write_bytes(raw)
        told = str(path)
        try:
            files = find([path])
            rows = Rows(files, NOW)
            with Staging(files) as staging:
                staging.load(NOW)
                for broken in rows.broken(staging.broken()):
                    msgspec.json.encode(broken.reject())
                for row in staging.rows():
                    outcome = rows.read(row)
                    if isinstance(outcome, Refusal):
                        assert str(outcome)
                        msgspec.json.encode(outcome.reject())
                    else:
                        assert all(isinstance(one, Incoming) for one in outcome)
        except HistoryError as error:
            told = str(error)
    assert str(path) in told or "nothing to import" in told


_CSV: tuple[bytes, ...] = (
    b"account_id,date,count,metric,person\na,2024-05-01,3,api_calls,u1\nb,2024-05-02,2.5,,\n",
    b"account_id;start;name;arr;currency;timezone\na;2023-01-01;Acme;12.5;EUR;Europe/Lisbon\n",
    b'account_id\tdate\tticket\tpriority\na\t2024-05-01T10:00:00Z\t"t 1"\t2\n',
)


def _csv() -> Sequence[bytes]:
    packed = [gzip.compress(one, mtime=0) for one in _CSV]
    # Broken in the middle, zlib raises what is no OSError.
    return [*_CSV, *packed, packed[0][:30] + b"\0" + packed[0][31:]]


def _ndjson() -> Sequence[bytes]:
    some = [one.replace(b"\n", b"") for one in events()]
    return [b"\n".join(some[at : at + 4]) + b"\n" for at in range(0, len(some), 4)]


@lru_cache
def _parquet() -> tuple[bytes, ...]:
    query = "SELECT 'a' AS account_id, DATE '2024-05-01' AS date, 3.0 AS count FROM range(5)"
    with tempfile.TemporaryDirectory() as folder, duckdb.connect() as base:
        path = Path(folder) / "usage.parquet"
        base.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet)")
        return (path.read_bytes(),)


def _history(suffix: str, seeds: Callable[[], Sequence[bytes]]) -> Target:
    words = (b",,,", b'"', b"2024-13-45", b"0000-00-00", b"\r\n", b"account_id,", b"1e999")
    check = partial(_check_history, suffix)
    return Target(f"history{suffix.replace('.', '-')}", check, seeds, words, heavy=True)


TARGETS = (
    Target("company", _check_company, _toml, _WORDS, heavy=True),
    Target("toml", _check_toml, _toml, _WORDS),
    _history(".csv", _csv),
    _history(".ndjson", _ndjson),
    _history(".parquet", _parquet),
)
