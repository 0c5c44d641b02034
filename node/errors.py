"""Errors of what every tier's process needs. 30-39 config, doctor and set-up; 40-47 link; 48-54 the rest;
160-199 trust, update, install, hardware and time."""

from __future__ import annotations

from protocol.errors import KinflowError


class ConfigUnreadable(KinflowError):
    number = 30
    cause = "The settings in {path} could not be read: {detail}."
    advice = "Correct that line, or write a fresh file with `kinflow config init` and compare."


class ConfigKeyUnknown(KinflowError):
    number = 31
    cause = "{key!r} in {where} is not a setting of Kinflow."
    advice = "Did you mean {nearest!r}? `kinflow config show --effective` lists every setting."


class ConfigValueInvalid(KinflowError):
    number = 32
    cause = "{key} from {where} can't be used: {detail}."
    advice = "Correct the value there; the comments in kinflow.toml say what each setting takes."


class BrokerAddressInvalid(KinflowError):
    number = 33
    cause = "The broker's address can't be used: {detail}."
    advice = "Write it as mqtt://user@host:1883, or mqtts:// for TLS; percent-encode odd characters."


class PythonTooOld(KinflowError):
    number = 34
    cause = "Kinflow needs Python {needed} or newer; this is {found}."
    advice = "Install a newer Python and run ./install.sh again; docs/errors/KF34.md has the commands for Ubuntu 22.04."


class DiskSpaceLow(KinflowError):
    number = 35
    cause = "{path} has {free_mb} MB free; {needed_mb} MB are needed."
    advice = "Free some space there, or put KINFLOW_HOME on a larger disk."


class ToolMissing(KinflowError):
    number = 36
    cause = "{tool} is missing: {detail}."
    advice = "{remedy}"


class HomeNotWritable(KinflowError):
    number = 37
    cause = "The state folder {path} can't be written: {detail}."
    advice = "Give this user the folder, or point KINFLOW_HOME at one that it owns."


class SetUpFailed(KinflowError):
    number = 38
    cause = "The set-up stopped at: {detail}."
    advice = "Read the lines above, correct the cause and run the same command again: it begins where it is safe to."


class PortInUse(KinflowError):
    number = 48
    cause = "Port {port} on {host} is in use by {user}."
    advice = "Stop that program, or choose another port with a flag or in kinflow.toml."


class ClockInsane(KinflowError):
    number = 49
    cause = "The clock says {now}, which can't be right."
    advice = "Connect a time source (`timedatectl set-ntp true`); events keep their order, but their times are wrong."


class StoreNewer(KinflowError):
    number = 51
    cause = "The file {path} was written by a newer Kinflow (schema {found}, this one knows {known})."
    advice = "Update Kinflow, or start with another file; this one is left as it is."


class StoreDamaged(KinflowError):
    number = 52
    cause = "The SQLite file {path} is damaged: {detail}."
    advice = "Stop Kinflow and move the file aside; a new one is made, and an outbox is set aside by itself."


class BrokerNotInstalled(KinflowError):
    number = 40
    cause = "mosquitto is not installed."
    advice = "Install it (`sudo apt install mosquitto`), or choose the built-in broker with `--broker amqtt`."


class BrokerFailed(KinflowError):
    number = 41
    cause = "The broker {kind} did not start: {detail}."
    advice = "Correct the cause, or choose the other broker (mosquitto or amqtt) in kinflow.toml."


class BrokerRefused(KinflowError):
    number = 42
    cause = "The broker at {host}:{port} refused this client: {detail}."
    advice = "Check the user name and the password of the broker's address; `kinflow doctor` tries them."


class BrokerUnreachable(KinflowError):
    number = 43
    cause = "The broker at {host}:{port} could not be reached: {detail}."
    advice = "Check that it runs and that its address is right. Kinflow keeps trying; the outbox keeps what matters."


class OutboxDiskFull(KinflowError):
    number = 44
    cause = "The outbox {path} can't be written: {detail}."
    advice = "Free some space: until then alarms wait in memory and are lost if this process ends."


class ProcessNotReady(KinflowError):
    number = 45
    cause = "The process {name} did not become ready: {detail}."
    advice = "Read its log in {log}, correct the cause and start again."


class OutboxInUse(KinflowError):
    number = 46
    cause = "The outbox {path} is in use by another process."
    advice = "Stop the other process that runs as the same device, or give this one a device id of its own."


