"""A sample of this very host, held against what the kernel says elsewhere."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from bridge.host.metrics.parts import PartMeter
from bridge.host.metrics.sampling import Sampler, _Rates
from functions.contract.messages import HostSample


@pytest.fixture
def sample() -> HostSample:
    return Sampler("n1").take({"self": os.getpid()})


def test_memory_is_what_the_kernel_has(sample: HostSample) -> None:
    told = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())

    assert sample.memory.total_bytes == int(told["MemTotal"].split()[0]) * 1024
    assert sample.memory.used_bytes + sample.memory.available_bytes == sample.memory.total_bytes


def test_the_root_file_system_is_among_the_disks(sample: HostSample) -> None:
    root = next(disk for disk in sample.disks if disk.mount == "/")

    assert root.total_bytes == shutil.disk_usage("/").total
    assert 0 <= root.percent <= 100


def test_there_is_a_core_for_each_processor_and_none_is_more_than_busy(sample: HostSample) -> None:
    assert len(sample.cpu.cores) == psutil.cpu_count()
    assert all(0 <= core <= 100 for core in sample.cpu.cores)
    assert len(sample.cpu.load) == 3


def test_every_interface_but_the_loopback_is_told_of(sample: HostSample) -> None:
    assert {one.name for one in sample.networks} == {path.name for path in Path("/sys/class/net").iterdir()} - {
        "lo",
        "bonding_masters",
    }


def test_rates_are_of_the_time_since_the_sample_before() -> None:
    rates = _Rates()

    assert rates.of("eth0", (100, 10), 5.0) == (None, None)
    assert rates.of("eth0", (300, 10), 7.0) == (100.0, 0.0)


def test_a_counter_that_begins_anew_has_no_rate_for_once() -> None:
    rates = _Rates()
    rates.of("eth0", (100, 10), 5.0)

    assert rates.of("eth0", (3, 0), 6.0) == (None, None)
    assert rates.of("eth0", (13, 0), 7.0) == (10.0, 0.0)


def test_a_part_is_measured_with_what_it_started() -> None:
    code = "import subprocess, sys; p = subprocess.Popen(['sleep', '60']); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        try:
            meter = PartMeter()
            [first] = meter.measure({"unit.service": process.pid})
            [second] = meter.measure({"unit.service": process.pid})
        finally:
            psutil.Process(child).kill()

    assert first.processes == 2
    assert first.percent is None
    assert first.memory_bytes > 1_000_000
    assert second.percent is not None


def test_a_part_that_has_ended_is_left_out() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)

    assert PartMeter().measure({"gone": int(ended.stdout)}) == []
