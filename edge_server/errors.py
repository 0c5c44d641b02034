"""What can go wrong in the edge server, for a person to read. Numbers 75 to 94, 200 to 229, 300 to 339 and 470 to 474.

status: what the API answers with, 503 where it is not said.
"""

from __future__ import annotations

from protocol.errors import KinflowError


class StoreUnwritable(KinflowError):
    number = 75
    cause = "The edge server's store {path} can't be written: {detail}."
    advice = "Most often the disk is full: free some space. Devices keep what is not stored; it goes on by itself."


class SecondEdgeServer(KinflowError):
    number = 76
    cause = "A second edge server, {device!r}, speaks on this broker."
    advice = "Stop one of the two, or give each its own broker or topic prefix; signals must have one master."


class StoreQuarantined(KinflowError):
    number = 77
    cause = "The edge server's store was damaged and has been set aside as {path}."
    advice = "A fresh store is in use. Keep the damaged file: `sqlite3 FILE .recover` may read most of it."


class TokenMissing(KinflowError):
    number = 88
    status = 401
    cause = "Nobody is signed in, or the token is none of this server's."
    advice = "A browser signs in at /login. A program sends `Authorization: Bearer TOKEN`, see `kinflow edge token`."


class HostRefused(KinflowError):
    number = 89
    status = 421
    cause = "This server is not called {host!r}."
    advice = "Use a name that it knows, or add this one to edge.hosts in kinflow.toml."


class OriginRefused(KinflowError):
    number = 90
    status = 403
    cause = "A page of another origin ({origin}) may not ask this server."
    advice = "Open the dashboard by its own address; a program sends its token as a Bearer header and no Origin."


class RequestTooLarge(KinflowError):
    number = 91
    status = 413
    cause = "The request's body is larger than {limit_bytes} bytes."
    advice = "Send less; nothing was stored."


class NotKnown(KinflowError):
    number = 92
    status = 404
    cause = "There is no {kind} {name!r} here."
    advice = "GET /api/v1/state names everything that this server knows."


class RequestInvalid(KinflowError):
    number = 93
    status = 422
    cause = "The request can't be understood: {detail}."
    advice = "Compare it with docs/api.md or /openapi.json; nothing was stored."


class TokenFileUnusable(KinflowError):
    number = 94
    cause = "The token file {path} can't be used: {detail}."
    advice = "Delete it and start the edge server again: it makes a new token, and pages have to be opened anew."


class ControllerInFlash(KinflowError):
    number = 82
    cause = "The controller of {intersection} is in flash: {detail}."
    advice = "Its own conflict monitor took over. Send somebody there; it is steered again once it reports a plan."


class ControllerContradicts(KinflowError):
    number = 83
    cause = "The controller of {intersection} does something else than it was told: {detail}."
    advice = "It is left to its own plan for a while. Compare its phases with site.toml, then its settings."


class ControllerSilent(KinflowError):
    number = 84
    cause = "The controller of {intersection} has not been heard of for {silent_s} s."
    advice = "Check its power and its network; its lease has lapsed, so it runs its own plan if it runs at all."


class CommandRefused(KinflowError):
    number = 85
    cause = "The controller of {intersection} refuses commands: {refusal}."
    advice = "docs/signals.md says what each refusal means; a single one is normal on a bad link."


class HeldByAnotherEdge(KinflowError):
    number = 86
    cause = "Another edge server, {edge}, steers {intersection}."
    advice = "This one stands by. Stop one of the two, or give each a site of its own."


class SignalControlUnknown(KinflowError):
    number = 87
    cause = "There is no signal controller called {slug!r}."
    advice = "Set `control` in site.toml to one of: {known}."


class DeviceNotAsked(KinflowError):
    number = 81
    cause = "The broker can't be reached, so {device!r} was not asked."
    advice = "Ask again when the dashboard says that the broker is back."


class RouteUndeclared(KinflowError):
    number = 205
    status = 403
    cause = "The route {path} does not say who may use it, so nobody may."
    advice = "This is a fault of Kinflow's: report it. Whoever writes the route declares it with `need(...)`."


class RoleTooLow(KinflowError):
    number = 206
    status = 403
    cause = "This needs the role {needs}, and you are {role}."
    advice = "Ask an admin: `kinflow edge user set-role NAME --role ROLE`, or a token of a higher role."


class PairFileUnusable(KinflowError):
    number = 220
    cause = "The pair's file {path} can't be used: {detail}."
    advice = "Make the pair anew with `kinflow edge pair invite` and `join`, or delete the file to run alone."