class CheckBroken(KinflowError):
    number = 39
    cause = "The doctor's check {slug} itself failed: {detail}."
    advice = "The other checks are not affected; report this one with a support bundle."


class StateInUse(KinflowError):
    number = 53
    cause = "{path} is in use by another Kinflow process."
    advice = "Stop that process first, or give this one a state folder of its own with --home or KINFLOW_HOME."


class DiskFull(KinflowError):
    number = 50
    cause = "There is no room left on the disk: {detail}."
    advice = "Free some space, or put KINFLOW_HOME on a larger disk; `kinflow doctor` tells how much is free."


class BundleMalformed(KinflowError):
    number = 175
    cause = "The bundle {path} can't be read: {detail}."
    advice = "Fetch or make it again with `kinflow bundle`; nothing was installed."


class BundleUnsafe(KinflowError):
    number = 176
    cause = "The bundle {path} is refused: {detail}."
    advice = "Don't use it, and ask where it comes from: no bundle of ours is like that. Nothing was installed."


class BundleDamaged(KinflowError):
    number = 177
    cause = "The bundle {path} is damaged: {file}: {detail}."
    advice = "Copy or download it again; nothing was installed."


class ProcessorLacks(KinflowError):
    number = 188
    cause = "{library} can't be loaded here: it needs {features}, which {model} does not have."
    advice = "Use a newer board, or build that library for this processor; docs/errors/KF188.md says how."


class LibraryIllegal(KinflowError):
    number = 189
    cause = "Loading {library} ends in an illegal instruction: it was built for another processor."
    advice = "Install the version that constraints.txt names, from the bundle for this board, or use a newer board."


class TooHot(KinflowError):
    number = 190
    cause = "{zone} is at {now_c} °C; from {warm_c} °C on this board slows down."
    advice = "Give it air, shade or a heat sink; the figures become late before they become wrong."


class Throttled(KinflowError):
    number = 191
    cause = "The processor is held back: {reasons}."
    advice = "For under-voltage use the board's own power supply and a short cable; for heat see KF190."


class WatchdogOff(KinflowError):
    number = 192
    cause = "Nobody feeds the hardware watchdog {device}: if this machine hangs, it stays hung."
    advice = "Set RuntimeWatchdogSec=15s in /etc/systemd/system.conf.d/kinflow-watchdog.conf, and restart the machine."


class BoardTooSmall(KinflowError):
    number = 193
    cause = "{what} does not run here: it needs {lacks}."
    advice = "Choose a smaller one in [hardware] of kinflow.toml, or a board with more; `kinflow hardware` lists all."


class BrokerNotForJoined(KinflowError):
    number = 170
    cause = "Joined devices can't come in: {detail}."
    advice = "Run `sudo apt install mosquitto` and start the edge server again; amqtt serves this machine alone."


class BrokerTrustUnusable(KinflowError):
    number = 171
    cause = "The broker can't use {path} of the edge's authority: {detail}."
    advice = "Restore the authority's folder from a backup; what held before still holds until the broker is restarted."


class UpdateUntrusted(KinflowError):
    number = 178
    cause = "What {source} offers is not signed by whom this device trusts: {detail}."
    advice = "Nothing was installed. Ask who runs the source; never put another root of trust in place because of this."


class UpdateExpired(KinflowError):
    number = 179
    cause = "What {source} offers is out of date: {detail}."
    advice = "Check this machine's clock, then whether the source is still kept up; nothing was installed."


class UpdateOlder(KinflowError):
    number = 180
    cause = "{source} offers something older than what is known here: {detail}."
    advice = "Wait for a source that is up to date, or ask who runs it; nothing was installed."


class UpdateUnreachable(KinflowError):
    number = 181
    cause = "{source} could not be read: {detail}."
    advice = "Check the address, the network or the USB folder; the version that runs goes on."


class VersionUnfit(KinflowError):
    number = 182
    cause = "Version {version} does not work on this machine: {detail}."
    advice = "The version that runs goes on. Report it with a support bundle; a newer release may work."


class UpdateNotPossible(KinflowError):
    number = 183
    cause = "This machine can't be updated like this: {detail}."
    advice = "docs/updates.md says what an update needs; install.sh sets all of it up."


class UpdateBusy(KinflowError):
    number = 184
    cause = "An update is under way already: {detail}."
    advice = "Wait until `kinflow update status` says that it is over."


class JoinCodeMistyped(KinflowError):
    number = 160
    cause = "That is no join code: {detail}."
    advice = "Type it as the edge server shows it, 30 letters and digits in six groups; O is 0, and I and L are 1."


