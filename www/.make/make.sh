#!/bin/sh
# Regenerates the generated files of the document root (needs ffmpeg with
# libx264 and libvorbis, and rsvg-convert). Everything else is written by hand.
set -eu
cd "$(dirname "$0")/.."
export LC_ALL=C

exact='-fflags +bitexact -flags:v +bitexact -flags:a +bitexact -map_metadata -1'

rsvg-convert --width 480 --height 360 --output cat.png cat.svg

# shellcheck disable=SC2086 # $exact is a list of options
ffmpeg -nostdin -v error -y \
    -f lavfi -i testsrc2=size=480x270:rate=25:duration=5 \
    -f lavfi -i sine=frequency=440:beep_factor=4:sample_rate=44100:duration=5 \
    -c:v libx264 -profile:v baseline -pix_fmt yuv420p -crf 25 -g 25 -threads 1 \
    -c:a aac -b:a 64k $exact -movflags +faststart video.mp4

# Three rising tones, 1.5 s.
# shellcheck disable=SC2086
ffmpeg -nostdin -v error -y \
    -f lavfi -i sine=frequency=523.25:sample_rate=44100:duration=0.4 \
    -f lavfi -i sine=frequency=659.25:sample_rate=44100:duration=0.4 \
    -f lavfi -i sine=frequency=783.99:sample_rate=44100:duration=0.7 \
    -filter_complex '[0][1][2]concat=n=3:v=0:a=1,volume=4,afade=t=out:st=1.1:d=0.4' \
    -c:a libvorbis -q:a 2 $exact -serial_offset 1 sound.ogg

# All 256 byte values in order.
i=0
while [ "$i" -lt 256 ]; do
    # shellcheck disable=SC2059 # the format is the octal escape itself
    printf "\\$(printf %03o "$i")"
    i=$((i + 1))
done >hello.bin

: >empty.txt
chmod 755 hello