class PeerLost(KinflowError):
    number = 221
    cause = "The other edge server of the pair, {edge}, can't be reached: {detail}."
    advice = "This one serves alone meanwhile. Look after the other machine and the network between the two."


class Shedding(KinflowError):
    number = 222
    cause = "More observations come than can be stored: {shed} were not taken in."
    advice = "Devices thin and resend them; alarms are all taken. Have fewer devices here, or a faster machine or disk."


class RolloutRefused(KinflowError):
    number = 215
    status = 409
    cause = "That roll-out can't be: {detail}."
    advice = "GET /api/v1/updates tells what is here and what is under way; nothing was changed."


class SignInRefused(KinflowError):
    number = 207
    status = 403
    cause = "That name and that password do not belong together."
    advice = "Type both again. An admin can set a new password: `kinflow edge user password NAME`."


class SignInTooOften(KinflowError):
    number = 208
    status = 429
    cause = "There were too many tries to sign in; the next may be made in {wait_s} s."
    advice = "Wait, or sign in from where you did before: strangers' tries don't count there."


class PasswordRefused(KinflowError):
    number = 209
    status = 422
    cause = "That password can't be used: {detail}."
    advice = "Take four or five words that nobody would put together; at least 10 characters."


class AccountsUnusable(KinflowError):
    number = 211
    cause = "The accounts in {path} can't be used: {detail}."
    advice = "Nobody is let in but by the machine's key (`kinflow edge token`). Restore accounts.db from a backup."


class LastAdmin(KinflowError):
    number = 212
    status = 409
    cause = "{name!r} is the only admin."
    advice = "Make somebody else an admin first: `kinflow edge user set-role NAME --role admin`."


class AccountTaken(KinflowError):
    number = 213
    status = 409
    cause = "There is a {kind} called {name!r} already."
    advice = "Choose another name, or remove that one first."


class FirstAccountRefused(KinflowError):
    number = 214
    status = 409
    cause = "The first account must be an admin, made on the edge server's machine or with its key."
    advice = "On that machine: `kinflow edge user add NAME --role admin`."


class TooManyStreams(KinflowError):
    number = 219
    status = 429
    cause = "There are {open} streams of events open already, {own} of them yours."
    advice = "Close pages that nobody looks at; a program opens one stream and keeps it, or asks GET /api/v1/state."


class NotSignedIn(KinflowError):
    number = 210
    status = 409
    cause = "Only somebody who signed in to an account can do that."
    advice = "Sign in by name and password at /login; a token is revoked, not signed out."


class TooManyAttempts(KinflowError):
    number = 200
    status = 429
    cause = "Too many attempts to join have failed; the next may be made in {wait_s} s."
    advice = "Wait, and type the code as the edge server shows it. If it was not you, see the edge server's alarms."


class JoiningClosed(KinflowError):
    number = 201
    status = 409
    cause = "Devices can't join this edge server: only its own machine can reach it, or its broker takes none."
    advice = 'Set edge.allow_lan = true and edge.host = "0.0.0.0" in its kinflow.toml, and install mosquitto.'


class MoveRefused(KinflowError):
    number = 202
    status = 422
    cause = "The device can't be sent there: {detail}."
    advice = "Make a code on the other edge server (`kinflow edge code --approved`), and give it with its address."


class BackupTruncated(KinflowError):
    number = 225
    cause = "The backup {path} is cut off: its end is missing."
    advice = "Take an older one; what wrote or copied this one was interrupted, or its disk was full."


class BackupDamaged(KinflowError):
    number = 226
    cause = "The backup {path} is damaged: {detail}."
    advice = "Take another one: nothing of it was restored. `kinflow edge backup verify FILE` tells which are whole."


class PassphraseWrong(KinflowError):
    number = 227
    cause = "The passphrase does not open the backup {path}."
    advice = "Try again with the one that it was made with; without it nobody can read it."


class BackupFailed(KinflowError):
    number = 228
    cause = "No backup was made in {path}: {detail}."
    advice = "Correct the cause and run `kinflow edge backup` again; the backups before it are as they were."


class StoreRestored(KinflowError):
    number = 229
    cause = "The store was restored from a backup: what came from {since} to {until} is not in it."
    advice = "Devices had been told that it was stored, and no longer have it. Nothing to do but to know it."


class SiteNotTaken(KinflowError):
    number = 218
    cause = "The site file of the other edge server is newer, and can't be used here: {detail}."
    advice = "Correct it there (`kinflow site check FILE`), or here: the one that was changed last goes to both."