class EdgeNotPinned(KinflowError):
    number = 161
    cause = "The edge server at {host} is not the one that made this code."
    advice = "Check --edge. If the address is right, somebody else answers there: nothing was sent to it."


class EdgeRefused(KinflowError):
    number = 162
    cause = "The edge server refused ({refusal}): {detail}"
    advice = "{remedy}"


class EdgeNotReached(KinflowError):
    number = 163
    cause = "The edge server at {host} could not be asked: {detail}."
    advice = "Check its address, and that it runs there with edge.allow_lan = true. A joining goes on where it stood."


class CredentialsUnusable(KinflowError):
    number = 164
    cause = "The keys or certificates in {path} can't be used: {detail}."
    advice = "Restore them from a backup. A device can join anew with `kinflow join`; a lost root can't be remade."


class CsrRefused(KinflowError):
    number = 165
    cause = "The certificate request was refused: {detail}."
    advice = "Run `kinflow join` again: it makes a new key and a new request."


class JoinCodeRefused(KinflowError):
    number = 166
    cause = "The join code was refused: {detail}."
    advice = "Make a new one on the edge server: `kinflow edge code`, or its page, under Devices joining."


class JoinCodeUsed(KinflowError):
    number = 167
    cause = "The join code has been used before, by {device!r}."
    advice = "If that was not you, somebody else has joined: see `kinflow edge devices`, and revoke what is not yours."


class DeviceIdTaken(KinflowError):
    number = 168
    cause = "The id {device!r} belongs to a device that has joined."
    advice = "Choose another id; or take that one's place, by a code that `kinflow edge replace {device}` makes."


class SignatureRefused(KinflowError):
    number = 169
    cause = "The device's signed request was refused: {detail}."
    advice = "The device tries again by itself. One that was revoked, or away too long, must join anew with a new code."


class NotServedYet(KinflowError):
    number = 185
    cause = "This edge server has no certificate that a device could be told to look for: {detail}."
    advice = (
        "Let it listen beyond this machine ([edge] allow_lan and host in kinflow.toml), start it once, and ask again."
    )


class RequestTooSlow(KinflowError):
    number = 186
    status = 408
    cause = "The request's body did not come in time."
    advice = "Send it again over a better link, and close connections that are not used; nothing was stored."


class DoorFull(KinflowError):
    number = 187
    cause = "More connections come to port {port} than the {most} it holds; the latest is from {address}."
    advice = "Idle ones are cut first. If that address is none of yours, block it in the site's router or firewall."


class HomeOccupied(KinflowError):
    number = 194
    cause = "The state folder {path} can't be restored into: {detail}."
    advice = "Name another with --home, or move what is there aside with --aside."


class OnBattery(KinflowError):
    number = 195
    cause = "The mains are out: this machine runs on battery ({charge})."
    advice = "Nothing to do while it lasts; when the battery is low Kinflow stops in good order."


class BatteryLow(KinflowError):
    number = 196
    cause = "The battery is low ({charge}): Kinflow stops in good order."
    advice = "Bring the mains back and start the machine; devices keep what they have until then."


class UpsSilent(KinflowError):
    number = 197
    cause = "The UPS {source} does not answer: {detail}."
    advice = "Check that its service runs and that power.source names it; a cut of the mains would go unnoticed."


class TimeNotSettable(KinflowError):
    number = 198
    cause = "The system's clock was not set: {detail}."
    advice = "`kinflow time show` lists what knows the time; `sudo systemctl start kinflow-time` may set the clock."


class LicenceForbidden(KinflowError):
    number = 199
    cause = "{count} installed packages are under a licence that Kinflow does not bring along: {packages}."
    advice = "Remove them from this environment, or install what depends on them apart; see docs/privacy.md."


class GpsSilent(KinflowError):
    number = 172
    cause = "The GPS receiver {source} tells no time: {detail}."
    advice = "Check that time.gps names it, that this user may read it, and that its antenna sees the sky."


class TimeImplausible(KinflowError):
    number = 173
    cause = "The date that {source} tells, {date}, is {detail}."
    advice = "It is not used. An old GPS receiver needs new firmware, or another receiver."


class TimeOff(KinflowError):
    number = 174
    cause = "This machine's clock differs by {off_s} s from what {source} says."
    advice = "Let NTP keep it, or set time.set_clock and kinflow-time.timer; docs/closet.md tells how."
