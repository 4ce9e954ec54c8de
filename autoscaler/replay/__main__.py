"""`python -m autoscaler.replay COMMAND ...`: what `tidegate COMMAND ...` runs for some."""

import os

from autoscaler import native
from autoscaler.replay.app import app, main

if __name__ == "__main__" and os.environ.get("TIDEGATE_AUTOSCALER_NATIVE") != "off":
    native.activate()  # before anything that it replaces is imported

from autoscaler.replay.generate_command import generate
from autoscaler.replay.knee_command import knee
from autoscaler.replay.record_command import record
from autoscaler.replay.replay_command import replay
from autoscaler.replay.simulate_command import simulate
from autoscaler.replay.tune_command import tune

app.command("generate")(generate)
app.command("simulate")(simulate)
app.command("tune")(tune)
app.command("knee")(knee)
app.command("record")(record)
app.command("replay")(replay)

if __name__ == "__main__":
    main()
