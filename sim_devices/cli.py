"""`kinflow city …`: the simulated city, whole or its simulated side alone, and its faults."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import webbrowser
from pathlib import Path
from typing import Annotated, Literal

import typer

from node.broker.address import parse_broker
from node.config.load import load
from node.home import find_home
from node.logs import configure_logs
from node.stopping import on_stop_signals

app = typer.Typer(help="A simulated city, and all of Kinflow around it.", add_completion=False, no_args_is_help=True)

Home = Annotated[Path | None, typer.Option(help="The state folder; else $KINFLOW_HOME or the usual place.")]
Seed = Annotated[int, typer.Option(min=0, help="Traffic, streets and cameras follow from it.")]
Weather = Annotated[Literal["day", "overcast", "fog", "rain", "night", "snow"], typer.Option()]
Level = Annotated[Literal["light", "normal", "heavy"], typer.Option(help="How much traffic there is.")]
Sensing = Annotated[
    Literal["camera", "truth"],
    typer.Option(help="Who observes: agents, or the simulation itself."),
]
Emergency = Annotated[Literal["obeys-signals", "bluelight"], typer.Option(help="Whether they run reds.")]


@app.command()
def run(
    *,
    port: Annotated[int | None, typer.Option(help="Of the dashboard; 8800 unless set.")] = None,
    broker: Annotated[str | None, typer.Option(help="A broker that runs already: mqtt(s)://user@host.")] = None,
    embed: Annotated[str | None, typer.Option(help="The broker to start otherwise: auto, mosquitto, amqtt.")] = None,
    seed: Seed = 1,
    weather: Weather = "day",
    level: Level = "normal",
    sensing: Sensing = "camera",
    emergency: Emergency = "obeys-signals",
    camera: Annotated[
        str | None, typer.Option(help="A camera of your own as one more road: a file, rtsp://…, /dev/videoN.")
    ] = None,
    road_width: Annotated[float, typer.Option(help="Its road's width, in metres.")] = 7.0,
    road_length: Annotated[float, typer.Option(help="The visible length of its road, in metres.")] = 40.0,
    road: Annotated[
        str | None, typer.Option(help="Its pixels x1,y1,…,x4,y4: near left, near right, far right, far left.")
    ] = None,
    detector: Annotated[
        str, typer.Option(help="Of the city's agents: off, shipped, or a model's path. A core runs it for two roads.")
    ] = "off",
    cloud: Annotated[bool, typer.Option("--cloud/--no-cloud", help="The tier above the edge server, too.")] = True,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the dashboard.")] = True,
    home: Home = None,
) -> None:
    """Start everything as one group of processes; Ctrl-C stops all of it."""
    from node.clock import SystemClock  # noqa: PLC0415
    from node.file_lock import hold_state  # noqa: PLC0415
    from node.supervisor import Supervisor  # noqa: PLC0415
    from sim_devices.group import CityGroup, GroupOptions  # noqa: PLC0415
    from sim_devices.own_camera import OwnCamera, checked  # noqa: PLC0415

    folder = (home or find_home()).resolve()
    settings = load(folder, flags={"edge.port": port, "broker.url": broker, "broker.kind": embed}).settings
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    own = None
    if camera is not None:
        own = checked(OwnCamera(camera, road_width, road_length, road), SystemClock())
    simulation = ["--weather", weather, "--level", level, "--emergency", emergency]
    _say("Preparing the simulated city.")
    with hold_state(folder / "city"):
        group = CityGroup(
            GroupOptions(
                home=folder,
                port=settings.edge.port,
                embed=settings.broker.kind,
                broker=parse_broker(settings.broker.url) if settings.broker.url else None,
                seed=seed,
                sensing=sensing,
                simulation=simulation,
                own_camera=own,
                detector=detector,
                cloud=cloud,
            )
        )
        above = ", cloud" if cloud else ""
        _say(f"Starting broker, edge server, agents{above} and simulation; their logs are in {group.logs}.")

        def ready() -> None:
            _say(f"The dashboard is at {group.url}  (a simulation; the broker listens on port {group.broker_port})")
            _say("Cameras need some seconds to start, and about a minute to learn their empty roads. Ctrl-C stops all.")
            if browser and _has_screen():
                webbrowser.open(group.url)

        status = Supervisor(group.children(), group.logs).run(ready)
    _say("Stopped.")
    raise typer.Exit(status)


@app.command()
def simulate(
    *,
    seed: Seed = 1,
    weather: Weather = "day",
    level: Level = "normal",
    sensing: Sensing = "camera",
    emergency: Emergency = "obeys-signals",
    camera_port: Annotated[int, typer.Option(help="Where the cameras' streams are; 0: any free one.")] = 0,
    agent_link_port: Annotated[int | None, typer.Option(help="A way to the broker that faults can spoil.")] = None,
    panel_port: Annotated[int, typer.Option(help="The fault panel; 0: any free one.")] = 0,
    broker: Annotated[str | None, typer.Option(help="mqtt(s)://user:password@host:port")] = None,
    home: Home = None,
) -> None:
    """Run the simulated side alone: traffic, cameras, controllers, emergency vehicles and faults."""
    from node.clock import SystemClock  # noqa: PLC0415
    from sim_devices.options import CityOptions, new_token  # noqa: PLC0415
    from sim_devices.process import CityProcess  # noqa: PLC0415

    folder = (home or find_home()).resolve()
    settings = load(folder, flags={"broker.url": broker}).settings
    configure_logs("simulation", folder, settings.log.level)
    options = CityOptions(
        home=folder,
        broker=parse_broker(settings.broker.url or "mqtt://127.0.0.1"),
        seed=seed,
        prefix=settings.broker.prefix,
        camera_port=camera_port,
        panel_port=panel_port,
        agent_link_port=agent_link_port,
        panel_token=os.environ.get("KINFLOW_PANEL_TOKEN") or new_token(),
        weather=weather,
        level=level,
        sensing=sensing,
        emergency=emergency,
    )
    stop = threading.Event()
    on_stop_signals(stop.set)
    CityProcess(options, SystemClock()).run(stop)


@app.command()
def fault(
    subject: Annotated[
        str | None, typer.Argument(help="cameras/ID, controllers/ID or links/NAME; nothing lists them all.")
    ] = None,
    wish: Annotated[
        str, typer.Argument(help='JSON, such as {"fault": "frozen"} or, for a link, {"cut": "refused"}.')
    ] = "",
    home: Home = None,
) -> None:
    """Spoil something in the running city, or list what is spoilt."""
    from sim_devices.faults.client import FaultClient  # noqa: PLC0415

    client = FaultClient.of_city((home or find_home()) / "city")
    typer.echo(json.dumps(client.set(subject, wish) if subject else client.state(), indent=2))


@app.command()
def controller(
    place: Annotated[str, typer.Argument(help="The intersection, as the site file calls it.")],
    site: Annotated[Path, typer.Option(help="A site file that describes its cabinet.")],
    port: Annotated[int, typer.Option(help="Of the agent, on loopback; 0: any free one.")] = 1161,
    backup: Annotated[int, typer.Option(min=0, help="unitBackupTime, in seconds.")] = 10,
    home: Home = None,
) -> None:
    """Run a simulated NTCIP controller, to try a gateway against. Faults and calls come by standard input, one a line:
    `fault conflict`, `fault none`, `call 4`, `walk 4`, `restart`. Its keys are the cabinet's."""
    from edge_server.cabinet.ntcip.security import security_of, user_of  # noqa: PLC0415
    from node.clock import SystemClock  # noqa: PLC0415
    from protocol.site import load_site  # noqa: PLC0415
    from sim_devices.ntcip.agent import SimulatedNtcipController  # noqa: PLC0415
    from sim_devices.ntcip.card import Card  # noqa: PLC0415
    from sim_devices.ntcip.console import obey_lines  # noqa: PLC0415

    intersection = next((one for one in load_site(site).intersections if one.id == place), None)
    if intersection is None or intersection.cabinet is None:
        raise typer.BadParameter(f"the site file describes no cabinet of {place!r}")
    described = intersection.cabinet
    security = security_of(intersection.id, described)
    user = user_of(intersection.id, described, security, home or find_home())
    simulated = SimulatedNtcipController(
        Card.of(intersection, described, backup), security, user, SystemClock(), port=port
    )
    stop = threading.Event()
    on_stop_signals(stop.set)
    _say(f"A simulated NTCIP controller of {place} listens on 127.0.0.1:{simulated.port}. It is no real one.")
    threading.Thread(target=obey_lines, args=(sys.stdin, simulated), daemon=True).start()
    stop.wait()
    simulated.stop()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin")
