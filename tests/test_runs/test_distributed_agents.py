"""Several machines: an agent of torchrun for each, here two on the loopback, started as docs/distributed.md says."""
import os
import socket
import subprocess
import sys

import pytest

from .in_memory import ROOT, assert_same_training, config, sharded, written


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(('127.0.0.1', 0))
        return found.getsockname()[1]


def _run_agents(path, work_dir, *options) -> str:
    """Run ``tools/dist_train.sh`` once for each of two machines, with one process on each."""
    port, agents = str(_free_port()), []
    for rank in range(2):
        env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHON=sys.executable, NNODES='2',
                   NODE_RANK=str(rank), MASTER_ADDR='127.0.0.1', PORT=port)
        log = open(work_dir.parent / f'{work_dir.name}_agent{rank}.log', 'w+')
        agents.append((log, subprocess.Popen(
            ['bash', str(ROOT / 'tools/dist_train.sh'), str(path), '1', '--work-dir', str(work_dir), *options],
            env=env, cwd=path.parent, stdout=log, stderr=subprocess.STDOUT)))
    try:
        codes = [agent.wait(timeout=400) for _, agent in agents]
    finally:
        texts = []
        for log, agent in agents:
            agent.kill()
            log.seek(0)
            texts.append(log.read())
            log.close()
    assert codes == [0, 0], '\n'.join(text[-4000:] for text in texts)
    return texts[0]


def test_two_agents_train_as_one_process(tmp_path):
    """A config sharded by FSDP: two agents, then one process with the whole batch."""
    for name, processes in (('two', 2), ('one', 1)):
        sharded(config(processes)).dump(tmp_path / f'{name}.py')
    output = _run_agents(tmp_path / 'two.py', tmp_path / 'two')
    assert 'processes talk through gloo' in output
    assert [found['model'] for found in written(tmp_path / 'two')] == ['MMFullyShardedDataParallel'] * 2
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHONPATH=str(ROOT))
    one = subprocess.run(
        [sys.executable, str(ROOT / 'tools/train.py'), str(tmp_path / 'one.py'), '--work-dir', str(tmp_path / 'one')],
        env=env, cwd=tmp_path, text=True, capture_output=True, timeout=400)
    assert one.returncode == 0, one.stderr[-4000:]
    assert 'One process: the model is not sharded' in one.stdout + one.stderr
    assert_same_training(tmp_path / 'two', tmp_path / 'one')


SRUN = """#!{python}
# Starts the tasks as Slurm's would, on this machine: what their place in the job is stands in variables.
import os, subprocess, sys
options = sys.argv[1:]
ntasks = next(option.partition('=')[2] for option in options if option.startswith('--ntasks='))
command = options[next(i for i, option in enumerate(options) if option == {python!r}):]
tasks = [subprocess.Popen(command, env=dict(os.environ, SLURM_PROCID=str(rank), SLURM_LOCALID=str(rank),
                                            SLURM_NTASKS=ntasks, SLURM_NODELIST='localhost'))
         for rank in range(int(ntasks))]
sys.exit(max(abs(task.wait()) for task in tasks))
"""


@pytest.mark.slow
def test_tasks_of_slurm_train_as_one_process(tmp_path):
    """tools/slurm_train.sh with a stand-in for Slurm's srun and scontrol, which are not here."""
    for name, text in (('srun', SRUN.format(python=sys.executable)), ('scontrol', '#!/bin/sh\necho localhost\n')):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    for name, processes in (('two', 2), ('one', 1)):
        config(processes).dump(tmp_path / f'{name}.py')
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHON=sys.executable, GPUS='2',
               PATH=f'{tmp_path}:{os.environ["PATH"]}', MASTER_PORT=str(_free_port()))
    commands = {'two': ['bash', str(ROOT / 'tools/slurm_train.sh'), 'partition', 'job'],
                'one': [sys.executable, str(ROOT / 'tools/train.py')]}
    for name, command in commands.items():
        done = subprocess.run([*command, str(tmp_path / f'{name}.py'), '--work-dir', str(tmp_path / f'{name}_out')],
                              env=dict(env, PYTHONPATH=str(ROOT)), cwd=tmp_path, text=True, capture_output=True,
                              timeout=400)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    assert len(written(tmp_path / 'two_out')) == 2
    assert_same_training(tmp_path / 'two_out', tmp_path / 'one_out')


@pytest.mark.slow
def test_plain_training_in_two_agents_is_resumed_by_one(tmp_path):
    """Data parallel; the run is stopped after its first epoch, and a single agent of two processes goes on."""
    config(2).dump(tmp_path / 'two.py')
    _run_agents(tmp_path / 'two.py', tmp_path / 'parts')
    assert [found['model'] for found in written(tmp_path / 'parts')] == ['MMDistributedDataParallel'] * 2
    config(2, train_cfg__max_epochs=2).dump(tmp_path / 'longer.py')
    env = dict(os.environ, OMP_NUM_THREADS='1', CUDA_VISIBLE_DEVICES='', PYTHON=sys.executable, PORT=str(_free_port()))
    for work_dir, options in (('parts', ['--resume']), ('whole', [])):
        done = subprocess.run(
            ['bash', str(ROOT / 'tools/dist_train.sh'), str(tmp_path / 'longer.py'), '2', '--work-dir',
             str(tmp_path / work_dir), *options], env=env, cwd=tmp_path, text=True, capture_output=True, timeout=400)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    parts, whole = (
        [found['losses'] for found in written(tmp_path / work_dir)] for work_dir in ('parts', 'whole'))
    assert parts == [losses[3:] for losses in whole]
