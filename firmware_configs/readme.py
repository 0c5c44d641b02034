"""README-kinflow.txt: which file goes where."""

from __future__ import annotations

from firmware_configs.order import Order


def readme(order: Order) -> str:
    board = order.board
    joins = f"joins the edge server {order.edge}" if order.edge else "starts by itself"
    lines = [
        f"Kinflow {order.tier} on a {board.title}",
        "",
        f"System to flash: {board.image}",
        f"On its first boot it installs Kinflow, {joins} and needs no keyboard and no screen.",
        "",
        *_ways(order),
        *_secrets(order),
        "What happens on the device: journalctl -u kinflow-first-boot",
        "",
    ]
    return "\n".join(lines)


def _ways(order: Order) -> list[str]:
    lines: list[str] = []
    ways = order.board.ways
    if "firstrun" in ways:
        lines += [
            "Raspberry Pi OS from Trixie on (its boot partition has a file user-data already):",
            "  1. Flash the card with Raspberry Pi Imager; answer no to its own settings.",
            "  2. Copy user-data, network-config and meta-data onto the partition bootfs, over those that are there.",
            "     A bundle (kinflow-*.tar), where there is one, goes beside them.",
            "",
            "Raspberry Pi OS Bookworm (its boot partition has no user-data):",
            "  1. Flash the card; answer no to Imager's own settings.",
            "  2. Copy firstrun.sh (and the bundle) onto the partition bootfs.",
            "  3. Append the line in cmdline-addition.txt to the one line in cmdline.txt, after a blank.",
            "",
            "`kinflow firmware make --out /media/you/bootfs` does these steps by itself.",
            "",
        ]
    if "autoinstall" in ways:
        lines += [
            "Debian's or Ubuntu's cloud image (the disk holds a system already):",
            "  Put the three files in seed/ onto a file system labelled CIDATA, a USB stick for example:",
            "    mkfs.vfat -n CIDATA /dev/sdX1   (erases that partition), then copy the files onto it.",
            "",
            "Ubuntu Server's installer (ERASES THE FIRST DISK OF THE MACHINE):",
            "  Put the two files in autoinstall/ onto a file system labelled CIDATA and boot the installer with it",
            "  plugged in. Add the word autoinstall to its kernel's command line, or confirm once on the screen.",
            "",
        ]
    if "overlay" in ways:
        lines += [
            "A Jetson takes no first settings by itself. On the Linux machine that flashes it (SDK Manager's folder):",
            "  1. sudo tar -C Linux_for_Tegra/rootfs --same-owner -xpf kinflow-overlay.tar",
            f"  2. sudo Linux_for_Tegra/tools/l4t_create_default_user.sh -u {order.user} -a -n {order.host} "
            "--accept-license",
            "     (it asks for nothing, and prints the password that it makes: keep it, or lock it later)",
            "  3. Flash as usual. With a card image instead: mount its first partition, and do step 1 there.",
            "",
        ]
    return lines


def _secrets(order: Order) -> list[str]:
    kept = []
    if order.join:
        kept.append("a join code, which works once and is wiped from the card after use")
    if order.wifi:
        kept.append(f"the key of the Wi-Fi {order.wifi.ssid!r}, which stays on the card (not the password itself)")
    if order.cameras:
        kept.append("the addresses of cameras, with their passwords where they have any")
    return ["These files hold:", *(f"  - {one}" for one in kept), "Treat them like a key.", ""] if kept else []
