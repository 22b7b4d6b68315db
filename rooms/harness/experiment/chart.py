"""The charts of `ackmatrix experiment downtime`: python chart.py RESULTS FOLDER."""
import json
import statistics
import sys

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402

WITHOUT, WITH = "without re-ACK", "with re-ACK"
COLOUR = {WITHOUT: "#c8553d", WITH: "#2a6f97"}
INK, PALE = "#22262b", "#8a929c"

plt.rcParams.update({
    "font.family": "DejaVu Sans", "font.size": 10, "axes.edgecolor": PALE, "axes.labelcolor": INK, "text.color": INK,
    "xtick.color": INK, "ytick.color": INK, "axes.spines.top": False, "axes.spines.right": False, "axes.titleweight": "bold",
    "axes.titlesize": 11, "axes.titlelocation": "left", "svg.fonttype": "path", "svg.hashsalt": "ackmatrix", "hatch.linewidth": 0.7,
})


def busy(run):
    return run["loads"]["v0"]


def total(run):
    return run["total"]


def middle(runs, pick):
    values = [pick(run) for run in runs]
    return statistics.median(values), min(values), max(values)


def bars(axes, results):
    """Measured beside published: the whole downtime, and the busy device's share of it."""
    groups = {group["answer"]: group["runs"] for group in results["comparison"]}
    quantities = [("whole downtime", total, "total"), ("busy device's share", busy, "busy")]
    width, ticks = 0.19, []
    for place, (_, pick, key) in enumerate(quantities):
        medians = {}
        for step, answer in enumerate([WITHOUT, WITH]):
            median, least, most = middle(groups[answer], pick)
            medians[answer] = median
            left = place - 1.55 * width + step * width
            axes.bar(left, median, width * 0.92, color=COLOUR[answer], label=f"measured {answer}" if place == 0 else None)
            axes.errorbar(left, median, [[median - least], [most - median]], color=INK, linewidth=1, capsize=3)
            axes.text(left, most + 30, f"{median:.0f}", ha="center", va="bottom", fontsize=9)
            published = results["published"][key][answer]
            right = place + 0.65 * width + step * width
            axes.bar(right, published, width * 0.92, facecolor="white", edgecolor=COLOUR[answer], hatch="////",
                     label=f"published {answer}" if place == 0 else None)
            axes.text(right, published + 30, f"{published:.0f}", ha="center", va="bottom", fontsize=9, color=PALE)
        published = results["published"][key]
        change = (medians[WITH] / medians[WITHOUT] - 1) * 100
        stated = (published[WITH] / published[WITHOUT] - 1) * 100
        ticks.append(f"{quantities[place][0]}\nmeasured {change:+.0f} %, published {stated:+.0f} %".replace("-", "\N{MINUS SIGN}"))
    axes.set_xticks(range(len(quantities)), ticks)
    axes.set_ylabel("milliseconds")
    axes.set_ylim(0, axes.get_ylim()[1] * 1.24)
    axes.set_title("One REINIT during precopy")
    axes.legend(frameon=False, fontsize=8.5, ncols=2, loc="upper right")


def numbers(axes, results):
    """Downtime, and migration time, against how often the device re-initialises."""
    for answer in [WITHOUT, WITH]:
        groups = [group for group in results["numbers"] if group["answer"] == answer]
        counts = [group["reinits"] for group in groups]
        spreads = [middle(group["runs"], total) for group in groups]
        axes.fill_between(counts, [spread[1] for spread in spreads], [spread[2] for spread in spreads], color=COLOUR[answer], alpha=0.15,
                          linewidth=0)
        axes.plot(counts, [spread[0] for spread in spreads], "o-", color=COLOUR[answer])
        times = [middle(group["runs"], lambda run: run["migration"])[0] for group in groups]
        axes.plot(counts, times, "s:", color=COLOUR[answer], markersize=4, linewidth=1.2)
        axes.annotate(f"downtime {answer}", (counts[-1], spreads[-1][0]), xytext=(-2, -15), textcoords="offset points", fontsize=9,
                      ha="right", color=COLOUR[answer])
        axes.annotate(f"migration time {answer}", (counts[-1], times[-1]), xytext=(-2, 7), textcoords="offset points", fontsize=9,
                      ha="right", color=COLOUR[answer])
    axes.set_yscale("log")
    axes.set_yticks([500, 1000, 2000, 5000, 10000, 20000], ["0.5 s", "1 s", "2 s", "5 s", "10 s", "20 s"])
    axes.minorticks_off()
    axes.set_ylim(top=axes.get_ylim()[1] * 1.5)
    axes.set_xticks(sorted({group["reinits"] for group in results["numbers"]}))
    axes.set_xlabel("REINITs, one after the other")
    axes.set_title("A number of REINITs")
    axes.grid(axis="y", color=PALE, alpha=0.25, linewidth=0.6)


