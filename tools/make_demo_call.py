"""Make the bundled call: its WAV files, its scenario, and the labels of what is said when.

    sudo apt-get install flite sox
    .venv/bin/python tools/make_demo_call.py

The speech is synthesised by flite, put into the telephone band by sox, and laid out here. Every
file in `src/openaudiohook/demo/call/` is written anew by this script, and the same flite and sox
give the same bytes; edit the story below, not the files. All names and numbers are invented, and
the card number is the one that card schemes publish for testing.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openaudiohook.audio import RATE, level, ulaw
from openaudiohook.audio.wav_writer import WavWriter

HERE = Path(__file__).resolve().parent
OUTPUT = HERE.parent / "src" / "openaudiohook" / "demo" / "call"

STRETCH = "duration_stretch=1.1"  # people on the telephone speak more slowly than flite
SPEECH_DBFS = -20.0
PEAK_DBFS = -3.0
MUSIC_DBFS = -26.0
NOISE_DBFS = -62.0
STEP = RATE // 4  # steps are on quarter seconds, which both decimals and floats hold exactly
SECURE_MARGIN = RATE // 2

Samples = npt.NDArray[np.float64]

VOICES = {"ivr": "kal", "agent": "slt", "customer": "rms"}


@dataclass(frozen=True)
class Utterance:
    """Something said, in samples from call entry."""

    speaker: str
    channel: str
    text: str
    start: int
    end: int


@dataclass
class Track:
    """One WAV file of one channel, from the moment it starts to play."""

    file: str
    channel: str
    start: int
    parts: list[tuple[int, Samples]] = field(default_factory=list)

    def render(self, end: int, *, seed: int) -> bytes:
        """Return the mu-law samples up to `end`: the parts over a faint line noise."""
        noise = np.random.default_rng(seed).standard_normal(end - self.start)
        mixed = noise * 10 ** (NOISE_DBFS / 20)
        for at, samples in self.parts:
            mixed[at - self.start : at - self.start + len(samples)] += samples
        return to_ulaw(mixed)


class Story:
    """The call as it is told: a cursor moves on, and what happens is put down at it."""

    def __init__(self) -> None:
        self.now = 0
        self.steps: list[tuple[int, dict[str, object], str]] = []
        self.utterances: list[Utterance] = []
        self.tracks: list[Track] = []

    def wait(self, seconds: float) -> None:
        self.now += round(seconds * RATE)

    def step(self, note: str = "", **keys: object) -> None:
        """Put down a step of the scenario at the next quarter second."""
        self.now = -(-self.now // STEP) * STEP
        self.steps.append((self.now, keys, note))

    def play(self, file: str, channel: str) -> Track:
        """Start a new file on a channel."""
        self.step(play=file, channel=channel)
        track = Track(file, channel, self.now)
        self.tracks.append(track)
        return track

    def say(self, track: Track, speaker: str, text: str, *, spoken: str | None = None) -> None:
        """Say something at the cursor; `spoken` is how to spell it for an English voice."""
        samples = speak(spoken or text, voice=VOICES[speaker])
        start, self.now = self.now, self.now + len(samples)
        track.parts.append((start, samples))
        self.utterances.append(Utterance(speaker, track.channel, text, start, self.now))


def tell() -> Story:
    """The call, from entry to hang-up."""
    story = Story()
    customer = story.play("customer.wav", "external")
    ivr = story.play("ivr.wav", "internal")
    story.step("The flow answers. Monitoring is off here, so none of this leaves.", transfer="ivr")
    story.wait(0.5)
    story.say(ivr, "ivr", "Thank you for calling Northwind Energy. How can I help you?")
    story.wait(0.6)
    story.say(customer, "customer", "I would like to pay my bill.")
    story.wait(0.5)
    story.say(ivr, "ivr", "I will connect you to an agent.")
    story.wait(0.3)

    story.step("The queue has monitoring on: position 0 of every session.", transfer="queue")
    story.step(monitoring=True, by="queue")
    story.step(play="hold-music.wav", channel="internal")
    story.wait(4.0)

    story.step(transfer="agent")
    agent = story.play("agent-before-hold.wav", "internal")
    story.wait(0.4)
    story.say(agent, "agent", "Hello, this is Anna. How may I help?")
    story.wait(0.5)
    story.say(
        customer, "customer", "Hello Anna. I want to pay my last bill by card. It is sixty dollars."
    )
    story.wait(0.5)
    story.say(agent, "agent", "Of course. Please read me your card number.")
    story.wait(0.3)

    story.step("A secure flow takes the card: none of this leaves.", secure="start")
    story.wait(0.8)
    story.say(
        customer,
        "customer",
        "Four one one one. One one one one. One one one one. One one one one.",
    )
    story.wait(0.4)
    story.say(agent, "agent", "And the expiry date?")
    story.wait(0.4)
    story.say(customer, "customer", "December, twenty thirty.")
    story.wait(0.8)
    story.step(secure="end")

    story.wait(0.4)
    story.say(agent, "agent", "Thank you. Please hold while I take the payment.")
    story.wait(0.4)
    story.say(customer, "customer", "Sure.")
    story.wait(0.4)
    story.step("Hold is not a pause: the music is streamed.", hold="start", music="hold-music.wav")
    story.wait(6.0)
    story.step(hold="end")
    agent = story.play("agent-after-hold.wav", "internal")
    story.wait(0.4)
    story.say(agent, "agent", "The payment is complete. Shall I send the receipt in French?")
    story.wait(0.5)
    story.say(customer, "customer", "Yes please, in French.")
    story.wait(0.3)
    story.step(language="fr-CA")
    story.wait(0.3)
    story.say(
        agent,
        "agent",
        "Très bien. Merci, et au revoir!",
        spoken="Tray bee en. Mare see, ay oh ruv wahr!",
    )
    story.wait(0.5)
    story.say(customer, "customer", "Merci. Goodbye!", spoken="Mare see. Goodbye!")
    story.wait(0.8)
    story.step(hangup=True)
    return story


def speak(text: str, *, voice: str) -> Samples:
    """Return synthesised speech at 8 kHz, telephone band, at the common level."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(
            ["flite", "-voice", voice, "--setf", STRETCH, "-t", text, "-o", path], check=True
        )
        to_raw = ["-t", "raw", "-e", "signed", "-b", "16", "-L", "-c", "1", "-r", "8000", "-"]
        raw = subprocess.run(
            ["sox", "-D", "-G", path, *to_raw, "sinc", "200-3400"],
            check=True,
            capture_output=True,
        ).stdout
    samples = np.frombuffer(raw, "<i2").astype(np.float64) / 32768
    # A label says when somebody is heard, so the synthesiser's silence is cut off both ends.
    loud = np.flatnonzero(np.abs(samples) > 0.02 * np.abs(samples).max())
    samples = samples[loud[0] : loud[-1] + 1]
    return at_level(samples, SPEECH_DBFS)


