#!/bin/sh
# Swap into compressed memory, and never onto the card. Nothing is done where the system has a zram of its own.
set -eu

share_percent=$1

if grep -q zram /proc/swaps 2> /dev/null; then exit 0; fi
modprobe zram num_devices=1
total_kb=$(sed -n 's/^MemTotal: *\([0-9]*\) kB$/\1/p' /proc/meminfo)
# lz4 is the quickest; a kernel without it keeps its own choice.
echo lz4 > /sys/block/zram0/comp_algorithm 2> /dev/null || true
echo $((total_kb * share_percent / 100))K > /sys/block/zram0/disksize
mkswap /dev/zram0 > /dev/null
swapon --priority 100 /dev/zram0
