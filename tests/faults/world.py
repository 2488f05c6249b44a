"""One deployment under test: its services kept alive, fed, broken, and compared with its log."""

import asyncio
import contextlib
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import msgspec

from schemas import topics
from schemas.config import MODE_KEY, ModeRecord, RuleSetRecord
from services import topic_admin
from services.commands.applying import apply_company
from services.commands.config import formats
from services.commands.keys import create_key
from services.company import Company, read_company
from services.config_log import ConfigLog
from services.sealing import Sealer
from tests.faults import company, lapse, settling, standing, verifying
from tests.faults.arming import Arming
from tests.faults.brokers import Broker, Redis
from tests.faults.feeding import Doors, Feeder, Noted
from tests.faults.keeper import Exit, Keeper
from tests.faults.load import Load, Sent
from tests.faults.nursery import Nurseries
from tests.faults.proxy import Proxy
from tests.faults.receiver import Receiver
from tests.faults.scenario import Needs, NotExact
from tests.faults.skewing import faketime
from tests.integration.deployment import Deployment
from tests.platform import create_topics, eventually, free_port

INPUT = "usage"
INPUT_PARTITIONS = 4
RATE = 900.0
"""Events a second: so that a load lasts long enough to be disturbed, and two cores keep up."""

SETTINGS = {
    "EBBWATCH_SECRET_KEY": company.PEPPER,
    "EBBWATCH_INGEST_TICK_SECONDS": "1",
    "EBBWATCH_INGEST_SESSION_SECONDS": "4",
    "EBBWATCH_DETECTOR_SESSION_SECONDS": "4",
    "EBBWATCH_ALERTS_SESSION_SECONDS": "4",
    "EBBWATCH_ALERTS_RETRY_SCALE": "0.001",
    "EBBWATCH_ALERTS_URL": "https://desk.example",
}
"""Beside those of `Deployment`: what takes a deployment minutes takes a run seconds."""

PORTS = {"ingest": "INGEST", "detector": "DETECTOR", "alerts": "ALERTS"}