class NotOfThePair(KinflowError):
    number = 223
    cause = "This is for the other edge server of the pair alone."
    advice = "A pair has two: `kinflow edge pair show` tells which, `kinflow edge pair part` forgets the other one."


class PairRefused(KinflowError):
    number = 224
    cause = "This edge server can't become the second one of a pair: {detail}."
    advice = "Make the code on the one whose devices are to stay, and join with an edge server that has none."


class DiskLow(KinflowError):
    number = 203
    cause = "The disk that holds the store, {folder}, has {free_mb} MB left."
    advice = "Free some space. Older readings go earlier meanwhile; everything that comes is still stored."


class ReadingsNotStored(KinflowError):
    number = 204
    cause = "The disk that holds the store, {folder}, has {free_mb} MB left: {count} readings were not stored."
    advice = "Free some space. Alarms and commands are stored; readings are again, by themselves, once there is room."


class DiskReserveUsed(KinflowError):
    number = 216
    cause = "The disk that holds the store, {folder}, is full ({free_mb} MB left): the reserve for alarms is in use."
    advice = "Free some space now. Alarms are stored while the reserve lasts, and then wait in their devices."


class ClockAhead(KinflowError):
    number = 78
    cause = (
        "This server's clock is {hours} hours ahead of where it should be: it jumped, or the server was off so long."
    )
    advice = "Put the clock right if it is wrong. For a day nothing is forgotten by the new time; then it is believed."


class AgentUnheard(KinflowError):
    number = 300
    cause = "The agent {agent} is not there to be told anything: {detail}."
    advice = "`kinflow edge devices` shows who is; check its name, and that edge server and agent run."


class ApproachUnwatched(KinflowError):
    number = 301
    cause = "The agent {agent} has no camera on {approach}. It watches: {known}."
    advice = "Name one of those, or the agent that watches this approach."


class DeclarationUnanswered(KinflowError):
    number = 302
    cause = "The agent {agent} did not take what was declared for {approach} within {waited_s} s."
    advice = "Its log says why. Most often its camera sends no pictures, or this machine's clock was put back."


class ModesUnusable(KinflowError):
    number = 303
    cause = "The file of the intersections' modes {path} can't be used: {detail}."
    advice = "It lies beside as .broken; no intersection is above shadow until somebody raises it again."


class ModesUnwritable(KinflowError):
    number = 304
    status = 503
    cause = "The file of the intersections' modes {path} can't be written: {detail}."
    advice = "No mode can be raised while that lasts; a lowered one holds until the next start. Free some space."


class ModeNotThatWay(KinflowError):
    number = 305
    status = 409
    cause = "{intersection} is in mode {mode}, and {wanted} is no {way} one."
    advice = "GET /api/v1/signals/modes shows what holds now; somebody else may have changed it."


class AdviceGone(KinflowError):
    number = 306
    status = 409
    cause = "There is no such proposal at {intersection} any more."
    advice = "It has expired, was withdrawn, or the signals come to it by themselves. Nothing was commanded."


class PriorityUnbelieved(KinflowError):
    number = 310
    status = 403
    cause = "A request in the name of {vehicle} was not believed: {detail}."
    advice = "Compare the vehicle's key with its line in vehicles.toml; `kinflow edge vehicle list` shows who is known."


class PriorityReplayed(KinflowError):
    number = 311
    status = 409
    cause = "A message of {vehicle} came that is older than one before it, or repeats its number."
    advice = "Its sequence has to rise with each message, over restarts too; nothing was changed."


class PriorityClockOff(KinflowError):
    number = 312
    status = 409
    cause = "A request of {vehicle} was made {off_s} s {side} our time; {skew_s} s are allowed."
    advice = "Set the vehicle's clock, or this machine's (`kinflow doctor`): the answer tells our time."


class PriorityRoleRefused(KinflowError):
    number = 313
    status = 403
    cause = "{vehicle} may not ask as {role}."
    advice = "The role must be the one in vehicles.toml, and stand in `preemption.roles` of the site file."


class PriorityOffShift(KinflowError):
    number = 314
    status = 403
    cause = "{vehicle} is not on shift."
    advice = "Its shifts stand in vehicles.toml, in the time zone `preemption.timezone` of the site file."


class PriorityTooOften(KinflowError):
    number = 315
    status = 429
    cause = "{vehicle} has made more new requests within an hour than the {limit} that are allowed."
    advice = "Renew a request instead of making a new one, or raise `preemption.requests_per_hour` in the site file."