def hold_music(seconds: int = 8) -> Samples:
    """Return four soft chords, each plucked note by note, that end as they began."""
    chords = [
        (48, 64, 67, 71, 74),  # C major seventh, ninth
        (45, 60, 64, 67, 71),  # A minor ninth
        (41, 60, 64, 69, 72),  # F major seventh
        (43, 59, 62, 67, 74),  # G
    ]
    length = seconds * RATE
    music = np.zeros(length + 2 * RATE)
    beat = length // len(chords)
    for bar, chord in enumerate(chords):
        order = (0, 1, 2, 3, 4, 3, 2, 1)
        for place, note in enumerate(order):
            at = bar * beat + place * beat // len(order)
            tone = pluck(440 * 2 ** ((chord[note] - 69) / 12))
            music[at : at + len(tone)] += tone * (1.0 if place == 0 else 0.7)
    # What rings on past the end rings over the start: the piece can be repeated without a break.
    music[: len(music) - length] += music[length:]
    return at_level(music[:length], MUSIC_DBFS)


def pluck(hz: float) -> Samples:
    """Return one note of an electric piano, more or less."""
    seconds = np.arange(2 * RATE) / RATE
    attack = np.minimum(seconds / 0.008, 1)
    release = np.minimum((seconds[-1] - seconds) / 0.3, 1)
    wave = sum(
        strength * np.sin(2 * np.pi * hz * multiple * seconds) * np.exp(-decay * seconds)
        for multiple, strength, decay in ((1, 1.0, 2.2), (2, 0.35, 3.5), (3, 0.12, 6.0))
        if hz * multiple < 3400
    )
    return np.asarray(attack * release * wave)