class World:
    """One deployment on a broker, and everything that is done to it.

    Args:
        broker: Its Kafka.
        redis: Its Valkey; None for a view that is nowhere.
        nurseries: Start its services.
        folder: Takes logs and company files.
        rng: Decides everything that is left to chance.
        needs: What the scenario asks for.

    Attributes:
        cases: What the API shows once everything has settled.
        receiver: Where its webhooks arrive.
        proxy: What stands between the broker and the services that `needs.proxied` names.
        noted: What producers were told.
        seed: Of the run: what takes one of a few ways takes another one with the next seed.
        exits: How processes ended, in order.
        ends: Service and exit code with which a process may end; see `Scenario`.
        arming: What its services were armed with, and what of it has struck.
        refused: Reasons for which ingest may refuse what is fed; none of a good load.
        only_fed: Whether nothing came into the log but what was fed; False for an import.
        hooks: Webhook channels by name, as the next `configure` writes them.
        horizon: Ids that the detector remembers per channel; None for more than any run has.
        due: Accounts that must have got one alert `payment-failed`, whatever happens.
        votes_from: Offset of the alert log from which on feedback is handed on to the detector; an
            earlier version of the desk kept it to itself.
        key: API key of every source.
        rules: Number and content of the rule set in force.
        told: What is worth telling of the run once it is verified, by name.
        figures: What a scenario has measured, by name.
        caught_up: Messages that the log held beyond the snapshots that workers took over, which
            they fold, some of them once more; as far as they lived to tell.
    """

    def __init__(
        self,
        broker: Broker,
        redis: Redis | None,
        nurseries: Nurseries,
        folder: Path,
        rng: random.Random,
        needs: Needs,
    ) -> None:
        self.broker, self.redis, self.folder = broker, redis, folder
        self.nurseries = nurseries
        self.rng, self.needs = rng, needs
        self.kafka = broker.address
        self.partitions = needs.partitions
        elsewhere = "redis://127.0.0.1:1/0"
        self.deployment = Deployment(
            self.kafka,
            folder,
            needs.partitions,
            {**SETTINGS, **needs.settings},
            redis.url if redis is not None else elsewhere,
        )
        self.prefix = self.deployment.prefix
        self.keepers: dict[str, Keeper] = {}
        self.seed = 0
        self.exits: list[Exit] = []
        self.ends: tuple[str, ...] = ()
        self.arming = Arming(folder)
        self.noted = Noted()
        self.refused: set[str] = set()
        self.only_fed = True
        self.horizon: int | None = None
        self.due: list[str] = []
        self.votes_from = 0
        self.key = ""
        self.rules = (0, "")
        self.caught_up = 0
        self.told: dict[str, int] = {}
        self.figures: dict[str, float] = {}
        self.cases: list[dict[str, object]] = []
        self.input = INPUT
        self.input_partitions = INPUT_PARTITIONS
        self.hooks: dict[str, str] = {}
        self.receiver: Receiver
        self.proxy: Proxy
        self._ports: defaultdict[str, int] = defaultdict(free_port)
        self._always: dict[str, dict[str, str]] = {}
        self._loads = 0

    def topic(self, topic: topics.Topic) -> str:
        """Return the full name of one of our topics."""
        return topics.full_name(topic, self.prefix)

    @property
    def input_topic(self) -> str:
        """The topic that the bridge reads."""
        return f"{self.prefix}{INPUT}"

    @property
    def config(self) -> ConfigLog:
        """The deployment's configuration."""
        return ConfigLog(self.kafka, self.prefix)

    async def start(self) -> None:
        """Make topics, configure, start what the scenario needs, and wait until it is ready."""
        await topic_admin.apply(self.kafka, self.prefix, self.partitions)
        await create_topics(self.kafka, self.input_topic, partitions=INPUT_PARTITIONS)
        for name in self.needs.starts:
            self.begin(name)
        await self.configure()
        if self.needs.live:
            live = ModeRecord(mode="live", at=datetime.now(UTC))
            await self.config.write(MODE_KEY, msgspec.json.encode(live))
            await self.ready(*self.needs.starts)

    async def configure(self, rules: str = company.RULES, **inputs: str) -> RuleSetRecord:
        """Put the company's files in force, with these rules, and with more inputs by topic."""
        hooks = {company.HOOK: self.receiver.url} | self.hooks
        folder = company.write(self.folder, {INPUT: self.input_topic} | inputs, hooks, rules)
        self.deployment.environ["EBBWATCH_CONFIG_DIR"] = str(folder)
        read = read_company(folder, formats())
        assert isinstance(read, Company), read
        log, now = self.config, datetime.now(UTC)
        record = (await apply_company(log, read, Sealer(company.PEPPER), now)).record
        self.rules = (record.n, record.content)
        if not self.key:
            self.key = await create_key(log, company.PEPPER, "*")
        return record

    def begin(self, name: str) -> Keeper:
        """Start a service, such as `detector-1`, and keep it running.

        Args:
            name: Service and number; a number of its own for every replica.
        """
        if name not in self.keepers:
            self.keepers[name] = Keeper(
                name,
                lambda: self._environ(name),
                self.folder,
                self.exits.append,
                self.nurseries,
            )
        self.keepers[name].start()
        return self.keepers[name]

    def _environ(self, name: str) -> dict[str, str]:
        service, _, _ = name.partition("-")
        environ = {**self.deployment.environ, **self._always.get(name, {})}
        environ[f"EBBWATCH_{PORTS[service]}_PORT"] = str(self._ports[name])
        if service == "detector":
            environ["EBBWATCH_DETECTOR_INSTANCE"] = name
        if service in self.needs.proxied:
            environ["EBBWATCH_KAFKA"] = self.broker.proxied_address
        return self.arming.environ(name, environ)

    def arm(self, name: str, *specs: str) -> None:
        """Arm failpoints: the first specification for the next start, the second for the one after.

        Args:
            name: Such as `detector-0`.
            specs: Such as `snapshot.committed=kill@3`; each holds for one start only, and must
                strike before the run is over.
        """
        self.arming.add(name, specs)

    async def struck(self, name: str, within: float = 60.0) -> None:
        """Wait until everything that a service was armed with has struck."""
        await eventually(
            lambda: not self.arming.left(name),
            within=within,
            what=f"{name} to get where it is armed",
        )

    def always(self, name: str, **variables: str) -> None:
        """Set variables for every start of a service from the next one on; none to take them back.

        Args:
            name: Such as `detector-0`.
            variables: By name, such as `EBBWATCH_FAILPOINTS`.
        """
        self._always[name] = variables

    def skew(self, name: str, offset: str) -> None:
        """Set a service's wall clock wrong from its next start on.

        Args:
            name: Such as `ingest-0`.
            offset: As libfaketime takes it, such as `+3d`.

        Raises:
            NotRun: It is not installed.
        """
        self.always(name, **faketime(FAKETIME=offset))

    def url(self, name: str) -> str:
        """Return where a service listens."""
        return f"http://127.0.0.1:{self._ports[name]}"

    def replicas(self, service: str) -> list[str]:
        """Return the names of a service's replicas that are kept running."""
        return [
            name
            for name, keeper in self.keepers.items()
            if name.startswith(f"{service}-") and not keeper.over
        ]

    async def ready(self, *names: str, within: float = 60.0) -> None:
        """Wait until services are ready."""
        async with aiohttp.ClientSession() as client:

            async def all_ready() -> bool:
                for name in names:
                    self.require_alive(name)
                return all([await _is_ready(client, self.url(name)) for name in names])

            await eventually(all_ready, within=within, what=f"{', '.join(names)} to be ready")

    def require_alive(self, name: str) -> None:
        """Fail at once if a service has ended for good."""
        keeper = self.keepers[name]
        if keeper.over and not keeper.exits:
            raise NotExact([f"{name} could not be started"])
        if keeper.over and not keeper.exits[-1].wanted:
            raise NotExact([f"{name} ended for good with {keeper.exits[-1].code}"])

    def kill(self, name: str) -> None:
        """Kill -9; it is started again. Where no process of it runs just now the next one dies."""
        self.keepers[name].kill()

    def freeze(self, name: str) -> None:
        """Let a service stand still."""
        self.keepers[name].freeze()

    def thaw(self, name: str) -> None:
        """Let it go on."""
        self.keepers[name].thaw()

    async def end(self, name: str) -> int | None:
        """Stop a service for good as an operator does; return its exit code."""
        return await self.keepers[name].end()

    async def died(self, name: str, times: int = 1, within: float = 60.0) -> Exit:
        """Wait until processes of a service have ended so often since its first start."""
        exits = self.keepers[name].exits
        await eventually(
            lambda: len(exits) >= times, within=within, what=f"{name} to have ended {times} times"
        )
        return exits[times - 1]

    def load(self, accounts: int = 40) -> Load:
        """Return a load whose ids are like those of no other load of this world."""
        self._loads += 1
        return Load(self.rng, f"l{self._loads}", accounts)

    @contextlib.asynccontextmanager
    async def feeding(
        self,
        events: int | Sequence[Sent] = 4_000,
        *,
        rate: float = RATE,
        within: float = 90.0,
    ) -> AsyncIterator[Feeder]:
        """Feed the world while the block runs; afterwards everything is acknowledged.

        Args:
            events: How many of all kinds, or these.
            rate: Events a second, at most.
            within: Seconds after the block until everything must be acknowledged.
        """
        feeder = Feeder(self.doors(), self.noted, self._sent(events), rate)
        feeder.start()
        try:
            yield feeder
            await feeder.end(within)
        finally:
            await feeder.cancel()

    def _sent(self, events: int | Sequence[Sent]) -> Sequence[Sent]:
        if not isinstance(events, int):
            return events
        load, now = self.load(), datetime.now(UTC)
        made = load.events(events, now - timedelta(seconds=30), now)
        self.due += load.due
        return made

    def doors(self) -> Doors:
        """Return where events go in."""
        return Doors(
            lambda: [self.url(name) for name in self.replicas("ingest")],
            self.key,
            self.kafka,
            self.input_topic,
        )

    def lapse(self, step: timedelta = timedelta(hours=2)) -> lapse.Lapse:
        """Return what writes past days in mode live; ingest must not run meanwhile."""
        assert not self.replicas("ingest"), "ingest ticks of today would end the time-lapse"
        inputs = [f"{INPUT}/{number}" for number in range(INPUT_PARTITIONS)]
        events = self.topic(topics.EVENTS)
        return lapse.Lapse(
            self.kafka, events, self.partitions, self.rules, inputs, self.noted.sent, step
        )

    async def settle(self, within: float = 60.0) -> None:
        """Wait until everything is folded, written and delivered; nothing runs any more then."""
        await settling.settle(self, within)

    async def verify(self) -> None:
        """Compare what came of the log with the log; everything must have settled.

        Raises:
            NotExact: With every difference.
        """
        await verifying.verify(self)
        await standing.verify(self)

    def ask(self) -> None:
        """Let every service write down what it waits for: something has gone wrong."""
        for keeper in self.keepers.values():
            keeper.ask()

    async def stop(self) -> None:
        """End whatever still runs."""
        outcomes = await asyncio.gather(
            *(keeper.end() for keeper in self.keepers.values()), return_exceptions=True
        )
        for outcome in outcomes:
            if isinstance(outcome, BaseException) and not isinstance(outcome, AssertionError):
                raise outcome


async def _is_ready(client: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with client.get(f"{url}/readyz") as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