class PriorityWithoutEvidence(KinflowError):
    number = 316
    status = 403
    cause = "{vehicle} claims none of what the site asks for: {evidence}."
    advice = "`preemption.evidence` of the site file says what a vehicle has to claim."


class PriorityRouteUnknown(KinflowError):
    number = 317
    status = 404
    cause = "There is no way from {approach} to {egress} through {intersection}."
    advice = "Name the approach and the egress as the site file does, or leave the egress out."


class PriorityLockedOut(KinflowError):
    number = 318
    status = 409
    cause = "{vehicle} has had its lease at {intersection}, and is locked out for some seconds."
    advice = "Others have their turn now; ask again after `preemption.lockout_s`."


class PriorityQueueFull(KinflowError):
    number = 319
    status = 409
    cause = "Too many vehicles wait at {intersection}, all of them before {vehicle}."
    advice = "Ask again when some have passed; `preemption.queue` of the site file says how many may wait."


class RouteBroken(KinflowError):
    number = 326
    status = 409
    cause = "The route of {vehicle} breaks at {where}: {detail}."
    advice = "Compare the vehicle's map with the site file; what lies before that leg is served, nothing behind it."


class NeighbourUnknown(KinflowError):
    number = 327
    status = 404
    cause = "The route of {vehicle} leads to the site {site}, which is no neighbour of this one."
    advice = "Enter it as [[neighbours]] in the site file; `kinflow edge neighbour` prints the lines there."


class NeighbourUnreached(KinflowError):
    number = 328
    cause = "Routes can't be handed on to the site {site}: {detail}."
    advice = "Signals there don't know of vehicles that come from here. Look after its edge server and the network."


class NotANeighbour(KinflowError):
    number = 329
    status = 403
    cause = "A route was handed over by somebody who is no neighbour of this site: {detail}."
    advice = "Both sites have to name one another in [[neighbours]], each with the other's pin."


class VehicleKeysUnusable(KinflowError):
    number = 320
    cause = "The vehicles' key file {path} can't be used: {detail}."
    advice = "Correct it; until then no vehicle is believed. `kinflow edge vehicle` writes it without mistakes."


class PreemptionLogBroken(KinflowError):
    number = 321
    cause = "Line {line} of the log of pre-emption {path} is not as it was written: {detail}."
    advice = "Somebody changed the file, or the disk did. Keep it as it is; a new one has been begun."


class PreemptionLogUnwritable(KinflowError):
    number = 322
    cause = "The log of pre-emption {path} can't be written: {detail}."
    advice = "No new lease is granted while that lasts. Most often the disk is full: free some space."


class NothingToEnd(KinflowError):
    number = 323
    status = 404
    cause = "{vehicle} neither holds nor waits for anything at {intersection}."
    advice = "GET /api/v1/preemption shows who does."


class CabinetUnreachable(KinflowError):
    number = 324
    cause = "The signal controller at {address} does not answer: {detail}."
    advice = (
        "Check address, power and network, and that SNMP is on in it; `kinflow edge controller check` asks it again."
    )


class CabinetRefused(KinflowError):
    number = 325
    cause = "The signal controller at {address} refuses: {detail}."
    advice = "Compare user, algorithms and key file with the controller's SNMPv3 users and what they may do."


class CabinetSecurityWeak(KinflowError):
    number = 470
    cause = "The controller of {intersection} would be spoken to {detail}, which anybody on the network can forge."
    advice = "Give it an SNMPv3 user with SHA-2 and AES. Only on a bench: set `insecure = true` beside it."


class CabinetBackupUnusable(KinflowError):
    number = 471
    cause = "The controller at {address} has unitBackupTime {seconds} s: {detail}."
    advice = "Set it in the controller, to 10 s say: it is what gives the signals back when Kinflow is gone."


class CabinetMismatch(KinflowError):
    number = 472
    cause = "The controller of {intersection} does not fit the site file: {detail}."
    advice = (
        "Correct one of the two: `kinflow edge controller check` lists every difference. Nothing is written before."
    )


class CabinetKeysUnusable(KinflowError):
    number = 473
    cause = "The key file {path} can't be used: {detail}."
    advice = "Write it as docs/ntcip.md shows, for its owner alone: `chmod 600 {path}`."


class ControllerEpochUnreadable(KinflowError):
    number = 474
    cause = "The gateway's file {path} can't be read: {detail}."
    advice = "Delete it: the gateway then begins at epoch 0, and every edge server asks for its lease anew."
