"""Two pictures of the card, as SVG that reads on light and dark pages: the curve of a training run, and how far a model can be believed."""

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 560, 332, 54, 16, 34, 56
STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#24292f}.g{stroke:#8885;stroke-width:1}.a{stroke:#0969da;fill:none;stroke-width:2}"
    ".b{stroke:#bc4c00;fill:none;stroke-width:2}.r{fill:#0969da99}.d{stroke:#57606a;stroke-dasharray:4 4}.w{stroke:#0969da;stroke-width:1.5}"
    "@media(prefers-color-scheme:dark){text{fill:#e6edf3}.d{stroke:#9198a1}}"
)


class Plot:
    """Axes of shares from `low` to `high`, and of something from `first` to `last`."""

    def __init__(self, title, words, across, down):
        (self.first, self.last), (self.low, self.high) = across, down
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
            f'aria-label="{title}"><style>{STYLE}</style><text x="{LEFT}" y="18" font-weight="600">{title}</text>'
        ]
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 8, words, "middle")

    def x(self, value):
        return LEFT + (WIDTH - LEFT - RIGHT) * (value - self.first) / (self.last - self.first)

    def y(self, value):
        return TOP + (HEIGHT - TOP - BOTTOM) * (self.high - value) / (self.high - self.low)

    def text(self, x, y, words, anchor="start"):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{words}</text>')

    def line(self, kind, *points):
        places = " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in points)
        self.parts.append(f'<polyline class="{kind}" points="{places}"/>')

    def grid(self, across, down):
        for share in down:
            self.line("g", (self.first, share), (self.last, share))
            self.text(LEFT - 8, self.y(share) + 4, f"{100 * share:.0f} %", "end")
        for value, words in across:
            self.text(self.x(value), HEIGHT - BOTTOM + 18, words, "middle")

    def done(self):
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def steps(low, high, count=5):
    """Round shares between two."""
    width = next(width for width in (0.01, 0.02, 0.05, 0.1, 0.2) if (high - low) / width <= count)
    at = -(-low // width)
    return [round((at + i) * width, 2) for i in range(int((high - at * width) / width + 1e-9) + 1)]


def curve(name, epochs):
    """Accuracy after each epoch: on the training images as they are trained on, and on the test set."""
    test = [(one["epoch"], one["test_accuracy"]) for one in epochs]
    train = [(one["epoch"], one["train_accuracy"]) for one in epochs]
    low = max(0.0, min(share for _, share in test + train) - 0.02)
    plot = Plot(f"{name}: accuracy after each epoch", "epoch", (0, max(2, len(epochs))), (low, 1.0))
    every = max(1, len(epochs) // 8)
    plot.grid([(epoch, str(epoch)) for epoch, _ in test if epoch % every == 0], steps(low, 1.0))
    plot.line("b", *train)
    plot.line("a", *test)
    for at, (kind, words) in enumerate((("a", "test images"), ("b", "training images, augmented"))):
        x, y = 250 + 110 * at, HEIGHT - BOTTOM - 12
        plot.parts.append(f'<path class="{kind}" d="M{x} {y - 4}h18"/>')
        plot.text(x + 24, y, words)
    return plot.done()


def reliability(name, calibration, interval):
    """A bar a bin, as high as the share that is right with its 95 % interval, over how sure the model is; the diagonal is honesty."""
    bins, error = calibration["bins"], calibration["expected_error"]
    plot = Plot(f"{name}: how sure it is, and how often it is right", "probability of its answer", (0.0, 1.0), (0.0, 1.0))
    tenths = [(at / 5, f"{20 * at} %") for at in range(6)]
    plot.grid(tenths, [at / 5 for at in range(6)])
    for at, one in enumerate(bins):
        if one["images"]:
            left, right, top = plot.x(at / len(bins)) + 1, plot.x((at + 1) / len(bins)) - 1, plot.y(one["accuracy"])
            plot.parts.append(f'<rect class="r" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" height="{plot.y(0) - top:.1f}"/>')
            low, high = interval(round(one["accuracy"] * one["images"]), one["images"])
            middle = (at + 0.5) / len(bins)
            plot.line("w", (middle, low), (middle, high))
            plot.text(plot.x(middle), plot.y(0) + 31, f"{one['images']:,}".replace(",", " "), "middle")
            plot.parts[-1] = plot.parts[-1].replace("<text ", '<text style="font-size:8px" ')
    plot.line("d", (0, 0), (1, 1))
    plot.text(LEFT + 10, TOP + 16, f"expected calibration error {100 * error:.2f} %")
    return plot.done()
