"""Live progress of trainings: a bar on a terminal, plain lines elsewhere; always on stderr."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from qkv.data.picture_report import PictureReport
from qkv.data.report import CheckReport, screen
from qkv.data.text_report import TextReport
from qkv.training.loop import Began, Event, Noticed, Saved, Stepped, Validated

PLAIN_EVERY_S = 10.0


class Reporter:
    """Shows the events of one or several trainings; use it in a `with` block and pass it as `on_event`."""

    def __init__(self, console: Console, *, quiet: bool = False) -> None:
        self.console, self.quiet = console, quiet
        self._bar = Progress(
            TextColumn("{task.description:16}", markup=False),
            BarColumn(bar_width=12),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:7.4f}  {task.fields[speed]:7,.0f} {task.fields[unit]}/s"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
        )
        self._task: TaskID | None = None
        self._began = Began("", 0, 0)
        self._last_line = self._begun_at = time.monotonic()

    def __enter__(self) -> "Reporter":
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def __call__(self, event: Event | CheckReport | TextReport | PictureReport) -> None:
        """Show one event, or what the data is like."""
        if isinstance(event, CheckReport | TextReport | PictureReport):
            if not self.quiet:
                self.console.print(screen(event) if isinstance(event, CheckReport) else event)
        elif isinstance(event, Noticed):
            self._say(event.text)
        elif isinstance(event, Began):
            self._begin(event)
        elif isinstance(event, Stepped):
            self._step(event)
        elif isinstance(event, Validated):
            figures = ", ".join(f"{name} {value:.4f}" for name, value in event.figures.items())
            self._say(f"{self._began.name}: step {event.step}, validation {figures}{' (best)' if event.best else ''}")
        elif isinstance(event, Saved) and not self.console.is_terminal:
            self._say(f"{self._began.name}: checkpoint {event.folder.name}")

    def _begin(self, event: Began) -> None:
        self._began, self._begun_at = event, time.monotonic()
        self._task = self._bar.add_task(
            event.name, total=event.steps, completed=event.step, loss=0.0, speed=0.0, unit=event.unit
        )

    def _step(self, event: Stepped) -> None:
        speed = event.n_units / event.seconds
        if self._task is not None:
            self._bar.update(self._task, completed=event.step, loss=event.plain, speed=speed)
        now = time.monotonic()
        if not self.console.is_terminal and now - self._last_line >= PLAIN_EVERY_S:
            self._last_line = now
            done = event.step - self._began.step
            left = (now - self._begun_at) / done * (self._began.steps - event.step)
            self._say(
                f"{self._began.name}: step {event.step} of {self._began.steps}, loss {event.plain:.4f}, "
                f"{speed:,.0f} {self._began.unit}/s, {left:.0f} s left"
            )

    def _say(self, text: str) -> None:
        if not self.quiet:
            self.console.print(text, style="dim", markup=False, highlight=False)
