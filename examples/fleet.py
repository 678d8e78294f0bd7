"""Six chips with faulty PEs: every one gets a network that meets the target on it, for as little retraining as possible."""

import tempfile
from pathlib import Path

from hardpoint.defects import fleet as draw_chips
from hardpoint.hls.frontend import convert
from hardpoint.optimizer.fleet import Fleet, lines, retrain
from hardpoint.progress import progress
from hardpoint.training.data import digits
from hardpoint.training.models import architecture
from hardpoint.training.train import train

data = digits()
trained = train(architecture("digits-cnn", data.shape, data.classes), data, q_scale=7, seed=0)
network = convert(trained.model, data.format, q_scale=7)

chips = draw_chips("uniform", 8, 8, 6, 0, (0.0, 0.2))  # 8 x 8 PEs, fault rates evenly from 0 to 20 %
folder = Path(tempfile.mkdtemp(prefix="hardpoint-fleet-"))
with progress() as task:
    found = retrain(Fleet(chips, drop=0.02, rates=(0.05, 0.1, 0.2), budget=2.0, every=False), network, data, folder, task)
print("\n".join(lines(found)))
print(f"one network per chip: {folder}; a page about it: hardpoint report {folder}")