def at_level(samples: Samples, dbfs: float) -> Samples:
    """Return the samples at an RMS level, or softer where the peak would be too high."""
    rms = math.sqrt(float(np.mean(samples**2)))
    gain = min(10 ** (dbfs / 20) / rms, 10 ** (PEAK_DBFS / 20) / float(np.abs(samples).max()))
    return samples * gain


def to_ulaw(samples: Samples) -> bytes:
    return ulaw.encode(np.rint(samples * 32768).astype(np.int16))


def check(story: Story) -> None:
    """Stop if the secure span does not keep its distance from everything else that is said."""
    (start,) = (at for at, keys, _ in story.steps if keys.get("secure") == "start")
    (end,) = (at for at, keys, _ in story.steps if keys.get("secure") == "end")
    for said in story.utterances:
        if said.end > start and said.start < end:
            inside = said.start >= start + SECURE_MARGIN and said.end <= end - SECURE_MARGIN
            if not inside:
                sys.exit(f"too near the edge of the secure span: {said}")


def write_wav(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        writer = WavWriter(file, channels=1)
        writer.append(data)
        writer.settle()


def scenario(story: Story) -> str:
    """Return the scenario, with what is said as comments."""
    lines = [
        "# The bundled call. Written by tools/make_demo_call.py: change the story there.",
        "# Times are seconds from call entry; what is said when is in call.labels.json.",
        "",
        "[call]",
        'ani = "tel:+14155550142"',
        'dnis = "tel:+18005550199"',
        'edge = "cloud"',
        'language = "en-US"',
    ]
    said = [(item.start, item) for item in story.utterances]
    for at, keys, note in story.steps:
        while said and said[0][0] < at:
            lines += comment(said.pop(0)[1])
        lines += ["", *([f"# {note}"] if note else []), "[[step]]", f"at = {at / RATE}"]
        for key, value in keys.items():
            lines.append(f"{key} = {json.dumps(value)}")
    return "\n".join(lines) + "\n"


def comment(said: Utterance) -> list[str]:
    times = f"{said.start / RATE:.3f} to {said.end / RATE:.3f}"
    return ["", f"# {times}, {said.speaker}:", f"#   {said.text}"]


def labels(story: Story) -> dict[str, object]:
    """Return what happens when, in samples and seconds from call entry."""

    def span(start: int, end: int) -> dict[str, object]:
        return {
            "start_s": start / RATE,
            "end_s": end / RATE,
            "start_samples": start,
            "end_samples": end,
        }

    at = {(key, str(value)): when for when, keys, _ in story.steps for key, value in keys.items()}
    secure = (at["secure", "start"], at["secure", "end"])
    return {
        "rate": RATE,
        "call_s": at["hangup", "True"] / RATE,
        "monitored_from_s": at["monitoring", "True"] / RATE,
        "secure_spans": [span(*secure)],
        "hold_spans": [span(at["hold", "start"], at["hold", "end"])],
        "utterances": [
            {
                "speaker": said.speaker,
                "channel": said.channel,
                "text": said.text,
                "is_secure": secure[0] <= said.start < secure[1],
                **span(said.start, said.end),
            }
            for said in story.utterances
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=OUTPUT, help="folder to write to")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    story = tell()
    check(story)
    hang_up = story.steps[-1][0]
    hold = next(at for at, keys, _ in story.steps if keys.get("hold") == "start")
    ends = {
        "customer.wav": hang_up,
        "ivr.wav": next(at for at, keys, _ in story.steps if keys.get("transfer") == "queue"),
        "agent-before-hold.wav": hold,
        "agent-after-hold.wav": hang_up,
    }
    for seed, track in enumerate(story.tracks):
        write_wav(output / track.file, track.render(ends[track.file], seed=seed))
    write_wav(output / "hold-music.wav", to_ulaw(hold_music()))
    (output / "call.toml").write_text(scenario(story), encoding="utf-8")
    (output / "call.labels.json").write_text(
        json.dumps(labels(story), indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )

    for said in story.utterances:
        print(f"{said.start / RATE:7.3f} {said.end / RATE:7.3f}  {said.speaker:8}  {said.text}")
    for at, keys, _ in story.steps:
        print(f"{at / RATE:7.2f}  {keys}")
    for path in sorted(output.glob("*.wav")):
        measured = level.measure_ulaw(path.read_bytes()[58:])
        print(f"{path.name:24} {path.stat().st_size:8} bytes  peak {measured.peak_dbfs:6.1f} dBFS")


if __name__ == "__main__":
    main()
