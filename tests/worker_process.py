"""A worker in a process of its own that a test may kill: `python worker_process.py EXECUTOR_ID CONFIG_AS_JSON`.

Its child waits in the middle of a series until the file `go` is there.
"""

import json
import os
import signal
import sys
import threading
import time

from node.clock import utc_now
from node.config import Config
from node.forwarding.attempt import DeliveryWork
from node.jobs import JobEngine
from node.processing import SeriesWork
from node.registry.database import engine
from node.registry.repository import Repository
from node.runner import SeriesRunner
from node.sweep import Sweep


def work(order, config):
    folder = config.node.data_dir
    with (folder / "started").open("a") as file:
        file.write(f"{os.getpid()}\n")
    while not (folder / "go").exists():
        time.sleep(0.01)
    order.out.mkdir(parents=True, exist_ok=True)
    (order.out / "report.json").write_text("{}")
    product = {"kind": "report", "path": "report.json", "volume": None, "sha256": "0", "size_bytes": 2}
    return {"report": {"verdict": "ACCEPT", "volumes": [], "findings": []}, "products": [product]}


def main(executor_id: str, config: Config) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    repository = Repository(engine(config.registry_url))
    runner = SeriesRunner(config, work=work, modules=())
    series_work = SeriesWork(config, repository, runner, now=utc_now)
    deliver = DeliveryWork(config, repository, now=utc_now)
    jobs = JobEngine(config, series_work, deliver, executor_id=executor_id)
    sweep = Sweep(repository, jobs, runner, now=utc_now, again_s=0.2)
    jobs.start()
    while not stop.wait(0.05):
        sweep.run_once()
    jobs.stop()
    runner.stop()


if __name__ == "__main__":
    main(sys.argv[1], Config(**json.loads(sys.argv[2])))