def downtime(results):
    figure, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.8), layout="constrained", width_ratios=[1.15, 1])
    bars(left, results)
    numbers(right, results)
    setting = results["setting"]
    figure.suptitle("Downtime with and without an ACK for re-initialised device data", x=0.008, ha="left", fontsize=13, fontweight="bold")
    figure.supxlabel(
        f"QEMU {results['qemu']}, {setting['memoryMiB'] // 1024} GiB guest, {setting['idleDevices'] + 1} mock VFIO devices at "
        f"{setting['deviceMiBPerSecond']} MiB/s, one of them re-initialising {setting['reinitMiB']} MiB; data and rates divided by "
        f"{setting['scale']}", x=0.008, ha="left", fontsize=8.5, color=PALE)
    return figure


def convergence(results):
    """A stream of REINITs that never ends: how each migration went, against the quiet between two."""
    stream = results["stream"]
    ends = {
        "completed": ("o", COLOUR[WITH], "completed"),
        "failed at the last check": ("^", "#e09f3e", "failed: the REINIT met the last check"),
        "does not converge": ("X", COLOUR[WITHOUT], f"does not converge ({stream['enough']} REINITs without a decision)"),
    }
    figure, axes = plt.subplots(figsize=(9, 4.8), layout="constrained")
    quiets = {}
    for run in results["convergence"]:
        if run.get("quiet") is not None:
            quiets.setdefault(run["quietQueries"], []).append(run["quiet"])
    ceiling = stream["enough"]

    def place(run):
        known = quiets.get(run["quietQueries"])
        return run.get("quiet") or (statistics.median(known) if known else run["quietQueries"] * stream["queryMilliseconds"])

    acknowledgement = statistics.median(run["acknowledgement"] for run in results["convergence"] if run.get("acknowledgement"))
    furthest = max(place(run) for run in results["convergence"])
    axes.axvspan(-3, acknowledgement, color=COLOUR[WITHOUT], alpha=0.07, linewidth=0)
    axes.axvline(acknowledgement, color=INK, linewidth=1, linestyle="--")
    axes.annotate(f"marker to ACK: {acknowledgement:.0f} ms", (acknowledgement, ceiling * 0.5), xytext=(6, 0), textcoords="offset points",
                  fontsize=9)
    for end, (marker, colour, label) in ends.items():
        runs = [run for run in results["convergence"] if run["end"] == end]
        if runs:
            heights = [ceiling if end == "does not converge" else run["reinits"] for run in runs]
            axes.scatter([place(run) for run in runs], heights, marker=marker, s=55, color=colour, alpha=0.8, linewidth=0, label=label,
                         zorder=3, clip_on=False)
    axes.set_xlim(-3, furthest * 1.05)
    axes.set_ylim(0, ceiling * 1.08)
    axes.set_xlabel("quiet between the last initial byte read and the next REINIT, milliseconds")
    axes.set_ylabel("REINITs until the end")
    axes.set_title("Where a stream of REINITs stops converging", fontsize=13)
    axes.grid(axis="y", color=PALE, alpha=0.25, linewidth=0.6)
    axes.legend(frameon=False, fontsize=9, loc="upper right", bbox_to_anchor=(1, 0.93))
    figure.supxlabel(f"QEMU {results['qemu']}, per-device ACKs, one mock VFIO device; its new initial bytes take {stream['loadMilliseconds']} "
                     "ms to load", x=0.008, ha="left", fontsize=8.5, color=PALE)
    return figure


def main(path, folder):
    with open(path, encoding="utf-8") as file:
        results = json.load(file)
    for name, figure in [("downtime", downtime(results)), ("convergence", convergence(results))]:
        figure.savefig(f"{folder}/{name}.svg", metadata={"Date": None})
        figure.savefig(f"{folder}/{name}.png", dpi=150)
        print(f"chart: {folder}/{name}.svg, {name}.png")


main(*sys.argv[1:])
