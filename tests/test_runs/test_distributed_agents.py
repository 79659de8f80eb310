"""Several machines: an agent of torchrun for each, here two on the loopback, started as docs/distributed.md says."""
import os
import socket
import subprocess
import sys

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
