"""`suyuan demo --provinces`: a nation and its provinces as processes, a small country played over them, and a check."""

import shutil
import tempfile
import time
from pathlib import Path

import httpx
import msgspec

from suyuan.catalogue.parties import Party
from suyuan.cli.output import Format, print_json, print_table, say, warn
from suyuan.simulation.country import write_country
from suyuan.simulation.demo import read_catalogue
from suyuan.simulation.federation import Federation, Member, send
from suyuan.simulation.play import play
from suyuan.simulation.union import differences, repeats, untold

INSTITUTIONS, BOXES, DAYS = 30, 1_200, 20
SETTLE_SECONDS = 180
RATES = 'rate_counter = "1000000/minute"\nrate_bulk = "100000/minute"\n'
"""All senders are one machine here."""


class Shown(msgspec.Struct, kw_only=True):
    """What the demo prints of one province."""

    province: str
    facts: int
    shipped: int
    lag_seconds: float
    from_elsewhere: int
    asked: int
    unanswered: int
    alerts: int
    across: int
    """Alerts of which the other side is in another province."""


def play_provinces(count: int, seed: int, format: Format) -> int:  # noqa: A002  the option's name
    """Play a small country through a nation and so many provinces; exit code 1 where a check finds a difference."""
    home = Path(tempfile.mkdtemp(prefix="suyuan-provinces-"))
    try:
        return _play(home, count, seed, format)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _play(home: Path, count: int, seed: int, format: Format) -> int:  # noqa: A002  likewise
    warn(f"writing a country of {INSTITUTIONS} institutions and {BOXES:,} boxes (seed {seed}) …")
    write_country(home / "country", seed, institutions=INSTITUTIONS, boxes=BOXES, days=DAYS, noise="high")
    content = read_catalogue(home / "country")
    codes = sorted({party.region[:2] for party in content.parties if party.region})
    names = codes[:count] if len(codes) >= count else [f"{number:02d}" for number in range(1, count + 1)]
    homes = {party.code: _home(party, codes, names, place) for place, party in enumerate(content.parties)}
    warn(f"starting a nation and the provinces {', '.join(names)}, each a process of its own …")
    federation = Federation(
        home / "nodes", names, content, 'rate_counter = "1000000/minute"\nrate_bulk = "100000/minute"\n'
    )
    with federation, httpx.Client(timeout=60) as client:

        def take(raw: bytes, by: str, _: int, kind: str) -> bytes:
            answered = send(client, federation.members[homes[by]], raw, by, kind)
            answered.raise_for_status()
            return answered.content

        begun = time.monotonic()
        played = play(home / "country", take)
        seconds = time.monotonic() - begun
        settled = federation.settle_down(SETTLE_SECONDS)
        caught_up = time.monotonic() - begun - seconds
        standings = {name: member.standing() or {} for name, member in federation.provinces.items()}
    feeds = {name: member.events() for name, member in federation.provinces.items()}
    nation = federation.nation.events()
    shown = [_shown(federation.members[name], feeds[name], standings[name]) for name in names]
    found = [*differences(feeds, nation), *untold(feeds, nation)]
    if not settled:
        found.append(f"the relay did not come to rest within {SETTLE_SECONDS} seconds")
    told = {
        "uploads": played.sent,
        "seconds": round(seconds, 1),
        "caught_up_after_seconds": round(caught_up, 1),
        "facts_at_the_nation": sum(not event["key"].startswith("relay:") for event in nation),
        "boxes_sold_in_two_provinces": len(repeats(feeds)),
        "differences": found,
    }
    if format == "json":
        print_json({**told, "provinces": shown})
    else:
        _print(told, shown, found)
    return 1 if found else 0


def _home(party: Party, codes: list[str], names: list[str], place: int) -> str:
    """The node to which a party belongs: by its province, several to a node; makers are anywhere."""
    number = codes.index(party.region[:2]) if party.region else place
    return names[number % len(names)]


def _shown(member: Member, feed: list[dict[str, object]], standing: dict[str, object]) -> Shown:
    own = [event for event in feed if not event["origin"] and not str(event["key"]).startswith("relay:")]
    alerts = [event for event in feed if event["kind"] == "alerted" and event["sequence"] == 1]
    across = [event for event in alerts if event["origin"] or _names_another(event["detail"])]
    return Shown(
        province=member.name,
        facts=len(own),
        shipped=msgspec.convert(standing.get("shipped", 0), int),
        lag_seconds=msgspec.convert(standing.get("lag_seconds", 0.0), float),
        from_elsewhere=sum(str(event["key"]).startswith("elsewhere:") for event in feed),
        asked=msgspec.convert(standing.get("asked", 0), int),
        unanswered=msgspec.convert(standing.get("unanswered", 0), int),
        alerts=len(alerts),
        across=len(across),
    )


def _names_another(detail: object) -> bool:
    return isinstance(detail, dict) and "province" in (detail.get("earlier") or {})


def _print(told: dict[str, object], shown: list[Shown], found: list[str]) -> None:
    say(f"{told['uploads']:,} uploads in {told['seconds']} s; all told {told['caught_up_after_seconds']} s later")
    print_table(Shown.__struct_fields__, [msgspec.structs.astuple(one) for one in shown])
    say(f"facts at the nation: {told['facts_at_the_nation']:,}")
    say(f"boxes that stand sold in two provinces: {told['boxes_sold_in_two_provinces']}")
    if found:
        say("\nDIFFERENCES:\n" + "\n".join(found[:20]))
    else:
        say("the nation has exactly what its provinces have, and every repeat across a border was told to both")
